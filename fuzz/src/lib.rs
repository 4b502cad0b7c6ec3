//! Looks for programs that do not do the same in every tier of Tepui.
//!
//! A [`Case`] is a module with the ways to run it, and follows from one number.
//! [`check`] runs it and compares. What is compared, and what is not, stands in
//! [`oracle`]:
//!
//! - **Everything that a guest or its host can see** is the same: results, traps
//!   with their backtraces, memories, globals, tables, fuel, what host functions
//!   are called with.
//! - **A stack overflow** ends the comparison, because its depth is a tier's own
//!   affair; what happened before it is compared.
//! - **Running out of fuel** is compared like every other trap, to the
//!   instruction, because fuel is charged for the Wasm and not for the code.
//! - **Functions that change their tier** while they run, counted and recorded as
//!   they are, do what those do that stay.
//! - **Bits of NaNs** are compared. Where the engines leave them as they come,
//!   the module itself makes them canonical.
//!
//! Modules come from three [sources](Source): a generator of our own for what is
//! difficult to compile, `wasm-smith` for everything that is valid, and changed
//! modules of the official suite.
//!
//! The program `hunt` looks for as long as it is told to.

pub mod case;
pub mod engines;
pub mod generate;
mod host;
pub mod mistake;
pub mod numbers;
pub mod operators;
pub mod oracle;
pub mod reduce;
pub mod rewrite;
pub mod smith;
pub mod suite;

pub use case::{Case, Source};
pub use engines::{Counting, Engines, Settings, Variant};
pub use mistake::{Mistake, Reach};
pub use oracle::{Outcome, check, check_with};
