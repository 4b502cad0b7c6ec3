//! Which calls of the embedding API go beyond the plain store, module and
//! instance? They stand here, so that a change of that API is met in one file.
//!
//! This file holds unsafe code: it loads images, its own.

use tepui::{Engine, ExternRef, Module, Result, Store, Val};

/// Decodes, validates and compiles a module in the binary format. Text is not
/// accepted: a script's text has been encoded before it gets here, and a
/// `(module binary …)` that happens to spell text must be refused.
pub(crate) fn compile(engine: &Engine, binary: &[u8]) -> Result<Module> {
    Module::from_binary(engine, binary)
}

/// [`compile`], by way of an image.
#[cfg(feature = "images")]
pub(crate) fn compile_to_image(engine: &Engine, binary: &[u8]) -> Result<Module> {
    let image = Module::from_binary(engine, binary)?.serialize()?;
    // SAFETY: made just now.
    unsafe { Module::deserialize(engine, image) }
}

/// The value `(ref.extern n)`: a host reference that carries `n`.
pub(crate) fn extern_ref(store: &mut Store<()>, n: u32) -> Result<Val> {
    Ok(Val::ExternRef(Some(ExternRef::new(store, n)?)))
}

/// The number that a reference made by [`extern_ref`] carries; `None` for
/// anything else.
pub(crate) fn extern_ref_number(store: &Store<()>, value: &Val) -> Option<u32> {
    let Val::ExternRef(Some(reference)) = value else {
        return None;
    };
    let data = reference.data(store).ok().flatten()?;
    data.downcast_ref::<u32>().copied()
}
