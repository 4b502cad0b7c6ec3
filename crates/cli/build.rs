//! How is the command linked? With what only the target's linker knows.
//!
//! Holds unsafe code: a question to the C library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Relocations as bits: half a megabyte less to be read at each start.
    if for_this_machine() && knows_packed_relocations() {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn for_this_machine() -> bool {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    variable("HOST") == variable("TARGET") && (arch == "x86_64" || arch == "aarch64")
}

/// Whether programs that are started here may have relocations of this kind: since
/// version 2.36 of the GNU C library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn knows_packed_relocations() -> bool {
    unsafe extern "C" {
        safe fn gnu_get_libc_version() -> *const std::ffi::c_char;
    }
    // SAFETY: it gives a string that lasts.
    let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
    let mut numbers = version
        .to_str()
        .unwrap_or_default()
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(2), Some(36))
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn knows_packed_relocations() -> bool {
    false
}
