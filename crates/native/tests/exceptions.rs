//! Exceptions that are not a guest's go to whoever handles them otherwise, and
//! stacks grow under guests.
//!
//! Cases that end their process run in one of their own.
#![cfg(all(windows, any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the cases do what they must not, and end"
)]

mod common;

use std::ptr;

use common::{Fixture, Owner, REPORTED, guest, publish};
use tepui_native::code::CodeRegion;
use tepui_testing::process::{is_case, run_case};
use windows_sys::Win32::Foundation::EXCEPTION_ACCESS_VIOLATION;
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};

/// Reads what nobody may.
fn fault() {
    unsafe { ptr::without_provenance::<u8>(0x10).read_volatile() };
}

unsafe extern "system" fn exit_42(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    let record = unsafe { &*(*pointers).ExceptionRecord };
    if record.ExceptionCode == EXCEPTION_ACCESS_VIOLATION && record.ExceptionInformation[1] == 0x10
    {
        std::process::exit(42);
    }
    EXCEPTION_CONTINUE_SEARCH
}

#[test]
fn faults_of_the_host_go_to_other_handlers() {
    if is_case("faults_of_the_host_go_to_other_handlers") {
        common::install();
        // Behind ours, so that ours has to pass on.
        unsafe { AddVectoredExceptionHandler(0, Some(exit_42)) };
        fault();
        std::process::exit(1);
    }
    assert_eq!(
        run_case("faults_of_the_host_go_to_other_handlers").code(),
        Some(42)
    );
}

#[test]
fn faults_of_the_host_end_the_process() {
    if is_case("faults_of_the_host_end_the_process") {
        common::install();
        fault();
        std::process::exit(1);
    }
    assert_eq!(
        run_case("faults_of_the_host_end_the_process").code(),
        Some(EXCEPTION_ACCESS_VIOLATION)
    );
}

#[test]
fn what_code_is_not_expected_to_do_is_no_trap() {
    if is_case("what_code_is_not_expected_to_do_is_no_trap") {
        common::install();
        let region = CodeRegion::new().expect("region");
        let owner = Owner { sites: Vec::new() };
        let code = publish(&region, guest::LOAD, owner.address());
        let mut fixture = Fixture::new();
        fixture.call_integers(code.base(), &[0x10]);
        std::process::exit(1);
    }
    assert_eq!(
        run_case("what_code_is_not_expected_to_do_is_no_trap").code(),
        Some(EXCEPTION_ACCESS_VIOLATION)
    );
}

#[test]
fn panics_are_caught_beside_guests_that_trap() {
    common::install();
    let region = CodeRegion::new().expect("region");
    let owner = Owner {
        sites: vec![(guest::LOAD_FAULT, 2)],
    };
    let code = publish(&region, guest::LOAD, owner.address());
    for _ in 0..10 {
        // Panics are exceptions too, of another kind.
        assert!(std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1))).is_err());
        assert_eq!(Fixture::new().call_integers(code.base(), &[0x10]), None);
        let reported = REPORTED.take();
        assert_eq!(reported.len(), 1);
        assert_eq!(reported[0].address, 0x18);
    }
}
