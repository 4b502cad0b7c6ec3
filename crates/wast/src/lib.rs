//! Runs the WebAssembly specification's test scripts (`.wast`) on any engine.
//!
//! A script is a list of directives: modules to instantiate, functions to
//! call, and assertions about what happens. [`WastRunner`] executes all of
//! them and reports each that does not hold, with its line and the reason; one
//! bad directive does not stop the rest.
//!
//! The script language is the reference interpreter's, described in
//! `interpreter/README.md` of the specification's repository, with the thread
//! directives of the threads proposal.
//!
//! ```
//! use tepui::Engine;
//! use tepui_wast::WastRunner;
//!
//! let report = WastRunner::new(&Engine::default()).run_source(
//!     "example.wast",
//!     r#"(module (func (export "one") (result i32) (i32.const 1)))
//!        (assert_return (invoke "one") (i32.const 1))
//!        (assert_return (invoke "one") (i32.const 2))"#,
//! );
//! assert_eq!(report.passed(), 2);
//! assert_eq!(report.failures.len(), 1);
//! assert_eq!(report.failures[0].line, 3);
//! ```
//!
//! # What holds when
//!
//! - `assert_malformed` and `assert_invalid` hold when the module is refused,
//!   whatever the words of the refusal.
//! - `assert_trap` and `assert_exhaustion` compare the *kind* of trap, not its
//!   text: see [`kinds_of_message`].
//! - `assert_unlinkable` holds when the module compiles and its instantiation
//!   fails with something else than a trap.
//! - What this build cannot express (exceptions, suspensions, references to
//!   garbage-collected objects) is reported as
//!   [`Unsupported`](FailureKind::Unsupported). It never counts as passed.

mod engine;
mod report;
mod runner;
mod spectest;
mod traps;
mod values;

pub use report::{Count, DirectiveKind, Failure, FailureKind, Report};
pub use runner::WastRunner;
pub use traps::kinds_of_message;
