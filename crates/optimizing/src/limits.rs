//! How large may a function be for this compiler? Beyond these limits it is
//! refused with an error, so that hostile bodies cost bounded time and memory.
//!
//! What compilers emit stays far below: the largest functions known from real
//! programs have some hundred thousand values.

/// SSA values of a function, parameters of basic blocks included.
pub const VALUES: usize = 4_000_000;

/// Basic blocks times locals that are used: the front end of the code generator
/// keeps a table of that size, of four bytes each.
pub const VARIABLE_CELLS: u64 = 1 << 27;

/// Arguments of all branches together.
pub const BRANCH_ARGUMENTS: usize = 6_000_000;

/// Basic blocks from which a function is compiled as a giant: without
/// optimization, and with the fast register allocator.
pub const GIANT_BLOCKS: usize = 60_000;

/// SSA values from which a function is compiled as a giant.
pub const GIANT_VALUES: usize = 1_500_000;

/// Values that live at the same time (parameters of one block, or depth of the
/// operand stack) from which a function is compiled as a giant.
pub const GIANT_WIDTH: usize = 2_500;

/// Locals that are used from which a function is compiled as a giant.
pub const GIANT_LOCALS: u64 = 10_000;

/// Values of a function whose working memory is kept for the next function.
pub(crate) const KEPT_VALUES: usize = 500_000;
