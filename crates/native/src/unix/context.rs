//! The registers of a thread that a signal interrupted.
//!
//! Holds unsafe code: it reads and writes what the system will restore.

use crate::arch::trap_stub;

/// Bytes below the stack pointer that an interrupted frame may use.
const RED_ZONE: usize = 128;

/// The interrupted registers.
pub(super) struct Context(Registers);

#[cfg(any(target_os = "linux", target_os = "android"))]
type Registers = *mut libc::ucontext_t;
#[cfg(target_os = "macos")]
type Registers = libc::mcontext_t;

impl Context {
    /// # Safety
    ///
    /// `context` is the third argument of a signal handler that is running.
    pub(super) unsafe fn new(context: *mut libc::c_void) -> Context {
        let context = context.cast::<libc::ucontext_t>();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return Context(context);
        #[cfg(target_os = "macos")]
        // SAFETY: the caller's.
        return Context(unsafe { (*context).uc_mcontext });
    }

    /// The instruction that was to be executed.
    pub(super) fn pc(&self) -> usize {
        // SAFETY: the context is valid while the handler runs.
        unsafe { *self.pc_register() as usize }
    }

    /// Lets the thread go on elsewhere, with all other registers as they are.
    ///
    /// # Safety
    ///
    /// What is there expects these registers.
    pub(super) unsafe fn go_on_at(&mut self, pc: usize) {
        let register = self.pc_register().cast_mut();
        // SAFETY: the context is valid while the handler runs.
        unsafe { *register = pc as _ };
    }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    target_arch = "x86_64"
))]
impl Context {
    unsafe fn register(&mut self, index: libc::c_int) -> &mut i64 {
        // SAFETY: the context is valid while the handler runs.
        unsafe { &mut (*self.0).uc_mcontext.gregs[index as usize] }
    }

    fn pc_register(&self) -> *const i64 {
        // SAFETY: as above.
        unsafe { &raw const (*self.0).uc_mcontext.gregs[libc::REG_RIP as usize] }
    }

    /// Lets the thread go on in the stub for traps.
    ///
    /// # Safety
    ///
    /// The thread runs generated code, whose stack has room below.
    pub(super) unsafe fn redirect(
        &mut self,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        /// The direction flag.
        const DIRECTION: i64 = 1 << 10;
        // SAFETY: the context is valid while the handler runs.
        unsafe {
            let pc = *self.register(libc::REG_RIP);
            let fp = *self.register(libc::REG_RBP);
            let sp = (*self.register(libc::REG_RSP) as usize - RED_ZONE) & !15;
            *self.register(libc::REG_RDI) = store_context as i64;
            *self.register(libc::REG_RSI) = pc;
            *self.register(libc::REG_RDX) = fp;
            *self.register(libc::REG_RCX) = i64::from(trap);
            *self.register(libc::REG_R8) = address as i64;
            *self.register(libc::REG_RAX) = on_trap as i64;
            *self.register(libc::REG_RSP) = sp as i64;
            *self.register(libc::REG_RIP) = trap_stub as *const () as i64;
            *self.register(libc::REG_EFL) &= !DIRECTION;
        }
    }
}

#[cfg(all(target_os = "macos", target_arch = "x86_64"))]
impl Context {
    fn pc_register(&self) -> *const u64 {
        // SAFETY: the context is valid while the handler runs.
        unsafe { &raw const (*self.0).__ss.__rip }
    }

    /// Lets the thread go on in the stub for traps.
    ///
    /// # Safety
    ///
    /// The thread runs generated code, whose stack has room below.
    pub(super) unsafe fn redirect(
        &mut self,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        /// The direction flag.
        const DIRECTION: u64 = 1 << 10;
        // SAFETY: as above.
        let state = unsafe { &mut (*self.0).__ss };
        state.__rdi = store_context as u64;
        state.__rsi = state.__rip;
        state.__rdx = state.__rbp;
        state.__rcx = u64::from(trap);
        state.__r8 = address as u64;
        state.__rax = on_trap as u64;
        state.__rsp = (state.__rsp - RED_ZONE as u64) & !15;
        state.__rip = trap_stub as *const () as u64;
        state.__rflags &= !DIRECTION;
    }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    target_arch = "aarch64"
))]
impl Context {
    fn pc_register(&self) -> *const u64 {
        // SAFETY: the context is valid while the handler runs.
        unsafe { &raw const (*self.0).uc_mcontext.pc }
    }

    /// Lets the thread go on in the stub for traps.
    ///
    /// # Safety
    ///
    /// The thread runs generated code, whose stack has room below.
    pub(super) unsafe fn redirect(
        &mut self,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        // SAFETY: as above.
        let state = unsafe { &mut (*self.0).uc_mcontext };
        state.regs[0] = store_context as u64;
        state.regs[1] = state.pc;
        state.regs[2] = state.regs[29];
        state.regs[3] = u64::from(trap);
        state.regs[4] = address as u64;
        state.regs[5] = on_trap as u64;
        state.sp = (state.sp - RED_ZONE as u64) & !15;
        state.pc = trap_stub as *const () as u64;
        // The branch type must not outlive the instruction it was of.
        state.pstate &= !(3 << 10);
    }
}

#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
impl Context {
    fn pc_register(&self) -> *const u64 {
        // SAFETY: the context is valid while the handler runs.
        unsafe { &raw const (*self.0).__ss.__pc }
    }

    /// Lets the thread go on in the stub for traps.
    ///
    /// # Safety
    ///
    /// The thread runs generated code, whose stack has room below.
    pub(super) unsafe fn redirect(
        &mut self,
        store_context: *mut u8,
        trap: u8,
        address: usize,
        on_trap: usize,
    ) {
        // SAFETY: as above.
        let state = unsafe { &mut (*self.0).__ss };
        state.__x[0] = store_context as u64;
        state.__x[1] = state.__pc;
        state.__x[2] = state.__fp;
        state.__x[3] = u64::from(trap);
        state.__x[4] = address as u64;
        state.__x[5] = on_trap as u64;
        state.__sp = (state.__sp - RED_ZONE as u64) & !15;
        state.__pc = trap_stub as *const () as u64;
    }
}
