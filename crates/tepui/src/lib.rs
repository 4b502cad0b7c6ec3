//! Tepui: a WebAssembly runtime to embed.
//!
//! ```
//! use tepui::{Engine, Linker, Module, Store};
//!
//! # fn main() -> tepui::Result<()> {
//! // An engine holds the configuration, and compiles.
//! let engine = Engine::default();
//! // A module is compiled once, and instantiated any number of times.
//! let module = Module::new(
//!     &engine,
//!     r#"(module
//!          (import "host" "log" (func $log (param i32)))
//!          (func (export "add") (param i32 i32) (result i32)
//!            (call $log (local.get 0))
//!            (i32.add (local.get 0) (local.get 1))))"#,
//! )?;
//! // A linker finds imports by name; here, a closure of the host.
//! let mut linker = Linker::new(&engine);
//! linker.func_wrap("host", "log", |x: i32| println!("guest says {x}"))?;
//! // A store is the world that instances live in.
//! let mut store = Store::new(&engine, ());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add")?;
//! assert_eq!(add.call(&mut store, (2, 3))?, 5);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | configuration, proposals, metering | [`Config`], [`Features`] |
//! | loading and compiling | [`Module`] |
//! | host functions | [`Linker::func_wrap`], [`Caller`] |
//! | calling guests | [`TypedFunc`], [`Func`] |
//! | memories, tables, globals | [`Memory`], [`SharedMemory`], [`Table`], [`Global`] |
//! | stopping guests | [`Store::set_fuel`], [`Engine::increment_epoch`] |
//! | limiting guests | [`ResourceLimiter`], [`StoreLimits`] |
//! | what went wrong | [`Error`], [`Trap`], [`WasmBacktrace`] |
//!
//! # Handles
//!
//! [`Func`], [`Memory`], [`Table`], [`Global`] and [`Instance`] are handles into
//! one [`Store`]. A handle that is used with another store panics or gives an
//! error, as each method says; it is never unsound.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(any(feature = "compiler", feature = "interpreter")),
    allow(
        dead_code,
        unused_imports,
        unused_variables,
        reason = "nothing runs without a tier"
    )
)]

extern crate alloc;

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!("float arithmetic is missing: switch on the feature `std` or `libm`");

mod backtrace;
mod code;
#[cfg(feature = "compiler")]
mod compiled;
mod config;
mod engine;
mod error;
mod externals;
mod func;
mod host;
#[cfg(any(feature = "compiler", feature = "images"))]
mod image;
mod instance;
#[cfg(feature = "images")]
mod interpreted_image;
#[cfg(feature = "interpreter")]
mod interpreter;
mod limits;
mod linker;
mod matching;
mod module;
mod panics;
#[cfg(feature = "compiler")]
mod parallel;
#[cfg(not(feature = "std"))]
mod prelude;
mod segments;
mod store;
mod sync;
mod tier;
mod types;
mod values;
mod vm;

pub use backtrace::{FrameInfo, WasmBacktrace};
pub use config::{Config, OptLevel, Strategy};
#[doc(hidden)]
pub use config::{Profiling, WhenHot};
pub use engine::Engine;
#[doc(hidden)]
pub use error::macros as __macros;
pub use error::{Chain, Context, Error, Result};
pub use externals::{Export, Extern, Global, Memory, MemoryAccessError, Table};
pub use func::{Caller, Func, IntoFunc, TypedFunc, WasmParams, WasmResults, WasmRet, WasmTy};
pub use instance::Instance;
pub use limits::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use linker::{InstancePre, Linker};
pub use module::Module;
pub use store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut, UpdateDeadline};
pub use tepui_abi::Trap;
#[cfg(feature = "compiler")]
pub use tepui_image::{KeyError, UserKey};
pub use tepui_module::{Features, NotImplemented, Proposal, UnknownProposal};
pub use types::{
    ExportType, ExternType, FuncType, GlobalType, HeapType, ImportType, MemoryType,
    MemoryTypeBuilder, Mutability, RefType, TableType, TagType, ValType,
};
pub use values::{ExternRef, Ref, Rooted, V128, Val};
pub use vm::parking::WaitResult;
pub use vm::shared_memory::SharedMemory;
