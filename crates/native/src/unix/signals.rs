//! Signal handlers and alternate stacks.
//!
//! Holds unsafe code: it is called by the system in the middle of anything.

use std::cell::{RefCell, UnsafeCell};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::check;
use crate::inject;
use crate::memory::{Reservation, page_size};

/// The signals that faults of the processor arrive as.
const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What a program had installed before, per signal.
struct Previous {
    action: UnsafeCell<MaybeUninit<libc::sigaction>>,
    /// The action asked to be called once, and was.
    spent: AtomicBool,
}

// SAFETY: the action is written before the handler is installed that reads it,
// under the lock of `signals::install`, and never again.
unsafe impl Sync for Previous {}

static PREVIOUS: [Previous; SIGNALS.len()] = [const {
    Previous {
        action: UnsafeCell::new(MaybeUninit::uninit()),
        spent: AtomicBool::new(false),
    }
}; SIGNALS.len()];

/// Installs the handlers. Called under a lock, until it succeeds once.
pub(crate) fn install_fault_handlers() -> io::Result<()> {
    // Asked first, installed second: a fault between has somewhere to go.
    for (signal, previous) in SIGNALS.iter().zip(&PREVIOUS) {
        inject::check()?;
        // SAFETY: no handler of ours is installed yet that would read it.
        check(unsafe {
            libc::sigaction(*signal, ptr::null(), (*previous.action.get()).as_mut_ptr())
        })?;
    }
    for (index, signal) in SIGNALS.iter().enumerate() {
        // SAFETY: zeros are a valid `sigaction`; the fields that matter follow.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = handle as *const () as libc::sighandler_t;
        // No `SA_NODEFER`: a fault in the handler itself ends the process. What
        // is called on from here gets the mask that it asked for.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the set and the action are ours; the handler keeps to what is
        // allowed in signal context.
        let installed = unsafe {
            libc::sigemptyset(&mut action.sa_mask);
            inject::check().and_then(|()| check(libc::sigaction(*signal, &action, ptr::null_mut())))
        };
        if let Err(error) = installed {
            for (signal, previous) in SIGNALS.iter().zip(&PREVIOUS).take(index) {
                // SAFETY: puts back what was there, as the system gave it.
                unsafe {
                    libc::sigaction(*signal, (*previous.action.get()).as_ptr(), ptr::null_mut())
                };
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Our handler.
unsafe extern "C" fn handle(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the system passes valid pointers to the handler.
    unsafe {
        #[cfg(all(
            any(target_os = "linux", target_os = "android", target_os = "macos"),
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        if raised_by_processor(&*info) {
            let mut context = super::context::Context::new(context);
            let pc = context.pc();
            if (signal == libc::SIGSEGV || signal == libc::SIGBUS)
                && let Some(landing) = crate::signals::landing(pc)
            {
                context.go_on_at(landing);
                return;
            }
            if let Some(fault) = crate::signals::guest_fault(pc) {
                let address = if signal == libc::SIGSEGV || signal == libc::SIGBUS {
                    (*info).si_addr() as usize
                } else {
                    0
                };
                context.redirect(
                    fault.store_context,
                    fault.trap,
                    address,
                    crate::stubs::on_trap(),
                );
                return;
            }
        }
        call_previous(signal, info, context);
    }
}

/// Whether an instruction raised the signal, not a process.
fn raised_by_processor(info: &libc::siginfo_t) -> bool {
    if cfg!(target_vendor = "apple") {
        // SI_USER and its kin stand above the codes of faults.
        info.si_code > 0 && info.si_code < 0x1_0000
    } else {
        info.si_code > 0
    }
}

/// Does what would have been done without us.
unsafe fn call_previous(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let Some(previous) = SIGNALS
        .iter()
        .position(|known| *known == signal)
        .map(|index| &PREVIOUS[index])
    else {
        return;
    };
    // SAFETY: it was filled before the handler was installed; the pointers are
    // the system's.
    unsafe {
        let action = (*previous.action.get()).assume_init_ref();
        let handler = action.sa_sigaction;
        let once = action.sa_flags & libc::SA_RESETHAND != 0;
        let spent = once && previous.spent.swap(true, Ordering::AcqRel);
        let faulted = raised_by_processor(&*info);
        if handler == libc::SIG_IGN && !faulted {
            return;
        }
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN || spent {
            // The system does not let a fault be ignored. The instruction
            // faults again once we return, or the signal is sent again.
            let mut default: libc::sigaction = MaybeUninit::zeroed().assume_init();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &default, ptr::null_mut());
            if !faulted {
                libc::raise(signal);
            }
            return;
        }
        // The mask that the system would have set; it is undone on return.
        libc::pthread_sigmask(libc::SIG_BLOCK, &action.sa_mask, ptr::null_mut());
        if action.sa_flags & libc::SA_NODEFER != 0
            && libc::sigismember(&action.sa_mask, signal) == 0
        {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        }
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            let handler = std::mem::transmute::<
                libc::sighandler_t,
                unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
            >(handler);
            handler(signal, info, context);
        } else {
            let handler = std::mem::transmute::<
                libc::sighandler_t,
                unsafe extern "C" fn(libc::c_int),
            >(handler);
            handler(signal);
        }
    }
}

/// Bytes of the alternate stacks that we make, and of those that we keep.
const SIGNAL_STACK_BYTES: usize = 64 << 10;
const ENOUGH_BYTES: usize = 32 << 10;

/// What a thread's alternate stack is.
enum SignalStack {
    /// Not looked at yet.
    Unknown,
    /// Somebody else's, large enough.
    Foreign,
    /// Ours: a guard page, then the stack.
    Ours(Reservation),
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        crate::signals::thread_is_ending();
        let SignalStack::Ours(reservation) = self else {
            return;
        };
        let stack = reservation.base().as_ptr().wrapping_add(page_size());
        // SAFETY: takes the stack away from the thread if it is still its
        // alternate one, before the memory goes.
        unsafe {
            let mut now = MaybeUninit::<libc::stack_t>::uninit();
            if libc::sigaltstack(ptr::null(), now.as_mut_ptr()) != 0
                || now.assume_init_ref().ss_sp != stack.cast()
            {
                return;
            }
            let none = libc::stack_t {
                ss_sp: ptr::null_mut(),
                ss_flags: libc::SS_DISABLE,
                // Some systems check the size even so.
                ss_size: SIGNAL_STACK_BYTES,
            };
            libc::sigaltstack(&none, ptr::null_mut());
        }
    }
}

pub(crate) fn ensure_signal_stack() -> io::Result<()> {
    thread_local! {
        static STACK: RefCell<SignalStack> = const { RefCell::new(SignalStack::Unknown) };
    }
    STACK
        .try_with(|stack| {
            let mut stack = stack.borrow_mut();
            if matches!(*stack, SignalStack::Unknown) {
                *stack = make_signal_stack()?;
            }
            Ok(())
        })
        .unwrap_or_else(|_| Err(io::Error::other("the thread is ending")))
}

fn make_signal_stack() -> io::Result<SignalStack> {
    inject::check()?;
    let mut now = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: writes to our variable, which is read when it was.
    let now = unsafe {
        check(libc::sigaltstack(ptr::null(), now.as_mut_ptr()))?;
        now.assume_init()
    };
    if now.ss_flags & libc::SS_DISABLE == 0 && now.ss_size >= ENOUGH_BYTES.max(least_bytes() * 2) {
        return Ok(SignalStack::Foreign);
    }
    let guard = page_size();
    let bytes = SIGNAL_STACK_BYTES.max(least_bytes() * 4);
    let reservation = Reservation::new(guard + bytes)?;
    reservation.make_accessible(guard..reservation.len())?;
    let stack = libc::stack_t {
        ss_sp: reservation.base().as_ptr().wrapping_add(guard).cast(),
        ss_flags: 0,
        ss_size: reservation.len() - guard,
    };
    inject::check()?;
    // SAFETY: the memory is ours until the thread ends, or the stack is taken
    // away from it.
    check(unsafe { libc::sigaltstack(&stack, ptr::null_mut()) })?;
    Ok(SignalStack::Ours(reservation))
}

/// What the system needs to deliver a signal; more for larger register sets.
fn least_bytes() -> usize {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: asks a constant of the system.
    let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let least = 0;
    least.max(libc::MINSIGSTKSZ)
}
