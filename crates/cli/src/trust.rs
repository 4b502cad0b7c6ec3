//! Which images does this user trust? Those that carry the tag of the user's
//! own key, and what the command line vouches for.
//!
//! An image is machine code, which nobody can verify. `tepui compile` tags each
//! image with a key that only its user can read; `tepui run` takes an image
//! without a question only if it has that tag.
//!
//! This file holds unsafe code: it loads machine code.

use crate::engine::Trust;
use crate::failure::Failure;
use std::io::Write;
use std::path::PathBuf;
use tepui::{Engine, Error, Module, UserKey};

/// The folder of the user's key: where the system wants data of programs.
fn folder() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if cfg!(windows) {
        return Some(variable("LOCALAPPDATA")?.join("tepui"));
    }
    let data = variable("XDG_DATA_HOME").or_else(|| {
        let home = variable("HOME")?;
        Some(if cfg!(target_os = "macos") {
            home.join("Library/Application Support")
        } else {
            home.join(".local/share")
        })
    })?;
    Some(data.join("tepui"))
}

/// The key to tag a new image with, made when there is none yet. Without one,
/// the reason is told on stderr, and the image is not tagged.
pub(crate) fn signing_key() -> Option<UserKey> {
    let key = match folder() {
        Some(folder) => UserKey::load_or_create(&folder).map_err(|error| error.to_string()),
        None if cfg!(windows) => Err("LOCALAPPDATA is not set".to_string()),
        None => Err("neither XDG_DATA_HOME nor HOME is set".to_string()),
    };
    key.inspect_err(|why| {
        eprintln!(
            "warning: the image is not tagged as yours, so that running it takes \
             --trust-image: {why}"
        );
    })
    .ok()
}

/// The key that images of this user are tagged with.
pub(crate) fn known_key(file: &str) -> Result<UserKey, Failure> {
    let none = || {
        Failure::Load(format!(
            "{file}: this image was not compiled by you on this machine; if you trust whoever \
             made it as you would trust a program of theirs, run it with --trust-image"
        ))
    };
    let folder = folder().ok_or_else(none)?;
    match UserKey::load(&folder) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(none()),
        Err(error) => Err(Failure::Load(format!(
            "{file}: the key for images: {error}"
        ))),
    }
}

/// Whether `bytes` are a compiled image of some version of Tepui.
pub(crate) fn is_image(bytes: &[u8]) -> bool {
    Module::is_image(bytes)
}

/// Loads the image in `file`.
pub(crate) fn load_image(
    engine: &Engine,
    image: &[u8],
    file: &str,
    trust: Trust,
) -> Result<Module, Failure> {
    #[cfg(feature = "images")]
    if trust == Trust::Tagged && Module::is_interpreter_image(image) {
        return Err(Failure::Load(format!(
            "{file}: this image is for the interpreter, and such images have no tag of whoever \
             made them; if you trust them as you would trust a program of theirs, run it with \
             --trust-image"
        )));
    }
    let loaded = match trust {
        Trust::Tagged => {
            let key = known_key(file)?;
            Module::deserialize_authenticated(engine, image, key.bytes())
        }
        // SAFETY: an image is native code, and the runtime can only check that
        // it is intact and made for this version, not that the compiler made
        // it. The person who passes --trust-image decides to run it, as with
        // any program.
        Trust::Given => unsafe { Module::deserialize(engine, image) },
    };
    loaded.map_err(|e| Failure::load(file, &e))
}

/// Compiles a module in the binary format to an image, with the tag of the
/// user's key if there can be one, and writes it to `out`.
pub(crate) fn compile_image(
    engine: &Engine,
    binary: Vec<u8>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let key = signing_key();
    engine.precompile_module_to(binary, key.as_ref().map(UserKey::bytes), out)
}
