//! Modules: decoded, validated and compiled once, instantiated many times.
//!
//! This file holds unsafe code: images contain machine code.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan};
use tepui_image::{CodeBuilder, CodeImage};
use tepui_module::{DefinedFuncIndex, ExternIndex, FuncIndex, Module as Decoded, Summaries};

use crate::code::{self, ModuleCode};
use crate::config::Strategy;
use crate::engine::{Engine, Variant};
use crate::tier::{Assignment, Tier};
use crate::types::{ExportType, ExternType, ImportType};
use crate::vm::startup::Startup;
use crate::{Error, Result, parallel};

/// A WebAssembly module, compiled for an engine.
///
/// A clone is another handle to the same module.
#[derive(Clone)]
pub struct Module {
    inner: Arc<ModuleInner>,
}

pub(crate) struct ModuleInner {
    engine: Engine,
    bytes: Vec<u8>,
    module: Decoded,
    /// What validation learned; an image is not validated again.
    summaries: Option<Summaries>,
    /// The canonical types in type index order, as contexts point to them.
    type_ids: Box<[u32]>,
    guarded: OnceLock<Arc<ModuleCode>>,
    checked: OnceLock<Arc<ModuleCode>>,
    compiling: Mutex<()>,
    startup: OnceLock<Startup>,
    names: OnceLock<Names>,
}

/// How much of a compilation is done.
struct Work {
    functions: usize,
    done: AtomicUsize,
}

impl Work {
    fn new(functions: usize) -> Work {
        Work {
            functions,
            done: AtomicUsize::new(0),
        }
    }
}

/// The names of a module's name section.
struct Names {
    module: Option<Arc<str>>,
    functions: Vec<(u32, Arc<str>)>,
}

impl Module {
    /// Compiles a module, in the binary format or, with the feature `wat`, in
    /// the text format.
    ///
    /// # Errors
    ///
    /// When the module is malformed or invalid, or uses a proposal that is
    /// switched off or not implemented. The error says where.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        Module::compile(engine, to_binary(bytes.as_ref())?.into_owned())
    }

    /// Compiles the module in a file, binary or text.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and as for [`Module::new`].
    pub fn from_file(engine: &Engine, file: impl AsRef<Path>) -> Result<Module> {
        let file = file.as_ref();
        let bytes = std::fs::read(file).map_err(|error| {
            Error::new(error).context(format!("cannot read `{}`", file.display()))
        })?;
        #[cfg(feature = "wat")]
        if !bytes.starts_with(b"\0asm") {
            let binary = wat::parse_bytes(&bytes).map_err(|mut error| {
                error.set_path(file);
                error
            })?;
            return Module::compile(engine, binary.into_owned());
        }
        Module::compile(engine, bytes)
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// As for [`Module::new`].
    pub fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        Module::compile(engine, bytes.to_vec())
    }

    /// Checks a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// When the module is malformed or invalid, or uses a proposal that is
    /// switched off or not implemented. The error says where.
    pub fn validate(engine: &Engine, bytes: &[u8]) -> Result<()> {
        decode(engine, bytes)?;
        Ok(())
    }

    fn compile(engine: &Engine, bytes: Vec<u8>) -> Result<Module> {
        engine.check_runnable()?;
        let (module, summaries) = decode(engine, &bytes)?;
        let module = Module::assemble(engine, bytes, module, Some(summaries));
        module.inner.code(engine.preferred())?;
        Ok(module)
    }

    fn assemble(
        engine: &Engine,
        bytes: Vec<u8>,
        module: Decoded,
        summaries: Option<Summaries>,
    ) -> Module {
        let type_ids = module.types().map(|id| id.as_u32()).collect();
        Module {
            inner: Arc::new(ModuleInner {
                engine: engine.clone(),
                bytes,
                module,
                summaries,
                type_ids,
                guarded: OnceLock::new(),
                checked: OnceLock::new(),
                compiling: Mutex::new(()),
                startup: OnceLock::new(),
                names: OnceLock::new(),
            }),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The module's name, from its name section.
    pub fn name(&self) -> Option<&str> {
        self.inner.names().module.as_deref()
    }

    /// The imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        let engine = &self.inner.engine;
        self.inner.module.imports().iter().map(|import| {
            ImportType::new(
                &import.module,
                &import.field,
                ExternType::from_module(engine, &import.ty),
            )
        })
    }

    /// The exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.inner
            .module
            .exports()
            .iter()
            .map(|export| ExportType::new(&export.name, self.extern_type(export.index)))
    }

    /// The type of the export of this name.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        let index = self.inner.module.export(name)?;
        Some(self.extern_type(index))
    }

    fn extern_type(&self, index: ExternIndex) -> ExternType {
        ExternType::from_module(&self.inner.engine, &self.inner.module.extern_type(index))
    }

    /// The custom sections of this name, in order.
    pub fn custom_sections<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let bytes = &self.inner.bytes;
        self.inner
            .module
            .custom_sections()
            .iter()
            .filter(move |section| &*section.name == name)
            .map(move |section| &bytes[section.range.clone()])
    }

    /// The module in the binary format.
    pub fn binary(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// Whether both are handles to the same module.
    pub fn same(&self, other: &Module) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn inner(&self) -> &Arc<ModuleInner> {
        &self.inner
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// The module in the binary format, translated from text where it is text.
fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    #[cfg(feature = "wat")]
    if !bytes.starts_with(b"\0asm") {
        return Ok(wat::parse_bytes(bytes)?);
    }
    Ok(Cow::Borrowed(bytes))
}

/// The module without the custom sections of debug information that follow the
/// code: often most of the file, and nothing that running it needs. Offsets of
/// instructions stay as they are.
fn without_debug_information(bytes: &[u8]) -> Cow<'_, [u8]> {
    const HEADER: usize = 8;
    const CUSTOM: u8 = 0;
    const CODE: u8 = 10;
    let mut kept = Vec::new();
    let mut after_code = false;
    let mut position = HEADER;
    let mut copied = 0;
    while let Some(&id) = bytes.get(position) {
        // The module was decoded: sections are whole, sizes are numbers.
        let Some((size, content)) = leb128(bytes, position + 1) else {
            return Cow::Borrowed(bytes);
        };
        let end = content + size;
        after_code |= id == CODE;
        let is_debug = id == CUSTOM
            && leb128(bytes, content)
                .and_then(|(length, name)| bytes.get(name..name + length))
                .is_some_and(|name| name.starts_with(b".debug_"));
        if after_code && is_debug {
            kept.extend_from_slice(&bytes[copied..position]);
            copied = end;
        }
        position = end;
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    kept.extend_from_slice(&bytes[copied..]);
    Cow::Owned(kept)
}

/// An unsigned 32-bit number in LEB128, and the position after it.
fn leb128(bytes: &[u8], mut position: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(position)?;
        position += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, position));
        }
    }
    None
}

/// Decodes and validates, holding the engine's types only as long as needed.
fn decode(engine: &Engine, bytes: &[u8]) -> Result<(Decoded, Summaries)> {
    let (module, bodies) = Decoded::decode_with(bytes, engine.features(), &mut |register| {
        register(&mut engine.types_mut());
    })?;
    let summaries = bodies.validate_with(&module, bytes, engine.compile_threads())?;
    Ok((module, summaries))
}

impl ModuleInner {
    /// What was decoded.
    pub(crate) fn module(&self) -> &Decoded {
        &self.module
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical types in type index order.
    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.type_ids
    }

    /// What instances start with, worked out at the first one.
    pub(crate) fn startup(&self) -> &Startup {
        self.startup
            .get_or_init(|| Startup::new(&self.module, &self.bytes))
    }

    fn cell(&self, variant: Variant) -> &OnceLock<Arc<ModuleCode>> {
        match variant {
            Variant::Guarded => &self.guarded,
            Variant::Checked => &self.checked,
        }
    }

    /// The code of a variant, compiled when it is first asked for.
    ///
    /// # Errors
    ///
    /// When a function exceeds a limit of the compiler, or memory for code
    /// cannot be had.
    pub(crate) fn code(self: &Arc<Self>, variant: Variant) -> Result<Arc<ModuleCode>> {
        let cell = self.cell(variant);
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let _one = self
            .compiling
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let code = ModuleCode::new(&self.engine, self, &self.engine.tunables_of(variant))?;
        let shares = self.shares();
        let work = Work::new(shares.iter().map(|(_, functions)| functions.len()).sum());
        for (tier, functions) in &shares {
            let compiler = self.engine.compiler(*tier, variant)?;
            let image = self.compile(compiler, code.plan(), functions, &work)?;
            code.publish(&self.engine, image)?;
        }
        Ok(cell.get_or_init(|| Arc::new(code)).clone())
    }

    /// The defined functions, ascending.
    fn functions(&self) -> Vec<DefinedFuncIndex> {
        (0..self.module.defined_function_count())
            .map(DefinedFuncIndex::new)
            .collect()
    }

    /// What each compiler compiles before there is an instance: functions,
    /// ascending. All others are interpreted.
    fn shares(&self) -> Vec<(Tier, Vec<DefinedFuncIndex>)> {
        let strategy = self.engine.config().strategy;
        if let Strategy::Mixed { seed } = strategy {
            let assignment = Assignment::new(seed, self.module.defined_function_count());
            let mut shares = Tier::COMPILERS.map(|tier| (tier, Vec::new()));
            for function in self.functions() {
                let bytes = self.module.body(function).range().len();
                let tier = assignment.tier(function.as_u32(), bytes);
                if let Some((_, share)) = shares.iter_mut().find(|(other, _)| *other == tier) {
                    share.push(function);
                }
            }
            let shares = shares.into_iter();
            return shares.filter(|(_, share)| !share.is_empty()).collect();
        }
        match strategy.tier() {
            None | Some(Tier::Interpreter) => Vec::new(),
            Some(tier) => vec![(tier, self.functions())],
        }
    }

    /// Compiles functions, ascending, as one batch.
    fn compile(
        &self,
        compiler: &dyn Compiler,
        plan: &Plan,
        functions: &[DefinedFuncIndex],
        work: &Work,
    ) -> Result<CodeImage> {
        let count = functions.len();
        let batch = if count == self.module.defined_function_count() as usize {
            Batch::Whole
        } else {
            Batch::Functions(functions)
        };
        let progress = self.engine.progress();
        let compiled = parallel::try_map(count, self.engine.compile_threads(), |index| {
            let function = functions[index];
            let compiled = compiler.compile(&FunctionInput {
                module: &self.module,
                bytes: &self.bytes,
                summaries: self.summaries.as_ref(),
                plan,
                function,
                entry: Entry::Start,
                batch,
            });
            let done = work.done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(progress) = progress {
                progress(done, work.functions);
            }
            compiled.map_err(|error| {
                let index = self.module.func_index(function);
                let name = self.function_name(index);
                let error = Error::new(error);
                match name {
                    Some(name) => error.context(format!("cannot compile function `{name}`")),
                    None => error.context(format!("cannot compile function {}", index.as_u32())),
                }
            })
        })?;
        let mut builder = CodeBuilder::new(compiler.target());
        let bytes = compiled.iter().map(|function| function.code.len()).sum();
        builder.reserve(count, bytes);
        for (function, compiled) in functions.iter().zip(compiled) {
            builder.push(*function, compiled);
        }
        Ok(builder.finish()?)
    }

    fn write_image(&self, image: &CodeImage, key: Option<&[u8; 32]>) -> Result<Vec<u8>> {
        let compiler = self.engine.image_compiler()?;
        let contents = tepui_image::ImageContents {
            target: compiler.target(),
            module: &without_debug_information(&self.bytes),
            code: &[tepui_image::CodeContents {
                tier: compiler.name(),
                fingerprint: &self.engine.image_fingerprint(compiler),
                tunables: *compiler.tunables(),
                code: image,
            }],
        };
        Ok(tepui_image::write(&contents, key)?)
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| Names {
            module: self.module.name(&self.bytes).map(Arc::from),
            functions: self
                .module
                .function_names(&self.bytes)
                .iter()
                .map(|(index, name)| (index.as_u32(), Arc::from(name)))
                .collect(),
        })
    }

    /// The module's name, from its name section.
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.names().module.clone()
    }

    /// The name of a function: from the name section, or what it is imported
    /// or exported as.
    pub(crate) fn function_name(&self, index: FuncIndex) -> Option<Arc<str>> {
        let functions = &self.names().functions;
        if let Ok(position) = functions.binary_search_by_key(&index.as_u32(), |entry| entry.0) {
            return Some(functions[position].1.clone());
        }
        self.module
            .exports()
            .iter()
            .find(|export| export.index == ExternIndex::Func(index))
            .map(|export| Arc::from(&*export.name))
    }
}

/// Images: modules compiled ahead of time.
impl Module {
    /// The module with its code, to be loaded with [`Module::deserialize`].
    ///
    /// Debug information (custom sections `.debug_…` after the code) is left
    /// out.
    ///
    /// # Errors
    ///
    /// When the code has to be compiled first and that fails.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        self.serialize_with(None)
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

    fn serialize_with(&self, key: Option<&[u8; 32]>) -> Result<Vec<u8>> {
        self.inner.engine.image_compiler()?;
        let code = self.inner.code(self.inner.engine.preferred())?;
        let image = code
            .to_image()
            .ok_or_else(|| Error::msg("the code of the module is not of one compilation"))?;
        self.inner.write_image(&image, key)
    }

    /// Compiles a module to an image without making its code ready to run, so
    /// that it may be for another machine.
    pub(crate) fn precompile(
        engine: &Engine,
        bytes: &[u8],
        key: Option<&[u8; 32]>,
    ) -> Result<Vec<u8>> {
        let compiler = engine.image_compiler()?;
        let bytes = to_binary(bytes)?.into_owned();
        let (module, summaries) = decode(engine, &bytes)?;
        let module = Module::assemble(engine, bytes, module, Some(summaries));
        let inner = &module.inner;
        let plan = Plan::new(&inner.module, compiler.target(), compiler.tunables());
        let functions = inner.functions();
        let work = Work::new(functions.len());
        let image = inner.compile(compiler, &plan, &functions, &work)?;
        inner.write_image(&image, key)
    }

    /// Whether `bytes` look like an image.
    pub fn is_image(bytes: &[u8]) -> bool {
        tepui_image::Image::is_image(bytes)
    }

    /// Loads an image that [`Module::serialize`] made.
    ///
    /// Damage, another version, another configuration and another machine are
    /// detected.
    ///
    /// # Errors
    ///
    /// When the image is damaged, or was made by another version or under
    /// another configuration, or for a machine unlike this one.
    ///
    /// # Safety
    ///
    /// An image contains machine code, which nobody can verify. The caller
    /// vouches that it was made by [`Module::serialize`] and not changed since.
    /// For images from elsewhere use [`Module::deserialize_authenticated`].
    pub unsafe fn deserialize(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        Module::load(engine, bytes.as_ref(), None)
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
    pub unsafe fn deserialize_file(engine: &Engine, file: impl AsRef<Path>) -> Result<Module> {
        let file = file.as_ref();
        let bytes = std::fs::read(file).map_err(|error| {
            Error::new(error).context(format!("cannot read `{}`", file.display()))
        })?;
        Module::load(engine, &bytes, None)
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

    fn load(engine: &Engine, bytes: &[u8], key: Option<&[u8; 32]>) -> Result<Module> {
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
        let image = section.to_code_image();
        let count = module.defined_function_count();
        let complete = (0..count).all(|index| image.entry(DefinedFuncIndex::new(index)).is_some());
        if !complete || image.functions().len() != count as usize {
            return Err(Error::msg(
                "cannot load the image: it has not the code of every function",
            ));
        }
        let module = Module::assemble(engine, wasm, module, None);
        let code = ModuleCode::new(engine, &module.inner, compiler.tunables())?;
        code.publish(engine, image)?;
        let cell = module.inner.cell(engine.preferred());
        cell.get_or_init(|| Arc::new(code));
        Ok(module)
    }
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
        assert_eq!(*without_debug_information(&with), without);
        assert!(matches!(
            without_debug_information(&without),
            Cow::Borrowed(_)
        ));
        let engine = Engine::default();
        let image = Module::new(&engine, &with).unwrap().serialize().unwrap();
        // SAFETY: made just now.
        let loaded = unsafe { Module::deserialize(&engine, image) }.unwrap();
        assert_eq!(loaded.binary(), without);
    }
}
