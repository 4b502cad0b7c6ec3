//! How images are written. The format stands in `file.rs`.

use std::borrow::Cow;

use tepui_abi::target::Endianness;
use tepui_abi::{Target, Tunables};

use crate::code::{CodeImage, FunctionRecord};
use crate::error::Error;
use crate::file::{
    FORMAT_VERSION, HEADER_BYTES, MAGIC, SECTION_BYTES, TRAILER_BYTES, VERSION, architecture_code,
    kind, page_bytes, tag, tunable,
};
use crate::positions::Block;
use crate::profiles;

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct ImageContents<'a> {
    /// The machine that the code is for.
    pub target: Target,
    /// The bytes of the Wasm module that the code was compiled from, in pieces
    /// that follow one another.
    pub module: &'a [&'a [u8]],
    /// What compilations made, best first.
    pub code: &'a [CodeContents<'a>],
}

/// What one compilation made.
#[derive(Clone, Copy, Debug)]
pub struct CodeContents<'a> {
    /// The name of the tier: `baseline` or `optimizing`.
    pub tier: &'a str,
    /// The fingerprint of the compiler.
    pub fingerprint: &'a str,
    /// The settings that the code was made under.
    pub tunables: Tunables,
    /// The code; its text must not have been released.
    pub code: &'a CodeImage,
}

/// Writes an image into memory: see [`assemble`].
///
/// # Errors
///
/// As for [`assemble`].
pub fn write(contents: &ImageContents<'_>, key: Option<&[u8; 32]>) -> Result<Vec<u8>, Error> {
    let image = assemble(contents, key)?;
    let mut bytes = Vec::with_capacity(image.len());
    for part in image.parts() {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Makes an image. With a key it gets an authentication tag, by which
/// [`Image::authenticate`](crate::Image::authenticate) will know it again.
///
/// The same contents and key give the same bytes. Module and code are not
/// copied; memory is taken for the tables.
///
/// # Errors
///
/// [`Error::TextReleased`]; [`Error::WrongTarget`] when code is not for the
/// target of the image; [`Error::Invalid`] when a source position lies outside
/// the module or a string or table is too long.
pub fn assemble<'a>(
    contents: &ImageContents<'a>,
    key: Option<&[u8; 32]>,
) -> Result<ImageParts<'a>, Error> {
    let section_count = 2 + 2 * contents.code.len();
    let mut file = File {
        parts: vec![Cow::Borrowed(&[])],
        len: (HEADER_BYTES + section_count * SECTION_BYTES) as u64,
        rows: Bytes(Vec::with_capacity(section_count * SECTION_BYTES)),
        sections: 0,
    };
    file.section(kind::VERSION, 1, [VERSION.as_bytes()]);
    file.section(kind::MODULE, 8, contents.module.iter().copied());
    let module_len = contents.module.iter().map(|piece| piece.len() as u64).sum();
    for code in contents.code {
        let text = code.code.text();
        if text.len() != code.code.text_len() as usize {
            return Err(Error::TextReleased);
        }
        if code.code.target() != contents.target {
            return Err(Error::WrongTarget {
                found: code.code.target(),
                expected: contents.target,
            });
        }
        if code.code.positions.bound > module_len {
            return Err(Error::Invalid {
                what: "a source position outside the module",
                offset: file.len,
            });
        }
        let text_section = file.sections;
        file.section(kind::TEXT, page_bytes(contents.target), [text]);
        let bytes = 128 + code.fingerprint.len() + code.code.table_bytes();
        let mut tables = Bytes(Vec::with_capacity(bytes));
        tables.compilation(code, text_section)?;
        file.section(kind::COMPILATION, 8, [tables.0]);
    }
    file.finish(contents.target, key)
}

/// An image in pieces that follow one another in its file.
#[derive(Clone, Debug)]
pub struct ImageParts<'a> {
    parts: Vec<Cow<'a, [u8]>>,
    len: u64,
}

impl ImageParts<'_> {
    /// The pieces, in order; none is empty.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &**part)
    }

    /// The length of the image in bytes.
    ///
    /// # Panics
    ///
    /// When there is no such number on this machine.
    #[expect(clippy::len_without_is_empty, reason = "no image is empty")]
    pub fn len(&self) -> usize {
        usize::try_from(self.len).expect("an image that is in memory has a length")
    }
}

/// The digest and the tag of what the parts hold, as they end the file.
fn trailer<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    key: Option<&[u8; 32]>,
) -> [u8; TRAILER_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let tag = key.map_or([0; 32], |key| *tag(key, &hasher.finalize()).as_bytes());
    let digest = hasher.update(&tag).finalize();
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..32].copy_from_slice(&tag);
    trailer[32..].copy_from_slice(digest.as_bytes());
    trailer
}

/// An image that is being made. The first part is the header's, made last.
struct File<'a> {
    parts: Vec<Cow<'a, [u8]>>,
    /// Of all parts, and of the header.
    len: u64,
    /// The table of sections.
    rows: Bytes,
    sections: u32,
}

impl<'a> File<'a> {
    fn push(&mut self, part: impl Into<Cow<'a, [u8]>>) {
        let part = part.into();
        if !part.is_empty() {
            self.len += part.len() as u64;
            self.parts.push(part);
        }
    }

    /// Appends a section at a multiple of `alignment`, which is at most that of a
    /// page, and enters it in the table.
    fn section(
        &mut self,
        kind: u32,
        alignment: u64,
        pieces: impl IntoIterator<Item = impl Into<Cow<'a, [u8]>>>,
    ) {
        static ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        let start = self.len.next_multiple_of(alignment);
        self.push(&ZEROS[..(start - self.len) as usize]);
        for piece in pieces {
            self.push(piece);
        }
        self.rows.u32(kind);
        self.rows.u32(0);
        self.rows.u64(start);
        self.rows.u64(self.len - start);
        self.sections += 1;
    }

    fn finish(mut self, target: Target, key: Option<&[u8; 32]>) -> Result<ImageParts<'a>, Error> {
        let Target {
            architecture,
            pointer_bytes,
            endianness,
        } = target;
        let mut header = Bytes(Vec::with_capacity(HEADER_BYTES + self.rows.0.len()));
        header.0.extend(MAGIC);
        header.u32(FORMAT_VERSION);
        header.u32(self.sections);
        header.u64(self.len + TRAILER_BYTES as u64);
        header.0.push(architecture_code(architecture));
        header.0.push(pointer_bytes);
        header.0.push(match endianness {
            Endianness::Little => 0,
            Endianness::Big => 1,
        });
        header.0.push(u8::from(key.is_some()));
        header.u32(0);
        header.0.append(&mut self.rows.0);
        self.parts[0] = Cow::Owned(header.0);
        let trailer = trailer(self.parts.iter().map(|part| &**part), key);
        self.push(trailer.to_vec());
        Ok(ImageParts {
            parts: self.parts,
            len: self.len,
        })
    }
}

/// Numbers and tables, one after the other.
struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn count(&mut self, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).map_err(|_| Error::Invalid {
            what: "more than 2^32 items",
            offset: 0,
        })?;
        self.u32(count);
        Ok(())
    }

    fn string(&mut self, string: &str) -> Result<(), Error> {
        self.count(string.len())?;
        self.0.extend_from_slice(string.as_bytes());
        Ok(())
    }

    fn compilation(&mut self, contents: &CodeContents<'_>, text_section: u32) -> Result<(), Error> {
        let CodeImage {
            target: _,
            alignment,
            text_len: _,
            text: _,
            functions,
            order,
            trap_offsets,
            trap_codes,
            positions,
            profiles,
        } = contents.code;
        let profiles = profiles::write(profiles)?;
        self.string(contents.tier)?;
        self.string(contents.fingerprint)?;
        self.tunables(&contents.tunables);
        self.u32(text_section);
        self.u32(*alignment);
        self.count(functions.len())?;
        self.count(order.len())?;
        self.count(trap_offsets.len())?;
        self.count(positions.blocks.len())?;
        self.count(positions.deltas.len())?;
        self.count(profiles.len())?;
        for &FunctionRecord {
            function,
            start,
            end,
            frame_bytes,
        } in functions
        {
            self.u32(function.as_u32());
            self.u32(start);
            self.u32(end);
            self.u32(frame_bytes);
        }
        for &place in order {
            self.u32(place);
        }
        for &offset in trap_offsets {
            self.u32(offset);
        }
        self.0.extend_from_slice(trap_codes);
        for &Block {
            offset,
            wasm,
            start,
        } in &positions.blocks
        {
            self.u32(offset);
            self.u32(wasm);
            self.u32(start);
        }
        self.0.extend_from_slice(&positions.deltas);
        self.0.extend_from_slice(&profiles);
        Ok(())
    }

    fn tunables(&mut self, tunables: &Tunables) {
        let Tunables {
            memory_reservation,
            memory_guard,
            host_page_log2,
            fuel,
            epoch,
            spectre,
            deterministic,
            profile,
            stack_probes,
        } = *tunables;
        self.u64(memory_reservation);
        self.u64(memory_guard);
        self.0.push(host_page_log2);
        let bits = [
            (fuel, tunable::FUEL),
            (epoch, tunable::EPOCH),
            (spectre, tunable::SPECTRE),
            (deterministic, tunable::DETERMINISTIC),
            (profile, tunable::PROFILE),
            (stack_probes, tunable::STACK_PROBES),
        ];
        self.0.push(
            bits.into_iter()
                .filter(|(on, _)| *on)
                .fold(0, |all, (_, bit)| all | bit),
        );
    }
}
