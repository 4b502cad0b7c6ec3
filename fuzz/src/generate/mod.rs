//! What do modules look like that look for weak spots? Typed at random, run far.
//!
//! `wasm-smith` makes every valid module, and most of its functions end early in
//! a trap. Modules made here keep their addresses inside memories, their loops
//! short and their calls to functions of the right types, most of the time, so
//! that most instructions are executed; and they have much of what is difficult:
//! values that live long, operands of every kind of place, many parameters and
//! results, branches with values, tables of branches, accesses at the ends of
//! memories.

mod body;

use std::cell::RefCell;
use std::collections::HashMap;

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, EntityType,
    ExportKind, ExportSection, FunctionSection, GlobalSection, GlobalType, HeapType, Ieee32,
    Ieee64, ImportSection, Instruction, MemorySection, MemoryType, Module, RefType, TableSection,
    TableType, TypeSection, ValType,
};

use crate::numbers::Numbers;
use crate::operators::{NUMERIC, plain};

/// What a module is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Whether the engines leave NaNs as they come, so that the module has to
    /// replace those whose bits the specification leaves open.
    pub canonical_nans: bool,
    /// Whether nothing but the module itself ends its loops and recursion.
    pub bounded: bool,
}

/// A memory of the module.
struct Memory {
    ty: MemoryType,
    /// Its length at first, in bytes.
    bytes: u64,
    imported: bool,
}

/// A table of the module.
struct Table {
    ty: TableType,
    imported: bool,
    /// The functions in it at first, by place.
    slots: Vec<Option<u32>>,
}

/// A segment of elements.
struct Segment {
    ty: RefType,
    functions: Vec<Option<u32>>,
    /// The table that it is written to at first, all of it from its start.
    table: Option<u32>,
}

/// A global.
struct Global {
    ty: ValType,
    mutable: bool,
    imported: bool,
}

type Signature = (Vec<ValType>, Vec<ValType>);

/// What is in the module beside code.
struct Plan {
    purpose: Purpose,
    /// Function types; those of blocks are added as they are needed.
    types: RefCell<Vec<Signature>>,
    /// The types of functions, imported ones first.
    functions: Vec<u32>,
    imported_functions: usize,
    globals: Vec<Global>,
    memories: Vec<Memory>,
    tables: Vec<Table>,
    segments: Vec<Segment>,
    /// The memory that each data segment is written to, if any, and its bytes.
    data: Vec<(Option<u32>, Vec<u8>)>,
    /// Operators in use, by what they give first.
    operators: HashMap<ValType, Vec<usize>>,
    /// Operators in use that give nothing.
    stores: Vec<usize>,
    /// The global that counts down in bounded modules.
    fuel: Option<u32>,
    /// The global that values are summed up in which nobody else uses, so that
    /// a wrong one is seen.
    sum: u32,
    /// Whether functions call each other in all directions.
    recursive: bool,
    /// How many in a thousand operations may trap as they please.
    risk: usize,
}

/// The bytes of each memory that are not zero at first.
const FILLED: u64 = 256;

/// Where active segments of data begin.
const DATA_START: u64 = 3;

const fn typed(index: u32) -> RefType {
    RefType {
        nullable: true,
        heap_type: HeapType::Concrete(index),
    }
}

impl Plan {
    fn signature(&self, function: u32) -> Signature {
        self.types.borrow()[self.functions[function as usize] as usize].clone()
    }

    /// The index of a function type, which is added if it is not there.
    fn type_index(&self, params: &[ValType], results: &[ValType]) -> u32 {
        let mut types = self.types.borrow_mut();
        let found = types
            .iter()
            .position(|(p, r)| p == params && r == results)
            .unwrap_or_else(|| {
                types.push((params.to_vec(), results.to_vec()));
                types.len() - 1
            });
        found as u32
    }

    fn functions_of(&self, ty: u32) -> Vec<u32> {
        (0..self.functions.len() as u32)
            .filter(|function| self.functions[*function as usize] == ty)
            .collect()
    }
}

fn value_type(numbers: &mut Numbers, types_before: usize, references: bool) -> ValType {
    match numbers.below(if references { 14 } else { 11 }) {
        0..=2 => ValType::I32,
        3..=5 => ValType::I64,
        6..=7 => ValType::F32,
        8..=9 => ValType::F64,
        10 => ValType::V128,
        11 => ValType::FUNCREF,
        12 => ValType::EXTERNREF,
        _ if types_before > 0 => ValType::Ref(typed(numbers.below(types_before) as u32)),
        _ => ValType::FUNCREF,
    }
}

/// How many parameters or results: mostly few, sometimes more than registers.
fn count(numbers: &mut Numbers) -> usize {
    match numbers.below(20) {
        0..=13 => numbers.below(4),
        14..=17 => numbers.below(10),
        18 => numbers.below(24),
        _ => numbers.below(60),
    }
}

fn plan(numbers: &mut Numbers, purpose: Purpose) -> Plan {
    let references = numbers.chance(70);
    let mut types: Vec<Signature> = Vec::new();
    for index in 0..numbers.within(2, 7) {
        let list = |numbers: &mut Numbers, index| -> Vec<ValType> {
            (0..count(numbers))
                .map(|_| value_type(numbers, index, references))
                .collect()
        };
        types.push((list(numbers, index), list(numbers, index)));
    }
    let imported_functions = numbers.below(4);
    let functions: Vec<u32> = (0..imported_functions + numbers.within(2, 8))
        .map(|_| numbers.below(types.len()) as u32)
        .collect();

    let mut globals = vec![
        Global {
            ty: ValType::I32,
            mutable: false,
            imported: true,
        },
        Global {
            ty: ValType::I64,
            mutable: false,
            imported: true,
        },
    ];
    for number in 0..numbers.within(2, 8) {
        globals.push(Global {
            ty: value_type(numbers, types.len(), references),
            mutable: number != 3,
            imported: false,
        });
    }
    globals.push(Global {
        ty: ValType::I64,
        mutable: true,
        imported: false,
    });
    let sum = globals.len() as u32 - 1;
    let fuel = purpose.bounded.then(|| {
        globals.push(Global {
            ty: ValType::I32,
            mutable: true,
            imported: false,
        });
        globals.len() as u32 - 1
    });

    let mut memories: Vec<Memory> = (0..numbers.within(1, 3)).map(|_| memory(numbers)).collect();
    let mut tables: Vec<Table> = (0..numbers.within(1, 3))
        .map(|number| table(numbers, &types, &functions, number))
        .collect();
    // Imported ones come first in each space of indices.
    memories.sort_by_key(|memory| !memory.imported);
    tables.sort_by_key(|table| !table.imported);
    let mut segments: Vec<Segment> = tables
        .iter()
        .enumerate()
        .filter(|(_, table)| !table.slots.is_empty())
        .map(|(index, table)| Segment {
            ty: table.ty.element_type,
            functions: table.slots.clone(),
            table: Some(index as u32),
        })
        .collect();
    for _ in 0..numbers.below(3) {
        segments.push(Segment {
            ty: RefType::FUNCREF,
            functions: (0..numbers.below(6))
                .map(|_| {
                    numbers
                        .chance(80)
                        .then(|| numbers.below(functions.len()) as u32)
                })
                .collect(),
            table: None,
        });
    }
    let mut data: Vec<(Option<u32>, Vec<u8>)> = (0..numbers.below(4))
        .map(|_| {
            let length = numbers.below(40);
            let bytes: Vec<u8> = (0..length).map(|_| numbers.draw() as u8).collect();
            let memory = numbers.below(memories.len());
            let fits = memories[memory].bytes >= 80;
            ((fits && numbers.chance(60)).then_some(memory as u32), bytes)
        })
        .collect();

    // What is loaded is seldom zero.
    for (index, memory) in memories.iter().enumerate() {
        let words = if numbers.chance(90) { FILLED / 8 } else { 0 };
        if memory.bytes >= FILLED + DATA_START {
            let bytes = (0..words).flat_map(|_| match numbers.below(4) {
                0 => numbers.i64().to_le_bytes(),
                1 => numbers.f64().to_le_bytes(),
                2 => [numbers.f32(), numbers.i32() as u32]
                    .map(u32::to_le_bytes)
                    .concat()
                    .try_into()
                    .expect("twice four bytes"),
                _ => numbers.draw().to_le_bytes(),
            });
            data.push((Some(index as u32), bytes.collect()));
        }
    }

    // Each module uses some of the operators, so that those get to meet.
    let share = numbers.pick(&[4, 15, 40, 100]);
    let chosen: Vec<usize> = (0..plain().len())
        .filter(|_| numbers.chance(share))
        .collect();
    let always = ["I32Add", "I64Add", "F32Add", "F64Add", "I8x16Add"];
    let mut operators: HashMap<ValType, Vec<usize>> = HashMap::new();
    let mut stores = Vec::new();
    for (index, plain) in plain().iter().enumerate() {
        if !chosen.contains(&index) && !always.contains(&plain.name) {
            continue;
        }
        match plain.results.first() {
            Some(ty) => operators.entry(*ty).or_default().push(index),
            None => stores.push(index),
        }
    }
    debug_assert!(NUMERIC.iter().all(|ty| operators.contains_key(ty)));
    Plan {
        purpose,
        types: RefCell::new(types),
        functions,
        imported_functions,
        globals,
        memories,
        tables,
        segments,
        data,
        operators,
        stores,
        fuel,
        sum,
        // Seldom: what comes after a stack overflow is not compared.
        recursive: numbers.chance(5),
        risk: numbers.pick(&[0, 0, 0, 1, 3, 10, 40]),
    }
}

fn memory(numbers: &mut Numbers) -> Memory {
    let memory64 = numbers.chance(30);
    let shared = numbers.chance(20);
    let imported = numbers.chance(10);
    let single_bytes = numbers.chance(15);
    let (minimum, room) = if single_bytes {
        let minimum = numbers.pick(&[1, 17, 256, 4096, 65536, 70_001]);
        (minimum, numbers.below(300) as u64)
    } else {
        (numbers.pick(&[1, 1, 1, 2, 0]), numbers.below(3) as u64)
    };
    Memory {
        bytes: if single_bytes { minimum } else { minimum << 16 },
        ty: MemoryType {
            minimum,
            maximum: (shared || numbers.chance(80)).then_some(minimum + room),
            memory64,
            shared,
            page_size_log2: single_bytes.then_some(0),
        },
        imported,
    }
}

fn table(numbers: &mut Numbers, types: &[Signature], functions: &[u32], number: usize) -> Table {
    let element = match numbers.below(10) {
        _ if number == 0 => RefType::FUNCREF,
        0..=4 => RefType::FUNCREF,
        5..=6 => RefType::EXTERNREF,
        _ => typed(numbers.below(types.len()) as u32),
    };
    let imported = numbers.chance(10);
    let minimum = numbers.pick(&[0, 1, 8, 10, 20]);
    let fits: Vec<u32> = (0..functions.len() as u32)
        .filter(|function| match element.heap_type {
            HeapType::Concrete(ty) => functions[*function as usize] == ty,
            _ => element == RefType::FUNCREF,
        })
        .collect();
    let slots = if fits.is_empty() || imported {
        Vec::new()
    } else {
        (0..minimum)
            .map(|_| numbers.chance(90).then(|| numbers.pick(&fits)))
            .collect()
    };
    Table {
        ty: TableType {
            element_type: element,
            table64: numbers.chance(30),
            minimum,
            maximum: numbers
                .chance(70)
                .then_some(minimum + numbers.below(20) as u64),
            shared: false,
        },
        imported,
        slots,
    }
}

/// The constant of a number.
fn constant(numbers: &mut Numbers, ty: ValType) -> Instruction<'static> {
    match ty {
        ValType::I32 => Instruction::I32Const(numbers.i32()),
        ValType::I64 => Instruction::I64Const(numbers.i64()),
        ValType::F32 => Instruction::F32Const(Ieee32::new(numbers.f32())),
        ValType::F64 => Instruction::F64Const(Ieee64::new(numbers.f64())),
        ValType::V128 => Instruction::V128Const(numbers.v128() as i128),
        ValType::Ref(ty) => Instruction::RefNull(ty.heap_type),
    }
}

/// The value of a global or a table's elements at first.
fn initial(numbers: &mut Numbers, plan: &Plan, ty: ValType) -> ConstExpr {
    let (global, add) = match ty {
        ValType::I32 => (0, Instruction::I32Mul),
        ValType::I64 => (1, Instruction::I64Sub),
        ValType::Ref(reference) => {
            let functions = match reference.heap_type {
                HeapType::Concrete(ty) => plan.functions_of(ty),
                _ if reference == RefType::FUNCREF => (0..plan.functions.len() as u32).collect(),
                _ => Vec::new(),
            };
            if functions.is_empty() || numbers.chance(40) {
                return ConstExpr::ref_null(reference.heap_type);
            }
            return ConstExpr::ref_func(numbers.pick(&functions));
        }
        _ => return ConstExpr::extended([constant(numbers, ty)]),
    };
    let value = constant(numbers, ty);
    if numbers.chance(30) {
        ConstExpr::extended([Instruction::GlobalGet(global), value, add])
    } else {
        ConstExpr::extended([value])
    }
}

/// What a module's counter is before each call.
pub const FUEL: i32 = 3000;

/// The name under which a bounded module exports its counter.
pub const FUEL_EXPORT: &str = "fuel";

/// The name under which a module exports the global that values are summed up in.
pub const SUM_EXPORT: &str = "sum";

/// Makes a module.
pub fn module(numbers: &mut Numbers, purpose: Purpose) -> Vec<u8> {
    let plan = plan(numbers, purpose);
    let mut code = CodeSection::new();
    for index in plan.imported_functions..plan.functions.len() {
        code.function(&body::function(&plan, numbers, index as u32));
    }

    let mut functions = FunctionSection::new();
    for ty in &plan.functions[plan.imported_functions..] {
        functions.function(*ty);
    }
    let mut types = TypeSection::new();
    for (params, results) in plan.types.borrow().iter() {
        types
            .ty()
            .function(params.iter().copied(), results.iter().copied());
    }

    let mut imports = ImportSection::new();
    let mut exports = ExportSection::new();
    for (index, ty) in plan.functions[..plan.imported_functions].iter().enumerate() {
        imports.import("h", &format!("f{index}"), EntityType::Function(*ty));
    }
    for index in 0..plan.functions.len() {
        exports.export(&format!("f{index}"), ExportKind::Func, index as u32);
    }
    let mut memories = MemorySection::new();
    let mut tables = TableSection::new();
    let mut globals = GlobalSection::new();
    for (index, memory) in plan.memories.iter().enumerate() {
        if memory.imported {
            imports.import("h", &format!("m{index}"), memory.ty);
        } else {
            memories.memory(memory.ty);
        }
        exports.export(&format!("m{index}"), ExportKind::Memory, index as u32);
    }
    for (index, table) in plan.tables.iter().enumerate() {
        if table.imported {
            imports.import("h", &format!("t{index}"), table.ty);
        } else if numbers.chance(50) {
            tables.table(table.ty);
        } else {
            let init = initial(numbers, &plan, ValType::Ref(table.ty.element_type));
            tables.table_with_init(table.ty, &init);
        }
        exports.export(&format!("t{index}"), ExportKind::Table, index as u32);
    }
    for (index, global) in plan.globals.iter().enumerate() {
        let ty = GlobalType {
            val_type: global.ty,
            mutable: global.mutable,
            shared: false,
        };
        if global.imported {
            imports.import("h", &format!("g{index}"), ty);
        } else if plan.fuel == Some(index as u32) {
            globals.global(ty, &ConstExpr::i32_const(FUEL));
            exports.export(FUEL_EXPORT, ExportKind::Global, index as u32);
            continue;
        } else if plan.sum == index as u32 {
            // Odd, so that no sum is lost when it is multiplied.
            let value = numbers.draw() as i64 | 1;
            globals.global(ty, &ConstExpr::i64_const(value));
        } else {
            globals.global(ty, &initial(numbers, &plan, global.ty));
        }
        let name = if plan.sum == index as u32 {
            SUM_EXPORT.to_owned()
        } else {
            format!("g{index}")
        };
        exports.export(&name, ExportKind::Global, index as u32);
    }

    let mut elements = ElementSection::new();
    for segment in &plan.segments {
        let expressions: Vec<ConstExpr> = segment
            .functions
            .iter()
            .map(|function| match function {
                Some(function) => ConstExpr::ref_func(*function),
                None => ConstExpr::ref_null(segment.ty.heap_type),
            })
            .collect();
        let list = Elements::Expressions(segment.ty, expressions.into());
        match segment.table {
            Some(table) => {
                let offset = if plan.tables[table as usize].ty.table64 {
                    ConstExpr::i64_const(0)
                } else {
                    ConstExpr::i32_const(0)
                };
                elements.active(Some(table), &offset, list);
            }
            None => {
                elements.passive(list);
            }
        }
    }
    let all: Vec<u32> = (0..plan.functions.len() as u32).collect();
    elements.declared(Elements::Functions(all.into()));

    let mut data = DataSection::new();
    for (memory, bytes) in &plan.data {
        match memory {
            Some(memory) => {
                let offset = if plan.memories[*memory as usize].ty.memory64 {
                    ConstExpr::i64_const(DATA_START as i64)
                } else {
                    ConstExpr::i32_const(DATA_START as i32)
                };
                data.active(*memory, &offset, bytes.iter().copied());
            }
            None => {
                data.passive(bytes.iter().copied());
            }
        }
    }

    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&DataCountSection {
            count: plan.data.len() as u32,
        })
        .section(&code)
        .section(&data);
    module.finish()
}
