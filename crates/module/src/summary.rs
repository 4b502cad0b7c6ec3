//! What did validation learn about a function? The summaries that tiers use
//! instead of validating again.
//!
//! A summary is made in the same pass as validation. All summaries of a module
//! share three arrays, so a function costs no allocation of its own.

use crate::DefinedFuncIndex;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// Facts about a function body, from [`FunctionSummary::flags`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SummaryFlags(u16);

macro_rules! summary_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl SummaryFlags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &[(&str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

summary_flags! {
    /// Has a direct, indirect or reference call, tail calls included.
    CALLS = 0;
    /// Has a tail call.
    TAIL_CALLS = 1;
    /// Has a `try_table` or legacy `try`.
    HAS_TRY = 2;
    /// May end by throwing: it has an instruction that throws or suspends, or
    /// a call (what a callee does is not looked at).
    MAY_THROW = 3;
    /// Has an instruction that throws by itself: `throw`, `throw_ref`, `rethrow`.
    THROWS = 4;
    /// Has a scalar load or store, or may access memory through a vector instruction.
    MEMORY_ACCESS = 5;
    /// Has `memory.grow`, so that memory bases may change under it.
    MEMORY_GROW = 6;
    /// Has `memory.size`, `memory.init`, `memory.copy`, `memory.fill` or `data.drop`.
    MEMORY_BULK = 7;
    /// Has an atomic instruction.
    ATOMICS = 8;
    /// Has a vector instruction.
    SIMD = 9;
    /// Has an instruction on tables, `call_indirect` included.
    TABLES = 10;
    /// Has `global.set`.
    GLOBAL_SET = 11;
    /// Has a stack-switching instruction.
    STACK_SWITCHING = 12;
    /// Has an instruction on reference values: typed, GC or plain.
    REFERENCES = 13;
    /// Has a `br_table`.
    BR_TABLE = 14;
}

impl SummaryFlags {
    /// Whether all flags of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of the flags of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags of both.
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The flags as a number.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for SummaryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(_, flag)| self.contains(*flag));
        f.debug_set().entries(set.map(|(name, _)| name)).finish()
    }
}

/// What validation learned about one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FunctionSummary {
    /// The greatest number of values on the operand stack between two
    /// instructions, unreachable code included.
    pub max_height: u32,
    /// Locals, parameters included.
    pub locals: u32,
    /// Bytes of the body, local declarations included.
    pub body_size: u32,
    /// The greatest number of nested blocks, the body itself not counted.
    pub max_nesting: u32,
    /// `call` and `return_call` instructions.
    pub direct_calls: u32,
    /// `call_indirect` and `return_call_indirect` instructions.
    pub indirect_calls: u32,
    /// `call_ref` and `return_call_ref` instructions.
    pub ref_calls: u32,
    /// `loop` instructions.
    pub loops: u32,
    /// Facts that are there or not.
    pub flags: SummaryFlags,
    first_loop: u32,
}

impl FunctionSummary {
    /// All call instructions.
    pub fn calls(&self) -> u32 {
        self.direct_calls + self.indirect_calls + self.ref_calls
    }

    /// Whether control can leave the function only by returning or trapping
    /// inside it: it calls nothing.
    pub fn is_leaf(&self) -> bool {
        !self.flags.contains(SummaryFlags::CALLS)
    }
}

/// The locals that a loop, or a loop inside it, may assign by `local.set` or `local.tee`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AssignedLocals<'a> {
    /// Exactly these, in increasing order of their index.
    These(&'a [u32]),
    /// Any local: loops so deep with so many locals that the lists would
    /// outgrow the body are not listed.
    Any,
}

impl AssignedLocals<'_> {
    /// Whether the loop may assign the local.
    pub fn contains(&self, local: u32) -> bool {
        match self {
            Self::These(locals) => locals.binary_search(&local).is_ok(),
            Self::Any => true,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LoopSpan {
    start: u32,
    /// `u32::MAX` for [`AssignedLocals::Any`].
    len: u32,
}

const ANY: u32 = u32::MAX;

/// The summaries of all functions that a module defines.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Summaries {
    functions: Box<[FunctionSummary]>,
    loops: Box<[LoopSpan]>,
    locals: Box<[u32]>,
}

impl Summaries {
    /// The number of functions.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether the module defines no function.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The summary of a function.
    ///
    /// # Panics
    ///
    /// When the module defines no such function.
    #[inline]
    pub fn function(&self, index: DefinedFuncIndex) -> &FunctionSummary {
        &self.functions[index.index()]
    }

    /// All summaries, in the order of the code section.
    pub fn functions(&self) -> &[FunctionSummary] {
        &self.functions
    }

    /// For each `loop` of a function, in the order of their first bytes, the
    /// locals assigned in it.
    pub fn loops(
        &self,
        index: DefinedFuncIndex,
    ) -> impl ExactSizeIterator<Item = AssignedLocals<'_>> {
        let function = self.function(index);
        let start = function.first_loop as usize;
        self.loops[start..start + function.loops as usize]
            .iter()
            .map(|&span| self.assigned(span))
    }

    /// The locals assigned in the `ordinal`th loop of a function, counted from
    /// 0 in the order of the loops' first bytes.
    ///
    /// # Panics
    ///
    /// When the function has no such loop.
    pub fn loop_locals(&self, index: DefinedFuncIndex, ordinal: u32) -> AssignedLocals<'_> {
        let function = self.function(index);
        assert!(
            ordinal < function.loops,
            "the function has no loop {ordinal}"
        );
        self.assigned(self.loops[(function.first_loop + ordinal) as usize])
    }

    fn assigned(&self, span: LoopSpan) -> AssignedLocals<'_> {
        if span.len == ANY {
            return AssignedLocals::Any;
        }
        let start = span.start as usize;
        AssignedLocals::These(&self.locals[start..start + span.len as usize])
    }

    /// Joins parts in order. Each part was built apart, with its own arrays.
    pub(crate) fn join(parts: Vec<SummaryPart>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            let loop_base = all.loops.len() as u32;
            let local_base = all.locals.len() as u32;
            all.functions
                .extend(part.functions.iter().map(|function| FunctionSummary {
                    first_loop: function.first_loop + loop_base,
                    ..*function
                }));
            all.loops.extend(part.loops.iter().map(|span| LoopSpan {
                start: span.start + local_base,
                ..*span
            }));
            all.locals.extend_from_slice(&part.locals);
        }
        Self {
            functions: all.functions.into(),
            loops: all.loops.into(),
            locals: all.locals.into(),
        }
    }
}

impl fmt::Debug for Summaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = (0..self.len() as u32).map(DefinedFuncIndex::new);
        f.debug_list()
            .entries(
                functions
                    .map(|index| (self.function(index), self.loops(index).collect::<Vec<_>>())),
            )
            .finish()
    }
}

/// Summaries of consecutive functions.
#[derive(Default)]
pub(crate) struct SummaryPart {
    functions: Vec<FunctionSummary>,
    loops: Vec<LoopSpan>,
    locals: Vec<u32>,
}

/// Builds summaries, function by function, as validation reports what it meets.
///
/// Loops: an open loop owns the tail of `scratch` from its `start`, where the
/// locals assigned in it are listed; inner loops leave their lists to the
/// outer one when they end. `stamps` keeps most repetitions out; the list is
/// sorted and made unique at the end. The lists of a function may hold
/// [`Self::BUDGET_PER_BYTE`] entries per byte of body in total; a loop beyond
/// it, and those around it, are [`AssignedLocals::Any`]. Time and memory are
/// thus linear in the size of the body.
#[derive(Default)]
pub(crate) struct SummaryBuilder {
    part: SummaryPart,
    pub(crate) current: FunctionSummary,
    open: Vec<OpenLoop>,
    scratch: Vec<u32>,
    /// By local: the loop that last listed it, as a number that no two loops share.
    stamps: Vec<u32>,
    last_stamp: u32,
    budget: u64,
    nesting: u32,
}

struct OpenLoop {
    /// In `part.loops`.
    slot: u32,
    /// In `scratch`.
    start: u32,
    stamp: u32,
    any: bool,
}

impl SummaryBuilder {
    const BUDGET_PER_BYTE: u64 = 2;
    const BUDGET_AT_LEAST: u64 = 256;

    pub(crate) fn begin(&mut self, body_size: u32) {
        self.current = FunctionSummary {
            body_size,
            first_loop: self.part.loops.len() as u32,
            ..FunctionSummary::default()
        };
        self.open.clear();
        self.nesting = 0;
        self.scratch.clear();
        self.budget = Self::BUDGET_AT_LEAST + Self::BUDGET_PER_BYTE * u64::from(body_size);
    }

    /// `locals` counts parameters too. Called when the declarations were read.
    pub(crate) fn locals(&mut self, locals: u32) {
        self.current.locals = locals;
        if self.stamps.len() < locals as usize {
            self.stamps.resize(locals as usize, 0);
        }
    }

    pub(crate) fn end(&mut self, max_height: u32) {
        self.current.max_height = max_height;
        self.current.loops = self.part.loops.len() as u32 - self.current.first_loop;
        self.part.functions.push(self.current);
    }

    pub(crate) fn reserve(&mut self, functions: usize) {
        self.part.functions.reserve_exact(functions);
    }

    #[inline]
    pub(crate) fn flag(&mut self, flag: SummaryFlags) {
        self.current.flags.set(flag);
    }

    /// A block begins.
    #[inline]
    pub(crate) fn enter(&mut self) {
        self.nesting += 1;
        self.current.max_nesting = self.current.max_nesting.max(self.nesting);
    }

    /// A block, or the body, ends.
    #[inline]
    pub(crate) fn leave(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }

    pub(crate) fn finish(self) -> SummaryPart {
        self.part
    }

    #[inline]
    pub(crate) fn in_loop(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn enter_loop(&mut self) {
        if self.last_stamp == u32::MAX {
            self.stamps.fill(0);
            self.last_stamp = 0;
            // Open loops only lose the benefit of their stamps.
            for open in &mut self.open {
                open.stamp = 0;
            }
        }
        self.last_stamp += 1;
        self.open.push(OpenLoop {
            slot: self.part.loops.len() as u32,
            start: self.scratch.len() as u32,
            stamp: self.last_stamp,
            any: false,
        });
        self.part.loops.push(LoopSpan::default());
    }

    pub(crate) fn leave_loop(&mut self) {
        let Some(closed) = self.open.pop() else {
            return;
        };
        let start = closed.start as usize;
        let mut any = closed.any;
        if !any {
            self.scratch[start..].sort_unstable();
            let kept = dedup_tail(&mut self.scratch, start);
            let len = (self.scratch.len() - start) as u64;
            debug_assert_eq!(kept as u64, len);
            if len > self.budget {
                any = true;
            } else {
                self.budget -= len;
                self.part.loops[closed.slot as usize] = LoopSpan {
                    start: self.part.locals.len() as u32,
                    len: len as u32,
                };
                self.part.locals.extend_from_slice(&self.scratch[start..]);
            }
        }
        if any {
            self.scratch.truncate(start);
            self.part.loops[closed.slot as usize] = LoopSpan { start: 0, len: ANY };
        }
        match self.open.last_mut() {
            Some(outer) => outer.any |= any,
            None => self.scratch.clear(),
        }
    }

    /// `local.set` or `local.tee`.
    #[inline]
    pub(crate) fn assign(&mut self, local: u32) {
        if let Some(innermost) = self.open.last()
            && let Some(stamp) = self.stamps.get_mut(local as usize)
            && (*stamp != innermost.stamp || innermost.stamp == 0)
        {
            *stamp = innermost.stamp;
            self.scratch.push(local);
        }
    }
}

/// Removes repetitions from the sorted tail of `list`; returns its new length.
fn dedup_tail(list: &mut Vec<u32>, start: usize) -> usize {
    let mut write = start;
    for read in start..list.len() {
        if read == start || list[read] != list[write - 1] {
            list[write] = list[read];
            write += 1;
        }
    }
    list.truncate(write);
    write - start
}
