//! The functions that generated code calls in the runtime.
//!
//! This file holds unsafe code: it is called by generated code with a context
//! of a live instance. Each builtin is a Rust function that may fail; a wrapper
//! turns errors and panics into an unwind, and a stub of `tepui-native` notes
//! where the guest left off.

#[cfg(feature = "compiler")]
use core::ptr;
use core::ptr::NonNull;
use core::time::Duration;

use tepui_abi::Trap;
use tepui_abi::for_each_builtin;
#[cfg(feature = "compiler")]
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_module::{DataIndex, ElemIndex, MemoryIndex, TableIndex, TypeId};

use super::context::VmHostContext;
use super::frames::backtrace_at_exit;
use super::instance::VmInstance;
use super::parking::{Interrupt, WaitResult};
use super::{memory, table};
use crate::panics;
use crate::segments;
use crate::store::{MemoryEntry, StoreOpaque, Unwind};
use crate::{Error, Result};

/// What a builtin works on: the instance that called, and its store.
///
/// Both are raw because they overlap; each borrow lasts one statement.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    store: *mut StoreOpaque,
    instance: NonNull<VmInstance>,
}

impl Call {
    /// # Safety
    ///
    /// `context` is that of the live instance that called, whose store nobody
    /// else uses.
    unsafe fn new(context: *mut u8) -> Call {
        // SAFETY: every context leads to its store and instance.
        unsafe {
            Call {
                store: (*VmHostContext::store_context_of(context)).store,
                instance: VmInstance::of_context(NonNull::new_unchecked(context)),
            }
        }
    }

    fn store(&mut self) -> &mut StoreOpaque {
        // SAFETY: the store is suspended in this call, and `self` is borrowed
        // for as long as the result.
        unsafe { &mut *self.store }
    }

    fn instance(&mut self) -> &mut VmInstance {
        // SAFETY: as in `store`; instances live as long as their store.
        unsafe { self.instance.as_mut() }
    }
}

/// Runs a builtin's body; an error or a panic becomes an unwind.
///
/// # Safety
///
/// As for [`Call::new`].
#[cfg(feature = "compiler")]
unsafe fn run<R: Default>(context: *mut u8, body: impl FnOnce(Call) -> Result<R>) -> R {
    // SAFETY: the caller's promise.
    if let Some(result) = unsafe { attempt(context, body) } {
        return result;
    }
    // SAFETY: the caller's promise; the store context lives as long as the store.
    unsafe { (*VmHostContext::store_context_of(context)).pending = 1 };
    R::default()
}

/// Runs a builtin's body; `None` when an error or a panic was recorded.
///
/// # Safety
///
/// As for [`Call::new`].
unsafe fn attempt<R>(context: *mut u8, body: impl FnOnce(Call) -> Result<R>) -> Option<R> {
    // SAFETY: the caller's promise.
    let mut call = unsafe { Call::new(context) };
    let unwind = match panics::catch(|| body(call)) {
        Ok(Ok(result)) => return Some(result),
        Ok(Err(error)) => as_unwind(call.store(), error),
        Err(payload) => Unwind::Panic(payload),
    };
    call.store().set_unwind(unwind);
    None
}

/// An error of a builtin as what the call unwinds with: traps get a backtrace.
pub(crate) fn as_unwind(store: &StoreOpaque, error: Error) -> Unwind {
    match error.downcast_ref::<Trap>() {
        Some(_) => match backtrace_at_exit(store) {
            Some(backtrace) => Unwind::Error(error.with_backtrace(backtrace)),
            None => Unwind::Error(error),
        },
        None => Unwind::Error(error),
    }
}

/// The functions themselves, with the names of the table.
mod body {
    use super::*;

    fn old_size(size: Option<u64>) -> u64 {
        size.unwrap_or(u64::MAX)
    }

    fn memory_index(memory: u32) -> MemoryIndex {
        MemoryIndex::new(memory)
    }

    pub(super) fn memory_grow(mut call: Call, delta: u64, memory: u32) -> Result<u64> {
        let number = call.instance().memories[memory as usize];
        call.store().grow_memory(number, delta).map(old_size)
    }

    pub(super) fn memory_copy(
        mut call: Call,
        destination_memory: u32,
        source_memory: u32,
        destination: u64,
        source: u64,
        length: u64,
    ) -> Result<()> {
        let instance = call.instance();
        // SAFETY: the memories are alive, and no reference into them exists
        // while the guest is in this call.
        unsafe {
            memory::copy(
                instance.memory_definition(memory_index(destination_memory)),
                instance.memory_definition(memory_index(source_memory)),
                destination,
                source,
                length,
            )?;
        }
        Ok(())
    }

    pub(super) fn memory_fill(
        mut call: Call,
        memory: u32,
        destination: u64,
        value: u32,
        length: u64,
    ) -> Result<()> {
        let instance = call.instance();
        // SAFETY: as for `memory_copy`.
        unsafe {
            memory::fill(
                instance.memory_definition(memory_index(memory)),
                destination,
                value as u8,
                length,
            )?;
        }
        Ok(())
    }

    pub(super) fn memory_init(
        mut call: Call,
        memory: u32,
        data: u32,
        destination: u64,
        source: u32,
        length: u32,
    ) -> Result<()> {
        let instance = call.instance();
        // SAFETY: as for `memory_copy`.
        unsafe {
            memory::init(
                instance.memory_definition(memory_index(memory)),
                instance.data(DataIndex::new(data)),
                destination,
                source,
                length,
            )?;
        }
        Ok(())
    }

    pub(super) fn data_drop(mut call: Call, data: u32) -> Result<()> {
        call.instance().drop_data(DataIndex::new(data));
        Ok(())
    }

    pub(super) fn memory_atomic_notify(
        mut call: Call,
        memory: u32,
        address: u64,
        count: u32,
    ) -> Result<u32> {
        let number = call.instance().memories[memory as usize];
        Ok(match call.store().memory(number) {
            MemoryEntry::Shared(memory) => memory.atomic_notify(address, count)?,
            MemoryEntry::Local(_) => memory::notify_unshared(
                call.instance().memory_definition(memory_index(memory)),
                address,
            )?,
        })
    }

    pub(super) fn memory_atomic_wait32(
        mut call: Call,
        memory: u32,
        address: u64,
        expected: u32,
        timeout: u64,
    ) -> Result<u32> {
        let number = call.instance().memories[memory as usize];
        match call.store().memory(number) {
            MemoryEntry::Shared(memory) => {
                let memory = memory.clone();
                interruptible(call, |interrupt| {
                    memory.wait32_interruptible(address, expected, timeout as i64, interrupt)
                })
            }
            MemoryEntry::Local(_) => {
                let memory = call.instance().memory_definition(memory_index(memory));
                memory::check_atomic(memory, address, 4)?;
                Err(Trap::AtomicWaitNonSharedMemory.into())
            }
        }
    }

    pub(super) fn memory_atomic_wait64(
        mut call: Call,
        memory: u32,
        address: u64,
        expected: u64,
        timeout: u64,
    ) -> Result<u32> {
        let number = call.instance().memories[memory as usize];
        match call.store().memory(number) {
            MemoryEntry::Shared(memory) => {
                let memory = memory.clone();
                interruptible(call, |interrupt| {
                    memory.wait64_interruptible(address, expected, timeout as i64, interrupt)
                })
            }
            MemoryEntry::Local(_) => {
                let memory = call.instance().memory_definition(memory_index(memory));
                memory::check_atomic(memory, address, 8)?;
                Err(Trap::AtomicWaitNonSharedMemory.into())
            }
        }
    }

    /// Waits, looking at the epoch now and then if the guest has a deadline.
    fn interruptible(
        mut call: Call,
        wait: impl FnOnce(Option<Interrupt<'_>>) -> Result<WaitResult>,
    ) -> Result<u32> {
        let result = if call.store().engine().tunables().epoch {
            wait(Some(Interrupt {
                every: Duration::from_millis(10),
                // SAFETY: as for `new_epoch`; the memory waited on is shared, and
                // not borrowed from the store.
                check: &mut || unsafe { StoreOpaque::check_epoch(call.store) },
            }))
        } else {
            wait(None)
        };
        Ok(result? as u32)
    }

    pub(super) fn table_grow(mut call: Call, table: u32, value: u64, delta: u64) -> Result<u64> {
        let number = call.instance().tables[table as usize];
        call.store().grow_table(number, delta, value).map(old_size)
    }

    pub(super) fn table_fill(
        mut call: Call,
        table: u32,
        destination: u64,
        value: u64,
        length: u64,
    ) -> Result<()> {
        let number = call.instance().tables[table as usize];
        call.store().tables[number].fill(destination, value, length)?;
        Ok(())
    }

    pub(super) fn table_copy(
        mut call: Call,
        destination_table: u32,
        source_table: u32,
        destination: u64,
        source: u64,
        length: u64,
    ) -> Result<()> {
        let tables = &call.instance().tables;
        let (to, from) = (
            tables[destination_table as usize],
            tables[source_table as usize],
        );
        let tables = &mut call.store().tables;
        if to == from {
            tables[to].copy_within(destination, source, length)?;
        } else {
            let [to, from] = tables
                .get_disjoint_mut([to, from])
                .expect("tables of an instance are in its store");
            table::copy(to, from, destination, source, length)?;
        }
        Ok(())
    }

    pub(super) fn table_init(
        mut call: Call,
        table: u32,
        element: u32,
        destination: u64,
        source: u32,
        length: u32,
    ) -> Result<()> {
        let instance = call.instance;
        segments::init_table(
            call.store(),
            // SAFETY: instances live as long as their store, and none of its
            // fields is written meanwhile.
            unsafe { instance.as_ref() },
            TableIndex::new(table),
            ElemIndex::new(element),
            destination,
            source,
            length,
        )
    }

    pub(super) fn elem_drop(mut call: Call, element: u32) -> Result<()> {
        call.instance().drop_element(ElemIndex::new(element));
        Ok(())
    }

    pub(super) fn is_subtype(mut call: Call, actual: u32, expected: u32) -> Result<u32> {
        let engine = call.store().engine();
        Ok(engine
            .is_subtype(TypeId::new(actual), TypeId::new(expected))
            .into())
    }

    pub(super) fn out_of_fuel(mut call: Call) -> Result<()> {
        call.store().refuel()
    }

    pub(super) fn new_epoch(call: Call) -> Result<u64> {
        // SAFETY: the guest is suspended in this call, and no borrow is held.
        unsafe { StoreOpaque::extend_epoch(call.store) }
    }

    pub(super) fn raise(_call: Call, trap: u32) -> Result<()> {
        let trap = u8::try_from(trap).ok().and_then(Trap::from_code);
        Err(trap.unwrap_or(Trap::UnreachableCodeReached).into())
    }

    macro_rules! rounding {
        ($($name:ident, $bits:ident, $float:ident, $method:ident, $libm:ident;)*) => {
            $(
                pub(super) fn $name(_call: Call, value: $bits) -> Result<$bits> {
                    let value = $float::from_bits(value);
                    // Quiets a NaN, as the instruction does.
                    let rounded = if value.is_nan() {
                        value + value
                    } else {
                        #[cfg(feature = "std")]
                        {
                            value.$method()
                        }
                        #[cfg(not(feature = "std"))]
                        libm::$libm(value)
                    };
                    Ok(rounded.to_bits())
                }
            )*
        };
    }

    rounding! {
        f32_ceil, u32, f32, ceil, ceilf;
        f32_floor, u32, f32, floor, floorf;
        f32_trunc, u32, f32, trunc, truncf;
        f32_nearest, u32, f32, round_ties_even, rintf;
        f64_ceil, u64, f64, ceil, ceil;
        f64_floor, u64, f64, floor, floor;
        f64_trunc, u64, f64, trunc, trunc;
        f64_nearest, u64, f64, round_ties_even, rint;
    }

    #[cfg(feature = "std")]
    fn fma32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[cfg(feature = "std")]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }

    #[cfg(not(feature = "std"))]
    use libm::{fma as fma64, fmaf as fma32};

    pub(super) fn f32_fma(_call: Call, a: u32, b: u32, c: u32) -> Result<u32> {
        let [a, b, c] = [a, b, c].map(f32::from_bits);
        Ok(fma32(a, b, c).to_bits())
    }

    pub(super) fn f64_fma(_call: Call, a: u64, b: u64, c: u64) -> Result<u64> {
        let [a, b, c] = [a, b, c].map(f64::from_bits);
        Ok(fma64(a, b, c).to_bits())
    }

    #[cfg(feature = "compiler")]
    pub(super) fn hot_function(mut call: Call, function: u32) -> Result<()> {
        let instance = call.instance();
        if let Some(compiled) = instance.code().compiled() {
            let plan = instance.code().plan();
            compiled.hot_function(instance.inner(), plan, function.into());
        }
        Ok(())
    }

    #[cfg(feature = "compiler")]
    pub(super) fn hot_loop(mut call: Call, function: u32, index: u32) -> Result<u64> {
        let instance = call.instance();
        let plan = instance.code().plan();
        let exit = instance
            .code()
            .compiled()
            .and_then(|compiled| compiled.hot_loop(instance.inner(), plan, function.into(), index));
        let Some(exit) = exit else {
            return Ok(0);
        };
        let store = call.store();
        let vm = store.vm().as_ptr();
        // SAFETY: the store context lives as long as the store. Only code that counts
        // calls this, from the loop that it names, and the stub has noted its own frame,
        // where the frame pointer of that code lies.
        unsafe {
            let stub = ptr::with_exposed_provenance::<usize>((*vm).exit_fp);
            exit.fill(&mut store.osr_buffer, stub.read());
            (*vm).tail_code = exit.entry;
        }
        Ok(store.osr_buffer.as_ptr().expose_provenance() as u64)
    }

    #[cfg(not(feature = "compiler"))]
    pub(super) fn hot_function(_call: Call, _function: u32) -> Result<()> {
        Ok(())
    }

    #[cfg(not(feature = "compiler"))]
    pub(super) fn hot_loop(_call: Call, _function: u32, _index: u32) -> Result<u64> {
        Ok(0)
    }
}

macro_rules! wrap {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ident),*) -> $result:tt;)*) => {
        /// What the stubs call: the C signatures of the table.
        #[cfg(feature = "compiler")]
        mod wrapped {
            use super::*;

            $(
                tepui_native::stub_convention! {
                    [pub(super) unsafe] fn $name(
                        context: *mut u8
                        $(, $argument: $type)*
                    ) -> $result {
                        // SAFETY: generated code passes its own context.
                        unsafe { run(context, |call| body::$name(call $(, $argument)*)) }
                    }
                }
            )*
        }

        #[cfg(feature = "compiler")]
        mod stubs {
            use super::wrapped;

            $(
                tepui_native::builtin_stub! {
                    $(#[$doc])*
                    pub(super) fn $name(
                        context: *mut u8
                        $(, $argument: $type)*
                    ) -> $result = wrapped::$name;
                }
            )*
        }

        /// What the interpreter calls.
        #[cfg(feature = "interpreter")]
        mod fallible {
            use super::*;
            use tepui_interpreter::Raised;

            $(
                pub(super) unsafe fn $name(
                    context: *mut u8
                    $(, $argument: $type)*
                ) -> Result<$result, Raised> {
                    // SAFETY: the interpreter passes the context that it runs.
                    unsafe { attempt(context, |call| body::$name(call $(, $argument)*)) }
                        .ok_or(Raised)
                }
            )*
        }

        /// The builtins as the interpreter calls them.
        #[cfg(feature = "interpreter")]
        pub(crate) const FALLIBLE: tepui_interpreter::Builtins = tepui_interpreter::Builtins {
            $($name: fallible::$name,)*
        };

        /// The builtin table in the layout of `tepui_abi::builtin`.
        #[cfg(feature = "compiler")]
        #[repr(C)]
        struct Table {
            slot_entry: tepui_native::stubs::LeaveFn,
            $($name: tepui_native::stub_convention!([unsafe] fn(*mut u8 $(, $type)*) -> $result),)*
        }

        #[cfg(feature = "compiler")]
        static TABLE: Table = Table {
            slot_entry,
            $($name: stubs::$name,)*
        };

        #[cfg(feature = "compiler")]
        const _: () = {
            use tepui_abi::builtin::{Builtin, slot_entry_offset};
            const POINTER: u32 = tepui_abi::Target::host().pointer();
            assert!(core::mem::offset_of!(Table, slot_entry) == slot_entry_offset() as usize);
            $(assert!(
                core::mem::offset_of!(Table, $name) == Builtin::$name.offset(POINTER) as usize
            );)*
        };
    };
}

for_each_builtin!(wrap);

/// The table that contexts point to.
#[cfg(feature = "compiler")]
pub(crate) fn table() -> *const u8 {
    (&raw const TABLE).cast()
}

#[cfg(feature = "compiler")]
tepui_native::stub_convention! {
    /// What is called for a function that has no code.
    ///
    /// It is interpreted. Where it is not, whole modules are compiled before they are
    /// instantiated, so that no slot is left without code: whoever comes here then
    /// has found a hole in that.
    [unsafe] fn slot_entry(
        callee: *mut u8,
        _caller: *mut u8,
        image: *mut RegisterImage,
        slot: usize,
    ) -> LeaveStatus {
        // SAFETY: generated code calls a slot with the context of its instance.
        let mut call = unsafe { Call::new(callee) };
        let code = call.instance().code();
        let function = code
            .compiled()
            .and_then(|compiled| compiled.slots().function_of_slot(slot));
        #[cfg(feature = "interpreter")]
        if let Some(function) = function
            && call.instance().code().interpreted().is_some()
        {
            let function = tepui_module::DefinedFuncIndex::new(function);
            // SAFETY: the image is that of the stub, and the slot says which
            // function of the context's module was called.
            return unsafe { crate::compiled::crossing::enter(callee, image, function) };
        }
        let _ = image;
        let error = Error::msg(format!("function {function:?} was called without code"));
        call.store().set_unwind(Unwind::Error(error));
        LeaveStatus::Unwind
    }
}
