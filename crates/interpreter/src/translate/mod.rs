//! How does a Wasm body become bytecode? The state of a translation, and what
//! all parts of it use.
//!
//! One pass, driven by the decoder's visitor. The operand stack is modelled:
//! each entry is a **temporary** (a slot of the frame that belongs to this height
//! of the stack, its *home*), a **local** that was read and not yet assigned
//! since, or a **constant**. Instructions are given locals where they lie.
//!
//! * An assignment to a local first saves entries that still stand for its old
//!   value to their homes.
//! * Where control flow meets, values are in their homes. Before a block begins,
//!   entries that stand for locals are saved, so that all paths agree.
//! * The result of the last instruction goes straight to the local that it is
//!   assigned to, and a comparison whose result is only branched on becomes part
//!   of the branch: both by changing the instruction that was written last, if no
//!   branch leads to just behind it.
//!
//! | file | instructions |
//! |---|---|
//! | `visit` | the list of all instructions |
//! | `fuse` | instructions that become one with the one before |
//! | `control` | blocks, branches, returns |
//! | `call` | calls |
//! | `memory` | memories, tables, globals, atomics |
//!
//! # What real programs do
//!
//! Counts by `examples/count.rs` over QuickJS, SQLite, zstd, ripgrep, jaq and five
//! Rust programs, 4.2 million instructions, each once where it stands:
//!
//! | instructions | share | what is made of them |
//! |---|---|---|
//! | `local.get` | 26.8 % | nothing: operands name locals |
//! | constants | 14.7 % | nothing: operands of arithmetic, comparisons, stores, returns |
//! | `block`, `loop`, `end`, `else`, `br` | 11.7 % | nothing but the jumps |
//! | arithmetic | 9.7 % | one instruction; 7.1 % have a constant on the right |
//! | loads, stores | 12.8 % | one instruction; 6.0 % load at a local, 1.3 % store a constant |
//! | `local.set`, `local.tee` | 9.7 % | 6.7 % follow the instruction that makes the value: nothing |
//! | comparison or `eqz`, then a branch | 4.0 % | one instruction; 1.9 % compare with a constant |
//! | calls | 2.7 % | one instruction; arguments are computed in place |

mod call;
mod control;
mod fuse;
mod memory;
mod skip;
mod visit;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tepui_abi::{Plan, Tunables};
use tepui_module::{DefinedFuncIndex, FuncType, Module, TypeIndex, ValType};

use self::skip::Skip;
use crate::code::{FunctionCode, FunctionEntry, TranslateError};
use crate::dispatch::{HANDLER_WORDS, Handler, put_address};
use crate::handlers::control as op;
use crate::handlers::{number, vector};
#[cfg(feature = "images")]
use crate::numbers::Numbers;
use crate::ops::{
    Binary, Canonical, Canonicalize, Compare, Doubles, Extract, Number, Replace, Singles, Ternary,
    Test, TryBinary, TryUnary, Unary,
};
use crate::state::HEADER_BYTES;
use crate::value::{Class, Constant, Kept, Slot, Stored, Value};

/// What a translation is given.
pub(crate) struct Input<'a> {
    pub(crate) module: &'a Module,
    pub(crate) bytes: &'a [u8],
    pub(crate) plan: &'a Plan,
    pub(crate) tunables: &'a Tunables,
    pub(crate) entries: &'a [FunctionEntry],
    pub(crate) function: DefinedFuncIndex,
    /// For an image: instructions are plain, and numbers instead of addresses.
    #[cfg(feature = "images")]
    pub(crate) numbers: Option<&'a Numbers>,
}

impl Input<'_> {
    #[inline(always)]
    fn numbers(&self) -> Option<&Numbers> {
        #[cfg(feature = "images")]
        return self.numbers;
        #[cfg(not(feature = "images"))]
        None
    }
}

/// What image a translation without images is for.
#[cfg(not(feature = "images"))]
enum Numbers {}

#[cfg(not(feature = "images"))]
impl Numbers {
    fn handler_words(&self) -> usize {
        match *self {}
    }

    fn of(&self, _: Handler) -> Option<u32> {
        match *self {}
    }
}

/// Why a translation ended early.
pub(crate) struct Stop(Box<str>);

impl Stop {
    fn new(message: &str) -> Stop {
        Stop(message.into())
    }
}

impl From<wasmparser::BinaryReaderError> for Stop {
    fn from(error: wasmparser::BinaryReaderError) -> Stop {
        Stop(error.to_string().into())
    }
}

pub(crate) type Step<T = ()> = Result<T, Stop>;

/// The most bytes of a frame, and the most words of bytecode of a function: what
/// operands can name.
const LIMIT: usize = 1 << 28;

/// Whether instructions have other forms than the plain one: operands that are
/// slots, a result that is written to a slot.
const FUSED: bool = cfg!(feature = "fused");

/// Why other forms are not asked for.
const ONE_FORM: &str = "this build has one form of each instruction";

/// The most words of an instruction that may be taken back.
const LONGEST: usize = 16;

/// Bytes of a slot.
const SLOT: i32 = 8;

/// What an entry of the operand stack stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Temporary,
    Local(u32),
    /// A number; narrow ones zero-extended.
    Constant(u64),
}

/// An entry of the operand stack.
#[derive(Clone, Copy)]
struct Entry {
    kind: Kind,
    /// Its slot.
    home: i32,
    /// Whether it takes two slots.
    wide: bool,
}

/// A local.
#[derive(Clone, Copy)]
struct Local {
    place: i32,
    wide: bool,
    /// Entries of the stack that stand for it.
    readers: u32,
}

/// The instruction that was written last, if it gives a result.
#[derive(Clone, Copy)]
struct Last {
    start: usize,
    end: usize,
    /// The operand that says where the result goes, if that may still be changed.
    result: Option<usize>,
    /// The slot that the result goes to.
    place: i32,
    /// Where it is kept at hand.
    class: Class,
    /// The instruction without its last operand, the slot: only keeps the result.
    unstored: Option<Handler>,
    /// For a comparison: the branches when it holds, and when it does not.
    branches: Option<[Handler; 2]>,
    /// What it computes, if another may be fused with it.
    shape: Option<fuse::Shape>,
    /// Where the instruction just before it starts, if both add a constant to a
    /// slot.
    before: Option<usize>,
}

/// A handler that gives a result which is kept at hand, in both forms.
#[derive(Clone, Copy)]
struct Giving {
    stored: Handler,
    unstored: Option<Handler>,
}

/// What only builds with all forms have: `None` in others, which then do not even
/// mention it.
macro_rules! fused {
    ($some:expr) => {{
        #[cfg(feature = "fused")]
        let some: Option<$crate::dispatch::Handler> = Some($some);
        #[cfg(not(feature = "fused"))]
        let some: Option<$crate::dispatch::Handler> = None;
        some
    }};
}
pub(crate) use fused;

/// Both forms of a handler whose last parameter says where the result goes.
macro_rules! giving {
    ($($handler:ident)::+ $(<$($parameter:ty),*>)?) => {
        $crate::translate::Giving {
            stored: $($handler)::+::<$($($parameter,)*)? $crate::value::Stored>,
            unstored: $crate::translate::fused!(
                $($handler)::+::<$($($parameter,)*)? $crate::value::Unstored>
            ),
        }
    };
}
pub(crate) use giving;

/// What is to be known of the type of an operand. Methods that are the same for many
/// types take this instead of a parameter, so that there is one copy of them.
#[derive(Clone, Copy)]
struct Operand {
    /// Where it is kept at hand.
    class: Class,
    /// Words that a constant takes.
    immediate: usize,
}

impl Operand {
    fn of<V: Value>() -> Operand {
        Operand {
            class: V::CLASS,
            immediate: V::IMMEDIATE,
        }
    }
}

/// The handlers of an instruction with two operands, and of the branches on it if it
/// is a comparison, by where the operands are.
type BySources<'h> = &'h mut dyn FnMut(Sources) -> (Giving, Option<[Handler; 2]>);

/// Where an operand is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Slot,
    Kept,
    Constant,
}

/// Where two operands are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sources {
    SlotSlot,
    KeptSlot,
    SlotKept,
    SlotConstant,
    KeptConstant,
    ConstantSlot,
    ConstantKept,
}

/// The handlers of a binary instruction, by [`Sources`].
fn binaries<O: Binary>(sources: Sources) -> Giving {
    match sources {
        Sources::SlotSlot => giving!(number::binary<O, Slot, Slot>),
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        Sources::KeptSlot => giving!(number::binary<O, Kept, Slot>),
        Sources::SlotKept => giving!(number::binary<O, Slot, Kept>),
        Sources::SlotConstant => giving!(number::binary<O, Slot, Constant>),
        Sources::KeptConstant => giving!(number::binary<O, Kept, Constant>),
        Sources::ConstantSlot => giving!(number::binary<O, Constant, Slot>),
        Sources::ConstantKept => giving!(number::binary<O, Constant, Kept>),
    }
}

/// The branches on a comparison, by [`Sources`]: when it holds, and when not.
fn branches<C: Compare>(sources: Sources) -> [Handler; 2] {
    macro_rules! both {
        ($a:ty, $b:ty) => {
            [
                number::branch::<C, $a, $b, true>,
                number::branch::<C, $a, $b, false>,
            ]
        };
    }
    match sources {
        Sources::SlotSlot => both!(Slot, Slot),
        _ if !FUSED => unreachable!("{ONE_FORM}"),
        Sources::KeptSlot => both!(Kept, Slot),
        Sources::SlotKept => both!(Slot, Kept),
        Sources::SlotConstant => both!(Slot, Constant),
        Sources::KeptConstant => both!(Kept, Constant),
        Sources::ConstantSlot => both!(Constant, Slot),
        Sources::ConstantKept => both!(Constant, Kept),
    }
}

/// The state of a translation.
struct Translator<'a> {
    input: &'a Input<'a>,
    module: &'a Module,
    func_type: &'a FuncType,
    words: Vec<u32>,
    stack: Vec<Entry>,
    /// Entries below stand for no local.
    settled: usize,
    /// Where the next temporary lies, and the end of the frame so far.
    top: i32,
    frame: i32,
    locals: Vec<Local>,
    control: Vec<control::Block>,
    last: Option<Last>,
    /// Copies of slots that were written last: where the instruction starts and
    /// ends, and how many it makes.
    copies: Option<(usize, usize, usize)>,
    /// The instruction of the body that is being translated, and where those
    /// before begin in the bytecode: only when a position is looked for.
    position: usize,
    starts: Option<Vec<(usize, usize)>>,
    /// Whether the instruction at hand can be reached.
    reachable: bool,
    /// Blocks opened inside unreachable code.
    skipped: u32,
    /// Costs not charged yet.
    fuel: u64,
    /// Bytes of the own area.
    area: i32,
    /// Scratch for copies: to, from.
    moves: Vec<(i32, Entry)>,
}

/// Bytes that values of these types take.
fn bytes_of(types: &[ValType]) -> i32 {
    types
        .iter()
        .map(|ty| if is_wide(*ty) { 2 * SLOT } else { SLOT })
        .sum()
}

fn is_wide(ty: ValType) -> bool {
    ty == ValType::V128
}

/// Bytes of the area of functions of a type.
fn area_of(ty: &FuncType) -> i32 {
    bytes_of(&ty.params).max(bytes_of(&ty.results))
}

/// Translates a function.
pub(crate) fn translate(input: &Input<'_>) -> Result<FunctionCode, TranslateError> {
    let (translator, _) = run(input, usize::MAX).map_err(|Stop(message)| TranslateError {
        function: input.function,
        message: String::from(message),
    })?;
    Ok(FunctionCode {
        frame_bytes: translator.frame as usize,
        area_bytes: translator.area as usize,
        function: input.function,
        words: translator.words.into(),
    })
}

/// A function for an image.
#[cfg(feature = "images")]
pub(crate) struct ImageFunction {
    /// Its bytecode, with numbers where addresses of handlers will be.
    pub(crate) words: Vec<u32>,
    pub(crate) frame_bytes: usize,
    pub(crate) area_bytes: usize,
    /// Where instructions begin, and the positions in the module that they belong to.
    pub(crate) starts: Vec<(usize, usize)>,
}

/// Translates a function for an image.
#[cfg(feature = "images")]
pub(crate) fn translate_for_image(input: &Input<'_>) -> Result<ImageFunction, TranslateError> {
    let error = |message| TranslateError {
        function: input.function,
        message,
    };
    let (translator, _) =
        run(input, usize::MAX).map_err(|Stop(message)| error(String::from(message)))?;
    let starts = translator.starts.unwrap_or_default();
    if starts
        .iter()
        .any(|(start, _)| translator.words[*start] == UNNUMBERED)
    {
        return Err(error("an instruction has no number for images".to_string()));
    }
    Ok(ImageFunction {
        words: translator.words,
        frame_bytes: translator.frame as usize,
        area_bytes: translator.area as usize,
        starts,
    })
}

/// Stands for the number of an instruction that has none.
const UNNUMBERED: u32 = u32::MAX;

/// The offset in the module of the instruction that the bytecode at
/// `code_offset` was made for.
pub(crate) fn position(input: &Input<'_>, code_offset: usize) -> Option<usize> {
    run(input, code_offset).ok()?.1
}

/// Translates up to the instruction that the bytecode at `wanted` belongs to.
fn run<'a>(input: &'a Input<'a>, wanted: usize) -> Step<(Translator<'a>, Option<usize>)> {
    let module = input.module;
    let body = module
        .body_reader(input.bytes, input.function)
        .ok_or_else(|| Stop::new("the module's bytes end before the function's body does"))?;
    let func_type = module.func_type(module.func_index(input.function));
    let mut translator = Translator {
        input,
        module,
        func_type,
        words: Vec::new(),
        stack: Vec::new(),
        settled: 0,
        top: 0,
        frame: 0,
        locals: Vec::new(),
        control: Vec::new(),
        last: None,
        copies: None,
        position: 0,
        starts: (wanted != usize::MAX || input.numbers().is_some()).then(Vec::new),
        reachable: true,
        skipped: 0,
        fuel: 0,
        area: area_of(func_type),
        moves: Vec::new(),
    };
    let found = translator.body(&body, wanted)?;
    Ok((translator, found))
}

impl<'a> Translator<'a> {
    fn body(&mut self, body: &wasmparser::FunctionBody<'a>, wanted: usize) -> Step<Option<usize>> {
        let mut place = -(HEADER_BYTES as i32) - self.area;
        for ty in &self.func_type.params {
            let wide = is_wide(*ty);
            self.locals.push(Local {
                place,
                wide,
                readers: 0,
            });
            place += if wide { 2 * SLOT } else { SLOT };
        }
        let mut locals = body.get_locals_reader()?;
        let mut place = 0;
        for _ in 0..locals.get_count() {
            let (count, ty) = locals.read()?;
            let wide = is_wide(self.module.val_type(ty));
            for _ in 0..count {
                self.locals.push(Local {
                    place,
                    wide,
                    readers: 0,
                });
                place += if wide { 2 * SLOT } else { SLOT };
            }
        }
        self.top = place;
        self.grow_frame(0)?;
        self.zero_locals(place / SLOT);
        self.control.push(control::Block::function());
        let mut reader = body.get_operators_reader()?;
        // What happens at the entry happens at the first instruction.
        self.position = reader.original_position() as usize;
        self.check_meters();

        while !reader.eof() {
            self.position = reader.original_position() as usize;
            if self.reachable {
                if self.input.tunables.fuel {
                    let opcode = self.input.bytes.get(self.position).copied();
                    self.fuel += tepui_abi::fuel::cost(opcode.unwrap_or(0));
                }
                reader.visit_operator(self)??;
            } else {
                self.skip(reader.visit_operator(&mut Skip)?)?;
            }
            // What was written last may still be taken back.
            if self.words.len() > wanted.saturating_add(LONGEST) {
                break;
            }
            if self.words.len() > LIMIT {
                return Err(Stop::new("the function is too large for the interpreter"));
            }
        }
        let Some(starts) = &self.starts else {
            return Ok(None);
        };
        let after = starts.partition_point(|(start, _)| *start <= wanted);
        Ok(after.checked_sub(1).map(|index| starts[index].1))
    }

    fn zero_locals(&mut self, slots: i32) {
        match slots {
            0 => {}
            1..=8 if !self.is_plain() => {
                self.start(match slots {
                    1 => op::zero_few::<1>,
                    2 => op::zero_few::<2>,
                    3 => op::zero_few::<3>,
                    4 => op::zero_few::<4>,
                    5 => op::zero_few::<5>,
                    6 => op::zero_few::<6>,
                    7 => op::zero_few::<7>,
                    _ => op::zero_few::<8>,
                });
                self.place(0);
            }
            _ => {
                self.start(op::zero);
                self.place(0);
                self.word(slots as u32);
            }
        }
    }

    // Writing.

    /// Begins an instruction.
    fn start(&mut self, handler: Handler) -> usize {
        let start = self.words.len();
        self.last = None;
        if let Some(starts) = &mut self.starts {
            starts.push((start, self.position));
        }
        self.words.resize(start + self.handler_words(), 0);
        self.put_handler(start, handler);
        start
    }

    /// Writes the address of a handler at the start of an instruction.
    fn put_handler(&mut self, start: usize, handler: Handler) {
        if let Some(numbers) = self.input.numbers() {
            self.words[start] = numbers.of(handler).unwrap_or(UNNUMBERED);
            return;
        }
        put_address(&mut self.words[start..start + HANDLER_WORDS], handler);
    }

    fn word(&mut self, word: u32) {
        self.words.push(word);
    }

    fn place(&mut self, place: i32) {
        self.words.push(place as u32);
    }

    fn wide(&mut self, value: u64) {
        self.words.push(value as u32);
        self.words.push((value >> 32) as u32);
    }

    /// Begins an instruction whose first operand is where its result goes: the
    /// home of a new entry of the stack. The operands have been taken.
    fn start_result(&mut self, handler: Handler, wide: bool) -> Step<usize> {
        let start = self.start(handler);
        let home = self.push_temporary(wide)?;
        self.place(home);
        Ok(start)
    }

    /// Ends an instruction begun by [`Translator::start_result`].
    fn end_result(&mut self, start: usize) {
        let result = start + self.handler_words();
        self.last = Some(Last {
            start,
            end: self.words.len(),
            result: Some(result),
            place: self.words[result] as i32,
            class: Class::Vector,
            unstored: None,
            branches: None,
            shape: None,
            before: None,
        });
    }

    /// Ends an instruction by the operand that says where its result goes: the
    /// home of a new entry of the stack. The operands have been taken.
    fn give(
        &mut self,
        start: usize,
        class: Class,
        unstored: Option<Handler>,
        branches: Option<[Handler; 2]>,
    ) -> Step {
        let home = self.push_temporary(class == Class::Vector)?;
        let result = self.words.len();
        self.place(home);
        self.last = Some(Last {
            start,
            end: self.words.len(),
            result: Some(result),
            place: home,
            class,
            unstored,
            branches,
            shape: None,
            before: None,
        });
        Ok(())
    }

    /// The instruction written last, if it gave the value of the slot and
    /// nothing was written since.
    fn last_giving(&self, place: i32) -> Option<Last> {
        self.last
            .filter(|last| last.end == self.words.len() && last.place == place)
    }

    /// Whether the value of the slot is at hand for an instruction written now.
    fn is_kept(&self, place: i32, class: Class) -> bool {
        class != Class::Vector
            && self
                .last_giving(place)
                .is_some_and(|last| last.class == class)
    }

    /// Whether each instruction is written in its plain form.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        !FUSED || self.input.numbers().is_some()
    }

    /// Words that a handler takes.
    #[inline(always)]
    fn handler_words(&self) -> usize {
        match self.input.numbers() {
            Some(numbers) => numbers.handler_words(),
            None => HANDLER_WORDS,
        }
    }

    /// Whether the value of an entry that was taken, in this slot, is at hand for
    /// the instruction that is written now and uses it so. If nobody else can
    /// use it, it is no longer written to its slot.
    #[inline(always)]
    fn use_kept(&mut self, entry: Entry, place: i32, class: Class) -> bool {
        !self.is_plain() && self.take_kept(entry, place, class)
    }

    fn take_kept(&mut self, entry: Entry, place: i32, class: Class) -> bool {
        if !self.is_kept(place, class) {
            return false;
        }
        if entry.kind == Kind::Temporary
            && let Some(last) = self.last.take()
            && let Some(unstored) = last.unstored
        {
            self.words.truncate(last.end - 1);
            self.put_handler(last.start, unstored);
        }
        true
    }

    /// Takes the instruction written last back. Gives the position that it was
    /// written for.
    fn take_back(&mut self, last: &Last) {
        debug_assert_eq!(last.end, self.words.len());
        self.words.truncate(last.start);
        self.last = None;
        if let Some(starts) = &mut self.starts {
            starts.pop();
        }
    }

    /// A branch leads to what is written next: nothing is known of what was
    /// done before it.
    fn forget(&mut self) {
        self.last = None;
        self.copies = None;
    }

    // The operand stack.

    fn grow_frame(&mut self, beyond: i32) -> Step {
        let end = i64::from(self.top) + i64::from(beyond);
        if end > LIMIT as i64 {
            return Err(Stop::new("the frame is too large for the interpreter"));
        }
        self.frame = self.frame.max(end as i32);
        Ok(())
    }

    fn push_entry(&mut self, kind: Kind, wide: bool) -> Step<i32> {
        let home = self.top;
        self.stack.push(Entry { kind, home, wide });
        self.top += if wide { 2 * SLOT } else { SLOT };
        self.grow_frame(0)?;
        Ok(home)
    }

    fn push_temporary(&mut self, wide: bool) -> Step<i32> {
        self.push_entry(Kind::Temporary, wide)
    }

    fn push_constant(&mut self, value: u64) -> Step {
        self.push_entry(Kind::Constant(value), false)?;
        Ok(())
    }

    fn pop(&mut self) -> Entry {
        let entry = self
            .stack
            .pop()
            .expect("a validated body never pops an empty stack");
        self.settled = self.settled.min(self.stack.len());
        self.top = entry.home;
        if let Kind::Local(index) = entry.kind {
            self.locals[index as usize].readers -= 1;
        }
        entry
    }

    /// Forgets entries down to `height`.
    fn truncate(&mut self, height: usize) {
        while self.stack.len() > height {
            self.pop();
        }
    }

    /// The slot of an entry that was taken; constants are written to its home.
    fn slot_of(&mut self, entry: Entry) -> i32 {
        match entry.kind {
            Kind::Temporary => entry.home,
            Kind::Local(index) => self.locals[index as usize].place,
            Kind::Constant(value) => {
                self.write_constant(entry.home, value);
                entry.home
            }
        }
    }

    fn pop_slot(&mut self) -> i32 {
        let entry = self.pop();
        self.slot_of(entry)
    }

    fn write_constant(&mut self, to: i32, value: u64) {
        match u32::try_from(value) {
            Ok(value) => {
                self.start(op::constant32);
                self.place(to);
                self.word(value);
            }
            Err(_) => {
                self.start(op::constant64);
                self.place(to);
                self.wide(value);
            }
        }
    }

    /// Writes an entry to a slot, if it is not there.
    fn copy_to(&mut self, to: i32, entry: Entry) {
        let from = match entry.kind {
            Kind::Temporary => entry.home,
            Kind::Local(index) => self.locals[index as usize].place,
            Kind::Constant(value) => return self.write_constant(to, value),
        };
        if from == to {
            return;
        }
        if entry.wide {
            self.start(op::copy_wide);
            self.place(to);
            self.place(from);
        } else {
            self.copy(to, from);
        }
    }

    /// Writes the copy of a slot, into the instruction written last if that copies
    /// slots too.
    fn copy(&mut self, to: i32, from: i32) {
        self.last = None;
        self.copies = Some(match self.copies {
            Some((start, end, count @ (1 | 2))) if end == self.words.len() && !self.is_plain() => {
                self.put_handler(start, if count == 1 { op::copy2 } else { op::copy3 });
                (start, end + 2, count + 1)
            }
            _ => {
                let start = self.start(op::copy);
                (start, self.words.len() + 2, 1)
            }
        });
        self.place(to);
        self.place(from);
    }

    /// Makes an entry of the stack a temporary.
    fn settle_entry(&mut self, index: usize) {
        let entry = self.stack[index];
        if let Kind::Local(local) = entry.kind {
            self.locals[local as usize].readers -= 1;
        }
        self.copy_to(entry.home, entry);
        self.stack[index].kind = Kind::Temporary;
    }

    /// Saves all entries that stand for locals.
    fn settle_locals(&mut self) {
        for index in self.settled..self.stack.len() {
            if let Kind::Local(_) = self.stack[index].kind {
                self.settle_entry(index);
            }
        }
        self.settled = self.stack.len();
    }

    /// Makes the top `count` entries temporaries, in their homes.
    fn settle_top(&mut self, count: usize) {
        let start = self.stack.len() - count;
        self.moves.clear();
        for index in start..self.stack.len() {
            let entry = self.stack[index];
            match entry.kind {
                Kind::Temporary => {}
                Kind::Local(local) => {
                    self.locals[local as usize].readers -= 1;
                    self.moves.push((entry.home, entry));
                    self.stack[index].kind = Kind::Temporary;
                }
                Kind::Constant(_) => self.settle_entry(index),
            }
        }
        self.write_moves();
    }

    /// Writes the copies that were noted, in order.
    fn write_moves(&mut self) {
        let moves = core::mem::take(&mut self.moves);
        for &(to, entry) in &moves {
            self.copy_to(to, entry);
        }
        self.moves = moves;
        self.moves.clear();
    }

    /// Before a local is assigned: saves what stands for its old value.
    fn save_readers(&mut self, local: u32) {
        /// Entries looked at before all are saved: bounds the time per assignment.
        const NEAR: usize = 16;
        let near = self.stack.len().saturating_sub(NEAR).max(self.settled);
        for index in (near..self.stack.len()).rev() {
            if self.locals[local as usize].readers == 0 {
                return;
            }
            if self.stack[index].kind == Kind::Local(local) {
                self.settle_entry(index);
            }
        }
        if self.locals[local as usize].readers != 0 {
            self.settle_locals();
        }
    }

    // Locals.

    fn local_get(&mut self, index: u32) -> Step {
        let local = &mut self.locals[index as usize];
        local.readers += 1;
        let wide = local.wide;
        self.push_entry(Kind::Local(index), wide)?;
        Ok(())
    }

    fn local_set(&mut self, index: u32) -> Step {
        let entry = self.pop();
        self.assign(index, entry);
        Ok(())
    }

    fn local_tee(&mut self, index: u32) -> Step {
        let entry = self.pop();
        self.assign(index, entry);
        self.local_get(index)
    }

    /// Assigns an entry that was taken.
    fn assign(&mut self, index: u32, entry: Entry) {
        let place = self.locals[index as usize].place;
        if entry.kind == Kind::Local(index) {
            return;
        }
        if self.locals[index as usize].readers == 0
            && entry.kind == Kind::Temporary
            && self.redirect(entry.home, place)
        {
            return;
        }
        self.save_readers(index);
        self.copy_to(place, entry);
        self.last = None;
    }

    /// Lets the instruction written last put its result elsewhere, if it gave
    /// the value of the entry at `home`, which was taken.
    fn redirect(&mut self, home: i32, place: i32) -> bool {
        let Some(last) = self.last_giving(home) else {
            return false;
        };
        let Some(result) = last.result else {
            return false;
        };
        self.words[result] = place as u32;
        self.last = Some(Last {
            result: None,
            place,
            unstored: None,
            branches: None,
            ..last
        });
        if !self.is_plain() {
            self.fuse_additions();
        }
        true
    }

    // Numbers.

    fn unary<O: Unary>(&mut self) -> Step {
        self.unary_of(O::A::CLASS, O::R::CLASS, |operand| match operand {
            At::Kept if FUSED => giving!(number::unary<O, Kept>),
            _ => giving!(number::unary<O, Slot>),
        })
    }

    /// A unary instruction on an operand of this class.
    fn unary_of(&mut self, operand: Class, class: Class, handlers: fn(At) -> Giving) -> Step {
        let entry = self.pop();
        let a = self.slot_of(entry);
        let kept = self.use_kept(entry, a, operand);
        let handlers = handlers(if kept { At::Kept } else { At::Slot });
        let start = self.start(handlers.stored);
        if !kept {
            self.place(a);
        }
        self.give(start, class, handlers.unstored, None)
    }

    /// An instruction all of whose operands, at most three, are slots.
    fn of_slots(&mut self, count: usize, class: Class, handler: Handler) -> Step {
        let mut slots = [0; 3];
        let slots = &mut slots[..count];
        for slot in slots.iter_mut().rev() {
            *slot = self.pop_slot();
        }
        let start = self.start(handler);
        for slot in slots {
            self.place(*slot);
        }
        self.give(start, class, None, None)
    }

    fn vector_unary<O: Unary>(&mut self) -> Step {
        self.of_slots(1, O::R::CLASS, number::unary::<O, Slot, Stored>)
    }

    /// Writes a constant as an operand.
    fn immediate(&mut self, of: Operand, value: u64) {
        if of.immediate == 1 {
            self.word(value as u32);
        } else {
            self.wide(value);
        }
    }

    /// Writes an instruction with two operands, taken from the stack, with the
    /// handler that `handlers` has for where they are.
    fn two_operands<A: Value, B: Value>(
        &mut self,
        class: Class,
        mut handlers: impl FnMut(Sources) -> (Giving, Option<[Handler; 2]>),
    ) -> Step {
        self.two_of(Operand::of::<A>(), Operand::of::<B>(), class, &mut handlers)
    }

    /// The same, of operands of these types.
    fn two_of(
        &mut self,
        a_type: Operand,
        b_type: Operand,
        class: Class,
        handlers: BySources<'_>,
    ) -> Step {
        let (b, a) = (self.pop(), self.pop());
        if self.is_plain() {
            let (a, b) = (self.slot_of(a), self.slot_of(b));
            let (handlers, _) = handlers(Sources::SlotSlot);
            let start = self.start(handlers.stored);
            self.place(a);
            self.place(b);
            return self.give(start, class, None, None);
        }
        match (a.kind, b.kind) {
            (_, Kind::Constant(value)) => {
                let slot = self.slot_of(a);
                let kept = self.use_kept(a, slot, a_type.class);
                let (handlers, branches) = handlers(if kept {
                    Sources::KeptConstant
                } else {
                    Sources::SlotConstant
                });
                let start = self.start(handlers.stored);
                if !kept {
                    self.place(slot);
                }
                self.immediate(b_type, value);
                self.give(start, class, handlers.unstored, branches)
            }
            (Kind::Constant(value), _) => {
                let slot = self.slot_of(b);
                let kept = self.use_kept(b, slot, b_type.class);
                let (handlers, branches) = handlers(if kept {
                    Sources::ConstantKept
                } else {
                    Sources::ConstantSlot
                });
                let start = self.start(handlers.stored);
                self.immediate(a_type, value);
                if !kept {
                    self.place(slot);
                }
                self.give(start, class, handlers.unstored, branches)
            }
            _ => {
                let (a_slot, b_slot) = (self.slot_of(a), self.slot_of(b));
                let sources = if self.use_kept(a, a_slot, a_type.class) {
                    Sources::KeptSlot
                } else if self.use_kept(b, b_slot, b_type.class) {
                    Sources::SlotKept
                } else {
                    Sources::SlotSlot
                };
                let (handlers, branches) = handlers(sources);
                let start = self.start(handlers.stored);
                if sources != Sources::KeptSlot {
                    self.place(a_slot);
                }
                if sources != Sources::SlotKept {
                    self.place(b_slot);
                }
                self.give(start, class, handlers.unstored, branches)
            }
        }
    }

    fn binary<O: Binary + 'static>(&mut self) -> Step {
        self.binary_of(
            [Operand::of::<O::A>(), Operand::of::<O::B>()],
            O::R::CLASS,
            fuse::commutes::<O>(),
            binaries::<O>,
            fuse::shape_of::<O>,
        )
    }

    /// A binary instruction on operands of these types, the order of which may not
    /// matter.
    fn binary_of(
        &mut self,
        [a_type, b_type]: [Operand; 2],
        class: Class,
        commutes: bool,
        handlers: fn(Sources) -> Giving,
        shape_of: fn(Sources) -> Option<fuse::Shape>,
    ) -> Step {
        if self.is_plain() {
            return self.two_of(a_type, b_type, class, &mut |sources| {
                (handlers(sources), None)
            });
        }
        let before = self.last.filter(|last| {
            last.shape == Some(fuse::Shape::Add)
                && last.result.is_none()
                && last.end == self.words.len()
        });
        if commutes
            && let [.., a, b] = &mut self.stack[..]
            && matches!((a.kind, b.kind), (Kind::Constant(_), Kind::Local(_)))
        {
            core::mem::swap(&mut a.kind, &mut b.kind);
        }
        let mut shape = None;
        self.two_of(a_type, b_type, class, &mut |sources| {
            let sources = match sources {
                Sources::SlotKept if commutes => Sources::KeptSlot,
                other => other,
            };
            shape = shape_of(sources);
            (handlers(sources), None)
        })?;
        if let Some(last) = &mut self.last {
            last.shape = shape;
            last.before = before
                .filter(|_| shape == Some(fuse::Shape::Add))
                .map(|l| l.start);
        }
        Ok(())
    }

    fn compare<C: Compare>(&mut self) -> Step {
        self.two_operands::<C::A, C::A>(Class::Integer, |sources| {
            (binaries::<Test<C>>(sources), Some(branches::<C>(sources)))
        })
    }

    /// A vector and a vector or number.
    fn vector_binary<O: Binary>(&mut self) -> Step {
        let constant = fused!(number::binary::<O, Slot, Constant, Stored>);
        if let (
            Some(constant),
            Some(Entry {
                kind: Kind::Constant(value),
                ..
            }),
            false,
        ) = (constant, self.stack.last().copied(), self.is_plain())
        {
            return self.vector_and_constant(Operand::of::<O::B>(), value, O::R::CLASS, constant);
        }
        self.of_slots(2, O::R::CLASS, number::binary::<O, Slot, Slot, Stored>)
    }

    /// A vector and a number, which is a constant.
    fn vector_and_constant(
        &mut self,
        of: Operand,
        value: u64,
        class: Class,
        handler: Handler,
    ) -> Step {
        self.pop();
        let a = self.pop_slot();
        let start = self.start(handler);
        self.place(a);
        self.immediate(of, value);
        self.give(start, class, None, None)
    }

    fn ternary<O: Ternary>(&mut self) -> Step {
        self.of_slots(3, Class::Vector, number::ternary::<O>)
    }

    fn try_unary<O: TryUnary>(&mut self) -> Step {
        self.of_slots(1, O::R::CLASS, number::try_unary::<O>)
    }

    fn try_binary<O: TryBinary>(&mut self) -> Step {
        self.two_operands::<O::A, O::A>(O::R::CLASS, |sources| {
            let handlers = match sources {
                Sources::SlotSlot => giving!(number::try_binary<O, Slot, Slot>),
                _ if !FUSED => unreachable!("{ONE_FORM}"),
                Sources::KeptSlot => giving!(number::try_binary<O, Kept, Slot>),
                Sources::SlotKept => giving!(number::try_binary<O, Slot, Kept>),
                Sources::SlotConstant => giving!(number::try_binary<O, Slot, Constant>),
                Sources::KeptConstant => giving!(number::try_binary<O, Kept, Constant>),
                Sources::ConstantSlot => giving!(number::try_binary<O, Constant, Slot>),
                Sources::ConstantKept => giving!(number::try_binary<O, Constant, Kept>),
            };
            (handlers, None)
        })
    }

    // Instructions whose NaNs are made canonical in deterministic engines.

    fn nan_unary<O: Unary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.unary::<Canonical<O, K>>()
        } else {
            self.unary::<O>()
        }
    }

    fn nan_binary<O: Binary + 'static, K: Canonicalize<O::R> + 'static>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.binary::<Canonical<O, K>>()
        } else {
            self.binary::<O>()
        }
    }

    fn nan_vector_unary<O: Unary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.vector_unary::<Canonical<O, K>>()
        } else {
            self.vector_unary::<O>()
        }
    }

    fn nan_vector_binary<O: Binary, K: Canonicalize<O::R>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.vector_binary::<Canonical<O, K>>()
        } else {
            self.vector_binary::<O>()
        }
    }

    fn nan_ternary<O: Ternary, K: Canonicalize<crate::value::V128>>(&mut self) -> Step {
        if self.input.tunables.deterministic {
            self.ternary::<Canonical<O, K>>()
        } else {
            self.ternary::<O>()
        }
    }

    fn float_unary<O: Unary>(&mut self) -> Step
    where
        Number: Canonicalize<O::R>,
    {
        self.nan_unary::<O, Number>()
    }

    fn float_binary<O: Binary + 'static>(&mut self) -> Step
    where
        Number: Canonicalize<O::R>,
    {
        self.nan_binary::<O, Number>()
    }

    fn singles_unary<O: Unary>(&mut self) -> Step
    where
        Singles: Canonicalize<O::R>,
    {
        self.nan_vector_unary::<O, Singles>()
    }

    fn singles_binary<O: Binary>(&mut self) -> Step
    where
        Singles: Canonicalize<O::R>,
    {
        self.nan_vector_binary::<O, Singles>()
    }

    fn singles_ternary<O: Ternary>(&mut self) -> Step {
        self.nan_ternary::<O, Singles>()
    }

    fn doubles_unary<O: Unary>(&mut self) -> Step
    where
        Doubles: Canonicalize<O::R>,
    {
        self.nan_vector_unary::<O, Doubles>()
    }

    fn doubles_binary<O: Binary>(&mut self) -> Step
    where
        Doubles: Canonicalize<O::R>,
    {
        self.nan_vector_binary::<O, Doubles>()
    }

    fn doubles_ternary<O: Ternary>(&mut self) -> Step {
        self.nan_ternary::<O, Doubles>()
    }

    // Lanes.

    fn extract<O: Extract>(&mut self, lane: u8) -> Step {
        let a = self.pop_slot();
        let handlers = giving!(vector::extract<O>);
        let start = self.start(handlers.stored);
        self.place(a);
        self.word(lane.into());
        self.give(start, O::R::CLASS, handlers.unstored, None)
    }

    fn replace<O: Replace>(&mut self, lane: u8) -> Step {
        let (b, a) = (self.pop_slot(), self.pop_slot());
        let start = self.start_result(vector::replace::<O>, true)?;
        self.place(a);
        self.place(b);
        self.word(lane.into());
        self.end_result(start);
        Ok(())
    }

    /// The function type of a type index.
    fn type_at(&self, index: TypeIndex) -> &'a FuncType {
        self.module.func_type_at(index)
    }
}
