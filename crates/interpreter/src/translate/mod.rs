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
//! | `operators` | numbers, vectors |
//! | `fuse` | instructions that become one with the one before |
//! | `control` | blocks, branches, returns |
//! | `call` | calls |
//! | `memory` | memories, tables, globals, atomics |
//!
//! All of them write bytecode through `emit` and keep the operand stack and the locals
//! through `stack`.
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
mod emit;
mod fuse;
mod memory;
mod operators;
mod stack;
mod visit;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tepui_abi::{Plan, Tunables};
use tepui_module::{DefinedFuncIndex, FuncType, Module, NestingVisitor, TypeIndex, ValType};

use self::emit::Last;
use self::stack::{Entry, Local};
use crate::code::{FunctionCode, FunctionEntry, TranslateError};
#[cfg(not(feature = "images"))]
use crate::dispatch::Handler;
use crate::handlers::control as op;
#[cfg(feature = "images")]
use crate::numbers::Numbers;
use crate::state::HEADER_BYTES;

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

/// The most words of an instruction that may be taken back.
const LONGEST: usize = 16;

/// Bytes of a slot.
const SLOT: i32 = 8;

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
                self.skip(reader.visit_operator(&mut NestingVisitor)?)?;
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

    /// The function type of a type index.
    fn type_at(&self, index: TypeIndex) -> &'a FuncType {
        self.module.func_type_at(index)
    }
}
