//! Which operators are there that take numbers and give numbers?
//!
//! Their list is `wasmparser`'s, so that a new operator is hunted as soon as the
//! decoder knows it. What each takes and gives is found by trying which types
//! the validator accepts.

use std::collections::HashMap;
use std::sync::OnceLock;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, Function, FunctionSection, Instruction, MemorySection, MemoryType, Module,
    TypeSection, ValType,
};
use wasmparser::{MemArg, MemArgTarget, Operator, Validator, WasmFeatures};

/// The types of numbers and vectors.
pub const NUMERIC: [ValType; 5] = [
    ValType::I32,
    ValType::I64,
    ValType::F32,
    ValType::F64,
    ValType::V128,
];

/// What of an operator stands in the code beside its opcode, with what makes
/// the operator of it.
#[derive(Clone, Copy)]
enum Make {
    Plain(fn() -> Operator<'static>),
    Memory(fn(MemArg) -> Operator<'static>),
    Lane(fn(u8) -> Operator<'static>),
    MemoryLane(fn(MemArg, u8) -> Operator<'static>),
    Shuffle(fn([u8; 16]) -> Operator<'static>),
}

/// What stands in the code beside an opcode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Immediates {
    /// The logarithm of the alignment, of operators that access memory.
    pub align: u8,
    /// The offset, of operators that access memory.
    pub offset: u64,
    /// The memory, of operators that access one.
    pub memory: u32,
    /// The lane, of operators on one.
    pub lane: u8,
    /// Which lanes a shuffle takes.
    pub lanes: [u8; 16],
}

impl Immediates {
    fn memarg(&self) -> MemArg {
        MemArg {
            align: self.align,
            max_align: self.align,
            offset: self.offset,
            target: MemArgTarget::Memory(self.memory),
            ordering: None,
        }
    }
}

/// An operator that takes and gives numbers and vectors.
pub struct Plain {
    /// The name, as the decoder has it.
    pub name: &'static str,
    /// What it takes. Of an access to memory the first is the address, `i32`
    /// here.
    pub params: Vec<ValType>,
    /// What it gives.
    pub results: Vec<ValType>,
    /// The lanes that it can be on, or 0.
    pub lanes: u8,
    /// The logarithms of the smallest and the greatest alignment that an access
    /// to memory can state.
    pub align: Option<(u8, u8)>,
    make: Make,
}

impl Plain {
    /// The operator with these immediates, of which it takes those that it has.
    pub fn operator(&self, immediates: &Immediates) -> Operator<'static> {
        match self.make {
            Make::Plain(make) => make(),
            Make::Memory(make) => make(immediates.memarg()),
            Make::Lane(make) => make(immediates.lane),
            Make::MemoryLane(make) => make(immediates.memarg(), immediates.lane),
            Make::Shuffle(make) => make(immediates.lanes),
        }
    }

    /// The same, to encode.
    ///
    /// # Panics
    ///
    /// When the operator cannot be encoded, which all can.
    pub fn instruction(&self, immediates: &Immediates) -> Instruction<'static> {
        RoundtripReencoder
            .instruction(self.operator(immediates))
            .expect("a plain operator can be encoded")
    }

    /// Whether it picks lanes of two vectors by its immediate.
    pub fn is_shuffle(&self) -> bool {
        matches!(self.make, Make::Shuffle(_))
    }

    /// Whether its alignment is prescribed: it is atomic.
    pub fn is_atomic(&self) -> bool {
        self.name.contains("Atomic")
    }

    /// Whether it traps for some operands, apart from addresses.
    pub fn may_trap(&self) -> bool {
        let integer = matches!(self.results[..], [ValType::I32 | ValType::I64]);
        let divides = self.name.contains("Div") || self.name.contains("Rem");
        integer && (divides || (self.name.contains("Trunc") && !self.name.contains("Sat")))
    }

    /// Whether it computes with floats, so that which NaN it gives is not said.
    pub fn may_make_nans(&self) -> bool {
        const KEEP: &[&str] = &[
            "Load",
            "Store",
            "Neg",
            "Abs",
            "Copysign",
            "Reinterpret",
            "Splat",
            "Extract",
            "Replace",
            "PMin",
            "PMax",
            "Convert",
        ];
        let vectors = self.name.starts_with("F32x4") || self.name.starts_with("F64x2");
        let compares = ["Eq", "Ne", "Lt", "Gt", "Le", "Ge"]
            .iter()
            .any(|end| self.name.ends_with(end));
        (vectors || self.name.starts_with("F32") || self.name.starts_with("F64"))
            && !compares
            && !KEEP.iter().any(|kept| self.name.contains(kept))
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?} -> {:?}", self.name, self.params, self.results)
    }
}

/// How many operands an operator takes, as `wasmparser` notes it.
macro_rules! arity {
    (arity $params:literal -> $results:literal) => {
        Some(($params, $results))
    };
    (arity memarg $params:literal -> $results:literal) => {
        Some(($params, $results))
    };
    ($($other:tt)*) => {
        None
    };
}

/// What makes an operator of its immediates, if they are of the known kinds.
macro_rules! make {
    ($op:ident) => {
        Some(Make::Plain(|| Operator::$op))
    };
    ($op:ident memarg) => {
        Some(Make::Memory(|memarg| Operator::$op { memarg }))
    };
    ($op:ident lane) => {
        Some(Make::Lane(|lane| Operator::$op { lane }))
    };
    ($op:ident memarg lane) => {
        Some(Make::MemoryLane(|memarg, lane| Operator::$op {
            memarg,
            lane,
        }))
    };
    ($op:ident lanes) => {
        Some(Make::Shuffle(|lanes| Operator::$op { lanes }))
    };
    ($op:ident $($field:ident)*) => {
        None
    };
}

macro_rules! candidates {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        &[$((
            stringify!($proposal),
            stringify!($op),
            arity!($($ann)*),
            make!($op $($($arg)*)?),
        ),)*]
    };
}

type Candidate = (
    &'static str,
    &'static str,
    Option<(usize, usize)>,
    Option<Make>,
);

/// The proposals whose operators on numbers every tier has.
const PROPOSALS: &[&str] = &[
    "mvp",
    "sign_extension",
    "saturating_float_to_int",
    "threads",
    "simd",
    "relaxed_simd",
    "wide_arithmetic",
];

/// Every operator that takes and gives numbers, apart from those for constants,
/// variables and control flow, and those that wait for other threads.
pub fn plain() -> &'static [Plain] {
    static PLAIN: OnceLock<Vec<Plain>> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let candidates: &[Candidate] = wasmparser::for_each_operator!(candidates);
        candidates
            .iter()
            .filter(|(proposal, name, ..)| {
                PROPOSALS.contains(proposal) && !name.contains("AtomicWait")
            })
            .filter_map(|&(_, name, arity, make)| probe(name, arity?, make?))
            .collect()
    })
}

/// The operators with a given signature, as places in [`plain`]; those that
/// access memory apart from those that do not.
pub fn alike(plain_index: usize) -> &'static [usize] {
    type Key = (Vec<ValType>, Vec<ValType>, Option<(u8, u8)>, u8, bool);
    type Groups = (HashMap<Key, Vec<usize>>, Vec<Key>);
    static GROUPS: OnceLock<Groups> = OnceLock::new();
    let (groups, keys) = GROUPS.get_or_init(|| {
        let keys: Vec<Key> = plain()
            .iter()
            .map(|plain| {
                (
                    plain.params.clone(),
                    plain.results.clone(),
                    plain.align,
                    plain.lanes,
                    plain.is_shuffle(),
                )
            })
            .collect();
        let mut groups: HashMap<Key, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            groups.entry(key.clone()).or_default().push(index);
        }
        (groups, keys)
    });
    &groups[&keys[plain_index]]
}

/// Every list of `count` types.
fn lists(count: usize) -> impl Iterator<Item = Vec<ValType>> {
    (0..NUMERIC.len().pow(count as u32)).map(move |mut number| {
        (0..count)
            .map(|_| {
                let ty = NUMERIC[number % NUMERIC.len()];
                number /= NUMERIC.len();
                ty
            })
            .collect()
    })
}

/// Finds what an operator takes and gives; `None` when that is not one list of
/// numbers each.
fn probe(name: &'static str, (takes, gives): (usize, usize), make: Make) -> Option<Plain> {
    if takes + gives == 0 {
        return None;
    }
    let mut plain = Plain {
        name,
        params: Vec::new(),
        results: Vec::new(),
        lanes: 0,
        align: None,
        make,
    };
    let memory = matches!(make, Make::Memory(_) | Make::MemoryLane(_));
    let mut immediates = Immediates::default();
    let mut found = Vec::new();
    // The alignment of atomic accesses is that of their width.
    for align in 0..=4 {
        immediates.align = align;
        found = lists(takes)
            .filter(|params| is_valid(&plain, &immediates, params, None))
            .collect();
        if !found.is_empty() || !memory {
            break;
        }
    }
    let [params] = &found[..] else { return None };
    plain.params.clone_from(params);
    if memory {
        let valid: Vec<u8> = (0..=4)
            .filter(|align| {
                let immediates = Immediates {
                    align: *align,
                    ..Immediates::default()
                };
                is_valid(&plain, &immediates, params, None)
            })
            .collect();
        plain.align = Some((*valid.first()?, *valid.last()?));
    }
    if matches!(make, Make::Lane(_) | Make::MemoryLane(_)) {
        plain.lanes = (1..=16)
            .rev()
            .find(|lanes| {
                let immediates = Immediates {
                    lane: lanes - 1,
                    ..immediates
                };
                is_valid(&plain, &immediates, params, None)
            })
            .unwrap_or(1);
    }
    plain.results =
        lists(gives).find(|results| is_valid(&plain, &immediates, params, Some(results)))?;
    Some(plain)
}

/// Whether a function that applies the operator to `params` is valid, and gives
/// `results`.
fn is_valid(
    plain: &Plain,
    immediates: &Immediates,
    params: &[ValType],
    results: Option<&[ValType]>,
) -> bool {
    let mut types = TypeSection::new();
    types.ty().function(
        params.iter().copied(),
        results.unwrap_or_default().iter().copied(),
    );
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: true,
        page_size_log2: None,
    });
    let mut body = Function::new([]);
    for index in 0..params.len() {
        body.instruction(&Instruction::LocalGet(index as u32));
    }
    body.instruction(&plain.instruction(immediates));
    if results.is_none() {
        body.instruction(&Instruction::Unreachable);
    }
    body.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&code);
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(module.as_slice())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole list is found, with the right types.
    #[test]
    fn operators_are_known() {
        let plain = plain();
        let find = |name: &str| {
            plain
                .iter()
                .find(|plain| plain.name == name)
                .unwrap_or_else(|| panic!("{name} was not found"))
        };
        assert_eq!(plain.len(), 482, "the decoder knows other operators now");
        let add = find("I32Add");
        assert_eq!(add.params, [ValType::I32, ValType::I32]);
        assert_eq!(add.results, [ValType::I32]);
        let wide = find("I64MulWideU");
        assert_eq!(wide.results, [ValType::I64, ValType::I64]);
        let atomic = find("I64AtomicRmw16CmpxchgU");
        assert_eq!(atomic.params, [ValType::I32, ValType::I64, ValType::I64]);
        assert_eq!(atomic.align, Some((1, 1)));
        assert_eq!(find("I64Load").align, Some((0, 3)));
        assert_eq!(find("V128Load16Lane").lanes, 8);
        assert_eq!(find("I8x16Shuffle").params, [ValType::V128, ValType::V128]);
        assert!(find("I32DivS").may_trap());
        assert!(!find("I32TruncSatF32S").may_trap());
        assert!(find("F32x4RelaxedMadd").may_make_nans());
        assert!(!find("F64x2PMin").may_make_nans());
    }
}
