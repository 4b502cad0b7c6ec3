//! How does a body become code in one pass? The state of a compilation, its
//! main loop, and the values that are known while compiling.
//!
//! # Values
//!
//! The operand stack exists while compiling only, as [`Entry`]s: a constant, a
//! local that has not been read yet, a register, or the entry's *home* in the
//! frame. Locals have homes too, and may be cached in a register, *dirty* when
//! the home is out of date.
//!
//! # Invariants
//!
//! * A register belongs to at most one entry of the stack or one local.
//! * An entry that names a local holds the local's present value: before a
//!   local is assigned, entries that name it are read.
//! * At most [`UNSETTLED`] entries at the top are anything but homes, so that
//!   looking for the owner of a register, or for entries that name a local, is
//!   bounded.
//! * At the start of a block everything on the stack is in its home. What is
//!   live across a branch besides is locals in registers, of which there are
//!   few: a merge costs time by the number of registers, never by that of
//!   locals or nested blocks.
//! * A 32-bit integer in a register or home has zeros above.
//!
//! # Cost
//!
//! Linear in the size of the body; memory too.

mod atomic;
mod call;
mod common;
mod control;
mod memory;
mod profile;
mod simd;
mod state;
mod table;
mod visit;

use tepui_abi::convention::Representation;
use tepui_abi::layout::{MemoryLayout, StoreLayout};
use tepui_abi::metadata::{FunctionMetadata, SourcePosition, TrapSite};
use tepui_abi::{
    CompileError, CompiledFunction, Entry as FunctionEntry, FunctionInput, MemoryPlace,
    MemoryStyle, Plan, Relocation, Trap, Tunables,
};
use tepui_module::{Cursor, FuncType, MemoryIndex, Module, NestingVisitor};

use crate::CpuFeatures;
use crate::masm::{Assembler, Condition, Frame, Label, Reach, Size};
use crate::reg::Reg;
use control::{Block, State};
use memory::MemoryFacts;
use profile::Counting;

/// Entries at the top of the stack that may be elsewhere than at home.
pub(crate) const UNSETTLED: usize = 48;

/// Bytes that a frame may take.
const GREATEST_FRAME: u32 = 1 << 26;

/// Bytes of a page that makes a stack grow.
pub(crate) const PROBED_PAGE: u32 = 4096;

/// Why a compilation ended early.
pub(crate) struct Stop(Box<str>);

impl Stop {
    pub(crate) fn new(message: impl Into<Box<str>>) -> Stop {
        Stop(message.into())
    }
}

impl From<wasmparser::BinaryReaderError> for Stop {
    fn from(error: wasmparser::BinaryReaderError) -> Stop {
        Stop(error.to_string().into())
    }
}

pub(crate) type Step<T = ()> = Result<T, Stop>;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// Bits of an integer or float.
    Const(u64),
    /// The value of a local.
    Local(u32),
    Reg(Reg),
    /// In the frame: at home on the stack, or wherever it was put.
    Home(i32),
    /// Nowhere yet: the flags say it. Only the top of the stack.
    Flags(Condition),
}

/// A value on the operand stack, in two words: a [`Place`] with its contents at different
/// offsets would be taken apart and put together by every copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The contents of the place, but for a condition.
    bits: u64,
    /// Bytes from the frame pointer down to its home.
    pub(crate) end: u32,
    pub(crate) repr: Representation,
    kind: Kind,
    condition: Condition,
}

/// Which place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Const,
    Local,
    Reg,
    Home,
    Flags,
}

impl Entry {
    #[inline(always)]
    pub(crate) fn new(place: Place, repr: Representation, end: u32) -> Entry {
        let (kind, bits, condition) = match place {
            Place::Const(bits) => (Kind::Const, bits, Condition::ANY),
            Place::Local(local) => (Kind::Local, local.into(), Condition::ANY),
            Place::Reg(reg) => (Kind::Reg, reg.index() as u64, Condition::ANY),
            Place::Home(at) => (Kind::Home, u64::from(at as u32), Condition::ANY),
            Place::Flags(condition) => (Kind::Flags, 0, condition),
        };
        Entry {
            bits,
            end,
            repr,
            kind,
            condition,
        }
    }

    #[inline(always)]
    pub(crate) fn place(self) -> Place {
        match self.kind {
            Kind::Const => Place::Const(self.bits),
            Kind::Local => Place::Local(self.bits as u32),
            Kind::Reg => Place::Reg(Reg::from_index(self.bits as u32)),
            Kind::Home => Place::Home(self.bits as i32),
            Kind::Flags => Place::Flags(self.condition),
        }
    }

    #[inline(always)]
    pub(crate) fn set_place(&mut self, place: Place) {
        *self = Entry::new(place, self.repr, self.end);
    }
}

/// A local.
#[derive(Clone, Copy, Debug)]
struct Local {
    repr: Representation,
    /// Bytes from the frame pointer down to its home.
    end: u32,
    /// The register that it is cached in.
    reg: Option<Reg>,
    /// Entries of the stack that name it.
    named: u16,
}

/// Whose a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    None,
    Entry(u32),
    Local(u32),
}

/// A value in a register, taken from the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) reg: Reg,
    /// Nobody else needs the register's value.
    pub(crate) owned: bool,
}

/// From where to where a value in a register is moved.
pub(crate) type Move = (Reg, Reg, Representation);

/// Jumps out of the function that are emitted at its end, when it is known
/// which registers the frame has saved.
enum Exit {
    /// To the code in the scratch register.
    Scratch,
    /// To a function of the batch.
    Direct(tepui_module::DefinedFuncIndex),
    /// From a hot loop to an entry at it, with the buffer in the scratch register.
    HotLoop,
}

/// What compilations use one after another, because it owns memory.
#[derive(Default)]
pub(crate) struct Workspace<A> {
    masm: A,
    stack: Vec<Entry>,
    locals: Vec<Local>,
    blocks: Vec<Block>,
    states: Vec<State>,
    free_states: Vec<u32>,
    moves: Vec<Move>,
}

impl<A: Assembler> Workspace<A> {
    /// Whether it is small enough to be kept.
    pub(crate) fn is_small(&self) -> bool {
        self.masm.capacity() < 1 << 20
            && self.locals.capacity() < 1 << 12
            && self.blocks.capacity() < 1 << 12
            && self.states.capacity() < 1 << 12
            && self.stack.capacity() < 1 << 12
    }
}

/// The state of a compilation.
pub(crate) struct Function<'a, A> {
    module: &'a Module,
    plan: &'a Plan,
    bytes: &'a [u8],
    input: &'a FunctionInput<'a>,
    tunables: &'a Tunables,
    store_layout: StoreLayout,
    func_type: &'a FuncType,
    /// Whether a call was met.
    calls: bool,
    masm: A,

    stack: Vec<Entry>,
    /// Entries below are at home.
    settled: usize,
    locals: Vec<Local>,
    /// Bytes below the frame pointer that locals take.
    locals_end: u32,
    /// The most bytes below the frame pointer that were used.
    deepest: u32,

    owners: [Owner; 64],
    /// Registers that hold entries, and locals.
    temps: u64,
    cached: u64,
    dirty: u64,
    /// Registers that the instruction at hand uses.
    locked: u64,
    allocatable: u64,
    /// Callee-saved registers that were used.
    saved: u64,
    /// Which register to take next when all are taken.
    turn: u32,

    blocks: Vec<Block>,
    /// Those of open blocks, and some that are free: from `states_used` on, and
    /// those that are listed.
    states: Vec<State>,
    states_used: usize,
    free_states: Vec<u32>,
    /// Those at hand; a list that is kept for its memory.
    moves: Vec<Move>,
    reachable: bool,
    skipped: u32,
    loops: u32,
    open_loops: u32,
    fuel: u64,
    position: u32,
    flags_pending: bool,
    memory: Option<MemoryFacts>,
    /// Offsets below this need no check in memory 0, whose base is then in its
    /// register.
    plain_offsets: u64,
    epilogue: Label,
    exits: Vec<(Label, Exit)>,
    relocations: Vec<Relocation>,
    /// Where the code of each instruction begins, when somebody wants to look.
    listing: Option<Vec<(u32, u32)>>,
    counting: Option<Counting>,
}

pub(crate) fn is_float(repr: Representation) -> bool {
    matches!(
        repr,
        Representation::F32 | Representation::F64 | Representation::V128
    )
}

pub(crate) fn size_of(repr: Representation) -> Size {
    match repr {
        Representation::I32 => Size::S32,
        _ => Size::S64,
    }
}

/// Compiles one function.
pub(crate) fn compile<A: Assembler>(
    input: &FunctionInput<'_>,
    cpu: CpuFeatures,
    tunables: &Tunables,
    workspace: &mut Workspace<A>,
    mut listing: Option<&mut Vec<(u32, u32)>>,
) -> Result<CompiledFunction, CompileError> {
    let mut position = None;
    let mut reach = Reach::Near;
    let stop = loop {
        let listing = listing.as_deref_mut();
        match run(
            input,
            cpu,
            reach,
            tunables,
            workspace,
            listing,
            &mut position,
        ) {
            Ok(Some(function)) => return Ok(function),
            Ok(None) if reach == Reach::Near => reach = Reach::Far,
            Ok(None) => break Stop::new("a jump of the function does not reach its aim"),
            Err(stop) => break stop,
        }
    };
    Err(CompileError {
        function: input.function,
        offset: position,
        message: stop.0.into(),
    })
}

/// Makes the code; `None` when the reach is too short.
fn run<A: Assembler>(
    input: &FunctionInput<'_>,
    cpu: CpuFeatures,
    reach: Reach,
    tunables: &Tunables,
    workspace: &mut Workspace<A>,
    listing: Option<&mut Vec<(u32, u32)>>,
    position: &mut Option<usize>,
) -> Step<Option<CompiledFunction>> {
    let module = input.module;
    if let FunctionEntry::Loop { .. } = input.entry {
        return Err(Stop::new(
            "the baseline compiler makes no entries in the middle of loops",
        ));
    }
    let body = module
        .body_reader(input.bytes, input.function)
        .ok_or_else(|| Stop::new("the module's bytes end before the function's body does"))?;
    let func_type = module.func_type(module.func_index(input.function));
    let mut masm = std::mem::take(&mut workspace.masm);
    masm.begin(cpu, reach);
    let epilogue = masm.label();
    let mut function = Function {
        module,
        plan: input.plan,
        bytes: input.bytes,
        input,
        tunables,
        store_layout: StoreLayout::new(input.plan.layout.target()),
        func_type,
        calls: false,
        masm,
        stack: std::mem::take(&mut workspace.stack),
        settled: 0,
        locals: std::mem::take(&mut workspace.locals),
        locals_end: 0,
        deepest: 0,
        owners: [Owner::None; 64],
        temps: 0,
        cached: 0,
        dirty: 0,
        locked: 0,
        allocatable: A::CALLER_SAVED | A::CALLEE_SAVED | A::VECTORS,
        saved: 0,
        turn: 0,
        blocks: std::mem::take(&mut workspace.blocks),
        states: std::mem::take(&mut workspace.states),
        states_used: 0,
        free_states: std::mem::take(&mut workspace.free_states),
        moves: std::mem::take(&mut workspace.moves),
        reachable: true,
        skipped: 0,
        loops: 0,
        open_loops: 0,
        fuel: 0,
        position: 0,
        flags_pending: false,
        memory: None,
        plain_offsets: 0,
        epilogue,
        exits: Vec::new(),
        relocations: Vec::new(),
        listing: listing.is_some().then(Vec::new),
        counting: tunables.profile.then(Counting::default),
    };
    function.stack.clear();
    function.locals.clear();
    function.blocks.clear();
    function.free_states.clear();
    let result = function.body(&body);
    *position = Some(function.position as usize);
    let result = match result {
        Ok(()) => function.finish(),
        Err(stop) => Err(stop),
    };
    if let (Some(listing), Some(made)) = (listing, function.listing) {
        *listing = made;
    }
    workspace.masm = function.masm;
    workspace.stack = function.stack;
    workspace.locals = function.locals;
    workspace.blocks = function.blocks;
    workspace.states = function.states;
    workspace.free_states = function.free_states;
    workspace.moves = function.moves;
    result
}

impl<A> wasmparser::FrameStack for Function<'_, A> {
    fn current_frame(&self) -> Option<wasmparser::FrameKind> {
        // Asked for whether there is one, and when there is an `else`; the body
        // is valid.
        (!self.blocks.is_empty()).then_some(wasmparser::FrameKind::If)
    }
}

impl<'a, A: Assembler> Function<'a, A> {
    fn body(&mut self, body: &wasmparser::FunctionBody<'a>) -> Step {
        self.choose_memory_base();
        let mut locals = body.get_locals_reader()?;
        for ty in &self.func_type.params {
            self.declare_local(Representation::of(*ty));
        }
        let zeros_from = self.locals_end;
        for _ in 0..locals.get_count() {
            self.position = locals.original_position() as u32;
            let (count, ty) = locals.read()?;
            let repr = Representation::of(self.module.val_type(ty));
            for _ in 0..count {
                self.declare_local(repr);
            }
        }
        self.deepest = self.locals_end;
        self.load_parameters();
        self.masm
            .zero_frame(self.locals_end, self.locals_end - zeros_from);
        self.blocks.push(Block::function());
        let mut cursor = Cursor::new(body.get_binary_reader_for_operators()?)?;
        // What happens at the entry happens at the first instruction.
        self.position = cursor.offset() as u32;
        self.count_entry();
        self.check_meters();

        let looks_at_opcodes = self.tunables.fuel || self.listing.is_some();
        while !cursor.is_at_end() {
            self.position = cursor.offset() as u32;
            if !self.reachable {
                self.skip(cursor.visit(&mut NestingVisitor)?)?;
                continue;
            }
            if self.flags_pending || looks_at_opcodes {
                self.before_operator();
            }
            self.masm.notes().wasm_position = self.position;
            self.locked = 0;
            match self.visit_common(&mut cursor) {
                Some(step) => step?,
                None => cursor.visit(self)??,
            }
            self.assert_sound();
            if self.stack.len() - self.settled > UNSETTLED {
                let upto = self.stack.len() - UNSETTLED / 2;
                self.settle_below(upto);
            }
        }
        cursor.finish(self)?;
        Ok(())
    }

    /// What is to be done before some instructions.
    fn before_operator(&mut self) {
        let opcode = self.bytes.get(self.position as usize).copied();
        let opcode = opcode.unwrap_or(0);
        // Only these can use a comparison that is still in the flags: `if`,
        // `br_if`, `select`, `i32.eqz`.
        if self.flags_pending && !matches!(opcode, 0x04 | 0x0d | 0x1b | 0x45) {
            self.settle_flags();
        }
        if self.tunables.fuel {
            self.fuel += tepui_abi::fuel::cost(opcode);
        }
        if let Some(listing) = &mut self.listing {
            listing.push((self.masm.position(), self.position));
        }
    }

    /// Keeps the base of memory 0 in its register when it never moves.
    fn choose_memory_base(&mut self) {
        if self.module.memories().is_empty() {
            self.allocatable |= A::MEMORY_BASE.bit();
            return;
        }
        let facts = self.memory_facts(0);
        if !facts.never_moves {
            self.allocatable |= A::MEMORY_BASE.bit();
            return;
        }
        self.memory = Some(facts);
        if let MemoryStyle::Guarded { reservation, guard } = facts.style {
            // The widest access is of 16 bytes.
            self.plain_offsets = reservation
                .saturating_add(guard)
                .saturating_sub(u64::from(u32::MAX))
                .min(facts.ty.byte_limit())
                .min(i32::MAX as u64)
                .saturating_sub(16);
        }
    }

    /// Bytes from the frame pointer down to the home of a value that lies above
    /// what ends after `end` bytes.
    pub(super) fn home_above(end: u32, repr: Representation) -> u32 {
        A::HOMES.next(end, repr)
    }

    fn declare_local(&mut self, repr: Representation) {
        self.locals_end = Self::home_above(self.locals_end, repr);
        self.locals.push(Local {
            repr,
            end: self.locals_end,
            reg: None,
            named: 0,
        });
    }

    /// Puts the code together.
    fn finish(&mut self) -> Step<Option<CompiledFunction>> {
        let deepest = self.deepest;
        self.saved |= self.masm.also_saved();
        let saved_bytes = 8 * self.saved.count_ones();
        let bytes = (deepest + saved_bytes).next_multiple_of(16);
        if bytes > GREATEST_FRAME || deepest > GREATEST_FRAME {
            return Err(Stop::new("the function's frame is too large"));
        }
        let layout = &self.plan.layout;
        let memory = self
            .memory
            .filter(|_| self.saved & A::MEMORY_BASE.bit() != 0)
            .map(|facts| facts.base_at);
        let frame = Frame {
            bytes,
            saved: self.saved,
            check: (self.calls || bytes > 256).then_some((
                layout.store_context() as i32,
                self.store_layout.stack_limit() as i32,
            )),
            probes: if self.tunables.stack_probes {
                bytes / PROBED_PAGE
            } else {
                0
            },
            memory,
        };
        if let Some(listing) = &mut self.listing {
            listing.push((self.masm.position(), self.position + 1));
        }
        self.masm.bind(self.epilogue);
        self.masm.epilogue(&frame);
        for (label, exit) in std::mem::take(&mut self.exits) {
            self.masm.bind(label);
            match exit {
                Exit::Scratch => self.masm.tail_to_scratch(&frame),
                Exit::Direct(target) => {
                    let offset = self.masm.tail_direct(&frame);
                    self.relocations.push(Relocation {
                        offset,
                        kind: A::CALL_RELOCATION,
                        target,
                    });
                }
                Exit::HotLoop => {
                    self.pass_buffer();
                    self.masm.tail_to_scratch(&frame);
                }
            }
        }
        self.masm.emit_stubs();
        if let Some(listing) = &mut self.listing {
            // What follows is no code.
            listing.push((self.masm.position(), self.position + 1));
        }
        if self.masm.position() > A::GREATEST_CODE {
            return Err(Stop::new("the function's code is too large"));
        }
        let prologue = self.masm.prologue(&frame);
        let shift = prologue.code.len() as u32;
        let Some(code) = self.masm.finish(&prologue.code) else {
            return Ok(None);
        };

        let notes = self.masm.notes();
        let mut traps = Vec::with_capacity(notes.sites.len() + 1);
        traps.extend(prologue.overflow.map(|offset| TrapSite {
            offset,
            trap: Trap::StackOverflow,
        }));
        traps.extend(notes.sites.iter().map(|site| TrapSite {
            offset: site.offset + shift,
            trap: site.trap,
        }));
        let mut positions = Vec::with_capacity(notes.positions.len() + 1);
        positions.push(SourcePosition {
            offset: 0,
            wasm: SourcePosition::NONE,
        });
        positions.extend(notes.positions.iter().map(|(offset, wasm)| SourcePosition {
            offset: offset + shift,
            wasm: *wasm,
        }));
        for (offset, _) in self.listing.iter_mut().flatten() {
            *offset += shift;
        }
        let mut relocations = std::mem::take(&mut self.relocations);
        for relocation in &mut relocations {
            relocation.offset += shift;
        }
        Ok(Some(CompiledFunction {
            code,
            alignment: 16,
            relocations,
            metadata: FunctionMetadata {
                traps,
                positions,
                frame_bytes: frame.bytes,
                profile: self.counting.take().map(Counting::into_metadata),
            },
        }))
    }

    fn trap_now(&mut self, trap: Trap) {
        self.masm.trap(trap);
        self.unreachable();
    }

    /// What follows in the block at hand cannot be reached.
    fn unreachable(&mut self) {
        self.reachable = false;
        self.fuel = 0;
        let height = self.blocks.last().map_or(0, |block| block.height as usize);
        self.forget(height);
    }

    fn memory_facts(&self, memory: u32) -> MemoryFacts {
        let index = MemoryIndex::new(memory);
        let ty = *self.module.memory(index);
        let plan = *self.plan.memory(index);
        let (pointer, definition) = match plan.place {
            MemoryPlace::Direct(number) => (None, self.plan.layout.direct_memory(number) as i32),
            MemoryPlace::Indirect(number) => {
                (Some(self.plan.layout.indirect_memory(number) as i32), 0)
            }
        };
        let layout = MemoryLayout::new(self.plan.layout.target());
        let is_fixed = ty.page_limit() == ty.minimum;
        MemoryFacts {
            ty,
            style: plan.style,
            base_at: (pointer, definition + layout.base() as i32),
            length_at: (pointer, definition + layout.length() as i32),
            never_moves: matches!(plan.style, MemoryStyle::Guarded { .. }) || ty.shared || is_fixed,
            length: if is_fixed { ty.minimum_bytes() } else { None },
        }
    }
}
