//! Modules: decoded, validated and compiled once, instantiated many times.
//!
//! This file holds unsafe code: it keeps what images vouch for.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::fmt;
#[cfg(feature = "std")]
use std::path::Path;

#[cfg(feature = "images")]
use tepui_interpreter::image::ImageCode;
#[cfg(feature = "decoder")]
use tepui_module::Summaries;
use tepui_module::{ExternIndex, FuncIndex, Module as Decoded};

#[cfg(feature = "std")]
use crate::Error;
use crate::Result;
use crate::code::ModuleCode;
use crate::engine::{Engine, Variant};
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::sync::{Mutex, OnceLock};
use crate::types::{ExportType, ExternType, ImportType};
use crate::vm::startup::Startup;

/// A WebAssembly module, compiled for an engine.
///
/// A clone is another handle to the same module.
#[derive(Clone)]
pub struct Module {
    inner: Arc<ModuleInner>,
}

pub(crate) struct ModuleInner {
    engine: Engine,
    /// What it was decoded from, or its image.
    bytes: Cow<'static, [u8]>,
    module: Decoded,
    /// Its functions, if it comes from an image for the interpreter.
    #[cfg(feature = "images")]
    image: Option<ImageCode>,
    /// What validation learned; an image is not validated again.
    #[cfg(feature = "compiler")]
    summaries: Option<Summaries>,
    /// The canonical types in type index order, as contexts point to them.
    type_ids: Box<[u32]>,
    guarded: OnceLock<Arc<ModuleCode>>,
    checked: OnceLock<Arc<ModuleCode>>,
    compiling: Mutex<()>,
    startup: OnceLock<Startup>,
    names: OnceLock<Names>,
}

/// The names of a module's name section.
struct Names {
    module: Option<Arc<str>>,
    functions: Vec<(u32, Arc<str>)>,
}

/// From Wasm.
#[cfg(feature = "decoder")]
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
    #[cfg(feature = "std")]
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

    /// A module of what was decoded, without code.
    pub(crate) fn assemble(
        engine: &Engine,
        bytes: Vec<u8>,
        module: Decoded,
        summaries: Option<Summaries>,
    ) -> Module {
        #[allow(unused_mut, reason = "summaries are for compilers")]
        let mut inner = ModuleInner::new(engine, Cow::Owned(bytes), module);
        #[cfg(feature = "compiler")]
        {
            inner.summaries = summaries;
        }
        #[cfg(not(feature = "compiler"))]
        drop(summaries);
        inner.into()
    }
}

impl From<ModuleInner> for Module {
    fn from(inner: ModuleInner) -> Module {
        Module {
            inner: Arc::new(inner),
        }
    }
}

impl Module {
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

    /// The module in the binary format; empty if it comes from an image for the
    /// interpreter, which does not contain it.
    pub fn binary(&self) -> &[u8] {
        #[cfg(feature = "images")]
        if self.inner.image.is_some() {
            return &[];
        }
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
#[cfg(feature = "decoder")]
pub(crate) fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    #[cfg(feature = "wat")]
    if !bytes.starts_with(b"\0asm") {
        return Ok(wat::parse_bytes(bytes)?);
    }
    Ok(Cow::Borrowed(bytes))
}

/// Decodes and validates, holding the engine's types only as long as needed.
#[cfg(feature = "decoder")]
pub(crate) fn decode(engine: &Engine, bytes: &[u8]) -> Result<(Decoded, Summaries)> {
    let (module, bodies) = Decoded::decode_with(bytes, engine.features(), &mut |register| {
        register(&mut engine.types_mut());
    })?;
    // Without a number of threads asked for, small modules do not even ask how many
    // there are.
    let summaries = match engine.config().compile_threads {
        Some(threads) => bodies.validate_with(&module, bytes, threads)?,
        None => bodies.validate(&module, bytes)?,
    };
    Ok((module, summaries))
}

impl ModuleInner {
    /// A module without code.
    pub(crate) fn new(engine: &Engine, bytes: Cow<'static, [u8]>, module: Decoded) -> ModuleInner {
        let type_ids = module.types().map(|id| id.as_u32()).collect();
        ModuleInner {
            engine: engine.clone(),
            bytes,
            module,
            #[cfg(feature = "images")]
            image: None,
            #[cfg(feature = "compiler")]
            summaries: None,
            type_ids,
            guarded: OnceLock::new(),
            checked: OnceLock::new(),
            compiling: Mutex::new(()),
            startup: OnceLock::new(),
            names: OnceLock::new(),
        }
    }

    /// The same with functions from an image for the interpreter, which is the bytes
    /// of the module.
    ///
    /// # Safety
    ///
    /// As for [`tepui_interpreter::ModuleCode::from_image`], under the engine's
    /// tunables.
    #[cfg(feature = "images")]
    pub(crate) unsafe fn with_bytecode(mut self, image: ImageCode) -> ModuleInner {
        self.image = Some(image);
        self
    }

    /// The functions, if they come from an image for the interpreter.
    #[cfg(feature = "images")]
    pub(crate) fn image(&self) -> Option<ImageCode> {
        self.image
    }

    /// What was decoded.
    pub(crate) fn module(&self) -> &Decoded {
        &self.module
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The engine.
    #[cfg(feature = "compiler")]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What validation learned, if the module was validated.
    #[cfg(feature = "compiler")]
    pub(crate) fn summaries(&self) -> Option<&Summaries> {
        self.summaries.as_ref()
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

    pub(crate) fn cell(&self, variant: Variant) -> &OnceLock<Arc<ModuleCode>> {
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
        // Images are made for memories that are checked.
        #[cfg(feature = "images")]
        let variant = match self.image {
            Some(_) => Variant::Checked,
            None => variant,
        };
        let cell = self.cell(variant);
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let _one = self.compiling.lock();
        if let Some(code) = cell.get() {
            return Ok(code.clone());
        }
        let code = ModuleCode::new(&self.engine, self, &self.engine.tunables_of(variant))?;
        #[cfg(feature = "compiler")]
        self.compile_all(&code, variant)?;
        Ok(cell.get_or_init(|| Arc::new(code)).clone())
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
