//! Images of machine code: how are they made, and what is asked of one before its code
//! may run?
//!
//! This file holds unsafe code: images contain machine code.

use std::io::Write;
use std::sync::Arc;

use tepui_abi::Plan;
use tepui_image::{CodeImage, ImageParts};
use tepui_module::{DefinedFuncIndex, Module as Decoded, leb128};

use super::compile::Work;
use crate::code::{self, ModuleCode};
#[cfg(feature = "images")]
use crate::config::Strategy;
use crate::engine::Engine;
use crate::module::{ModuleInner, decode, to_binary};
use crate::{Error, Module, Result};

impl Engine {
    /// [`Engine::precompile_module`] with an authentication tag under `key`,
    /// for [`Module::deserialize_authenticated`].
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub fn precompile_module_authenticated(&self, bytes: &[u8], key: &[u8; 32]) -> Result<Vec<u8>> {
        Module::precompile(self, to_binary(bytes)?.into_owned(), Some(key), to_vec)
    }

    /// Compiles `bytes`, a module in the binary format, and writes the image to
    /// `out`, with an authentication tag if there is a key. Takes less memory and time
    /// than [`Engine::precompile_module`], which gives all of the image at once.
    ///
    /// Nothing is written before everything is compiled.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`], and when `out` does not take the image. Images for the
    /// interpreter have no tag, so that a key is an error.
    pub fn precompile_module_to(
        &self,
        bytes: Vec<u8>,
        key: Option<&[u8; 32]>,
        out: &mut dyn Write,
    ) -> Result<()> {
        #[cfg(feature = "images")]
        if self.config().strategy == Strategy::Interpreter && key.is_none() {
            let image = crate::interpreted_image::precompile(self, &bytes)?;
            return out
                .write_all(&image)
                .map_err(|error| Error::new(error).context("cannot write the image"));
        }
        Module::precompile(self, bytes, key, |image| {
            image.parts().try_for_each(|part| out.write_all(part))
        })?
        .map_err(|error| Error::new(error).context("cannot write the image"))
    }
}

/// All of an image at once.
fn to_vec(image: &ImageParts<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(image.len());
    for part in image.parts() {
        bytes.extend_from_slice(part);
    }
    bytes
}

impl ModuleInner {
    /// Makes the image of this code and hands it to `take`.
    fn with_image<R>(
        &self,
        image: &CodeImage,
        key: Option<&[u8; 32]>,
        take: impl FnOnce(&ImageParts<'_>) -> R,
    ) -> Result<R> {
        let compiler = self.engine().image_compiler()?;
        let contents = tepui_image::ImageContents {
            target: compiler.target(),
            module: &without_debug_information(self.bytes()),
            code: &[tepui_image::CodeContents {
                tier: compiler.name(),
                fingerprint: &self.engine().image_fingerprint(compiler),
                tunables: *compiler.tunables(),
                code: image,
            }],
        };
        Ok(take(&tepui_image::assemble(&contents, key)?))
    }
}

/// Images of machine code that tell who made them.
impl Module {
    /// Compiles a module to an image without a tag.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub(crate) fn precompile_untagged(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>> {
        Module::precompile(engine, to_binary(bytes)?.into_owned(), None, to_vec)
    }

    /// [`Module::serialize`] with an authentication tag under `key`, so that
    /// whoever holds the key can tell the image from a forged one.
    ///
    /// # Errors
    ///
    /// As for [`Module::serialize`].
    pub fn serialize_authenticated(&self, key: &[u8; 32]) -> Result<Vec<u8>> {
        self.serialize_with(Some(key))
    }

    pub(crate) fn serialize_with(&self, key: Option<&[u8; 32]>) -> Result<Vec<u8>> {
        self.inner().engine().image_compiler()?;
        let code = self.inner().code(self.inner().engine().preferred())?;
        let image = code
            .compiled()
            .and_then(|compiled| compiled.to_image())
            .ok_or_else(|| Error::msg("the code of the module is not of one compilation"))?;
        self.inner().with_image(&image, key, to_vec)
    }

    /// Compiles a module to an image without making its code ready to run, so
    /// that it may be for another machine. `bytes` are in the binary format.
    fn precompile<R>(
        engine: &Engine,
        bytes: Vec<u8>,
        key: Option<&[u8; 32]>,
        take: impl FnOnce(&ImageParts<'_>) -> R,
    ) -> Result<R> {
        let compiler = engine.image_compiler()?;
        let (module, summaries) = decode(engine, &bytes)?;
        let module = Module::assemble(engine, bytes, module, Some(summaries));
        let inner = module.inner();
        let plan = Plan::new(inner.module(), compiler.target(), compiler.tunables());
        let functions = inner.functions();
        let work = Work::new(functions.len());
        let image = inner.compile(compiler, &plan, &functions, &work)?;
        inner.with_image(&image, key, take)
    }

    /// Loads an image that [`Module::serialize_authenticated`] made under the
    /// same key, and no other.
    ///
    /// # Errors
    ///
    /// As for [`Module::deserialize`], and when the image was not made under
    /// this key.
    pub fn deserialize_authenticated(
        engine: &Engine,
        bytes: impl AsRef<[u8]>,
        key: &[u8; 32],
    ) -> Result<Module> {
        Module::load(engine, bytes.as_ref(), Some(key))
    }

    pub(crate) fn load(engine: &Engine, bytes: &[u8], key: Option<&[u8; 32]>) -> Result<Module> {
        engine.check_runnable()?;
        let compiler = engine.image_compiler()?;
        let image = tepui_image::Image::parse(bytes)
            .map_err(|error| Error::new(error).context("cannot load the image"))?;
        if let Some(key) = key
            && !image.authenticate(key)
        {
            return Err(Error::msg(
                "cannot load the image: it was not made under the given key",
            ));
        }
        if image.target() != code::TARGET {
            return Err(Error::msg(format!(
                "cannot load the image: it is for {}, this machine is {}",
                image.target().architecture,
                code::TARGET.architecture
            )));
        }
        let section = image
            .code_sections()
            .iter()
            .find(|section| {
                section.tier() == compiler.name()
                    && section.tunables() == *compiler.tunables()
                    && engine.accepts_fingerprint(compiler, section.fingerprint())
            })
            .ok_or_else(|| {
                Error::msg(
                    "cannot load the image: it was compiled under another configuration, \
                     or for a processor with other features",
                )
            })?;
        let wasm = image.module().to_vec();
        // Validated when the image was made; only the sections are read again.
        let (module, _) = Decoded::decode_with(&wasm, engine.features(), &mut |register| {
            register(&mut engine.types_mut());
        })?;
        let image = section.to_tables();
        let count = module.defined_function_count();
        let complete = (0..count).all(|index| image.entry(DefinedFuncIndex::new(index)).is_some());
        if !complete || image.functions().len() != count as usize {
            return Err(Error::msg(
                "cannot load the image: it has not the code of every function",
            ));
        }
        let module = Module::assemble(engine, wasm, module, None);
        let code = ModuleCode::new(engine, module.inner(), compiler.tunables())?;
        let compiled = code
            .compiled()
            .ok_or_else(|| Error::msg("this engine does not run compiled code"))?;
        compiled.publish(engine, section.text(), image)?;
        let cell = module.inner().cell(engine.preferred());
        cell.get_or_init(|| Arc::new(code));
        Ok(module)
    }
}

/// The pieces of the module that are not custom sections of debug information behind
/// the code: that is often most of the file, and nothing that running it needs. Offsets
/// of instructions stay as they are.
fn without_debug_information(bytes: &[u8]) -> Vec<&[u8]> {
    const HEADER: usize = 8;
    const CUSTOM: u8 = 0;
    const CODE: u8 = 10;
    let mut kept = Vec::new();
    let mut after_code = false;
    let mut position = HEADER;
    let mut copied = 0;
    while let Some(&id) = bytes.get(position) {
        // The module was decoded: sections are whole, sizes are numbers.
        let Some((size, content)) = number(bytes, position + 1) else {
            return vec![bytes];
        };
        let end = content + size;
        after_code |= id == CODE;
        let is_debug = id == CUSTOM
            && number(bytes, content)
                .and_then(|(length, name)| bytes.get(name..name + length))
                .is_some_and(|name| name.starts_with(b".debug_"));
        if after_code && is_debug {
            kept.push(&bytes[copied..position]);
            copied = end;
        }
        position = end;
    }
    kept.push(&bytes[copied..]);
    kept
}

/// The number at a position, and the position after it.
fn number(bytes: &[u8], position: usize) -> Option<(usize, usize)> {
    let mut rest = bytes.get(position..)?;
    let value = leb128::read_u32(&mut rest)?;
    Some((value as usize, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_leave_debug_information_out() {
        let custom = |name: &str, content: &[u8]| {
            let mut section = vec![0, (1 + name.len() + content.len()) as u8, name.len() as u8];
            section.extend_from_slice(name.as_bytes());
            section.extend_from_slice(content);
            section
        };
        // One function that does nothing, with a section before the code.
        let mut start = b"\0asm\x01\0\0\0".to_vec();
        start.extend(custom(".debug_early", b"kept"));
        start.extend([1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0]);
        start.extend([10, 4, 1, 2, 0, 0x0b]);
        let with = [
            start.clone(),
            custom(".debug_info", b"dropped"),
            custom("producers", b"\0"),
            custom(".debug_line", &[7; 100]),
            custom(".debug_str", b""),
        ]
        .concat();
        let without = [start.clone(), custom("producers", b"\0")].concat();
        assert_eq!(without_debug_information(&with).concat(), without);
        assert_eq!(without_debug_information(&without), [&without]);
        let engine = Engine::default();
        let image = Module::new(&engine, &with).unwrap().serialize().unwrap();
        let mut written = Vec::new();
        engine
            .precompile_module_to(with, None, &mut written)
            .unwrap();
        assert!(written == image);
        // SAFETY: made just now.
        let loaded = unsafe { Module::deserialize(&engine, image) }.unwrap();
        assert_eq!(loaded.binary(), without);
    }
}
