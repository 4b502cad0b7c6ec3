//! What is given to modules that import something? Host functions that do what
//! follows from their arguments: they answer, fail, call back, and change what
//! the guest has exported.

use tepui::{
    AsContextMut, Caller, Error, Extern, ExternRef, ExternType, Func, FuncType, Global, HeapType,
    Memory, Ref, RefType, Result, SharedMemory, Store, StoreLimits, StoreLimitsBuilder, Table,
    Trap, V128, Val, ValType,
};

use crate::numbers::Numbers;

/// The most bytes of a memory.
const MEMORY_LIMIT: usize = 16 << 20;

/// The most elements of a table.
const TABLE_LIMIT: usize = 20_000;

/// The most events that are kept apart; later ones are only summed up.
const EVENTS: usize = 20_000;

/// How deep the host calls back.
const DEPTH: u32 = 3;

/// The data of a store: what happened in it, and what chance there is from.
pub(crate) struct Host {
    pub(crate) limits: StoreLimits,
    /// What happened, in the order in which it did.
    pub(crate) events: Vec<String>,
    later: u64,
    seed: u64,
    calls: u64,
    depth: u32,
    /// What the instance exports.
    pub(crate) functions: Vec<String>,
    pub(crate) others: Vec<String>,
}

impl Host {
    pub(crate) fn new(seed: u64) -> Host {
        Host {
            limits: StoreLimitsBuilder::new()
                .memory_size(MEMORY_LIMIT)
                .table_elements(TABLE_LIMIT)
                .build(),
            events: Vec::new(),
            later: 0,
            seed,
            calls: 0,
            depth: 0,
            functions: Vec::new(),
            others: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, event: String) {
        if self.events.len() < EVENTS {
            self.events.push(event);
        } else {
            self.later = digest(self.later, event.as_bytes());
        }
    }

    /// The events, at last the sum of those that were not kept.
    pub(crate) fn into_events(mut self) -> Vec<String> {
        if self.later != 0 {
            self.events.push(format!("later: {:x}", self.later));
        }
        self.events
    }
}

/// Adds bytes to a sum.
pub(crate) fn digest(sum: u64, bytes: &[u8]) -> u64 {
    let mut sum = sum ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk
            .iter()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte));
        sum = (sum ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
    for byte in chunks.remainder() {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    sum
}

/// A value as it is compared. Of functions only whether there is one can be
/// seen; external references are known by their data.
pub(crate) fn show(store: &mut impl AsContextMut<Data = Host>, value: &Val) -> String {
    match value {
        Val::FuncRef(func) => format!("func {}", func.is_some()),
        Val::ExternRef(None) => "extern null".to_owned(),
        Val::ExternRef(Some(reference)) => {
            let context = store.as_context_mut();
            match reference.data(&context) {
                Ok(Some(data)) => format!("extern {:?}", data.downcast_ref::<u64>()),
                other => format!("extern {:?}", other.map(|data| data.is_some())),
            }
        }
        Val::F32(bits) => format!("f32 {bits:#x}"),
        Val::F64(bits) => format!("f64 {bits:#x}"),
        value => format!("{value:?}"),
    }
}

/// How an error is compared: by what it is, and where it came from.
pub(crate) fn outcome(error: &Error) -> String {
    let kind = match error.downcast_ref::<Trap>() {
        // Where the stack ends depends on the code, and so does the rest.
        Some(Trap::StackOverflow) => return "overflow".to_owned(),
        Some(trap) => format!("{trap:?}"),
        None => error.root_cause().to_string(),
    };
    let frames = match error.downcast_ref::<tepui::WasmBacktrace>() {
        None => " without a backtrace".to_owned(),
        Some(backtrace) => {
            let mut text = String::new();
            for frame in backtrace.frames().iter().take(60) {
                let offset = frame.module_offset().unwrap_or_default();
                text.push_str(&format!(" {}@{offset:#x}", frame.func_index()));
            }
            format!("{text} ({} frames)", backtrace.frames().len())
        }
    };
    kind + " at" + &frames
}

/// A value of the type, if there is one to be had.
pub(crate) fn value(
    store: &mut impl AsContextMut<Data = Host>,
    numbers: &mut Numbers,
    ty: &ValType,
    functions: &[Func],
) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(numbers.i32()),
        ValType::I64 => Val::I64(numbers.i64()),
        ValType::F32 => Val::F32(numbers.f32()),
        ValType::F64 => Val::F64(numbers.f64()),
        ValType::V128 => Val::V128(V128::from(numbers.v128())),
        ValType::Ref(ty) => reference(store, numbers, ty, functions)?.into(),
    })
}

fn reference(
    store: &mut impl AsContextMut<Data = Host>,
    numbers: &mut Numbers,
    ty: &RefType,
    functions: &[Func],
) -> Option<Ref> {
    if ty.is_nullable() && numbers.chance(40) {
        return Some(Ref::null(ty.heap_type()));
    }
    if *ty.heap_type() == HeapType::Extern {
        let data = numbers.draw();
        let reference = ExternRef::new(store.as_context_mut(), data).ok()?;
        return Some(reference.into());
    }
    let context = store.as_context_mut();
    let fits: Vec<Func> = functions
        .iter()
        .copied()
        .filter(|func| Ref::from(*func).matches_ty(&context, ty).unwrap_or(false))
        .collect();
    if fits.is_empty() {
        return ty.is_nullable().then(|| Ref::null(ty.heap_type()));
    }
    Some(numbers.pick(&fits).into())
}

/// An import of the type asked for.
///
/// # Errors
///
/// When there is none: a non-null reference, a large shared memory.
pub(crate) fn import(store: &mut Store<Host>, index: usize, ty: &ExternType) -> Result<Extern> {
    let mut numbers = Numbers::from_seed(store.data().seed ^ index as u64);
    Ok(match ty {
        ExternType::Func(ty) => function(store, index, ty).into(),
        ExternType::Global(ty) => {
            let value = value(store, &mut numbers, ty.content(), &[])
                .ok_or_else(|| Error::msg("no value of this type"))?;
            Global::new(store, ty.clone(), value)?.into()
        }
        ExternType::Table(ty) => {
            let init = if ty.element().is_nullable() {
                Ref::null(ty.element().heap_type())
            } else {
                return Err(Error::msg("no value of this type"));
            };
            Table::new(store, ty.clone(), init)?.into()
        }
        ExternType::Memory(ty) if ty.is_shared() => {
            if ty.minimum().saturating_mul(ty.page_size()) > MEMORY_LIMIT as u64 {
                return Err(Error::msg("a large shared memory"));
            }
            SharedMemory::new(&store.engine().clone(), ty.clone())?.into()
        }
        ExternType::Memory(ty) => Memory::new(store, ty.clone())?.into(),
        _ => return Err(Error::msg("an import of another kind")),
    })
}

/// Closures over plain types where the type is one of these, because they are
/// reached in other ways than those over dynamic values.
macro_rules! plainly {
    ($store:ident, $index:ident, $ty:ident; $(($($param:ident $p:ident),*) -> $result:ty;)*) => {
        let params: Vec<ValType> = $ty.params().collect();
        let results: Vec<ValType> = $ty.results().collect();
        $({
            let wanted: &[ValType] = &[$(<$p as Plainly>::TYPE),*];
            let given: &[ValType] = <$result as Plainly>::TYPES;
            let same = |a: &[ValType], b: &[ValType]| {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.matches(b) && b.matches(a))
            };
            if same(&params, wanted) && same(&results, given) {
                return Func::wrap(
                    $store,
                    move |caller: Caller<'_, Host>, $($param: $p),*| -> Result<$result> {
                        let mut results = given.iter().map(Val::default_for).collect::<Vec<_>>();
                        let params: &[Val] = &[$(Plainly::to_val($param)),*];
                        called($index, caller, params, &mut results, given)?;
                        Ok(<$result as Plainly>::from_vals(&results))
                    },
                );
            }
        })*
    };
}

/// A plain type, and the value that it stands for.
trait Plainly: Sized {
    const TYPE: ValType;
    const TYPES: &'static [ValType] = &[Self::TYPE];
    fn to_val(self) -> Val;
    fn from_vals(values: &[Val]) -> Self;
}

impl Plainly for () {
    const TYPE: ValType = ValType::I32;
    const TYPES: &'static [ValType] = &[];
    fn to_val(self) -> Val {
        Val::I32(0)
    }
    fn from_vals(_: &[Val]) {}
}

impl Plainly for i32 {
    const TYPE: ValType = ValType::I32;
    fn to_val(self) -> Val {
        Val::I32(self)
    }
    fn from_vals(values: &[Val]) -> i32 {
        values[0].unwrap_i32()
    }
}

impl Plainly for i64 {
    const TYPE: ValType = ValType::I64;
    fn to_val(self) -> Val {
        Val::I64(self)
    }
    fn from_vals(values: &[Val]) -> i64 {
        values[0].unwrap_i64()
    }
}

impl Plainly for f32 {
    const TYPE: ValType = ValType::F32;
    fn to_val(self) -> Val {
        Val::F32(self.to_bits())
    }
    fn from_vals(values: &[Val]) -> f32 {
        values[0].unwrap_f32()
    }
}

impl Plainly for f64 {
    const TYPE: ValType = ValType::F64;
    fn to_val(self) -> Val {
        Val::F64(self.to_bits())
    }
    fn from_vals(values: &[Val]) -> f64 {
        values[0].unwrap_f64()
    }
}

impl Plainly for V128 {
    const TYPE: ValType = ValType::V128;
    fn to_val(self) -> Val {
        Val::V128(self)
    }
    fn from_vals(values: &[Val]) -> V128 {
        values[0].unwrap_v128()
    }
}

fn function(store: &mut Store<Host>, index: usize, ty: &FuncType) -> Func {
    plainly! {
        store, index, ty;
        () -> ();
        () -> i32;
        () -> i64;
        () -> f32;
        () -> f64;
        () -> V128;
        (a i32) -> ();
        (a i64) -> ();
        (a f32) -> ();
        (a f64) -> ();
        (a V128) -> ();
        (a i32) -> i32;
        (a i32) -> i64;
        (a i64) -> i32;
        (a i64) -> i64;
        (a f32) -> f32;
        (a f64) -> f64;
        (a i32) -> f64;
        (a f64) -> i32;
        (a i32, b i32) -> ();
        (a i32, b i64) -> i32;
        (a i64, b i32) -> i64;
        (a f32, b f64) -> i64;
        (a i32, b f64) -> f64;
        (a f64, b i64) -> ();
        (a i32, b i32, c i32) -> i32;
        (a i64, b f32, c i32) -> ();
    }
    let types: Vec<ValType> = ty.results().collect();
    Func::new(store, ty.clone(), move |caller, params, results| {
        called(index, caller, params, results, &types)
    })
}

/// What a host function does.
fn called(
    index: usize,
    mut caller: Caller<'_, Host>,
    params: &[Val],
    results: &mut [Val],
    types: &[ValType],
) -> Result<()> {
    let mut text = format!("host {index}");
    for param in params {
        text.push(' ');
        text.push_str(&show(&mut caller, param));
    }
    let host = caller.data_mut();
    host.calls += 1;
    let mut numbers = Numbers::from_seed(digest(host.seed ^ host.calls, text.as_bytes()));
    host.note(text);
    let names = host.functions.clone();
    let others = host.others.clone();
    let functions: Vec<Func> = names
        .iter()
        .filter_map(|name| caller.get_export(name)?.into_func())
        .collect();
    match numbers.below(400) {
        0 => return Err(Trap::MemoryOutOfBounds.into()),
        1 => return Err(Error::msg("the host does not want to")),
        2..=33 if !functions.is_empty() && caller.data().depth < DEPTH => {
            let func = numbers.pick(&functions);
            caller.data_mut().depth += 1;
            let result = enter(&mut caller, &mut numbers, &func, &functions);
            caller.data_mut().depth -= 1;
            if let Err(error) = result {
                let overflow = error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow);
                if overflow || numbers.chance(50) {
                    return Err(error);
                }
            }
        }
        34..=61 if !others.is_empty() => {
            let name = &others[numbers.below(others.len())];
            if let Some(item) = caller.get_export(name) {
                let what = change(&mut caller, &mut numbers, &item, &functions);
                let text = format!("host changed {name}: {what}");
                caller.data_mut().note(text);
            }
        }
        62..=73 => caller.engine().increment_epoch(),
        74..=77 => {
            if let Ok(fuel) = caller.get_fuel() {
                caller.data_mut().note(format!("{fuel} left"));
                caller.set_fuel(fuel.saturating_add(100))?;
            }
        }
        _ => {}
    }
    for (result, ty) in results.iter_mut().zip(types) {
        *result = value(&mut caller, &mut numbers, ty, &functions)
            .ok_or_else(|| Error::msg("no value of this type"))?;
    }
    Ok(())
}

/// Calls a function with values of its types and notes what became of it.
pub(crate) fn enter(
    store: &mut impl AsContextMut<Data = Host>,
    numbers: &mut Numbers,
    func: &Func,
    functions: &[Func],
) -> Result<()> {
    let ty = func.ty(store.as_context_mut());
    let mut params = Vec::new();
    for ty in ty.params() {
        match value(store, numbers, &ty, functions) {
            Some(value) => params.push(value),
            None => {
                store
                    .as_context_mut()
                    .data_mut()
                    .note("not callable".into());
                return Ok(());
            }
        }
    }
    store.as_context_mut().data_mut().note("enter".into());
    let mut results: Vec<Val> = ty.results().map(|ty| Val::default_for(&ty)).collect();
    let result = func.call(store.as_context_mut(), &params, &mut results);
    let mut text = String::from("gave");
    match &result {
        Ok(()) => {
            for value in &results {
                text.push(' ');
                text.push_str(&show(store, value));
            }
        }
        Err(error) => text = outcome(error),
    }
    store.as_context_mut().data_mut().note(text);
    result
}

/// Changes something that the guest exports.
fn change(
    store: &mut impl AsContextMut<Data = Host>,
    numbers: &mut Numbers,
    item: &Extern,
    functions: &[Func],
) -> String {
    match item {
        Extern::Memory(memory) => {
            if numbers.chance(40) {
                let grown = memory.grow(store.as_context_mut(), numbers.below(3) as u64);
                return format!("grew {:?}", grown.ok());
            }
            let size = memory.data_size(store.as_context_mut());
            let at = numbers.below(size.max(1));
            let bytes = numbers.draw().to_le_bytes();
            let written = memory.write(store.as_context_mut(), at, &bytes);
            format!("wrote {}", written.is_ok())
        }
        Extern::SharedMemory(memory) => {
            if memory.data_size() < MEMORY_LIMIT {
                let grown = memory.grow(numbers.below(2) as u64);
                return format!("grew {:?}", grown.ok());
            }
            "nothing".to_owned()
        }
        Extern::Global(global) => {
            let context = store.as_context_mut();
            let ty = global.ty(&context);
            if ty.mutability().is_const() {
                return "nothing".to_owned();
            }
            match value(store, numbers, ty.content(), functions) {
                Some(value) => {
                    let set = global.set(store.as_context_mut(), value);
                    format!("set {}", set.is_ok())
                }
                None => "nothing".to_owned(),
            }
        }
        Extern::Table(table) => {
            let ty = table.ty(store.as_context_mut());
            let Some(element) = reference(store, numbers, ty.element(), functions) else {
                return "nothing".to_owned();
            };
            if numbers.chance(40) {
                let grown = table.grow(store.as_context_mut(), numbers.below(4) as u64, element);
                return format!("grew {:?}", grown.ok());
            }
            let size = table.size(store.as_context_mut());
            let set = table.set(
                store.as_context_mut(),
                numbers.below(size as usize + 1) as u64,
                element,
            );
            format!("set {}", set.is_ok())
        }
        _ => "nothing".to_owned(),
    }
}
