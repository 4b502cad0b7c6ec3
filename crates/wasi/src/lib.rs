//! WASI for the [Tepui](tepui) runtime: host services, and the preview 1
//! binding onto them.
//!
//! A guest gets nothing that it was not given. A [`WasiCtx`], one in the data of
//! each store, says what that is; [`add_to_linker`] gives `wasi_snapshot_preview1`
//! to modules, [`add_unstable_to_linker`] its predecessor `wasi_unstable`.
//!
//! ```
//! use tepui::{Engine, Linker, Module, Store};
//! use tepui_wasi::{I32Exit, MemoryOutput, WasiCtx};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"
//!     (module
//!       (import "wasi_snapshot_preview1" "fd_write"
//!         (func $fd_write (param i32 i32 i32 i32) (result i32)))
//!       (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
//!       (memory (export "memory") 1)
//!       (data (i32.const 8) "hello\n")
//!       (func (export "_start")
//!         (i32.store (i32.const 0) (i32.const 8))   ;; ciovec: where
//!         (i32.store (i32.const 4) (i32.const 6))   ;; ciovec: how long
//!         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
//!         (call $proc_exit (i32.const 7))))
//! "#)?;
//!
//! let mut linker = Linker::new(&engine);
//! tepui_wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
//! let output = MemoryOutput::new(4096);
//! let wasi = WasiCtx::builder().arg("hello").stdout(output.clone()).build()?;
//!
//! let mut store = Store::new(&engine, wasi);
//! let instance = linker.instantiate(&mut store, &module)?;
//! let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
//! let error = start.call(&mut store, ()).unwrap_err();
//!
//! assert_eq!(output.contents(), b"hello\n");
//! assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(7)));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **Paths** stay beneath their preopened folder, whatever `..`, absolute
//!   paths, symbolic links and concurrent renames try; see
//!   [`services::Directory`].
//! - **Read-only folders** ([`Access::ReadOnly`]) refuse everything that changes
//!   something, with `rofs`.
//! - **Pointers** of the guest may be anything: what is out of range fails with
//!   `fault`. Memories may be shared.
//! - **Memory and descriptors** of the host that a guest can use are bounded.
//! - **Waiting** (sleeping, reading a pipe, accepting) ends when the host says
//!   so, through [`WasiCtx::interrupt_handle`].
//! - **Times** before 1970 read as 0, and those past 2554 as the greatest number.
//! - **Names** of files that are not Unicode are listed as they are, but cannot
//!   be opened: `ilseq`.
//!
//! # The crate
//!
//! [`services`] has one trait per capability, [`host`] the implementation of
//! each over the operating system. The preview 1 binding knows the layouts of
//! that interface, and the services do not.

mod ctx;
mod exit;
pub mod host;
mod preview1;
pub mod services;
mod table;

pub use ctx::{BuildError, DEFAULT_MAX_DESCRIPTORS, WasiCtx, WasiCtxBuilder};
pub use exit::I32Exit;
pub use host::wait::{InterruptHandle, Interrupted};
pub use host::{MemoryInput, MemoryOutput, PipeReader, PipeWriter, pipe};
pub use preview1::link::{add_to_linker, add_unstable_to_linker};
pub use services::Access;
