//! The nth system call fails, for every n: an error, nothing lost, and the next
//! attempt works.
//!
//! The counter is the process's, so that this binary has one test.
#![cfg(target_os = "linux")]
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the invariants are the fixture's: contexts and code live as long as it"
)]

mod common;

use std::io;

use common::{Fixture, Owner, REPORTED, constant, guest};
use tepui_native::code::{CODE_GRANULE, CodeRegion, find_code};
use tepui_native::inject;
use tepui_native::memory::{CowImage, Reservation, page_size};
use tepui_native::slots::SlotTable;

/// Does everything that makes system calls, and checks that it worked.
fn everything() -> io::Result<()> {
    let page = page_size();
    // Memory.
    let reservation = Reservation::new(64 * page)?;
    reservation.make_accessible(0..8 * page)?;
    if let Some(image) = CowImage::new(&[5; 100])? {
        unsafe {
            reservation.map_copy_on_write(&image, page)?;
            assert_eq!(reservation.base().as_ptr().add(page).read(), 5);
            reservation.base().as_ptr().add(page).write(6);
            reservation.reset(0..8 * page)?;
            assert_eq!(reservation.base().as_ptr().add(page).read(), 5);
            reservation.reset_to_zero(page..2 * page)?;
            assert_eq!(reservation.base().as_ptr().add(page).read(), 0);
        }
    }
    unsafe { reservation.make_inaccessible(0..8 * page)? };

    // Code, which is written and replaced.
    let region = CodeRegion::with_bytes(32 * CODE_GRANULE)?;
    // On a thread of its own, which needs a signal stack.
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                tepui_native::signals::ensure_thread_ready()?;
                let mut fixture = Fixture::new();
                for round in 0..2 {
                    let code = region.allocate(1)?;
                    let bytes = constant(round);
                    unsafe {
                        code.publish(std::ptr::dangling(), |view| {
                            view[..bytes.len()].copy_from_slice(&bytes);
                        })?;
                    }
                    let table = SlotTable::new(&region, 600, code.base())?;
                    assert_eq!(
                        fixture.call_integers(table.stub(599), &[]),
                        Some(u64::from(round))
                    );
                    let base = code.base() as usize;
                    assert!(find_code(base).is_some());
                    drop(code);
                    assert!(find_code(base).is_none());
                }
                let owner = Owner {
                    sites: vec![(guest::LOAD_FAULT, 2)],
                };
                let code = region.allocate(1)?;
                unsafe {
                    code.publish(owner.address(), |view| {
                        view[..guest::LOAD.len()].copy_from_slice(guest::LOAD);
                    })?;
                }
                assert_eq!(fixture.call_integers(code.base(), &[0]), None);
                assert_eq!(REPORTED.take().len(), 1);
                Ok(())
            })
            .join()
            .expect("no panic")
    })
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("fds").count()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .expect("maps")
        .lines()
        .count()
}

#[test]
fn every_system_call_may_fail() {
    // The handlers are installed once; their failures come first.
    let mut failures = 0;
    for nth in 0.. {
        inject::arm(nth, 1, libc::ENOMEM);
        let result = unsafe { tepui_native::signals::install(never, ignore) };
        inject::disarm();
        if result.is_ok() {
            break;
        }
        failures += 1;
        let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
        unsafe { libc::sigaction(libc::SIGFPE, std::ptr::null(), &mut now) };
        assert_eq!(now.sa_sigaction, libc::SIG_DFL, "half installed");
    }
    assert_eq!(failures, 8, "asked and installed, four signals each");

    everything().expect("nothing fails yet");
    let threads_settle = || std::thread::sleep(std::time::Duration::from_millis(1));
    threads_settle();
    let (fds, maps) = (descriptors(), mappings());
    inject::arm(u64::MAX, 0, libc::ENOMEM);
    everything().expect("counted only");
    let calls = inject::disarm();
    assert!(calls > 20, "{calls} calls");

    let mut errors = 0;
    for error in [libc::ENOMEM, libc::EPERM, libc::ENOSYS] {
        for first in 0..calls {
            for count in [1, u64::MAX] {
                inject::arm(first, count, error);
                let result = everything();
                inject::disarm();
                if let Err(found) = result {
                    errors += 1;
                    assert_eq!(
                        found.raw_os_error(),
                        Some(error),
                        "call {first} of {calls}: {found}"
                    );
                } else {
                    // What fails when memory is given back at the end, or in a
                    // barrier that x86-64 can do without, is nobody's error.
                    assert!(
                        count == 1 || first + 3 >= calls,
                        "call {first} of {calls}: all later calls failed unnoticed"
                    );
                }
            }
        }
        everything().expect("works again");
    }
    assert!(errors > calls, "{errors} errors");
    threads_settle();
    assert_eq!(descriptors(), fds, "descriptors are lost");
    // Address tables of regions stay for the next ones, and the allocator may
    // have grown; what leaks per failure would be hundreds.
    assert!(mappings() <= maps + 20, "{} and {maps}", mappings());

    without_memory_files();
}

/// The same with pages that change between writable and executable.
fn without_memory_files() {
    for first in 0..6 {
        inject::arm(first, 2, libc::ENOSYS);
        let region = CodeRegion::with_bytes(32 * CODE_GRANULE);
        inject::disarm();
        let Ok(region) = region else { continue };
        if region.write_granularity() == 1 {
            continue;
        }
        assert_eq!(region.write_granularity(), page_size());
        let mut fixture = Fixture::new();
        for round in 0..3 {
            let allocation = region.allocate(CODE_GRANULE * 2).expect("memory");
            let code = constant(round);
            unsafe {
                allocation
                    .publish(std::ptr::dangling(), |bytes| {
                        assert!(bytes.iter().all(|byte| *byte == 0));
                        bytes[..code.len()].copy_from_slice(&code);
                    })
                    .expect("published");
            }
            assert_eq!(
                fixture.call_integers(allocation.base(), &[]),
                Some(u64::from(round))
            );
            // Slots of which each page of stubs is a copy.
            // The page is made, or not, once per region.
            inject::arm(2, if round == 0 { 2 } else { 0 }, libc::ENOSYS);
            let table = SlotTable::new(&region, 600, allocation.base());
            inject::disarm();
            let table = table.expect("copies serve as well");
            assert_eq!(
                fixture.call_integers(table.stub(599), &[]),
                Some(u64::from(round))
            );
        }
        return;
    }
    panic!("no failure leads to pages that change");
}

tepui_native::stub_convention! {
    [unsafe] fn ignore(store: *mut u8, pc: usize, fp: usize, trap: u32, address: usize) {
        let _ = (store, fp);
        REPORTED.with_borrow_mut(|reported| {
            reported.push(common::Reported {
                store: 0,
                pc,
                trap,
                address,
                activations: Vec::new(),
            });
        });
    }
}

fn never(owner: *const (), offset: usize) -> Option<u8> {
    let owner = unsafe { owner.cast::<Owner>().as_ref() }?;
    owner
        .sites
        .iter()
        .find(|(site, _)| *site == offset)
        .map(|(_, trap)| *trap)
}
