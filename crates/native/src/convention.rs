//! By which convention do stubs and generated code call Rust, and Rust the stubs?

/// Gives a function, or the type of one, the convention of stubs: that of C in the
/// System V ABI of the architecture, on every system.
///
/// So the same assembly, and the same generated code, serves on Windows. There the
/// compiler that makes the Rust function knows of the difference: who calls a
/// stub keeps xmm6 to xmm15, rsi and rdi for *its* caller, and who is called by
/// one gives them up.
///
/// What stands before `fn` is put in brackets:
///
/// ```
/// tepui_native::stub_convention! {
///     [unsafe] fn add(_context: *mut u8, a: u64, b: u32) -> u64 {
///         a + u64::from(b)
///     }
/// }
/// let function: tepui_native::stub_convention!([unsafe] fn(*mut u8, u64, u32) -> u64) = add;
/// ```
#[cfg(target_arch = "x86_64")]
#[macro_export]
macro_rules! stub_convention {
    ($(#[$attribute:meta])* [$($before:tt)*] $($function:tt)*) => {
        $(#[$attribute])* $($before)* extern "sysv64" $($function)*
    };
}

/// Gives a function, or the type of one, the convention of stubs: that of C.
///
/// What stands before `fn` is put in brackets:
///
/// ```
/// tepui_native::stub_convention! {
///     [unsafe] fn add(_context: *mut u8, a: u64, b: u32) -> u64 {
///         a + u64::from(b)
///     }
/// }
/// let function: tepui_native::stub_convention!([unsafe] fn(*mut u8, u64, u32) -> u64) = add;
/// ```
#[cfg(not(target_arch = "x86_64"))]
#[macro_export]
macro_rules! stub_convention {
    ($(#[$attribute:meta])* [$($before:tt)*] $($function:tt)*) => {
        $(#[$attribute])* $($before)* extern "C" $($function)*
    };
}
