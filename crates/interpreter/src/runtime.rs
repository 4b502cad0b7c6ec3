//! What does the interpreter ask of the runtime that it runs in?
//!
//! Everything that touches what only the runtime knows goes through one table of
//! functions, [`Runtime`]. A runtime without compiled code implements it without
//! any assembly.

use core::ptr::NonNull;

use tepui_abi::for_each_builtin;
use tepui_module::{DefinedFuncIndex, TypeIndex};

use crate::code::FunctionCode;

/// The runtime has recorded an error, a trap or a panic: the run is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised;

macro_rules! declare {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:tt),*) -> $result:tt;)*) => {
        /// The builtins of [`tepui_abi::builtin`] as functions that may fail.
        ///
        /// Each is called with the context of the instance that runs, whose
        /// store is otherwise unused for the time.
        #[expect(missing_debug_implementations, reason = "a table of functions")]
        pub struct Builtins {
            $(
                $(#[$doc])*
                pub $name: unsafe fn(context: *mut u8 $(, $argument: $type)*) -> Result<$result, Raised>,
            )*
        }
    };
}

for_each_builtin!(declare);

/// A call of a function that is not interpreted.
#[derive(Clone, Copy, Debug)]
pub struct NativeCall {
    /// Where it is entered, under the calling convention.
    pub code: *const u8,
    /// The context that it is called with.
    pub callee_context: *mut u8,
    /// The context of the instance that calls.
    pub caller_context: *mut u8,
    /// Its type, in the module of the caller.
    pub type_index: TypeIndex,
    /// The slots of the parameters, and then of the results: 8 bytes each, 16
    /// for vectors, without gaps. Narrow values lie in the low bits; function
    /// references are pointers, other references 32-bit ids.
    pub slots: *mut u64,
}

/// How a defined function is to be called.
#[derive(Clone, Copy, Debug)]
pub enum Resolution {
    /// By the interpreter.
    Interpreted(NonNull<FunctionCode>),
    /// At this address, under the calling convention.
    Native(*const u8),
    /// It is one of the host: see [`Runtime::call_host`].
    Host,
}

/// The functions that a runtime provides.
///
/// Every function is called with the context of the instance that runs. They
/// may run other guests of the same store, on this thread, by further
/// activations of the same slot stack.
#[expect(missing_debug_implementations, reason = "a table of functions")]
pub struct Runtime {
    /// What generated code asks for as well.
    pub builtins: Builtins,
    /// Calls a function that is not interpreted: results replace parameters.
    pub call: unsafe fn(call: &NativeCall) -> Result<(), Raised>,
    /// Calls the function of the host whose context is `callee_context`, from the
    /// instance of `caller_context`. `slots` are those of
    /// [`NativeCall::slots`]: results replace parameters.
    pub call_host: unsafe fn(
        callee_context: *mut u8,
        caller_context: *mut u8,
        slots: *mut u64,
    ) -> Result<(), Raised>,
    /// Says how the defined function of the instance of this context is called,
    /// translating it if it is interpreted. Never [`Resolution::Host`].
    pub resolve:
        unsafe fn(context: *mut u8, function: DefinedFuncIndex) -> Result<Resolution, Raised>,
}
