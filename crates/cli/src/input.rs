//! What is in a file that the user names? Decided by its content, never by its
//! name: a module in the binary or the text format, or a compiled image.

use crate::engine;
use crate::failure::Failure;
use crate::progress;
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

/// Reads a file, or stdin for `-`.
pub(crate) fn read_bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    fn all(source: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
    let bytes = if is_stdin(file) {
        all(io::stdin().lock())
    } else {
        File::open(file).and_then(all)
    }
    .map_err(|e| Failure::Load(format!("cannot read {}: {e}", show(file))))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Failure::Load(format!(
            "{}: larger than {}, which no WebAssembly module can be",
            show(file),
            show_size(MAX_SIZE)
        )));
    }
    Ok(bytes)
}

/// Reads a file and tells what it is; text is converted to the binary format.
pub(crate) fn read(file: &Path) -> Result<Content, Failure> {
    let bytes = read_bytes(file)?;
    let refuse = |why: &str| Err(Failure::Load(format!("{}: {why}", show(file))));
    if bytes.is_empty() {
        return refuse("the file is empty");
    }
    if bytes.starts_with(b"\0asm") {
        // The version is 16 bits, then comes the layer: 0 for a module, 1 for a
        // component.
        if bytes.get(6..8) == Some(&[1, 0]) {
            return refuse(
                "this is a component; this version of Tepui runs modules only \
                 (WASI preview 1)",
            );
        }
        return Ok(Content::Binary(bytes));
    }
    if engine::is_image(&bytes) {
        return Ok(Content::Image(bytes));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => text_to_binary(file, text).map(Content::Binary),
        _ => refuse(
            "this is neither a WebAssembly module (binary or text) nor an image \
             that `tepui compile` made",
        ),
    }
}

/// Converts the text format. The error shows the line.
fn text_to_binary(file: &Path, text: &str) -> Result<Vec<u8>, Failure> {
    wat::Parser::new()
        .parse_str(Some(Path::new(&show(file))), text)
        .map_err(|e| Failure::Load(format!("{}: {e}", show(file))))
}

/// Reads, compiles and checks the module in `file`.
pub(crate) fn load(engine: &Engine, file: &Path) -> Result<Module, Failure> {
    match read(file)? {
        Content::Binary(binary) => {
            let what = format!(
                "Compiling {} ({} KiB)",
                show(file),
                binary.len().div_ceil(1024)
            );
            progress::during(&what, || Module::from_binary(engine, &binary))
        }
        Content::Image(image) => engine::load_image(engine, &image),
    }
    .map_err(|e| Failure::load(show(file), &e))
}
