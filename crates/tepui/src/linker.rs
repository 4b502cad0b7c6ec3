//! Linking: finding imports by name.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;

use crate::externals::Extern;
use crate::func::{Func, IntoFunc};
use crate::host::HostFunc;
use crate::instance::{self, Instance};
use crate::module::Module;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::store::StoreOpaque;
use crate::types::{ExternType, FuncType, ImportType};
use crate::{AsContext, AsContextMut, Caller, Engine, Error, Result, Trap, Val, matching};

/// Definitions by module and name, from which imports are found.
///
/// Host functions are defined once for all stores of the engine; memories,
/// tables, globals and functions of a store only for that store.
///
/// ```
/// use tepui::{Engine, Linker, Module, Store};
///
/// # fn main() -> tepui::Result<()> {
/// let engine = Engine::default();
/// let mut linker = Linker::new(&engine);
/// linker.func_wrap("host", "double", |x: i32| x * 2)?;
/// let module = Module::new(
///     &engine,
///     r#"(module
///          (import "host" "double" (func $double (param i32) (result i32)))
///          (func (export "run") (result i32) (call $double (i32.const 21))))"#,
/// )?;
/// let mut store = Store::new(&engine, ());
/// let instance = linker.instantiate(&mut store, &module)?;
/// let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
/// assert_eq!(run.call(&mut store, ())?, 42);
/// # Ok(())
/// # }
/// ```
pub struct Linker<T: 'static> {
    engine: Engine,
    /// Strings by number, so that keys are small and shared.
    strings: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, usize>,
    definitions: BTreeMap<Key, Definition>,
    allow_shadowing: bool,
    data: PhantomData<fn(T)>,
}

type Key = (usize, usize);

#[derive(Clone)]
enum Definition {
    /// A host function, to be bound to a store.
    Host(Arc<HostFunc>),
    /// Something of one store.
    Extern(Extern),
}

impl<T: 'static> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            strings: self.strings.clone(),
            numbers: self.numbers.clone(),
            definitions: self.definitions.clone(),
            allow_shadowing: self.allow_shadowing,
            data: PhantomData,
        }
    }
}

impl<T: 'static> fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linker")
            .field("definitions", &self.definitions.len())
            .finish_non_exhaustive()
    }
}

impl<T: 'static> Linker<T> {
    /// A linker without definitions.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            strings: Vec::new(),
            numbers: BTreeMap::new(),
            definitions: BTreeMap::new(),
            allow_shadowing: false,
            data: PhantomData,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a later definition of the same name replaces an earlier one.
    /// Otherwise, and by default, it is an error.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    fn intern(&mut self, string: &str) -> usize {
        if let Some(number) = self.numbers.get(string) {
            return *number;
        }
        let string: Arc<str> = string.into();
        self.strings.push(string.clone());
        self.numbers.insert(string, self.strings.len() - 1);
        self.strings.len() - 1
    }

    fn check_engine(&self, module: &Module) -> Result<()> {
        if Engine::same(&self.engine, module.engine()) {
            Ok(())
        } else {
            Err(Error::msg(
                "module belongs to another engine than the linker it is used with",
            ))
        }
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<()> {
        let key = (self.intern(module), self.intern(name));
        if !self.allow_shadowing && self.definitions.contains_key(&key) {
            return Err(Error::msg(format!(
                "import of `{module}` with name `{name}` is defined twice"
            )));
        }
        self.definitions.insert(key, definition);
        Ok(())
    }

    fn lookup(&self, module: &str, name: &str) -> Option<&Definition> {
        let key = (*self.numbers.get(module)?, *self.numbers.get(name)?);
        self.definitions.get(&key)
    }

    /// Defines something that a store has.
    ///
    /// # Errors
    ///
    /// When the name is taken, or the item belongs to another store.
    pub fn define(
        &mut self,
        store: impl AsContext,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let item = item.into();
        item.check_store(store.as_context().0.opaque())?;
        self.insert(module, name, Definition::Extern(item))?;
        Ok(self)
    }

    /// Defines a host function of a closure over Rust types; see
    /// [`Func::wrap`].
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        function: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self> {
        let host = function.into_func(&self.engine);
        self.insert(module, name, Definition::Host(host))?;
        Ok(self)
    }

    /// Defines a host function over dynamic values; see [`Func::new`].
    ///
    /// # Errors
    ///
    /// When the name is taken, or the type belongs to another engine.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        if !Engine::same(ty.engine(), &self.engine) {
            return Err(crate::host::wrong_engine("function type"));
        }
        let host = HostFunc::dynamic(ty, function);
        self.insert(module, name, Definition::Host(host))?;
        Ok(self)
    }

    /// Defines all exports of an instance under the module name `module`.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        let mut context = store.as_context_mut();
        let exports: Vec<_> = instance
            .exports(&mut context)
            .map(|export| (export.name().to_owned(), export.into_extern()))
            .collect();
        for (name, item) in exports {
            self.insert(module, &name, Definition::Extern(item))?;
        }
        Ok(self)
    }

    /// Instantiates `module` and defines its exports under the name `name`.
    ///
    /// # Errors
    ///
    /// When instantiation fails or a name is taken.
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        name: &str,
        module: &Module,
    ) -> Result<&mut Self> {
        let instance = self.instantiate(store.as_context_mut(), module)?;
        self.instance(store, name, instance)
    }

    /// Gives a definition another name.
    ///
    /// # Errors
    ///
    /// When there is no such definition, or the new name is taken.
    pub fn alias(
        &mut self,
        module: &str,
        name: &str,
        as_module: &str,
        as_name: &str,
    ) -> Result<&mut Self> {
        let definition = self
            .lookup(module, name)
            .ok_or_else(|| Error::msg(format!("`{module}`::`{name}` is not defined")))?
            .clone();
        self.insert(as_module, as_name, definition)?;
        Ok(self)
    }

    /// Gives all definitions of a module another module name.
    ///
    /// # Errors
    ///
    /// When a new name is taken.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<()> {
        let Some(&module) = self.numbers.get(module) else {
            return Ok(());
        };
        let definitions: Vec<_> = self
            .definitions
            .iter()
            .filter(|((from, _), _)| *from == module)
            .map(|((_, name), definition)| (self.strings[*name].clone(), definition.clone()))
            .collect();
        for (name, definition) in definitions {
            self.insert(as_module, &name, definition)?;
        }
        Ok(())
    }

    /// Defines each function that `module` imports and the linker does not have
    /// as one that traps, with an error that names it.
    ///
    /// # Errors
    ///
    /// When something else than a function is missing, or the module belongs to
    /// another engine.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        self.check_engine(module)?;
        for import in module.imports() {
            if self.lookup(import.module(), import.name()).is_some() {
                continue;
            }
            let ExternType::Func(ty) = import.ty() else {
                return Err(self.unknown(&import));
            };
            let message = format!(
                "unknown import: `{}`::`{}` has not been defined",
                import.module(),
                import.name()
            );
            self.func_new(import.module(), import.name(), ty, move |_, _, _| {
                Err(Error::from(Trap::UnreachableCodeReached).context(message.clone()))
            })?;
        }
        Ok(())
    }

    /// The definition of this name.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Option<Extern> {
        let store = store.as_context_mut().0.opaque_mut();
        Some(bind(store, self.lookup(module, name)?))
    }

    /// The definition for an import.
    pub fn get_by_import(
        &self,
        store: impl AsContextMut<Data = T>,
        import: &ImportType<'_>,
    ) -> Option<Extern> {
        self.get(store, import.module(), import.name())
    }

    /// Every definition, as module, name and item.
    pub fn iter<'a>(
        &'a self,
        mut store: impl AsContextMut<Data = T> + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a str, Extern)> {
        self.definitions
            .iter()
            .map(move |((module, name), definition)| {
                let store = store.as_context_mut().0.opaque_mut();
                (
                    &*self.strings[*module],
                    &*self.strings[*name],
                    bind(store, definition),
                )
            })
    }

    fn unknown(&self, import: &ImportType<'_>) -> Error {
        matching::unknown_import(
            &*self.engine.types(),
            import.module(),
            import.name(),
            &import.ty().to_module(),
        )
    }

    /// Instantiates `module` with the definitions that it imports.
    ///
    /// # Errors
    ///
    /// When a definition is missing, and as for [`Instance::new`].
    ///
    /// # Panics
    ///
    /// When a definition that is used belongs to another store.
    pub fn instantiate(
        &self,
        store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance> {
        self.instantiate_pre(module)?.instantiate(store)
    }

    /// Finds and checks the imports of `module` once, for many instances.
    ///
    /// # Errors
    ///
    /// When a definition is missing, a host function is of another type, or the
    /// module belongs to another engine.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        self.check_engine(module)?;
        let mut definitions = Vec::with_capacity(module.imports().len());
        for (import, decoded) in module.imports().zip(module.inner().module().imports()) {
            let definition = self
                .lookup(import.module(), import.name())
                .ok_or_else(|| self.unknown(&import))?;
            if let Definition::Host(host) = definition {
                matching::check_import(
                    &*self.engine.types(),
                    import.module(),
                    import.name(),
                    &decoded.ty,
                    &tepui_module::ExternType::Func(host.ty().type_id()),
                )?;
            }
            definitions.push(definition.clone());
        }
        Ok(InstancePre {
            module: module.clone(),
            definitions: definitions.into(),
            data: PhantomData,
        })
    }

    /// The function that a command or a default export of `module` runs: the
    /// export with the empty name, or `_start`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn get_default(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
    ) -> Result<Func> {
        for name in ["", "_start"] {
            if let Some(Extern::Func(func)) = self.get(store.as_context_mut(), module, name) {
                return Ok(func);
            }
        }
        Err(Error::msg(format!(
            "module `{module}` has no function to run by default"
        )))
    }
}

/// A definition as an item of `store`.
fn bind(store: &mut StoreOpaque, definition: &Definition) -> Extern {
    match definition {
        Definition::Host(host) => {
            assert!(
                Engine::same(host.engine(), store.engine()),
                "linker used with the store of another engine"
            );
            Extern::Func(Func::bind(store, host))
        }
        Definition::Extern(item) => item.clone(),
    }
}

/// A module with its imports found and checked, to be instantiated many times.
///
/// Made by [`Linker::instantiate_pre`].
pub struct InstancePre<T: 'static> {
    module: Module,
    definitions: Arc<[Definition]>,
    data: PhantomData<fn(T)>,
}

impl<T: 'static> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        InstancePre {
            module: self.module.clone(),
            definitions: self.definitions.clone(),
            data: PhantomData,
        }
    }
}

impl<T: 'static> fmt::Debug for InstancePre<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstancePre")
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl<T: 'static> InstancePre<T> {
    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Instantiates the module.
    ///
    /// # Errors
    ///
    /// As for [`Instance::new`].
    ///
    /// # Panics
    ///
    /// When a definition belongs to another store.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        let context = store.as_context_mut();
        let store = context.0.opaque_mut();
        let imports: Vec<Extern> = self
            .definitions
            .iter()
            .map(|definition| bind(store, definition))
            .collect();
        instance::check_imports(store, &self.module, &imports)?;
        instance::instantiate(store, &self.module, &imports)
    }
}
