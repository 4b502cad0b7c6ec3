//! Images: modules compiled or translated ahead of time. Which kind is one?
//!
//! This file holds unsafe code: images contain code.

#[cfg(feature = "std")]
use std::path::Path;

#[cfg(feature = "std")]
use crate::Error;
use crate::Module;
use crate::Result;
#[cfg(all(feature = "decoder", feature = "images"))]
use crate::config::Strategy;
use crate::engine::Engine;
#[cfg(feature = "images")]
use crate::interpreted_image;
#[cfg(all(feature = "decoder", not(feature = "std")))]
use crate::prelude::*;

/// Images of an engine whose only tier is the interpreter hold bytecode, all others
/// machine code.
#[cfg(feature = "decoder")]
impl Engine {
    /// Compiles `bytes` and returns an image that
    /// [`Module::deserialize`] loads without compiling.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`], and when this build makes no images of the engine's
    /// tier.
    pub fn precompile_module(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        #[cfg(feature = "images")]
        if self.config().strategy == Strategy::Interpreter {
            return interpreted_image::precompile(self, bytes);
        }
        #[cfg(feature = "compiler")]
        return Module::precompile_untagged(self, bytes);
        #[cfg(not(feature = "compiler"))]
        {
            let _ = bytes;
            Err(no_images())
        }
    }
}

/// What builds say that have no images of a kind.
#[cfg(not(feature = "compiler"))]
fn no_images() -> crate::Error {
    crate::Error::msg("this build has no images of machine code")
}

/// Images: modules compiled or translated ahead of time.
impl Module {
    /// The module with its code, to be loaded with [`Module::deserialize`].
    ///
    /// Debug information (custom sections `.debug_…` after the code) is left
    /// out. Images for the interpreter hold no Wasm at all: of the custom sections
    /// only the names stay.
    ///
    /// # Errors
    ///
    /// When the code has to be compiled first and that fails, and when this build
    /// makes no images of the engine's tier.
    #[cfg(feature = "decoder")]
    pub fn serialize(&self) -> Result<Vec<u8>> {
        #[cfg(feature = "images")]
        if self.engine().config().strategy == Strategy::Interpreter {
            return interpreted_image::serialize(self);
        }
        #[cfg(feature = "compiler")]
        return self.serialize_with(None);
        #[cfg(not(feature = "compiler"))]
        Err(no_images())
    }

    /// Whether `bytes` look like an image.
    pub fn is_image(bytes: &[u8]) -> bool {
        #[cfg(feature = "images")]
        if interpreted_image::is_image(bytes) {
            return true;
        }
        #[cfg(feature = "compiler")]
        return tepui_image::Image::is_image(bytes);
        #[cfg(not(feature = "compiler"))]
        false
    }

    /// Whether `bytes` look like an image for the interpreter: one of bytecode, which
    /// has no tag of whoever made it.
    #[cfg(feature = "images")]
    pub fn is_interpreter_image(bytes: &[u8]) -> bool {
        interpreted_image::is_image(bytes)
    }

    /// Loads an image that [`Module::serialize`] made.
    ///
    /// Damage, another version, another configuration and another machine are
    /// detected.
    ///
    /// # Errors
    ///
    /// When the image is damaged, or was made by another version or under
    /// another configuration, for another tier, or for a machine unlike this one.
    ///
    /// # Safety
    ///
    /// An image contains machine code, or bytecode that is as powerful, which nobody
    /// can verify. The caller
    /// vouches that it was made by [`Module::serialize`] and not changed since.
    #[cfg_attr(
        feature = "compiler",
        doc = "For images of machine code from elsewhere use [`Module::deserialize_authenticated`]."
    )]
    pub unsafe fn deserialize(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        let bytes = bytes.as_ref();
        #[cfg(feature = "images")]
        if interpreted_image::is_image(bytes) {
            // SAFETY: the caller's promise.
            return unsafe { interpreted_image::load(engine, bytes.to_vec().into()) };
        }
        #[cfg(feature = "compiler")]
        return Module::load(engine, bytes, None);
        #[cfg(not(feature = "compiler"))]
        {
            let _ = (engine, bytes);
            Err(no_images())
        }
    }

    /// [`Module::deserialize`] of an image for the interpreter that stays where it is,
    /// as in a program's read-only memory: only functions that are called are copied.
    ///
    /// # Errors
    ///
    /// As for [`Module::deserialize`], and for images of machine code.
    ///
    /// # Safety
    ///
    /// As for [`Module::deserialize`].
    #[cfg(feature = "images")]
    pub unsafe fn deserialize_static(engine: &Engine, bytes: &'static [u8]) -> Result<Module> {
        // SAFETY: the caller's promise.
        unsafe { interpreted_image::load(engine, bytes.into()) }
    }

    /// [`Module::deserialize`] from a file.
    ///
    /// # Errors
    ///
    /// As for [`Module::deserialize`], and when the file cannot be read.
    ///
    /// # Safety
    ///
    /// As for [`Module::deserialize`].
    #[cfg(feature = "std")]
    pub unsafe fn deserialize_file(engine: &Engine, file: impl AsRef<Path>) -> Result<Module> {
        let file = file.as_ref();
        let bytes = std::fs::read(file).map_err(|error| {
            Error::new(error).context(format!("cannot read `{}`", file.display()))
        })?;
        // SAFETY: the caller's promise.
        unsafe { Module::deserialize(engine, bytes) }
    }
}
