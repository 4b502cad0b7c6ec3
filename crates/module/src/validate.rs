//! Is the code valid, and what is in it? Function bodies, validated and summarized.
//!
//! One pass reads each operator once and hands it to two visitors: the
//! decoder's validator, and the summary, to which most operators mean nothing.
//! The pair is one generic visitor, so the two become one function per
//! operator and the summary costs a few percent.
//!
//! **Threads.** Bodies are cut into pieces of about equal size that threads
//! take in order. A failed piece stops the taking of later ones, never of
//! earlier ones, so the error reported is always the first in the order of
//! the module, however many threads there are.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::features::Features;
use crate::module::Module;
use crate::summary::{Summaries, SummaryBuilder, SummaryFlags, SummaryPart};
use crate::support::{self, Refused, operator_name, proposal_of_group};
use crate::{DefinedFuncIndex, FuncIndex};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::ops::Range;
#[cfg(feature = "simd")]
use wasmparser::VisitSimdOperator;
use wasmparser::{
    BinaryReader, BlockType, FrameKind, FrameStack, FuncToValidate, FuncValidatorAllocations,
    ValidatorResources, VisitOperator,
};

/// The function bodies of a decoded module, not yet validated.
pub struct Bodies {
    /// `None` when the module has no body.
    resources: Option<ValidatorResources>,
    features: Features,
    size: usize,
}

impl core::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bodies").finish_non_exhaustive()
    }
}

/// How many threads the process may run at once, as the system told when it was first
/// asked: to ask takes as long as to validate a small module. One where it does not tell.
#[cfg(feature = "std")]
pub fn processors() -> NonZeroUsize {
    static PROCESSORS: std::sync::OnceLock<NonZeroUsize> = std::sync::OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

/// Less code than this is validated by one thread.
#[cfg(feature = "std")]
const CODE_PER_THREAD: usize = 128 << 10;

/// Pieces are about this large: small against the whole, large against the
/// cost of taking one.
const PIECE: usize = 64 << 10;

impl Bodies {
    pub(crate) fn new(
        resources: Option<ValidatorResources>,
        features: Features,
        size: usize,
    ) -> Self {
        Self {
            resources,
            features,
            size,
        }
    }

    /// Validates all bodies, on as many threads as the machine has and the
    /// size of the code deserves.
    ///
    /// `module` and `bytes` must be those that this came with.
    ///
    /// # Errors
    ///
    /// The first rule broken, in the order of the functions, whatever the
    /// number of threads. Bytes of another length are an error too.
    pub fn validate(&self, module: &Module, bytes: &[u8]) -> Result<Summaries> {
        #[cfg(feature = "std")]
        {
            let most = module.code_range().len() / CODE_PER_THREAD;
            if let Some(most) = NonZeroUsize::new(most).filter(|most| most.get() > 1) {
                return self.validate_with(module, bytes, processors().min(most));
            }
        }
        self.validate_here(module, bytes)
    }

    /// Validates all bodies on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Bodies::validate`].
    pub fn validate_here(&self, module: &Module, bytes: &[u8]) -> Result<Summaries> {
        self.validate_with(module, bytes, NonZeroUsize::MIN)
    }

    /// Validates all bodies on at most so many threads, the calling one
    /// included. Without the `std` feature there is only that one.
    ///
    /// # Errors
    ///
    /// As [`Bodies::validate`].
    pub fn validate_with(
        &self,
        module: &Module,
        bytes: &[u8],
        threads: NonZeroUsize,
    ) -> Result<Summaries> {
        if bytes.len() != self.size || module.size() != self.size {
            let message = "the bytes are not those that the module was decoded from";
            return Err(Error::new(ErrorKind::Malformed, 0, message));
        }
        let Some(resources) = &self.resources else {
            return Ok(Summaries::default());
        };
        let job = Job {
            resources,
            module,
            bytes,
            features: self.features,
            flags: self.features.decoder_flags(),
        };
        let count = module.defined_function_count();
        #[cfg(feature = "std")]
        if threads.get() > 1 {
            return job.run_on(threads);
        }
        let _ = threads;
        Ok(Summaries::join(alloc::vec![job.piece(0..count)?]))
    }
}

struct Job<'a> {
    resources: &'a ValidatorResources,
    module: &'a Module,
    bytes: &'a [u8],
    features: Features,
    flags: wasmparser::WasmFeatures,
}

impl Job<'_> {
    /// Cuts the functions into pieces of at least [`PIECE`] bytes, but the last.
    #[cfg_attr(
        not(feature = "std"),
        allow(dead_code, reason = "one thread, one piece")
    )]
    fn pieces(&self) -> Vec<Range<u32>> {
        let mut pieces = Vec::new();
        let (mut start, mut size) = (0, 0);
        for (index, body) in self.module.bodies().iter().enumerate() {
            size += body.range().len();
            if size >= PIECE {
                pieces.push(start..index as u32 + 1);
                (start, size) = (index as u32 + 1, 0);
            }
        }
        let count = self.module.defined_function_count();
        if start < count {
            pieces.push(start..count);
        }
        pieces
    }

    #[cfg(feature = "std")]
    fn run_on(&self, threads: NonZeroUsize) -> Result<Summaries> {
        use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

        let pieces = self.pieces();
        let next = AtomicUsize::new(0);
        let first_failed = AtomicUsize::new(usize::MAX);
        let work = || {
            let mut done: Vec<(usize, Result<SummaryPart>)> = Vec::new();
            loop {
                // Only the values matter; the results travel by the join below.
                let taken = next.fetch_add(1, Relaxed);
                let Some(piece) = pieces.get(taken) else {
                    return done;
                };
                if taken > first_failed.load(Relaxed) {
                    return done;
                }
                let result = self.piece(piece.clone());
                if result.is_err() {
                    first_failed.fetch_min(taken, Relaxed);
                }
                done.push((taken, result));
            }
        };
        let done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads.get().min(pieces.len()))
                .map_while(|_| {
                    std::thread::Builder::new()
                        .name("tepui-validate".into())
                        // No thread to be had is no error: the others do its work.
                        .spawn_scoped(scope, work)
                        .ok()
                })
                .collect();
            let mut done = work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        // Behind the first that failed some may be missing.
        let mut parts: Vec<_> = pieces.iter().map(|_| None).collect();
        for (taken, result) in done {
            parts[taken] = Some(result);
        }
        let parts: Result<Vec<_>> = parts.into_iter().flatten().collect();
        Ok(Summaries::join(parts?))
    }

    fn piece(&self, functions: Range<u32>) -> Result<SummaryPart> {
        let mut notes = Notes::default();
        notes.summary.reserve(functions.len());
        let mut allocations = FuncValidatorAllocations::default();
        for index in functions.map(DefinedFuncIndex::new) {
            let index_in_space = self.module.func_index(index);
            let result = self.function(index, &mut notes, &mut allocations);
            if let Err((kind, error, offset)) = result {
                let refused = notes.refused.map(|refused| (offset, refused));
                return Err(self.failed(index_in_space, kind, &error, refused));
            }
        }
        Ok(notes.summary.finish())
    }

    #[cold]
    fn failed(
        &self,
        index: FuncIndex,
        kind: ErrorKind,
        error: &wasmparser::Error,
        refused: Option<(u64, Refused)>,
    ) -> Error {
        let error = match refused {
            Some((offset, refused)) => refused.at(usize::try_from(offset).unwrap_or(usize::MAX)),
            None => support::explain(self.bytes, self.features, error, kind),
        };
        error.in_function(index, self.module.function_name(self.bytes, index))
    }

    fn function(
        &self,
        index: DefinedFuncIndex,
        notes: &mut Notes,
        allocations: &mut FuncValidatorAllocations,
    ) -> Result<(), (ErrorKind, wasmparser::Error, u64)> {
        let malformed = |error: wasmparser::Error| (ErrorKind::Malformed, error, 0);
        let invalid = |error: wasmparser::Error| (ErrorKind::Invalid, error, 0);

        let body = self.module.body(index);
        let index = self.module.func_index(index);
        let flags = self.flags;
        let mut reader =
            BinaryReader::new_features(&self.bytes[body.range()], u64::from(body.start), flags);
        let mut validator = FuncToValidate {
            resources: self.resources,
            index: index.as_u32(),
            ty: self.module.func_type_index(index).as_u32(),
            features: flags,
        }
        .into_validator(core::mem::take(allocations));

        notes.summary.begin(body.size());
        for _ in 0..reader.read_var_u32().map_err(malformed)? {
            let offset = reader.original_position();
            let count = reader.read_var_u32().map_err(malformed)?;
            let ty: wasmparser::ValType = reader.read().map_err(malformed)?;
            if let Err(what) = support::check_val(ty) {
                notes.refused = Some(what);
                return Err((ErrorKind::Invalid, stop(), offset));
            }
            validator
                .define_locals(offset, count, ty)
                .map_err(invalid)?;
        }
        notes.summary.locals(validator.len_locals());

        let mut cursor = Cursor::new(reader).map_err(malformed)?;
        // In a variable of its own, so that it stays in a register.
        let mut max_height = 0;
        while !cursor.is_at_end() {
            let offset = cursor.offset();
            let valid = {
                let mut pair = Pair {
                    validator: validator.visitor(offset),
                    notes,
                };
                match common(&mut cursor, &mut pair) {
                    Some(valid) => valid,
                    None => cursor.visit(&mut pair).map_err(malformed)?,
                }
            };
            valid.map_err(|error| (ErrorKind::Invalid, error, offset))?;
            max_height = max_height.max(validator.operand_stack_height());
        }
        cursor
            .finish(&validator.visitor(cursor.offset()))
            .map_err(malformed)?;
        notes.summary.end(max_height);
        *allocations = validator.into_allocations();
        Ok(())
    }
}

/// The natural alignments of `i32.load` and the accesses that follow it, as powers of 2.
const MAX_ALIGN: [u8; 23] = [
    2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 2, 3, 2, 3, 0, 1, 0, 1, 2,
];

/// Visits the next instruction if it is a common one, whose bytes are read here: most
/// of the time of the decoder goes into its choice among all instructions. Those that
/// validation does not tell apart are visited as the first of them.
#[inline(always)]
fn common<'a, V>(cursor: &mut Cursor<'a>, visitor: &mut V) -> Option<V::Output>
where
    V: VisitOperator<'a> + FrameStack,
{
    let [opcode, first, second, _] = cursor.peek()?;
    // Behind the end of the body there must be none.
    visitor.current_frame()?;
    let short = first < 0x80;
    let (length, output) = match opcode {
        0x02 if first == 0x40 => (2, visitor.visit_block(BlockType::Empty)),
        0x0b => (1, visitor.visit_end()),
        0x0c if short => (2, visitor.visit_br(first.into())),
        0x0d if short => (2, visitor.visit_br_if(first.into())),
        0x20 if short => (2, visitor.visit_local_get(first.into())),
        0x21 if short => (2, visitor.visit_local_set(first.into())),
        0x22 if short => (2, visitor.visit_local_tee(first.into())),
        // Accesses to the first memory, of all sizes.
        0x28..=0x3e if second < 0x80 => {
            let max_align = MAX_ALIGN[usize::from(opcode - 0x28)];
            if first > max_align {
                return None;
            }
            let memarg = wasmparser::MemArg {
                align: first,
                max_align,
                offset: second.into(),
                target: wasmparser::MemArgTarget::Memory(0),
                ordering: None,
            };
            let output = match opcode {
                0x28 | 0x2c..=0x2f => visitor.visit_i32_load(memarg),
                0x29 | 0x30..=0x35 => visitor.visit_i64_load(memarg),
                0x36 | 0x3a | 0x3b => visitor.visit_i32_store(memarg),
                0x37 | 0x3c..=0x3e => visitor.visit_i64_store(memarg),
                _ => return None,
            };
            (3, output)
        }
        // Constants, of one byte or two: whatever their value.
        0x41 if short => (2, visitor.visit_i32_const(0)),
        0x41 if second < 0x80 => (3, visitor.visit_i32_const(0)),
        0x45 => (1, visitor.visit_i32_eqz()),
        0x46..=0x4f => (1, visitor.visit_i32_eq()),
        0x6a..=0x78 => (1, visitor.visit_i32_add()),
        0x7c..=0x8a => (1, visitor.visit_i64_add()),
        _ => return None,
    };
    cursor.skip(length);
    Some(output)
}

/// An error of the decoder's type, which only it can make, to stop with. What
/// is reported instead is in `refused`.
#[cold]
fn stop() -> wasmparser::Error {
    BinaryReader::new(&[], 0)
        .read_u8()
        .expect_err("nothing can be read from nothing")
}

/// What is learnt on the way.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) summary: SummaryBuilder,
    /// Why an operator was refused, when it was not the validator that did.
    pub(crate) refused: Option<Refused>,
    /// Whether nothing but the validator refuses: to find out which proposal a module
    /// would need.
    pub(crate) lets_all: bool,
}

/// The validator's visitor and the notes, as one visitor. It is made anew for
/// each operator, so it is kept small.
pub(crate) struct Pair<'s, V> {
    pub(crate) validator: V,
    pub(crate) notes: &'s mut Notes,
}

impl<V> Pair<'_, V> {
    #[cold]
    fn refuse(&mut self, refused: Refused) -> wasmparser::Error {
        self.notes.refused = Some(refused);
        stop()
    }
}

impl<V: FrameStack> FrameStack for Pair<'_, V> {
    #[inline]
    fn current_frame(&self) -> Option<FrameKind> {
        self.validator.current_frame()
    }
}

/// An immediate of an operator, looked at before validation.
trait Immediate {
    /// Refuses what this version does not implement and notes what the summary tells.
    #[inline]
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        Ok(())
    }
}

macro_rules! plain_immediates {
    ($($ty:ty),* $(,)?) => { $(impl Immediate for $ty {})* };
}
plain_immediates!(
    u8,
    u32,
    i32,
    i64,
    [u8; 16],
    wasmparser::Ieee32,
    wasmparser::Ieee64,
    wasmparser::V128,
    wasmparser::BrTable<'_>,
    wasmparser::Ordering,
    wasmparser::ResumeTable,
);

impl Immediate for wasmparser::MemArg {
    #[inline]
    fn inspect(&self, summary: &mut SummaryBuilder) -> Result<(), Refused> {
        summary.flag(SummaryFlags::MEMORY_ACCESS);
        Ok(())
    }
}

impl Immediate for wasmparser::BlockType {
    #[inline]
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        support::check_block(*self)
    }
}

impl Immediate for wasmparser::TryTable {
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        support::check_block(self.ty)
    }
}

impl Immediate for wasmparser::ValType {
    #[inline]
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        support::check_val(*self)
    }
}

impl Immediate for Vec<wasmparser::ValType> {
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        self.iter().try_for_each(|&ty| support::check_val(ty))
    }
}

impl Immediate for wasmparser::HeapType {
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        support::check_heap(*self)
    }
}

impl Immediate for wasmparser::RefType {
    fn inspect(&self, _: &mut SummaryBuilder) -> Result<(), Refused> {
        support::check_ref(*self)
    }
}

/// What an operator tells the summary. Operators without an arm tell it
/// nothing beyond their group, immediates and height.
macro_rules! note {
    // What a whole group tells.
    (group threads $s:ident) => {
        $s.flag(SummaryFlags::ATOMICS)
    };
    (group simd $s:ident) => {
        $s.flag(SummaryFlags::SIMD)
    };
    (group relaxed_simd $s:ident) => {
        $s.flag(SummaryFlags::SIMD)
    };
    (group gc $s:ident) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    (group custom_descriptors $s:ident) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    (group function_references $s:ident) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    (group stack_switching $s:ident) => {
        $s.flag(SummaryFlags::STACK_SWITCHING.union(SummaryFlags::MAY_THROW))
    };
    (group $other:ident $s:ident) => {};

    (visit_block $s:ident $($arg:ident)*) => {
        $s.enter()
    };
    (visit_if $s:ident $($arg:ident)*) => {
        $s.enter()
    };
    (visit_loop $s:ident $($arg:ident)*) => {{
        $s.enter();
        $s.enter_loop()
    }};
    (visit_try $s:ident $($arg:ident)*) => {{
        $s.enter();
        $s.flag(SummaryFlags::HAS_TRY)
    }};
    (visit_try_table $s:ident $($arg:ident)*) => {{
        $s.enter();
        $s.flag(SummaryFlags::HAS_TRY)
    }};
    (visit_delegate $s:ident $($arg:ident)*) => {
        $s.leave()
    };
    (visit_end $s:ident) => {
        $s.leave()
    };
    (visit_local_set $s:ident $local:ident) => {
        $s.assign($local)
    };
    (visit_local_tee $s:ident $local:ident) => {
        $s.assign($local)
    };
    (visit_global_set $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::GLOBAL_SET)
    };
    (visit_call $s:ident $($arg:ident)*) => {{
        $s.current.direct_calls += 1;
        $s.flag(CALL)
    }};
    (visit_return_call $s:ident $($arg:ident)*) => {{
        $s.current.direct_calls += 1;
        $s.flag(TAIL_CALL)
    }};
    (visit_call_indirect $s:ident $($arg:ident)*) => {{
        $s.current.indirect_calls += 1;
        $s.flag(CALL.union(SummaryFlags::TABLES))
    }};
    (visit_return_call_indirect $s:ident $($arg:ident)*) => {{
        $s.current.indirect_calls += 1;
        $s.flag(TAIL_CALL.union(SummaryFlags::TABLES))
    }};
    (visit_call_ref $s:ident $($arg:ident)*) => {{
        $s.current.ref_calls += 1;
        $s.flag(CALL)
    }};
    (visit_return_call_ref $s:ident $($arg:ident)*) => {{
        $s.current.ref_calls += 1;
        $s.flag(TAIL_CALL)
    }};
    (visit_throw $s:ident $($arg:ident)*) => {
        $s.flag(THROW)
    };
    (visit_throw_ref $s:ident $($arg:ident)*) => {
        $s.flag(THROW)
    };
    (visit_rethrow $s:ident $($arg:ident)*) => {
        $s.flag(THROW)
    };
    (visit_br_table $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::BR_TABLE)
    };
    (visit_memory_grow $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_GROW)
    };
    (visit_memory_size $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_BULK)
    };
    (visit_memory_init $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_BULK)
    };
    (visit_memory_copy $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_BULK)
    };
    (visit_memory_fill $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_BULK)
    };
    (visit_data_drop $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::MEMORY_BULK)
    };
    (visit_table_get $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_set $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_grow $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_size $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_fill $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_copy $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_table_init $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_elem_drop $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::TABLES)
    };
    (visit_ref_null $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    (visit_ref_is_null $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    (visit_ref_func $s:ident $($arg:ident)*) => {
        $s.flag(SummaryFlags::REFERENCES)
    };
    ($other:ident $s:ident $($arg:ident)*) => {};
}

const CALL: SummaryFlags = SummaryFlags::CALLS.union(SummaryFlags::MAY_THROW);
const TAIL_CALL: SummaryFlags = CALL.union(SummaryFlags::TAIL_CALLS);
const THROW: SummaryFlags = SummaryFlags::THROWS.union(SummaryFlags::MAY_THROW);

/// A `loop` ends at an `end` whose frame is a loop's, which only the validator
/// knows, and only before it sees the `end`.
macro_rules! closes_loop {
    (visit_end $pair:ident) => {
        $pair.notes.summary.in_loop() && $pair.validator.current_frame() == Some(FrameKind::Loop)
    };
    ($other:ident $pair:ident) => {
        false
    };
}

macro_rules! define_pair {
    ($(@$group:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(
            #[inline(always)]
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                const REFUSED: Option<crate::Proposal> = {
                    let proposal: Option<crate::Proposal> = proposal_of_group!($group);
                    match proposal {
                        Some(proposal) if !proposal.is_implemented() => Some(proposal),
                        _ => None,
                    }
                };
                if let Some(proposal) = REFUSED
                    && !self.notes.lets_all
                {
                    let name = operator_name(stringify!($visit));
                    return Err(self.refuse(Refused::new(proposal, "instruction", name)));
                }
                $($(
                    if let Err(refused) = Immediate::inspect(&$arg, &mut self.notes.summary)
                        && !self.notes.lets_all
                    {
                        return Err(self.refuse(refused));
                    }
                )*)?
                let closes_loop = closes_loop!($visit self);
                self.validator.$visit($($($arg),*)?)?;
                let summary = &mut self.notes.summary;
                let _ = &summary;
                if closes_loop {
                    summary.leave_loop();
                }
                note!(group $group summary);
                note!($visit summary $($($arg)*)?);
                Ok(())
            }
        )*
    };
}

impl<'a, V> VisitOperator<'a> for Pair<'_, V>
where
    V: VisitOperator<'a, Output = wasmparser::Result<()>> + FrameStack,
{
    type Output = wasmparser::Result<()>;

    #[cfg(feature = "simd")]
    #[inline]
    fn simd_visitor(
        &mut self,
    ) -> Option<&mut dyn VisitSimdOperator<'a, Output = wasmparser::Result<()>>> {
        // Vector operators go to the validator alone: that they are there, and
        // may access memory, is all that the summary says of them.
        self.notes
            .summary
            .flag(SummaryFlags::SIMD.union(SummaryFlags::MEMORY_ACCESS));
        self.validator.simd_visitor()
    }

    wasmparser::for_each_visit_operator!(define_pair);
}

#[cfg(feature = "simd")]
macro_rules! check_simd_groups {
    ($(@$group:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(const _: () = {
            let proposal: Option<crate::Proposal> = proposal_of_group!($group);
            assert!(matches!(
                proposal,
                Some(crate::Proposal::Simd | crate::Proposal::RelaxedSimd)
            ));
        };)*
    };
}
// Vector operators are passed on unseen, so their proposals must be implemented.
#[cfg(feature = "simd")]
wasmparser::for_each_visit_simd_operator!(check_simd_groups);
