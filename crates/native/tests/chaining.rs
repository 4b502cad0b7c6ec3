//! Faults that are not a guest's go to whoever was there before.
//!
//! Each case runs in a process of its own, because it ends it.
#![cfg(target_os = "linux")]
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the cases do what they must not, and end"
)]

mod common;

use std::os::unix::process::ExitStatusExt;

use common::{Fixture, Owner, guest, publish};
use tepui_native::code::CodeRegion;
use tepui_testing::process::{is_case, run_case};

extern "C" fn exit_42(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    unsafe {
        let ok = !info.is_null() && !context.is_null();
        libc::_exit(if ok { 42 } else { 1 });
    }
}

extern "C" fn exit_43(_signal: libc::c_int) {
    unsafe { libc::_exit(43) }
}

extern "C" fn mask_tells(_signal: libc::c_int) {
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        // SA_NODEFER and SIGUSR1 in the mask.
        let ok = libc::sigismember(&mask, libc::SIGSEGV) == 0
            && libc::sigismember(&mask, libc::SIGUSR1) == 1
            && libc::sigismember(&mask, libc::SIGUSR2) == 0;
        libc::_exit(if ok { 44 } else { 1 });
    }
}

fn handle(handler: libc::sighandler_t, flags: libc::c_int) {
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
            assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
        }
    }
}

fn fault() -> ! {
    unsafe {
        std::hint::black_box(8 as *const u8).read_volatile();
    }
    std::process::exit(9)
}

/// A fault of the host beside a guest that could have caused it.
fn fault_as_host() -> ! {
    common::install();
    let mut fixture = Fixture::new();
    tepui_native::signals::set_current(fixture.store_context());
    fault()
}

/// Code that nobody expects to fault, does.
fn fault_in_code() -> ! {
    common::install();
    let region = CodeRegion::new().expect("region");
    let owner = Owner { sites: vec![] };
    let code = publish(&region, guest::LOAD, owner.address());
    Fixture::new().call_integers(code.base(), &[0]);
    std::process::exit(9)
}

#[test]
fn host_fault_reaches_earlier_handler() {
    if is_case("host_fault_reaches_earlier_handler") {
        handle(
            exit_42 as *const () as usize,
            libc::SA_SIGINFO | libc::SA_ONSTACK,
        );
        fault_as_host();
    }
    assert_eq!(
        run_case("host_fault_reaches_earlier_handler").code(),
        Some(42)
    );
}

#[test]
fn plain_handler_is_called() {
    if is_case("plain_handler_is_called") {
        handle(exit_43 as *const () as usize, 0);
        fault_as_host();
    }
    assert_eq!(run_case("plain_handler_is_called").code(), Some(43));
}

#[test]
fn mask_is_what_was_asked_for() {
    if is_case("mask_is_what_was_asked_for") {
        handle(mask_tells as *const () as usize, libc::SA_NODEFER);
        fault_as_host();
    }
    assert_eq!(run_case("mask_is_what_was_asked_for").code(), Some(44));
}

#[test]
fn unexpected_fault_in_code_reaches_earlier_handler() {
    if is_case("unexpected_fault_in_code_reaches_earlier_handler") {
        handle(exit_42 as *const () as usize, libc::SA_SIGINFO);
        fault_in_code();
    }
    assert_eq!(
        run_case("unexpected_fault_in_code_reaches_earlier_handler").code(),
        Some(42)
    );
}

#[test]
fn default_action_ends_the_process() {
    if is_case("default_action_ends_the_process") {
        handle(libc::SIG_DFL, 0);
        fault_as_host();
    }
    assert_eq!(
        run_case("default_action_ends_the_process").signal(),
        Some(libc::SIGSEGV)
    );
}

#[test]
fn faults_are_not_ignored() {
    if is_case("faults_are_not_ignored") {
        handle(libc::SIG_IGN, 0);
        fault_in_code();
    }
    assert_eq!(
        run_case("faults_are_not_ignored").signal(),
        Some(libc::SIGSEGV)
    );
}

#[test]
fn sent_signals_end_or_are_ignored_as_before() {
    if is_case("sent_signals_end_or_are_ignored_as_before") {
        handle(libc::SIG_IGN, 0);
        common::install();
        unsafe { libc::raise(libc::SIGSEGV) };
        std::process::exit(45);
    }
    assert_eq!(
        run_case("sent_signals_end_or_are_ignored_as_before").code(),
        Some(45)
    );
}

#[test]
fn sent_signal_ends_by_default() {
    if is_case("sent_signal_ends_by_default") {
        handle(libc::SIG_DFL, 0);
        common::install();
        unsafe { libc::raise(libc::SIGFPE) };
        std::process::exit(9);
    }
    assert_eq!(
        run_case("sent_signal_ends_by_default").signal(),
        Some(libc::SIGFPE)
    );
}

#[test]
fn one_shot_handler_is_called_once() {
    extern "C" fn count(_signal: libc::c_int) {}
    if is_case("one_shot_handler_is_called_once") {
        handle(count as *const () as usize, libc::SA_RESETHAND);
        common::install();
        // Returns to the fault, which is then the system's.
        fault();
    }
    assert_eq!(
        run_case("one_shot_handler_is_called_once").signal(),
        Some(libc::SIGSEGV)
    );
}

#[test]
fn overflow_of_the_host_stack_is_reported_as_ever() {
    #[allow(unconditional_recursion, reason = "that is the case")]
    fn recurse(depth: usize) -> usize {
        let array = std::hint::black_box([depth; 100]);
        recurse(depth + 1) + array[depth % 100]
    }
    if is_case("overflow_of_the_host_stack_is_reported_as_ever") {
        common::install();
        let mut fixture = Fixture::new();
        tepui_native::signals::set_current(fixture.store_context());
        std::process::exit(recurse(0) as i32);
    }
    // Rust's own handler says so and aborts.
    assert_eq!(
        run_case("overflow_of_the_host_stack_is_reported_as_ever").signal(),
        Some(libc::SIGABRT)
    );
}

#[test]
fn other_hooks_are_refused() {
    if is_case("other_hooks_are_refused") {
        tepui_native::stub_convention! {
            [unsafe] fn other(_: *mut u8, _: usize, _: usize, _: u32, _: usize) {}
        }
        fn look_up(_: *const (), _: usize) -> Option<u8> {
            None
        }
        common::install();
        common::install();
        let result = unsafe { tepui_native::signals::install(look_up, other) };
        let refused = result.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists);
        std::process::exit(if refused { 46 } else { 1 });
    }
    assert_eq!(run_case("other_hooks_are_refused").code(), Some(46));
}
