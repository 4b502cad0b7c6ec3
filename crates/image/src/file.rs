//! The file format of ahead-of-time images, and how images are read.
//!
//! # What is and is not checked
//!
//! **Native code cannot be verified.** Whoever runs an image runs the machine
//! code in it with all the rights of the process. [`Image::parse`] checks the
//! structure, so that a damaged image is refused and its tables can be used
//! without further checks, and it checks the digest, which detects damage. The
//! digest is no protection against a forger, who computes it again. The
//! authentication tag is: it can be made only with the key that
//! [`Image::authenticate`] is given. Whoever loads an image without a key trusts
//! the file, and everyone who could write to it.
//!
//! # Layout
//!
//! All numbers are little-endian, whatever the host. Bytes not described are
//! zero.
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | [`FORMAT_VERSION`] |
//! | 12 | 4 | number of sections |
//! | 16 | 8 | length of the file |
//! | 24 | 1 | architecture: 1 x86-64, 2 aarch64, 3 riscv64, 4 s390x, 5 none |
//! | 25 | 1 | bytes in a pointer |
//! | 26 | 1 | byte order of the machine: 0 little, 1 big |
//! | 27 | 1 | 1 when there is an authentication tag, else 0 |
//! | 32 | 24 each | sections: kind (4), zero (4), offset (8), length (8) |
//!
//! The sections follow in the order of their offsets. The last 64 bytes of the
//! file are the *trailer*: the tag, 32 bytes that are zero when there is none,
//! and the digest, the BLAKE3 hash of everything before it. The tag is the BLAKE3
//! hash under the key of `tepui image tag` and the BLAKE3 hash of everything
//! before the trailer.
//!
//! | kind | section |
//! |---|---|
//! | 1 | version of Tepui, UTF-8; exactly one |
//! | 2 | the bytes of the Wasm module; exactly one |
//! | 3 | machine code; begins on a page of the target |
//! | 4 | a compilation: what made the code of one section of kind 3, and its tables |
//!
//! There may be several compilations: of several tiers, and under several
//! tunables. A compilation is:
//!
//! | bytes | field |
//! |---|---|
//! | 4 + n | name of the tier: length, UTF-8 |
//! | 4 + n | fingerprint of the compiler: length, UTF-8 |
//! | 8, 8, 1, 1 | tunables: reservation, guard, log2 of the page; bits fuel, epoch, spectre, deterministic, profile |
//! | 4 | which section, counted from 0, holds the code |
//! | 4 | alignment of the code |
//! | 4 × 6 | counts: functions, order, traps, position blocks, bytes of position deltas, bytes of profiles |
//! | 16 each | functions, by start: function, start, end, frame bytes |
//! | 4 each | order: places of functions, by function; none when that is the order anyway |
//! | 4 each | trap offsets, ascending |
//! | 1 each | trap codes |
//! | 12 each | position blocks: offset, Wasm offset, start of deltas |
//! | 1 each | position deltas |
//! | 1 each | profiles: none, or for each function in the order of functions what its code counts, see `profiles.rs` |

use std::fmt;

use tepui_abi::slots::SlotGeometry;
use tepui_abi::target::Endianness;
use tepui_abi::{Architecture, Target, Tunables};

use crate::builder::{MAX_ALIGNMENT, MAX_TEXT, MIN_ALIGNMENT};
use crate::code::CodeImage;
use crate::error::Error;
use crate::positions::PositionTable;
use crate::profiles;
use crate::reader::{Reader, invalid};
use crate::tables::{Tables, numbers};

/// The first eight bytes of an image.
///
/// No text and no Wasm module begins with them, and transfers that change bytes
/// with the highest bit or line ends destroy them.
pub const MAGIC: [u8; 8] = *b"\x89TEPUI\r\n";

/// Version of the file format.
pub const FORMAT_VERSION: u32 = 2;

/// Version of Tepui. Code of another version does not fit its runtime.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const SECTION_BYTES: usize = 24;
pub(crate) const TRAILER_BYTES: usize = 64;
pub(crate) const TAG_CONTEXT: &[u8] = b"tepui image tag";

/// Kinds of sections.
pub(crate) mod kind {
    pub(crate) const VERSION: u32 = 1;
    pub(crate) const MODULE: u32 = 2;
    pub(crate) const TEXT: u32 = 3;
    pub(crate) const COMPILATION: u32 = 4;
}

/// Bits of the tunables.
pub(crate) mod tunable {
    pub(crate) const FUEL: u8 = 1;
    pub(crate) const EPOCH: u8 = 2;
    pub(crate) const SPECTRE: u8 = 4;
    pub(crate) const DETERMINISTIC: u8 = 8;
    pub(crate) const PROFILE: u8 = 16;
    pub(crate) const STACK_PROBES: u8 = 32;
}

/// The number of an architecture in the header.
pub(crate) const fn architecture_code(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::X86_64 => 1,
        Architecture::Aarch64 => 2,
        Architecture::Riscv64 => 3,
        Architecture::S390x => 4,
        Architecture::Interpreted => 5,
    }
}

/// Multiples at which code begins in a file, so that it can be mapped.
pub(crate) fn page_bytes(target: Target) -> u64 {
    u64::from(SlotGeometry::new(target.architecture).page_bytes())
}

/// The tag of an image with this hash, under `key`.
pub(crate) fn tag(key: &[u8; 32], body: &blake3::Hash) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(TAG_CONTEXT);
    hasher.update(body.as_bytes());
    hasher.finalize()
}

/// An image, read and checked.
#[derive(Clone)]
pub struct Image<'a> {
    target: Target,
    version: &'a str,
    module: &'a [u8],
    code: Vec<CodeSection<'a>>,
    body: blake3::Hash,
    tag: Option<blake3::Hash>,
}

/// What one compilation made: the machine code of a batch and what it was made
/// by and under.
#[derive(Clone, Copy)]
pub struct CodeSection<'a> {
    target: Target,
    tier: &'a str,
    fingerprint: &'a str,
    tunables: Tunables,
    alignment: u32,
    text: &'a [u8],
    text_offset: u64,
    tables: Tables<'a>,
}

impl fmt::Debug for Image<'_> {
    /// Shows lengths instead of the module and the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("target", &self.target)
            .field("version", &self.version)
            .field("module_bytes", &self.module.len())
            .field("is_tagged", &self.is_tagged())
            .field("code", &self.code)
            .finish()
    }
}

impl fmt::Debug for CodeSection<'_> {
    /// Shows lengths instead of the code and its tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeSection")
            .field("tier", &self.tier)
            .field("fingerprint", &self.fingerprint)
            .field("tunables", &self.tunables)
            .field("text_bytes", &self.text.len())
            .field("functions", &(self.tables.functions.len() / 16))
            .finish_non_exhaustive()
    }
}

impl<'a> Image<'a> {
    /// Whether `bytes` begin like an image.
    pub fn is_image(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads an image and checks its versions, its digest and its structure:
    /// everything that the look-ups of [`CodeImage`] rely on. Whether the
    /// functions are those of the module is not checked, because the module is
    /// not decoded.
    ///
    /// The image may be for another machine and for other settings: ask
    /// [`CodeSection::check`]. It may be anybody's: ask
    /// [`authenticate`](Image::authenticate).
    ///
    /// Takes time linear in the length of `bytes`, and memory linear in the
    /// number of code sections.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnImage`], [`Error::WrongVersion`], [`Error::Truncated`],
    /// [`Error::Corrupted`], [`Error::Invalid`].
    pub fn parse(bytes: &'a [u8]) -> Result<Image<'a>, Error> {
        if !Image::is_image(bytes) {
            return Err(Error::NotAnImage);
        }
        let mut header = Reader::new(bytes, 0);
        header.take(MAGIC.len(), "magic")?;
        let format = header.u32()?;
        if format != FORMAT_VERSION {
            return Err(Error::WrongVersion {
                found: format!("image format {format}"),
                expected: format!("image format {FORMAT_VERSION}"),
            });
        }
        let section_count = header.u32()?;
        let file_len = header.u64()?;
        let actual_len = bytes.len() as u64;
        if actual_len < file_len {
            return Err(Error::Truncated { offset: actual_len });
        }
        if actual_len > file_len {
            return Err(invalid("bytes after the end", file_len));
        }
        let Some(body_len) = bytes
            .len()
            .checked_sub(TRAILER_BYTES)
            .filter(|&len| len >= HEADER_BYTES)
        else {
            return Err(Error::Truncated { offset: actual_len });
        };

        // The digest comes first, so that all errors below mean a writer that
        // does not keep to the format, never damage.
        let (signed, digest) = bytes.split_at(bytes.len() - 32);
        let (body, tag) = signed.split_at(body_len);
        let mut hasher = blake3::Hasher::new();
        let body_hash = hasher.update(body).finalize();
        if hasher.update(tag).finalize() != hash(digest) {
            return Err(Error::Corrupted);
        }

        let target = read_target(&mut header)?;
        let flags_at = header.offset();
        let tag = match header.u8()? {
            1 => Some(hash(tag)),
            0 if tag.iter().all(|&byte| byte == 0) => None,
            _ => return Err(invalid("flags", flags_at)),
        };
        header.zeros(4)?;

        let mut table = header.array(
            section_count,
            SECTION_BYTES,
            body_len - HEADER_BYTES,
            "sections",
        )?;
        let mut image = Image {
            target,
            version: "",
            module: &[],
            code: Vec::new(),
            body: body_hash,
            tag,
        };
        let sections = Sections {
            body,
            table: table.rest(),
        };
        let mut seen = [false; 2];
        let mut end = (HEADER_BYTES + table.rest().len()) as u64;
        for _ in 0..section_count {
            let at = table.offset();
            let section = Section::read(&mut table, body)?;
            if section.offset < end {
                return Err(invalid("sections overlap or are out of order", at));
            }
            end = section.offset + section.bytes.len() as u64;
            match section.kind {
                kind::VERSION | kind::MODULE => {
                    if std::mem::replace(&mut seen[(section.kind - kind::VERSION) as usize], true) {
                        return Err(invalid("more than one section of this kind", at));
                    }
                    if section.kind == kind::MODULE {
                        image.module = section.bytes;
                    } else {
                        image.version = std::str::from_utf8(section.bytes)
                            .map_err(|_| invalid("version is not UTF-8", section.offset))?;
                        if image.version != VERSION {
                            return Err(Error::WrongVersion {
                                found: format!("Tepui {}", image.version),
                                expected: format!("Tepui {VERSION}"),
                            });
                        }
                    }
                }
                kind::TEXT => {
                    if !section.offset.is_multiple_of(page_bytes(target)) {
                        return Err(invalid("code does not begin on a page", at));
                    }
                    if section.bytes.len() > MAX_TEXT as usize {
                        return Err(invalid("code is too large", at));
                    }
                }
                kind::COMPILATION => {
                    if !seen[1] {
                        return Err(invalid("a compilation before the module", at));
                    }
                    let code = CodeSection::read(&section, &sections, target, image.module)?;
                    image.code.push(code);
                }
                _ => return Err(invalid("unknown kind of section", at)),
            }
        }
        if seen != [true; 2] {
            return Err(invalid("no version or no module", HEADER_BYTES as u64));
        }
        Ok(image)
    }

    /// Whether the image was made with `key`: by [`write()`](crate::write) or by
    /// someone else who knows it. `false` when there is no tag.
    ///
    /// Takes the same time whatever the key and the tag are.
    pub fn authenticate(&self, key: &[u8; 32]) -> bool {
        // The comparison of BLAKE3 hashes takes constant time.
        self.tag.is_some_and(|found| tag(key, &self.body) == found)
    }

    /// Like [`authenticate`](Image::authenticate), with the reason.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when there is no tag, [`Error::Forged`] when it
    /// was made with another key.
    pub fn require(&self, key: &[u8; 32]) -> Result<(), Error> {
        match self.tag {
            None => Err(Error::Unauthenticated),
            Some(_) if self.authenticate(key) => Ok(()),
            Some(_) => Err(Error::Forged),
        }
    }

    /// Whether the image carries an authentication tag, of whatever key.
    pub fn is_tagged(&self) -> bool {
        self.tag.is_some()
    }

    /// The machine that the code is for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The version of Tepui that made the image; always [`VERSION`].
    pub fn version(&self) -> &'a str {
        self.version
    }

    /// The bytes of the Wasm module that the code was compiled from. They were
    /// not decoded: they may be invalid.
    pub fn module(&self) -> &'a [u8] {
        self.module
    }

    /// What the image's compilations made.
    pub fn code_sections(&self) -> &[CodeSection<'a>] {
        &self.code
    }

    /// The code of the first compilation.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is none.
    pub fn into_code_image(self) -> Result<CodeImage, Error> {
        match self.code.first() {
            Some(section) => Ok(section.to_code_image()),
            None => Err(invalid("no code section", HEADER_BYTES as u64)),
        }
    }
}

impl<'a> CodeSection<'a> {
    /// The name of the tier: `baseline` or `optimizing`.
    pub fn tier(&self) -> &'a str {
        self.tier
    }

    /// The fingerprint of the compiler:
    /// [`Compiler::fingerprint`](tepui_abi::Compiler::fingerprint).
    pub fn fingerprint(&self) -> &'a str {
        self.fingerprint
    }

    /// The settings that the code was made under.
    pub fn tunables(&self) -> Tunables {
        self.tunables
    }

    /// What the address of the text must be a multiple of: a power of two from
    /// 16 to 4,096.
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// The machine code, in place.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where the machine code lies in the file, for mapping it: a multiple of
    /// 4,096, for aarch64 of 16,384.
    pub fn text_file_offset(&self) -> u64 {
        self.text_offset
    }

    /// Whether the code may run on `target` under `tunables`.
    ///
    /// The fingerprint is not compared, because code of another compiler may
    /// well run: the instruction sets that the processor must have are for the
    /// compiler to check.
    ///
    /// # Errors
    ///
    /// [`Error::WrongTarget`], [`Error::WrongSettings`].
    pub fn check(&self, target: Target, tunables: &Tunables) -> Result<(), Error> {
        if self.target != target {
            return Err(Error::WrongTarget {
                found: self.target,
                expected: target,
            });
        }
        let listed = |tunables: &Tunables| {
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
            [
                ("memory reservation", memory_reservation),
                ("memory guard", memory_guard),
                ("page size (log2)", u64::from(host_page_log2)),
                ("fuel", u64::from(fuel)),
                ("epoch", u64::from(epoch)),
                ("spectre", u64::from(spectre)),
                ("deterministic", u64::from(deterministic)),
                ("profile", u64::from(profile)),
                ("stack probes", u64::from(stack_probes)),
            ]
        };
        for ((what, found), (_, expected)) in
            listed(&self.tunables).into_iter().zip(listed(tunables))
        {
            if found != expected {
                return Err(Error::WrongSettings {
                    what,
                    found: found.to_string(),
                    expected: expected.to_string(),
                });
            }
        }
        Ok(())
    }

    /// A copy of the code and its tables that does not depend on the file.
    pub fn to_code_image(&self) -> CodeImage {
        CodeImage {
            text: self.text.to_vec(),
            ..self.to_tables()
        }
    }

    /// The tables alone, as after
    /// [`CodeImage::take_text`]: for those who take the code from
    /// [`text`](CodeSection::text), which spares a copy.
    pub fn to_tables(&self) -> CodeImage {
        let tables = self.tables;
        CodeImage {
            target: self.target,
            alignment: self.alignment,
            text_len: self.text.len() as u32,
            text: Vec::new(),
            functions: tables.functions().collect(),
            order: numbers(tables.order).collect(),
            trap_offsets: numbers(tables.trap_offsets).collect(),
            trap_codes: tables.trap_codes.to_vec(),
            positions: PositionTable {
                blocks: tables.blocks().collect(),
                deltas: tables.deltas.to_vec(),
                bound: tables.position_bound,
            },
            profiles: profiles::read(tables.profiles),
        }
    }

    fn read(
        section: &Section<'a>,
        sections: &Sections<'a>,
        target: Target,
        module: &'a [u8],
    ) -> Result<CodeSection<'a>, Error> {
        let mut reader = Reader::new(section.bytes, section.offset);
        let tier = reader.string()?;
        let fingerprint = reader.string()?;
        let tunables = read_tunables(&mut reader)?;
        let at = reader.offset();
        let text = sections
            .get(reader.u32()?)?
            .filter(|text| text.kind == kind::TEXT)
            .ok_or(invalid("no such code", at))?;
        if !text.offset.is_multiple_of(page_bytes(target)) || text.bytes.len() > MAX_TEXT as usize {
            return Err(invalid("no such code", at));
        }
        let at = reader.offset();
        let alignment = reader.u32()?;
        if !alignment.is_power_of_two() || !(MIN_ALIGNMENT..=MAX_ALIGNMENT).contains(&alignment) {
            return Err(invalid("alignment of the code", at));
        }
        let mut tables = Tables::read(&mut reader)?;
        tables.check(text.bytes.len() as u32, module.len() as u64)?;
        Ok(CodeSection {
            target,
            tier,
            fingerprint,
            tunables,
            alignment,
            text: text.bytes,
            text_offset: text.offset,
            tables,
        })
    }
}

fn read_target(header: &mut Reader<'_>) -> Result<Target, Error> {
    let at = header.offset();
    let architecture = match header.u8()? {
        1 => Architecture::X86_64,
        2 => Architecture::Aarch64,
        3 => Architecture::Riscv64,
        4 => Architecture::S390x,
        5 => Architecture::Interpreted,
        _ => return Err(invalid("unknown architecture", at)),
    };
    let pointer_bytes = header.u8()?;
    let endianness = match header.u8()? {
        0 => Endianness::Little,
        1 => Endianness::Big,
        _ => return Err(invalid("unknown byte order", at + 2)),
    };
    let target = Target {
        architecture,
        pointer_bytes,
        endianness,
    };
    let exists = match architecture {
        Architecture::Interpreted => matches!(pointer_bytes, 4 | 8),
        _ => target == Target::of(architecture),
    };
    if !exists {
        return Err(invalid("no such target", at));
    }
    Ok(target)
}

fn read_tunables(reader: &mut Reader<'_>) -> Result<Tunables, Error> {
    let memory_reservation = reader.u64()?;
    let memory_guard = reader.u64()?;
    let host_page_log2 = reader.u8()?;
    let at = reader.offset();
    let bits = reader.u8()?;
    let known = tunable::FUEL
        | tunable::EPOCH
        | tunable::SPECTRE
        | tunable::DETERMINISTIC
        | tunable::PROFILE
        | tunable::STACK_PROBES;
    if bits & !known != 0 || host_page_log2 >= 64 {
        return Err(invalid("tunables", at));
    }
    Ok(Tunables {
        memory_reservation,
        memory_guard,
        host_page_log2,
        fuel: bits & tunable::FUEL != 0,
        epoch: bits & tunable::EPOCH != 0,
        spectre: bits & tunable::SPECTRE != 0,
        deterministic: bits & tunable::DETERMINISTIC != 0,
        profile: bits & tunable::PROFILE != 0,
        stack_probes: bits & tunable::STACK_PROBES != 0,
    })
}

/// A section and where it lies.
#[derive(Clone, Copy)]
struct Section<'a> {
    kind: u32,
    offset: u64,
    bytes: &'a [u8],
}

impl<'a> Section<'a> {
    fn read(table: &mut Reader<'_>, body: &'a [u8]) -> Result<Section<'a>, Error> {
        let at = table.offset();
        let kind = table.u32()?;
        table.zeros(4)?;
        let offset = table.u64()?;
        let len = table.u64()?;
        let range = usize::try_from(offset).ok().zip(
            offset
                .checked_add(len)
                .and_then(|end| usize::try_from(end).ok()),
        );
        let bytes = range
            .and_then(|(start, end)| body.get(start..end))
            .ok_or(invalid("a section outside the file", at))?;
        Ok(Section {
            kind,
            offset,
            bytes,
        })
    }
}

/// The section table.
struct Sections<'a> {
    body: &'a [u8],
    table: &'a [u8],
}

impl<'a> Sections<'a> {
    fn get(&self, index: u32) -> Result<Option<Section<'a>>, Error> {
        let rows = self.table.chunks_exact(SECTION_BYTES);
        match rows.into_iter().nth(index as usize) {
            None => Ok(None),
            Some(row) => {
                let at = HEADER_BYTES as u64 + u64::from(index) * SECTION_BYTES as u64;
                Section::read(&mut Reader::new(row, at), self.body).map(Some)
            }
        }
    }
}

fn hash(bytes: &[u8]) -> blake3::Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    blake3::Hash::from_bytes(hash)
}
