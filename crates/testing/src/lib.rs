//! What the tests of several crates of Tepui share. It is not published, and nothing but
//! tests depends on it.
//!
//! - [`process`]: programs that tests start, their own binary among them.
//! - [`golden`]: files that say what was once looked at and found good.
//! - [`patience`]: how long what is to end soon may take.
//! - `modules`, a feature: modules to compile, among them the official test suite's.

pub mod golden;
#[cfg(feature = "modules")]
pub mod modules;
pub mod patience;
pub mod process;
