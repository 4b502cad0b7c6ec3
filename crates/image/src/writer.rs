//! How images are written. The format stands in `file.rs`.

use tepui_abi::metadata::SourcePosition;
use tepui_abi::target::Endianness;
use tepui_abi::{Target, Tunables};

use crate::code::{CodeImage, FunctionRecord};
use crate::error::Error;
use crate::file::{
    FORMAT_VERSION, HEADER_BYTES, MAGIC, SECTION_BYTES, VERSION, architecture_code, kind,
    page_bytes, tag, tunable,
};
use crate::positions::Block;

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct ImageContents<'a> {
    /// The machine that the code is for.
    pub target: Target,
    /// The bytes of the Wasm module that the code was compiled from.
    pub module: &'a [u8],
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

/// Writes an image. With a key it gets an authentication tag, by which
/// [`Image::authenticate`](crate::Image::authenticate) will know it again.
///
/// The same contents and key give the same bytes.
///
/// # Errors
///
/// [`Error::TextReleased`]; [`Error::WrongTarget`] when code is not for the
/// target of the image; [`Error::Invalid`] when a source position lies outside
/// the module or a string or table is too long.
pub fn write(contents: &ImageContents<'_>, key: Option<&[u8; 32]>) -> Result<Vec<u8>, Error> {
    let Target {
        architecture,
        pointer_bytes,
        endianness,
    } = contents.target;
    let section_count = 2 + 2 * contents.code.len();
    let mut file = File {
        bytes: Vec::with_capacity(estimate(contents)),
        sections: 0,
    };
    file.bytes.extend(MAGIC);
    file.u32(FORMAT_VERSION);
    file.count(section_count)?;
    file.u64(0);
    file.bytes.push(architecture_code(architecture));
    file.bytes.push(pointer_bytes);
    file.bytes.push(match endianness {
        Endianness::Little => 0,
        Endianness::Big => 1,
    });
    file.bytes.push(u8::from(key.is_some()));
    file.u32(0);
    file.bytes
        .resize(HEADER_BYTES + section_count * SECTION_BYTES, 0);

    file.section(kind::VERSION, 1, |file| {
        file.bytes.extend_from_slice(VERSION.as_bytes());
        Ok(())
    })?;
    file.section(kind::MODULE, 8, |file| {
        file.bytes.extend_from_slice(contents.module);
        Ok(())
    })?;
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
        let outside = |position: SourcePosition| {
            position.wasm != SourcePosition::NONE && position.wasm as usize >= contents.module.len()
        };
        if code.code.positions().any(outside) {
            return Err(Error::Invalid {
                what: "a source position outside the module",
                offset: file.bytes.len() as u64,
            });
        }
        let text_section = file.sections;
        file.section(kind::TEXT, page_bytes(contents.target), |file| {
            file.bytes.extend_from_slice(text);
            Ok(())
        })?;
        file.section(kind::COMPILATION, 8, |file| {
            file.compilation(code, text_section)
        })?;
    }

    let mut bytes = file.bytes;
    let len = bytes.len() + crate::file::TRAILER_BYTES;
    bytes[16..24].copy_from_slice(&(len as u64).to_le_bytes());
    seal(&mut bytes, key);
    Ok(bytes)
}

/// Appends the trailer.
pub(crate) fn seal(bytes: &mut Vec<u8>, key: Option<&[u8; 32]>) {
    let mut hasher = blake3::Hasher::new();
    let body = hasher.update(bytes).finalize();
    let tag = key.map_or([0; 32], |key| *tag(key, &body).as_bytes());
    let digest = hasher.update(&tag).finalize();
    bytes.extend(tag);
    bytes.extend(digest.as_bytes());
}

/// About how many bytes the image will have.
fn estimate(contents: &ImageContents<'_>) -> usize {
    let code = contents.code.iter().map(|code| {
        let page = page_bytes(contents.target) as usize;
        code.code.text().len() + code.code.table_bytes() + page + code.fingerprint.len() + 128
    });
    contents.module.len() + code.sum::<usize>() + 256
}

struct File {
    bytes: Vec<u8>,
    /// Sections written.
    sections: u32,
}

impl File {
    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn count(&mut self, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).map_err(|_| Error::Invalid {
            what: "more than 2^32 items",
            offset: self.bytes.len() as u64,
        })?;
        self.u32(count);
        Ok(())
    }

    fn string(&mut self, string: &str) -> Result<(), Error> {
        self.count(string.len())?;
        self.bytes.extend_from_slice(string.as_bytes());
        Ok(())
    }

    /// Writes a section at a multiple of `alignment` and enters it in the table.
    fn section(
        &mut self,
        kind: u32,
        alignment: u64,
        write: impl FnOnce(&mut File) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = self.bytes.len().next_multiple_of(alignment as usize);
        self.bytes.resize(start, 0);
        write(self)?;
        let len = self.bytes.len() - start;
        let row = HEADER_BYTES + self.sections as usize * SECTION_BYTES;
        self.bytes[row..row + 4].copy_from_slice(&kind.to_le_bytes());
        self.bytes[row + 8..row + 16].copy_from_slice(&(start as u64).to_le_bytes());
        self.bytes[row + 16..row + 24].copy_from_slice(&(len as u64).to_le_bytes());
        self.sections += 1;
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
        } = contents.code;
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
        self.bytes.extend_from_slice(trap_codes);
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
        self.bytes.extend_from_slice(&positions.deltas);
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
        } = *tunables;
        self.u64(memory_reservation);
        self.u64(memory_guard);
        self.bytes.push(host_page_log2);
        let bits = [
            (fuel, tunable::FUEL),
            (epoch, tunable::EPOCH),
            (spectre, tunable::SPECTRE),
            (deterministic, tunable::DETERMINISTIC),
        ];
        self.bytes.push(
            bits.into_iter()
                .filter(|(on, _)| *on)
                .fold(0, |all, (_, bit)| all | bit),
        );
    }
}
