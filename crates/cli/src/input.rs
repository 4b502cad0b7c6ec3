//! What is in a file that the user names? Decided by its content, never by its
//! name: a module in the binary or the text format, or a compiled image.

use crate::engine::Trust;
use crate::failure::Failure;
use crate::progress;
#[cfg(feature = "compiler")]
use crate::trust;
use crate::units::show_size;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tepui::{Engine, Module};

/// The largest file that is read, in bytes. The binary format cannot describe a
/// larger module, since its sizes have 32 bits.
const MAX_SIZE: u64 = 4 << 30;

/// The content of a file.
pub(crate) enum Content {
    /// A module in the binary format, perhaps converted from text. It has not
    /// been validated.
    Binary(Vec<u8>),
    /// A compiled image.
    #[cfg(feature = "compiler")]
    Image(Vec<u8>),
}

/// A file's name for messages; `-` is stdin.
pub(crate) fn show(file: &Path) -> String {
    if is_stdin(file) {
        "<stdin>".to_string()
    } else {
        file.display().to_string()
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Opens a file, or stdin for `-`.
fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if is_stdin(file) {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(file) => Ok(Box::new(file)),
        Err(e) => Err(unreadable(file, &e)),
    }
}

fn unreadable(file: &Path, e: &io::Error) -> Failure {
    Failure::Load(format!("cannot read {}: {e}", show(file)))
}

/// Appends to `bytes` what is left of `source`, up to [`MAX_SIZE`] in all.
fn read_rest(file: &Path, source: impl Read, bytes: &mut Vec<u8>) -> Result<(), Failure> {
    source
        .take((MAX_SIZE + 1).saturating_sub(bytes.len() as u64))
        .read_to_end(bytes)
        .map_err(|e| unreadable(file, &e))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Failure::Load(format!(
            "{}: larger than {}, which no WebAssembly module can be",
            show(file),
            show_size(MAX_SIZE)
        )));
    }
    Ok(())
}

/// Reads all of a file, or of stdin for `-`.
#[cfg(feature = "wast")]
pub(crate) fn read_bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    read_rest(file, open(file)?, &mut bytes)?;
    Ok(bytes)
}

/// Reads a file and tells what it is; text is converted to the binary format.
/// What is nothing of that, perhaps without end, is refused by its beginning.
pub(crate) fn read(file: &Path) -> Result<Content, Failure> {
    const BEGINNING: u64 = 64 << 10;
    let refuse = |why: &str| Err(Failure::Load(format!("{}: {why}", show(file))));
    let mut source = open(file)?;
    let mut bytes = Vec::new();
    (&mut source)
        .take(BEGINNING)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(file, &e))?;
    if bytes.is_empty() {
        return refuse("the file is empty");
    }
    if bytes.starts_with(b"\0asm") {
        // The version is 16 bits, then comes the layer: 0 for a module, 1 for a
        // component.
        if bytes.get(6..8) == Some(&[1, 0]) {
            return refuse(
                "this is a component; this version of Tepui runs modules only (WASI preview 1)",
            );
        }
        read_rest(file, source, &mut bytes)?;
        return Ok(Content::Binary(bytes));
    }
    #[cfg(feature = "compiler")]
    if trust::is_image(&bytes) {
        read_rest(file, source, &mut bytes)?;
        return Ok(Content::Image(bytes));
    }
    #[cfg(feature = "compiler")]
    const UNKNOWN: &str = "this is neither a WebAssembly module (binary or text) nor an image \
                           that `tepui compile` made";
    #[cfg(not(feature = "compiler"))]
    const UNKNOWN: &str = "this is no WebAssembly module; this build of tepui runs no images";
    if bytes.contains(&0) {
        return refuse(UNKNOWN);
    }
    read_rest(file, source, &mut bytes)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => text_to_binary(file, text).map(Content::Binary),
        Err(_) => refuse(UNKNOWN),
    }
}

/// Converts the text format. The error shows the line.
#[cfg(feature = "wat")]
fn text_to_binary(file: &Path, text: &str) -> Result<Vec<u8>, Failure> {
    wat::Parser::new()
        .parse_str(Some(Path::new(&show(file))), text)
        .map_err(|e| Failure::Load(format!("{}: {e}", show(file))))
}

/// Says that this build cannot convert the text format.
#[cfg(not(feature = "wat"))]
fn text_to_binary(file: &Path, _: &str) -> Result<Vec<u8>, Failure> {
    Err(Failure::Load(format!(
        "{}: this is no WebAssembly module in the binary format, and this build of tepui reads no \
         other",
        show(file)
    )))
}

/// Reads, compiles and checks the module in `file`.
pub(crate) fn load(engine: &Engine, file: &Path, why: Trust) -> Result<Module, Failure> {
    #[cfg(not(feature = "compiler"))]
    let Trust::Tagged = why;
    match read(file)? {
        Content::Binary(binary) => {
            let what = format!(
                "Compiling {} ({} KiB)",
                show(file),
                binary.len().div_ceil(1024)
            );
            progress::during(&what, || Module::from_binary(engine, &binary))
                .map_err(|e| Failure::load(show(file), &e))
        }
        #[cfg(feature = "compiler")]
        Content::Image(image) => trust::load_image(engine, &image, &show(file), why),
    }
}
