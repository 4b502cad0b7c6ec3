//! Code that is published, replaced and freed while other threads run.
#![cfg(all(
    any(target_os = "linux", target_os = "macos", windows),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the invariants are the fixture's: contexts and code live as long as it"
)]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::{Fixture, constant, publish};
use tepui_native::code::{CODE_GRANULE, CodeRegion, find_code};
use tepui_native::slots::SlotTable;

#[test]
fn slots_change_under_callers() {
    let region = CodeRegion::new().expect("region");
    let first = publish(&region, &constant(0), std::ptr::null());
    let table = SlotTable::new(&region, 300, first.base()).expect("slots");
    let newest = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    let calls = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut fixture = Fixture::new();
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let value = fixture
                        .call_integers(table.stub(299), &[])
                        .expect("returns") as u32;
                    assert!(value >= last, "code went back from {last} to {value}");
                    assert!(value <= newest.load(Ordering::Acquire));
                    last = value;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut kept = Vec::new();
        for value in 1..=2000 {
            let code = publish(&region, &constant(value), std::ptr::null());
            newest.store(value, Ordering::Release);
            table.store(299, code.base());
            kept.push(code);
        }
        while calls.load(Ordering::Relaxed) < 1000 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn addresses_are_used_again_for_other_code() {
    // So small a region that threads meet each other's old code all the time,
    // and large enough for all of them however it is cut up.
    let region = CodeRegion::with_bytes(40 * CODE_GRANULE).expect("region");
    let addresses = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u32)
            .map(|thread| {
                let region = &region;
                scope.spawn(move || {
                    let mut fixture = Fixture::new();
                    let mut addresses = HashSet::new();
                    for round in 0..1500u32 {
                        let value = (thread << 24) + round;
                        let owner = (value as usize + 1) as *const ();
                        let granules = 1 + round as usize % 3;
                        let allocation = region
                            .allocate(granules * CODE_GRANULE - 5)
                            .expect("room for four threads");
                        assert_eq!(find_code(allocation.base() as usize), None);
                        let code = constant(value);
                        unsafe {
                            allocation
                                .publish(owner, |bytes| {
                                    assert!(bytes.iter().all(|byte| *byte == 0));
                                    let end = bytes.len() - code.len();
                                    bytes[end..].copy_from_slice(&code);
                                    bytes[..code.len()].copy_from_slice(&code);
                                })
                                .expect("published");
                        }
                        let last = allocation
                            .base()
                            .wrapping_add(allocation.len() - code.len());
                        for entry in [allocation.base(), last] {
                            assert_eq!(fixture.call_integers(entry, &[]), Some(u64::from(value)));
                            let found = find_code(entry as usize).expect("registered");
                            assert_eq!(found.owner, owner);
                            assert_eq!(found.base, allocation.base());
                            assert_eq!(found.len, granules * CODE_GRANULE);
                            assert_eq!(region.lookup(entry as usize), Some(found));
                        }
                        addresses.insert(allocation.base() as usize);
                    }
                    addresses
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no thread failed"))
            .collect::<HashSet<_>>()
    });
    assert!(addresses.len() <= 40);
    // Everything came back.
    let all = region.allocate(40 * CODE_GRANULE).expect("all of it");
    assert!(region.allocate(1).is_err());
    drop(all);
}

#[test]
fn code_is_written_in_parts() {
    let region = CodeRegion::with_bytes(1 << 20).expect("region");
    if region.write_granularity() != 1 {
        return;
    }
    let allocation = region.allocate(1).expect("memory");
    let mut fixture = Fixture::new();
    // Across page borders where instructions may lie so, beside code that runs.
    let step = if cfg!(target_arch = "x86_64") { 61 } else { 60 };
    for part in 0..CODE_GRANULE / step {
        let code = constant(part as u32);
        let start = part * step;
        unsafe {
            allocation
                .write(start..start + code.len(), |bytes| {
                    assert_eq!(bytes.len(), code.len());
                    bytes.copy_from_slice(&code);
                })
                .expect("written");
        }
        for earlier in [0, part / 2, part] {
            assert_eq!(
                fixture.call_integers(allocation.base().wrapping_add(earlier * step), &[]),
                Some(earlier as u64)
            );
        }
    }
}

#[test]
fn regions_come_and_go() {
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            scope.spawn(move || {
                let mut fixture = Fixture::new();
                for round in 0..100u32 {
                    let region = CodeRegion::with_bytes(64 << 20).expect("region");
                    let value = thread * 1000 + round;
                    let owner = (value as usize + 1) as *const ();
                    let code = publish(&region, &constant(value), owner);
                    let base = code.base() as usize;
                    // The allocation keeps the region.
                    drop(region);
                    assert_eq!(find_code(base).map(|found| found.owner), Some(owner));
                    assert_eq!(
                        fixture.call_integers(code.base(), &[]),
                        Some(u64::from(value))
                    );
                }
            });
        }
    });
}

#[test]
fn what_is_freed_is_not_found() {
    let region = CodeRegion::new().expect("region");
    let code = publish(&region, &constant(1), std::ptr::dangling());
    let base = code.base() as usize;
    assert!(region.addresses().contains(&base));
    assert!(find_code(base + CODE_GRANULE - 1).is_some());
    assert!(find_code(base + CODE_GRANULE).is_none());
    assert!(find_code(base.wrapping_sub(1)).is_none());
    drop(code);
    assert!(find_code(base).is_none());
    assert!(find_code(0).is_none());
    assert!(find_code(usize::MAX).is_none());
    assert!(find_code(main_address()).is_none());
}

fn main_address() -> usize {
    main_address as *const () as usize
}

#[test]
fn code_is_never_writable_where_it_runs() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let region = CodeRegion::new().expect("region");
    let code = publish(&region, &constant(1), std::ptr::null());
    let table = SlotTable::new(&region, 300, code.base()).expect("slots");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    assert!(maps.lines().count() > 3);
    for line in maps.lines() {
        let rights = line.split(' ').nth(1).expect("rights");
        assert!(
            !(rights.contains('w') && rights.contains('x')),
            "writable and executable: {line}"
        );
    }
    assert_eq!(table.load(299), code.base());
}
