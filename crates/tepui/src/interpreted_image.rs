//! Images for the interpreter: what is in one, and what is asked of it before its
//! bytecode may run?
//!
//! This file holds unsafe code: nobody can verify bytecode.
//!
//! An image is a head, a description of the module, and its functions. All numbers are
//! little-endian; what the bytecode depends on stands in the head.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | [`VERSION`] |
//! | 12 | 1 | bytes of a pointer |
//! | 13 | 1 | order of bytes: 0 little-endian, 1 big-endian |
//! | 14 | 1 | [`DISPATCH`] |
//! | 15 | 1 | what guests are metered by: [`FUEL`], [`EPOCH`], [`DETERMINISTIC`] |
//! | 16 | 8 | the numbering of instructions: `tepui_interpreter::image::FINGERPRINT` |
//! | 24 | 8 | checksum of all that follows: FNV-1a |
//! | 32 | 4 | where the functions begin |
//! | 36 | 4 | the length of the image |
//! | 40 | | the description (`tepui_module::Module::describe`), then the functions |

use alloc::borrow::Cow;

use tepui_abi::Tunables;
use tepui_abi::target::{Endianness, Target};
use tepui_interpreter::image::{self, ImageCode};
use tepui_module::Module as Decoded;

use crate::config::Strategy;
use crate::engine::{Engine, Variant};
use crate::module::ModuleInner;
#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::{Error, Module, Result};

/// What images begin with.
const MAGIC: [u8; 8] = *b"\x7ftepuibc";

/// The version of the head and of the description.
const VERSION: u32 = 1;

/// How instructions name their handlers: by numbers, with room for addresses.
const DISPATCH: u8 = 0;

/// Fuel is charged.
const FUEL: u8 = 1;
/// The epoch is looked at.
const EPOCH: u8 = 2;
/// NaNs are made canonical.
const DETERMINISTIC: u8 = 4;

/// Bytes of the head.
const HEAD: usize = 40;
/// Where what the checksum is of begins.
const SUMMED: usize = 32;

/// Whether `bytes` begin as an image does.
pub(crate) fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

fn meters(tunables: &Tunables) -> u8 {
    let flag = |is_on: bool, flag: u8| if is_on { flag } else { 0 };
    flag(tunables.fuel, FUEL)
        | flag(tunables.epoch, EPOCH)
        | flag(tunables.deterministic, DETERMINISTIC)
}

/// The width of pointers and the order of bytes, as in the head.
fn machine(target: Target) -> [u8; 2] {
    let order = match target.endianness {
        Endianness::Little => 0,
        Endianness::Big => 1,
    };
    [target.pointer_bytes, order]
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Translates a module, for the machine of the engine's configuration.
///
/// # Errors
///
/// As for [`Module::new`], and when the image would be too large.
#[cfg(feature = "decoder")]
pub(crate) fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>> {
    let bytes = crate::module::to_binary(bytes)?;
    let (module, _) = crate::module::decode(engine, &bytes)?;
    write(engine, &module, &bytes)
}

/// An image of a module, for the machine of the engine's configuration.
///
/// # Errors
///
/// When the image would be too large.
#[cfg(feature = "decoder")]
pub(crate) fn serialize(module: &Module) -> Result<Vec<u8>> {
    let inner = module.inner();
    if inner.image().is_some() {
        return Ok(inner.bytes().to_vec());
    }
    write(module.engine(), inner.module(), inner.bytes())
}

#[cfg(feature = "decoder")]
fn write(engine: &Engine, module: &Decoded, bytes: &[u8]) -> Result<Vec<u8>> {
    let target = engine.config().target.unwrap_or(Target::host());
    let tunables = engine.tunables_of(Variant::Checked);
    let description = module.describe(bytes).ok_or_else(|| {
        Error::msg("images for the interpreter have no form for the module's types")
    })?;
    let functions = image::write(module, bytes, target, &tunables)?;
    let start = HEAD + description.len();
    let length = u32::try_from(start + functions.len())
        .map_err(|_| Error::msg("the image would be larger than 4 GiB"))?;
    let mut out = Vec::with_capacity(length as usize);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&machine(target));
    out.extend_from_slice(&[DISPATCH, meters(&tunables)]);
    out.extend_from_slice(&image::FINGERPRINT.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(start as u32).to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&description);
    out.extend_from_slice(&functions);
    let sum = checksum(&out[SUMMED..]);
    out[24..SUMMED].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// Says why an image is refused.
fn refuse<T>(why: &'static str) -> Result<T> {
    Err(Error::msg(format!("cannot load the image: {why}")))
}

/// Checks the head; gives where the functions begin.
fn head(engine: &Engine, bytes: &[u8]) -> Result<usize> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return refuse("it ends too early");
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    if head[..8] != MAGIC {
        return refuse("it is none for the interpreter");
    }
    if word(8) != VERSION || long(16) != image::FINGERPRINT {
        return refuse("it was made by another version");
    }
    if head[12..14] != machine(Target::host()) {
        return refuse("it is for machines with other pointers or another order of bytes");
    }
    if head[14] != DISPATCH {
        return refuse("its instructions are reached in another way");
    }
    if head[15] != meters(engine.tunables()) {
        return refuse("it was made under another configuration of fuel, epochs or determinism");
    }
    if word(36) as usize != bytes.len() || long(24) != checksum(&bytes[SUMMED..]) {
        return refuse("it is damaged");
    }
    let start = word(32) as usize;
    if start < HEAD || start > bytes.len() {
        return refuse("it is damaged");
    }
    Ok(start)
}

/// Loads an image.
///
/// # Errors
///
/// When it is damaged, of another version or configuration, or for another machine.
///
/// # Safety
///
/// [`precompile`] or [`serialize`] made the image, and nobody has changed it since.
pub(crate) unsafe fn load(engine: &Engine, bytes: Cow<'static, [u8]>) -> Result<Module> {
    engine.check_runnable()?;
    if engine.config().strategy != Strategy::Interpreter {
        return refuse(match engine.config().strategy.tier() {
            Some(_) => "it is for the interpreter, and this engine runs compiled code",
            None => "it is for the interpreter, and this engine runs functions in several tiers",
        });
    }
    let start = head(engine, &bytes)?;
    let context = |error| Error::new(error).context("cannot load the image");
    let module = Decoded::from_description(&bytes, HEAD..start, &mut |register| {
        register(&mut engine.types_mut());
    })
    .map_err(context)?;
    let missing = module.features().bits() & !engine.features().bits();
    if missing != 0 {
        return refuse("the module was validated with proposals that are switched off here");
    }
    let count = module.defined_function_count();
    let functions = ImageCode::new(&bytes, start, bytes.len(), count)
        .map_err(|error| Error::new(error).context("cannot load the image"))?;
    // SAFETY: the caller's promise; version, machine and tunables are those of here.
    let inner = unsafe { ModuleInner::new(engine, bytes, module).with_bytecode(functions) };
    let module = Module::from(inner);
    module.inner().code(Variant::Checked)?;
    Ok(module)
}
