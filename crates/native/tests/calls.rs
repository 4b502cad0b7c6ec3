//! Calls through the stubs: every register, every way to come back, traps.
#![cfg(all(
    any(target_os = "linux", target_os = "macos", windows),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the invariants are the fixture's: contexts and code live as long as it"
)]

mod common;

use std::cell::{Cell, RefCell};

use common::{Fixture, HEADER, OTHER_CODE, Owner, REPORTED, STORE, guest, publish};
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_native::code::CodeRegion;
use tepui_native::stubs::{
    EnterStatus, LeaveFrame, RegisterClasses, RegisterCounts, StubFn, leave, leave_for,
    leave_integers, leave_slot, leave_slot_integers,
};
use tepui_native::walk::Activations;

fn region() -> CodeRegion {
    CodeRegion::new().expect("region")
}

/// An image with another number in every register.
fn full_image() -> RegisterImage {
    let mut image = RegisterImage::default();
    for (index, integer) in image.integers.iter_mut().enumerate() {
        *integer = 0xa1a1_0000_0000_0000 + index as u64;
    }
    for (index, vector) in image.vectors.iter_mut().enumerate() {
        *vector = 0xb2b2_0000_0000_0000_0000_0000_0000_0000 + ((index as u128) << 64) + 7;
    }
    image
}

/// What `ECHO` makes of an image.
fn echoed(
    sent: &RegisterImage,
    callee: u64,
    caller: u64,
    classes: RegisterClasses,
) -> RegisterImage {
    let p = sent.integers;
    let mut image = *sent;
    if cfg!(target_arch = "x86_64") {
        image.integers = [callee, p[1], p[0], 0x1111, 0x2222, p[2], p[3], caller];
    } else {
        image.integers[..6].copy_from_slice(&[callee, caller, p[1], p[0], p[2], p[3]]);
    }
    if classes == RegisterClasses::All {
        image.vectors.swap(0, 7);
    }
    image
}

#[test]
fn enter_carries_every_register() {
    let region = region();
    let code = publish(&region, guest::ECHO, std::ptr::null());
    let mut fixture = Fixture::new();
    for classes in [RegisterClasses::All, RegisterClasses::Integers] {
        let sent = full_image();
        let mut image = sent;
        let status = fixture.call(code.base(), &mut image, classes);
        assert_eq!(status, EnterStatus::Returned);
        let callee = fixture.instance_context() as u64;
        let expected = echoed(&sent, callee, 0xca11e4, classes);
        assert_eq!(image.integers, expected.integers);
        assert_eq!(image.vectors, expected.vectors);
        fixture.assert_idle();
    }
}

thread_local! {
    /// What the host functions of the tests saw.
    static SEEN: RefCell<Vec<(usize, usize, RegisterImage, usize)>> = const { RefCell::new(Vec::new()) };
    static EXITS: RefCell<Vec<Vec<usize>>> = const { RefCell::new(Vec::new()) };
}

tepui_native::stub_convention! {
    /// Notes what it sees and fills all registers with results.
    [unsafe] fn host_results(
        callee: *mut u8,
        caller: *mut u8,
        image: *mut RegisterImage,
        slot: usize,
    ) -> LeaveStatus {
        unsafe {
            SEEN.with_borrow_mut(|seen| seen.push((callee as usize, caller as usize, *image, slot)));
            let store = callee.cast::<*mut u8>().read();
            let stack = tepui_native::stack::thread_stack_bounds().expect("stack");
            EXITS.with_borrow_mut(|exits| {
                *exits = Activations::new(store)
                    .map(|activation| {
                        activation
                            .frames(stack.clone())
                            .map(|frame| frame.pc)
                            .collect()
                    })
                    .collect();
            });
            for index in 0..8 {
                (*image).integers[index] = 0xc3c3_0000 + index as u64;
                (*image).vectors[index] = (0xd4d4 << 100) + index as u128;
            }
        }
        LeaveStatus::Return
    }
}

fn result_integers() -> usize {
    usize::from(
        tepui_abi::convention::result_registers(tepui_abi::Target::host().architecture).integers,
    )
}

#[test]
fn leave_carries_every_register() {
    let region = region();
    let inner = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    let outer = publish(&region, guest::NEST, std::ptr::null());
    for (stub, classes) in [
        (leave as StubFn, RegisterClasses::All),
        (leave_integers, RegisterClasses::Integers),
    ] {
        let mut fixture = Fixture::new();
        fixture.import(stub, host_results);
        fixture.instance.0[OTHER_CODE / 8] = inner.base() as usize;
        let sent = full_image();
        let mut image = sent;
        let status = fixture.call(outer.base(), &mut image, classes);
        assert_eq!(status, EnterStatus::Returned);
        let (callee, caller, seen, slot) = SEEN.take().pop().expect("the host was called");
        assert_eq!(callee, fixture.host.0.as_ptr() as usize);
        assert_eq!(caller, fixture.instance_context() as usize);
        assert_eq!(slot, 0);
        assert_eq!(seen.integers[..4], sent.integers[..4]);
        let results: Vec<u64> = (0..8).map(|index| 0xc3c3_0000 + index).collect();
        assert_eq!(
            image.integers[..result_integers()],
            results[..result_integers()]
        );
        if classes == RegisterClasses::All {
            assert_eq!(seen.vectors, sent.vectors);
            for (index, vector) in image.vectors.iter().enumerate() {
                assert_eq!(*vector, (0xd4d4 << 100) + index as u128);
            }
        } else {
            assert_eq!(image.vectors, sent.vectors, "vectors are left alone");
        }
        // The walk sees both frames, and where they go on.
        let exits = EXITS.take();
        assert_eq!(exits.len(), 1);
        let within = |pc: usize, code: &tepui_native::code::CodeAllocation, len: usize| {
            pc > code.base() as usize && pc <= code.base() as usize + len
        };
        assert_eq!(exits[0].len(), 2, "{exits:x?}");
        assert!(within(exits[0][0], &inner, guest::CALL_IMPORT.len()));
        assert!(within(exits[0][1], &outer, guest::NEST.len()));
        fixture.assert_idle();
    }
}

#[test]
fn host_functions_are_called_from_the_host() {
    // No guest frame is there at all.
    let mut fixture = Fixture::new();
    fixture.import(leave, host_results);
    let mut image = full_image();
    let host = fixture.host.0.as_mut_ptr().cast::<u8>();
    let store = fixture.store_context();
    let status = unsafe {
        tepui_native::stubs::call(
            leave as *const u8,
            host,
            std::ptr::null_mut(),
            &mut image,
            store,
            RegisterClasses::All,
        )
    };
    assert_eq!(status, EnterStatus::Returned);
    assert_eq!(image.integers[0], 0xc3c3_0000);
    assert_eq!(EXITS.take(), vec![Vec::<usize>::new()]);
}

thread_local! {
    static ROUNDS: Cell<u64> = const { Cell::new(0) };
    static LOWEST: Cell<usize> = const { Cell::new(usize::MAX) };
    static HIGHEST: Cell<usize> = const { Cell::new(0) };
}

tepui_native::stub_convention! {
    /// Answers with tail calls to the code at `OTHER_CODE` of its caller, a million
    /// times, counting in a parameter.
    [unsafe] fn host_tail(
        _callee: *mut u8,
        caller: *mut u8,
        image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        let here = tepui_native::stack::approximate_stack_pointer();
        LOWEST.set(LOWEST.get().min(here));
        HIGHEST.set(HIGHEST.get().max(here));
        unsafe {
            let round = (*image).integers[3];
            assert_eq!(round, ROUNDS.get());
            assert_eq!((*image).vectors[7], u128::from(round) << 70);
            if round == 1_000_000 {
                (*image).integers[0] = round;
                return LeaveStatus::Return;
            }
            ROUNDS.set(round + 1);
            (*image).integers[3] = round + 1;
            (*image).vectors[7] = u128::from(round + 1) << 70;
            let store = caller.cast::<*mut u8>().read();
            let code = caller.cast::<usize>().add(OTHER_CODE / 8).read();
            store
                .add(STORE.tail_code() as usize)
                .cast::<usize>()
                .write(code);
            store
                .add(STORE.tail_context() as usize)
                .cast::<*mut u8>()
                .write(caller);
            // Seen by the guest as its caller; the next host call shows it is
            // the instance again.
            (*LeaveFrame::of(image)).caller_context = 0x7a11 as *mut u8;
        }
        LeaveStatus::TailCall
    }
}

#[test]
fn tail_calls_take_no_stack() {
    let region = region();
    let code = publish(&region, guest::TAIL_IMPORT, std::ptr::null());
    let start = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    let mut fixture = Fixture::new();
    fixture.import(leave, host_tail);
    fixture.instance.0[OTHER_CODE / 8] = code.base() as usize;
    let mut image = RegisterImage::default();
    let status = fixture.call(start.base(), &mut image, RegisterClasses::All);
    assert_eq!(status, EnterStatus::Returned);
    assert_eq!(image.integers[0], 1_000_000);
    assert_eq!(ROUNDS.get(), 1_000_000);
    assert_eq!(LOWEST.get(), HIGHEST.get(), "the stack moved");
    fixture.assert_idle();
}

tepui_native::stub_convention! {
    /// Jumps to `ECHO` with other contexts, to see that they arrive.
    [unsafe] fn host_tail_echo(
        callee: *mut u8,
        _caller: *mut u8,
        image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        unsafe {
            let store = callee.cast::<*mut u8>().read();
            let code = callee.cast::<usize>().add(2).read();
            store
                .add(STORE.tail_code() as usize)
                .cast::<usize>()
                .write(code);
            store
                .add(STORE.tail_context() as usize)
                .cast::<usize>()
                .write(0x1234);
            (*image) = full_image();
            (*LeaveFrame::of(image)).caller_context = 0x5678 as *mut u8;
        }
        LeaveStatus::TailCall
    }
}

#[test]
fn tail_calls_carry_contexts_and_vectors() {
    let region = region();
    let echo = publish(&region, guest::ECHO, std::ptr::null());
    let start = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    for stub in [leave as StubFn, leave_integers] {
        let mut fixture = Fixture::new();
        fixture.import(stub, host_tail_echo);
        fixture.host.0[2] = echo.base() as usize;
        let mut image = RegisterImage::default();
        let status = fixture.call(start.base(), &mut image, RegisterClasses::All);
        assert_eq!(status, EnterStatus::Returned);
        let expected = echoed(&full_image(), 0x1234, 0x5678, RegisterClasses::All);
        assert_eq!(
            image.integers[..result_integers()],
            expected.integers[..result_integers()]
        );
        assert_eq!(image.vectors, expected.vectors);
    }
}

tepui_native::stub_convention! {
    /// Enters again until a depth, and unwinds from there; notes how each level came
    /// back, and answers what the parameter says.
    [unsafe] fn host_nest(
        _callee: *mut u8,
        caller: *mut u8,
        image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        let depth = unsafe { (*image).integers[0] };
        if depth == 0 {
            let store = unsafe { caller.cast::<*mut u8>().read() };
            let stack = tepui_native::stack::thread_stack_bounds().expect("stack");
            let counts: Vec<usize> = unsafe { Activations::new(store) }
                .map(|activation| unsafe { activation.frames(stack.clone()) }.count())
                .collect();
            assert_eq!(counts, vec![1; 11]);
            return LeaveStatus::Unwind;
        }
        let mut inner = RegisterImage::default();
        inner.integers[0] = depth - 1;
        let status = unsafe {
            let store = caller.cast::<*mut u8>().read();
            let code = caller.cast::<*const u8>().add(OTHER_CODE / 8).read();
            tepui_native::stubs::call(
                code,
                caller,
                caller,
                &mut inner,
                store,
                if depth.is_multiple_of(2) {
                    RegisterClasses::All
                } else {
                    RegisterClasses::Integers
                },
            )
        };
        ROUNDS.set(ROUNDS.get() * 2 + u64::from(status == EnterStatus::Unwound));
        // Every other level goes on as if nothing had happened.
        if depth.is_multiple_of(2) {
            unsafe { (*image).integers[0] = 1000 + depth };
            LeaveStatus::Return
        } else {
            LeaveStatus::Unwind
        }
    }
}

#[test]
fn unwinding_ends_at_the_innermost_enter() {
    let region = region();
    let code = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    let mut fixture = Fixture::new();
    fixture.import(leave, host_nest);
    fixture.instance.0[OTHER_CODE / 8] = code.base() as usize;
    ROUNDS.set(1);
    assert_eq!(fixture.call_integers(code.base(), &[10]), Some(1010));
    // Levels from the innermost: unwound by the deepest, returned, unwound, …
    assert_eq!(ROUNDS.get(), 0b111_0101_0101);
    fixture.assert_idle();
    assert!(tepui_native::signals::current().is_null());
}

#[test]
fn faults_become_traps() {
    common::install();
    let region = region();
    let nest = publish(&region, guest::NEST, std::ptr::null());
    /// Code, offset of the fault, its trap, parameters, address.
    type Case = (&'static [u8], usize, u8, [u64; 2], usize);
    let cases: &[Case] = &[
        (guest::UNREACHABLE, guest::UNREACHABLE_FAULT, 10, [0, 0], 0),
        (guest::LOAD, guest::LOAD_FAULT, 2, [0, 0], 8),
        (guest::LOAD, guest::LOAD_FAULT, 2, [4096, 0], 4104),
        #[cfg(target_arch = "x86_64")]
        (guest::DIVIDE, guest::DIVIDE_FAULT, 8, [1, 0], 0),
        #[cfg(target_arch = "x86_64")]
        (
            guest::DIVIDE,
            guest::DIVIDE_FAULT,
            8,
            [1 << 63, u64::MAX],
            0,
        ),
    ];
    for &(code, fault, trap, parameters, address) in cases {
        let owner = Owner {
            sites: vec![(fault, trap)],
        };
        let code = publish(&region, code, owner.address());
        let mut fixture = Fixture::new();
        fixture.instance.0[OTHER_CODE / 8] = code.base() as usize;
        for _ in 0..3 {
            assert_eq!(fixture.call_integers(nest.base(), &parameters), None);
            fixture.assert_idle();
            let reported = REPORTED.take();
            assert_eq!(reported.len(), 1);
            let reported = &reported[0];
            assert_eq!(reported.store, fixture.store_context() as usize);
            assert_eq!(reported.pc, code.base() as usize + fault);
            assert_eq!(reported.trap, u32::from(trap));
            assert_eq!(reported.address, address);
            assert_eq!(reported.activations.len(), 1);
            let frames = &reported.activations[0];
            assert_eq!(frames.len(), 2, "{frames:x?}");
            assert_eq!(frames[0], reported.pc);
            assert!(frames[1] - (nest.base() as usize) <= guest::NEST.len());
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        // A divisor that is none of those does not trap.
        let code = publish(&region, guest::DIVIDE, std::ptr::null());
        assert_eq!(Fixture::new().call_integers(code.base(), &[42, 6]), Some(7));
    }
}

tepui_native::stub_convention! {
    /// Lets the guest trap inside of a host call.
    [unsafe] fn host_enters_trap(
        _callee: *mut u8,
        caller: *mut u8,
        image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        let mut inner = RegisterImage::default();
        let status = unsafe {
            let store = caller.cast::<*mut u8>().read();
            let code = caller.cast::<*const u8>().add(OTHER_CODE / 8).read();
            tepui_native::stubs::call(
                code,
                caller,
                caller,
                &mut inner,
                store,
                RegisterClasses::Integers,
            )
        };
        assert_eq!(status, EnterStatus::Unwound);
        unsafe { (*image).integers[0] = 5 };
        LeaveStatus::Return
    }
}

#[test]
fn a_trap_knows_all_activations() {
    common::install();
    let region = region();
    let owner = Owner {
        sites: vec![(guest::UNREACHABLE_FAULT, 10)],
    };
    let bad = publish(&region, guest::UNREACHABLE, owner.address());
    let code = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    let mut fixture = Fixture::new();
    fixture.import(leave_integers, host_enters_trap);
    fixture.instance.0[OTHER_CODE / 8] = bad.base() as usize;
    assert_eq!(fixture.call_integers(code.base(), &[]), Some(5));
    let reported = REPORTED.take();
    assert_eq!(reported.len(), 1);
    let counts: Vec<usize> = reported[0].activations.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_thread_that_traps_ends_in_order() {
    common::install();
    for _ in 0..50 {
        std::thread::spawn(|| {
            let region = CodeRegion::with_bytes(1 << 20).expect("region");
            let owner = Owner {
                sites: vec![(guest::LOAD_FAULT, 2)],
            };
            let code = publish(&region, guest::LOAD, owner.address());
            assert_eq!(Fixture::new().call_integers(code.base(), &[0]), None);
        })
        .join()
        .expect("the thread ends");
    }
}

tepui_native::stub_convention! {
    [] fn sum(context: *mut u8, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
        let store = unsafe { context.cast::<*mut u8>().read() };
        let stack = tepui_native::stack::thread_stack_bounds().expect("stack");
        let counts: Vec<usize> = unsafe { Activations::new(store) }
            .map(|activation| unsafe { activation.frames(stack.clone()) }.count())
            .collect();
        assert_eq!(counts, [1]);
        if a == u64::MAX {
            unsafe {
                store.add(STORE.pending() as usize).cast::<u32>().write(1);
            }
        }
        a.wrapping_add(10 * b)
            .wrapping_add(100 * c)
            .wrapping_add(1000 * d)
            .wrapping_add(e)
    }
}

tepui_native::builtin_stub! {
    /// Adds its arguments.
    fn sum_stub(context: *mut u8, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 = sum;
}

#[test]
fn builtins_return_or_unwind() {
    let region = region();
    let code = publish(&region, guest::CALL_BUILTIN, std::ptr::null());
    let mut fixture = Fixture::new();
    fixture.builtins.0[1] = sum_stub as *const () as usize;
    assert_eq!(
        fixture.call_integers(code.base(), &[1, 2, 3, 4]),
        Some(4321 + 77)
    );
    assert_eq!(
        fixture.call_integers(code.base(), &[u64::MAX, 2, 3, 4]),
        None
    );
    fixture.assert_idle();
    *fixture.store.at(STORE.pending()) = 0;
    assert_eq!(fixture.call_integers(code.base(), &[5, 0, 0, 0]), Some(82));
}

/// Each variant of *leave* moves at least what it was asked for.
#[test]
fn leave_moves_what_a_signature_uses() {
    let region = region();
    let inner = publish(&region, guest::CALL_IMPORT, std::ptr::null());
    let outer = publish(&region, guest::NEST, std::ptr::null());
    let counts = |integers: &[usize], vectors: &[usize]| -> Vec<RegisterCounts> {
        integers
            .iter()
            .flat_map(|&integers| {
                vectors
                    .iter()
                    .map(move |&vectors| RegisterCounts { integers, vectors })
            })
            .collect()
    };
    for parameters in counts(&[0, 1, 4], &[0, 1, 3, 4, 8]) {
        for results in counts(&[0, 1, 3, 4, result_integers()], &[0, 1, 3, 4, 8]) {
            let mut fixture = Fixture::new();
            fixture.import(leave_for(parameters, results), host_results);
            fixture.instance.0[OTHER_CODE / 8] = inner.base() as usize;
            let sent = full_image();
            let mut image = sent;
            let status = fixture.call(outer.base(), &mut image, RegisterClasses::All);
            assert_eq!(status, EnterStatus::Returned);
            let (_, caller, seen, _) = SEEN.take().pop().expect("the host was called");
            assert_eq!(caller, fixture.instance_context() as usize);
            let what = format!("{parameters:?} -> {results:?}");
            let given = parameters.integers;
            assert_eq!(seen.integers[..given], sent.integers[..given], "{what}");
            let given = parameters.vectors;
            assert_eq!(seen.vectors[..given], sent.vectors[..given], "{what}");
            for index in 0..results.integers {
                let expected = 0xc3c3_0000 + index as u64;
                assert_eq!(image.integers[index], expected, "{what}");
            }
            for index in 0..results.vectors {
                let expected = (0xd4d4 << 100) + index as u128;
                assert_eq!(image.vectors[index], expected, "{what}");
            }
            let exits = EXITS.take();
            assert_eq!(exits.len(), 1, "{what}");
            assert_eq!(exits[0].len(), 2, "{what}");
            fixture.assert_idle();
        }
    }
}

tepui_native::stub_convention! {
    /// What the runtime does on the first call of a function: finds out which one
    /// it is, gives it code, and goes on there.
    [unsafe] fn compile_lazily(
        callee: *mut u8,
        _caller: *mut u8,
        image: *mut RegisterImage,
        slot: usize,
    ) -> LeaveStatus {
        unsafe {
            SEEN.with_borrow_mut(|seen| seen.push((callee as usize, 0, *image, slot)));
            let store = callee.cast::<*mut u8>().read();
            let code = callee.cast::<usize>().add(OTHER_CODE / 8).read();
            store
                .add(STORE.tail_code() as usize)
                .cast::<usize>()
                .write(code);
            store
                .add(STORE.tail_context() as usize)
                .cast::<*mut u8>()
                .write(callee);
        }
        LeaveStatus::TailCall
    }
}

#[test]
fn first_calls_go_through_the_slot() {
    let region = region();
    let echo = publish(&region, guest::ECHO, std::ptr::null());
    // More than a group of any architecture.
    let functions = 2500;
    for (initial, classes) in [
        (leave_slot as StubFn, RegisterClasses::All),
        (leave_slot_integers, RegisterClasses::Integers),
    ] {
        let table = tepui_native::slots::SlotTable::new(&region, functions, initial as *const u8)
            .expect("slots");
        let mut fixture = Fixture::new();
        fixture.builtins.0[0] = compile_lazily as *const () as usize;
        fixture.instance.0[OTHER_CODE / 8] = echo.base() as usize;
        for function in [0, 1, 255, 256, 1023, 1024, functions - 1] {
            let geometry =
                tepui_abi::slots::SlotGeometry::new(tepui_abi::Target::host().architecture);
            let stub = table
                .stub_base()
                .wrapping_add(geometry.stub_offset(function) as usize);
            assert_eq!(stub, table.stub(function));
            for round in 0..2 {
                let sent = full_image();
                let mut image = sent;
                assert_eq!(
                    fixture.call(stub, &mut image, classes),
                    EnterStatus::Returned
                );
                let callee = fixture.instance_context() as u64;
                // The caller context is still the first caller's.
                let expected = echoed(&sent, callee, 0xca11e4, classes);
                assert_eq!(image.integers, expected.integers);
                assert_eq!(image.vectors, expected.vectors);
                let seen = SEEN.take();
                if round == 0 {
                    assert_eq!(seen.len(), 1);
                    assert_eq!(table.function_of_slot(seen[0].3), Some(function));
                    assert_eq!(table.load(function), initial as *const u8);
                    assert_eq!(
                        table.compare_exchange(function, initial as *const u8, echo.base()),
                        Ok(())
                    );
                    assert_eq!(
                        table.compare_exchange(function, initial as *const u8, echo.base()),
                        Err(echo.base())
                    );
                } else {
                    assert!(seen.is_empty(), "the slot leads to the code");
                }
            }
        }
        assert_eq!(table.function_of_slot(table.stub_base() as usize), None);
        assert_eq!(table.function_of_slot(0), None);
        assert_eq!(HEADER.builtins(), 8);
    }
    let empty = tepui_native::slots::SlotTable::new(&region, 0, std::ptr::null()).expect("none");
    assert_eq!(empty.functions(), 0);
}
