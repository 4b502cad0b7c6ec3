//! Does a module do the same in every tier?
//!
//! Compared is what a guest or its host can see: values of results, arguments of
//! host functions, kinds of traps with the function and offset of each frame,
//! lengths and contents of memories, globals, lengths of tables and which of
//! their elements are null, and the fuel that is left. Bits of NaNs are compared
//! as well: either the engines make them canonical or the module does.
//!
//! Not compared is what follows a stack overflow, because the depth of stacks
//! belongs to each tier; and, in the optimizing tier, the offset of a load that
//! is out of bounds: a load that one instruction uses may have become an operand
//! of that instruction, and is then reported there. Its function is compared.
//!
//! This file holds unsafe code: it reads shared memories.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tepui::{Engine, Extern, Func, Global, Instance, Result, Store, Val};

use crate::case::Case;
use crate::engines::{Engines, Settings, Variant, load};
use crate::generate::{FUEL, FUEL_EXPORT, SUM_EXPORT};
use crate::host::{Host, digest, enter, import, outcome, show};
use crate::numbers::Numbers;

/// What came of a case.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Ways in which it was run.
    pub executions: usize,
    /// Functions entered from the host, in all runs, those that the host calls when it
    /// was called itself among them.
    pub calls: usize,
    /// Calls that came to an end without a trap.
    pub returned: usize,
    /// Whether the module was refused, or could not be instantiated.
    pub never_ran: bool,
    /// Two runs that were not alike, or a panic.
    pub difference: Option<String>,
}

/// The most functions that are called.
const FUNCTIONS: usize = 14;

/// How often each function is called, each time with other values.
const CALLS: usize = 5;

/// The number of bytes of large memories that are compared, at each end.
const MEMORY_COMPARED: usize = 1 << 20;

/// Runs the case's module in all its variants and compares what happened.
pub fn check(engines: &mut Engines, case: &Case) -> Outcome {
    check_with(engines, case, |_| &case.bytes)
}

/// The same with a module for each variant, to see whether a mistake of one
/// would be noticed.
pub fn check_with<'a>(
    engines: &mut Engines,
    case: &'a Case,
    module: impl Fn(usize) -> &'a [u8],
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut first: Option<Vec<String>> = None;
    for (index, variant) in case.variants.iter().enumerate() {
        outcome.executions += 1;
        let run = catch_unwind(AssertUnwindSafe(|| {
            let engine = engines.get(case.settings, *variant)?;
            Ok::<_, tepui::Error>(execute(&engine, case, *variant, module(index)))
        }));
        let events = match run {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => {
                outcome.difference = Some(format!("{variant:?}: no engine: {error:#}"));
                return outcome;
            }
            Err(payload) => {
                let text = payload
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
                outcome.difference = Some(format!(
                    "{variant:?} panicked: {}",
                    text.unwrap_or_default()
                ));
                return outcome;
            }
        };
        for event in &events {
            outcome.calls += usize::from(event == "enter");
            outcome.returned += usize::from(event.starts_with("gave"));
        }
        outcome.never_ran |= events.first().is_some_and(|first| first.starts_with("no "));
        match &first {
            None => first = Some(events),
            Some(first) => {
                if let Some(text) = difference(first, &events, *variant) {
                    outcome.difference = Some(format!(
                        "{:?}\nis not like\n{variant:?}\n{text}",
                        case.variants[0]
                    ));
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// Where two lists of events begin to differ, with what comes before.
fn difference(first: &[String], second: &[String], variant: Variant) -> Option<String> {
    let overflow = |events: &[String]| {
        events
            .iter()
            .position(|event| event.contains("overflow"))
            .unwrap_or(usize::MAX)
    };
    let compared = overflow(first).min(overflow(second));
    let end = first.len().max(second.len()).min(compared);
    let at = (0..end).find(|at| {
        let (first, second) = (first.get(*at), second.get(*at));
        first != second && !is_attributed_elsewhere(first, second, variant)
    })?;
    let mut text = String::new();
    for event in &first[at.saturating_sub(6)..at] {
        text.push_str(&format!("  {event}\n"));
    }
    let shown = |events: &[String]| events.get(at).cloned().unwrap_or("nothing".into());
    text.push_str(&format!("- {}\n+ {}\n", shown(first), shown(second)));
    Some(text)
}

/// Whether two events are traps of the same access to a memory or table that
/// differ in the offset of the innermost frame, where that is allowed.
fn is_attributed_elsewhere(
    first: Option<&String>,
    second: Option<&String>,
    variant: Variant,
) -> bool {
    /// The event up to the offset, and behind it.
    fn parts(event: &str) -> Option<(&str, &str)> {
        let (before, offset) = event.split_once('@')?;
        let accesses = ["MemoryOutOfBounds at ", "TableOutOfBounds at "];
        let is_access = accesses.iter().any(|access| before.contains(access));
        is_access.then_some((before, offset.split_once(' ')?.1))
    }
    let (Some(first), Some(second)) = (first, second) else {
        return false;
    };
    variant.optimizes() && parts(first).is_some() && parts(first) == parts(second)
}

/// Runs a module and says what happened.
fn execute(engine: &Engine, case: &Case, variant: Variant, bytes: &[u8]) -> Vec<String> {
    let module = match load(engine, variant, bytes) {
        Ok(module) => module,
        Err(error) => return vec![format!("no module: {error:#}")],
    };
    let mut events = Vec::new();
    for round in 0..case.rounds {
        let mut store = Store::new(engine, Host::new(case.seed ^ round as u64));
        store.limiter(|host| &mut host.limits);
        let mut numbers = Numbers::from_seed(case.seed.wrapping_add(round as u64));
        if let Err(error) = run(&mut store, &module, case.settings, &mut numbers) {
            store
                .data_mut()
                .note(format!("no instance: {}", outcome(&error)));
        }
        events.extend(store.into_data().into_events());
    }
    events
}

/// Gives a guest a share of fuel and time that follows from chance.
fn allow(store: &mut Store<Host>, settings: Settings, numbers: &mut Numbers) -> Result<()> {
    if settings.fuel {
        let fuel = if numbers.chance(85) {
            40_000
        } else {
            numbers.below(400)
        };
        store.set_fuel(fuel as u64)?;
    }
    if settings.epochs {
        store.set_epoch_deadline(if numbers.chance(50) { 2 } else { 10_000 });
    }
    Ok(())
}

fn run(
    store: &mut Store<Host>,
    module: &tepui::Module,
    settings: Settings,
    numbers: &mut Numbers,
) -> Result<()> {
    allow(store, settings, numbers)?;
    let mut visible = Vec::new();
    let mut imports = Vec::new();
    for (index, given) in module.imports().enumerate() {
        let item = import(store, index, &given.ty())?;
        visible.push((format!("import {index}"), item.clone()));
        imports.push(item);
    }
    let instance = Instance::new(&mut *store, module, &imports)?;
    let exports: Vec<(String, Extern)> = instance
        .exports(&mut *store)
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .collect();
    let counter: Option<Global> = exports
        .iter()
        .find(|(name, _)| name == FUEL_EXPORT)
        .and_then(|(_, item)| item.clone().into_global());
    let mut functions: Vec<(String, Func)> = Vec::new();
    for (name, item) in exports {
        match item {
            Extern::Func(func) => functions.push((name, func)),
            _ if name == FUEL_EXPORT => {}
            item => visible.push((name, item)),
        }
    }
    let host = store.data_mut();
    host.functions = functions.iter().map(|(name, _)| name.clone()).collect();
    host.others = visible
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| name != SUM_EXPORT)
        .collect();
    let all: Vec<Func> = functions.iter().map(|(_, func)| *func).collect();
    // Modules with many functions have others called in other cases.
    let skipped = numbers.below(functions.len().saturating_sub(FUNCTIONS) + 1);
    for (name, func) in functions.iter().skip(skipped).take(FUNCTIONS) {
        for _ in 0..CALLS {
            allow(store, settings, numbers)?;
            if let Some(counter) = &counter {
                let _ = counter.set(&mut *store, Val::I32(FUEL));
            }
            store.data_mut().note(format!("call {name}"));
            // What it answers is noted, and so is why it does not.
            let _ = enter(store, numbers, func, &all);
            if settings.fuel {
                let left = store.get_fuel()?;
                store.data_mut().note(format!("{left} left"));
            }
            if func.ty(&*store).params().len() == 0 && numbers.chance(50) {
                break;
            }
        }
        look(store, &visible);
    }
    Ok(())
}

/// Notes what memories, tables and globals hold.
fn look(store: &mut Store<Host>, visible: &[(String, Extern)]) {
    for (name, item) in visible {
        let seen = match item {
            Extern::Global(global) => {
                let value = global.get(&mut *store);
                show(store, &value)
            }
            Extern::Memory(memory) => bytes(memory.data(&*store)),
            Extern::SharedMemory(memory) => {
                let cells = memory.data();
                // SAFETY: the cells are as many initialized bytes, and the
                // memory belongs to a store that no other thread uses.
                bytes(unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) })
            }
            Extern::Table(table) => {
                let size = table.size(&*store);
                let mut elements = String::new();
                for index in 0..size.min(64) {
                    match table.get(&mut *store, index) {
                        Some(element) if element.is_null() => elements.push('0'),
                        Some(element) => {
                            let value = show(store, &element.into());
                            elements.push_str(value.strip_prefix("func true").unwrap_or(&value));
                            elements.push('1');
                        }
                        None => elements.push('?'),
                    }
                }
                format!("{size} elements, {elements}")
            }
            _ => continue,
        };
        store.data_mut().note(format!("{name} = {seen}"));
    }
}

fn bytes(data: &[u8]) -> String {
    let sum = if data.len() <= 2 * MEMORY_COMPARED {
        digest(0, data)
    } else {
        digest(
            digest(0, &data[..MEMORY_COMPARED]),
            &data[data.len() - MEMORY_COMPARED..],
        )
    };
    format!("{} bytes, {sum:x}", data.len())
}
