//! Which calls of the embedding API go beyond the plain store, module and
//! instance? They stand here, so that a change of that API is met in one file.

use tepui::{AsContextMut, Engine, ExternRef, Module, Result, Val};

/// Decodes, validates and compiles a module in the binary format. Text is not
/// accepted: a script's text has been encoded before it gets here, and a
/// `(module binary …)` that happens to spell text must be refused.
pub(crate) fn compile(engine: &Engine, binary: &[u8]) -> Result<Module> {
    Module::from_binary(engine, binary)
}

/// The value `(ref.extern n)`: a host reference that carries `n`.
pub(crate) fn extern_ref(store: impl AsContextMut, n: u32) -> Result<Val> {
    Ok(Val::ExternRef(Some(ExternRef::new(store, n)?)))
}

/// The number that a reference made by [`extern_ref`] carries; `None` for
/// anything else.
pub(crate) fn extern_ref_number(mut store: impl AsContextMut, value: &Val) -> Option<u32> {
    let Val::ExternRef(Some(reference)) = value else {
        return None;
    };
    let store = store.as_context_mut();
    reference
        .data(&store)
        .ok()
        .flatten()
        .and_then(|data| data.downcast_ref::<u32>())
        .copied()
}
