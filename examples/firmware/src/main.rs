//! Runs a WebAssembly module on a RISC-V machine without an operating system, and
//! prints what it answers on the serial port.
//!
//! This file holds unsafe code: the entry of the program, and the image of its guest.

#![no_std]
#![no_main]

extern crate alloc;

mod platform;

use alloc::string::String;
use core::fmt::Write;

use platform::Serial;
use tepui::{Caller, Config, Engine, Extern, Linker, Module, Result, Store, Trap};

#[cfg(not(feature = "image"))]
static GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.wasm"));
#[cfg(feature = "image")]
static GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.image"));

core::arch::global_asm!(
    ".section .text.start, \"ax\"",
    ".global _start",
    "_start:",
    // Only the first of several processors goes on.
    "csrr t0, mhartid",
    "bnez t0, 3f",
    "la sp, stack_high",
    "la t0, bss_start",
    "la t1, bss_end",
    "1: bgeu t0, t1, 2f",
    "sw zero, 0(t0)",
    "addi t0, t0, 4",
    "j 1b",
    "2: call {main}",
    "3: wfi",
    "j 3b",
    main = sym main,
);

extern "C" fn main() -> ! {
    let status = match run() {
        Ok(()) => 0,
        Err(error) => {
            // The port takes everything.
            let _ = writeln!(Serial, "error: {error:#}");
            1
        }
    };
    platform::exit(status)
}

fn run() -> Result<()> {
    let mut config = Config::new();
    config.max_wasm_stack(64 << 10);
    let engine = Engine::new(&config)?;
    #[cfg(not(feature = "image"))]
    let module = Module::new(&engine, GUEST)?;
    #[cfg(feature = "image")]
    // SAFETY: the image was made together with this program.
    let module = unsafe { Module::deserialize_static(&engine, GUEST) }?;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "print", print)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;

    let primes = instance.get_typed_func::<u32, u32>(&mut store, "primes")?;
    let sum = primes.call(&mut store, 1000)?;
    let _ = writeln!(Serial, "the sum of the primes below 1000 is {sum}");

    // What goes wrong in the guest does not go wrong here.
    let endless = instance.get_typed_func::<(), u32>(&mut store, "endless")?;
    match endless.call(&mut store, ()) {
        Ok(_) => Err(tepui::Error::msg("a recursion without end has ended")),
        Err(error) if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) => {
            let _ = writeln!(Serial, "a recursion without end is a trap");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Prints what lies in the guest's memory.
fn print(mut caller: Caller<'_, ()>, address: u32, length: u32) -> Result<()> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| tepui::Error::msg("the guest exports no memory"))?;
    let start = address as usize;
    let end = start.saturating_add(length as usize);
    let bytes = memory.data(&caller).get(start..end);
    let bytes = bytes.ok_or(Trap::MemoryOutOfBounds)?;
    let _ = Serial.write_str(&String::from_utf8_lossy(bytes));
    Ok(())
}
