//! The machine: a serial port, a way to end, and the functions that
//! `tepui-platform.h` asks for, which could as well be written in C.
//!
//! This file holds unsafe code: it hands out memory, and uses registers of devices.

use core::cell::UnsafeCell;
use core::fmt;
use core::ptr;

/// The serial port of QEMU's machine `virt`, a 16550.
const SERIAL: *mut u8 = ptr::without_provenance_mut(0x1000_0000);

/// The device that ends QEMU.
const FINISHER: *mut u32 = ptr::without_provenance_mut(0x10_0000);

/// Writes to the serial port.
pub(crate) struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the register takes bytes at any time: the emulated port is
            // never busy.
            unsafe { SERIAL.write_volatile(byte) };
        }
        Ok(())
    }
}

/// Ends the machine.
pub(crate) fn exit(status: u32) -> ! {
    let word = if status == 0 {
        0x5555
    } else {
        status << 16 | 0x3333
    };
    loop {
        // SAFETY: the register of a device that ends everything.
        unsafe { FINISHER.write_volatile(word) };
    }
}

unsafe extern "C" {
    // Addresses that the linker script defines; nothing lies there.
    static heap_start: u8;
    static heap_end: u8;
    static stack_low: u8;
    static stack_high: u8;
}

/// A piece of memory that is free.
#[repr(C, align(16))]
struct Free {
    bytes: usize,
    next: *mut Free,
}

/// Free pieces in the order of their addresses. Allocations are whole multiples of
/// this grain, so that every rest has room for a [`Free`].
const GRAIN: usize = size_of::<Free>();

struct Heap {
    first: UnsafeCell<*mut Free>,
    is_made: UnsafeCell<bool>,
}

// SAFETY: one processor runs, and no interrupt allocates.
unsafe impl Sync for Heap {}

static HEAP: Heap = Heap {
    first: UnsafeCell::new(ptr::null_mut()),
    is_made: UnsafeCell::new(false),
};

fn whole(bytes: usize) -> Option<usize> {
    bytes.max(1).checked_next_multiple_of(GRAIN)
}

/// As the header says.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
unsafe extern "C" fn tepui_platform_allocate(bytes: usize, alignment: usize) -> *mut u8 {
    let Some(bytes) = whole(bytes) else {
        return ptr::null_mut();
    };
    let alignment = alignment.max(GRAIN);
    // SAFETY: nobody else uses the list; its pieces are free memory.
    unsafe {
        if !HEAP.is_made.get().read() {
            HEAP.is_made.get().write(true);
            let start = (&raw const heap_start).cast_mut();
            let length = (&raw const heap_end).addr() - start.addr();
            release(start, length & !(GRAIN - 1));
        }
        let mut link = HEAP.first.get();
        while !(*link).is_null() {
            let piece = *link;
            let start = piece.addr();
            let aligned = start.next_multiple_of(alignment);
            let end = start + (*piece).bytes;
            if aligned.checked_add(bytes).is_some_and(|used| used <= end) {
                let next = (*piece).next;
                let after = aligned + bytes;
                let mut rest = next;
                if after < end {
                    rest = piece.with_addr(after);
                    rest.write(Free {
                        bytes: end - after,
                        next,
                    });
                }
                if start < aligned {
                    (*piece).bytes = aligned - start;
                    (*piece).next = rest;
                } else {
                    *link = rest;
                }
                return piece.cast::<u8>().with_addr(aligned);
            }
            link = &raw mut (*piece).next;
        }
    }
    ptr::null_mut()
}

/// Puts a piece into the list, and together with its neighbours.
///
/// # Safety
///
/// The piece is whole grains of the heap, and nobody's.
unsafe fn release(address: *mut u8, bytes: usize) {
    let piece = address.cast::<Free>();
    // SAFETY: the caller's; the rest as above.
    unsafe {
        let mut before: *mut Free = ptr::null_mut();
        let mut next = HEAP.first.get().read();
        while !next.is_null() && next.addr() < piece.addr() {
            before = next;
            next = (*next).next;
        }
        piece.write(Free { bytes, next });
        if !next.is_null() && piece.addr() + bytes == next.addr() {
            (*piece).bytes += (*next).bytes;
            (*piece).next = (*next).next;
        }
        if before.is_null() {
            HEAP.first.get().write(piece);
        } else if before.addr() + (*before).bytes == piece.addr() {
            (*before).bytes += (*piece).bytes;
            (*before).next = (*piece).next;
        } else {
            (*before).next = piece;
        }
    }
}

/// As the header says.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
unsafe extern "C" fn tepui_platform_release(address: *mut u8, bytes: usize, _alignment: usize) {
    if let Some(bytes) = whole(bytes) {
        // SAFETY: allocated above, with as many bytes.
        unsafe { release(address, bytes) }
    }
}

/// As the header says.
#[unsafe(no_mangle)]
extern "C" fn tepui_platform_stack(low: &mut usize, high: &mut usize) -> bool {
    *low = (&raw const stack_low).addr();
    *high = (&raw const stack_high).addr();
    true
}

/// As the header says.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
unsafe extern "C" fn tepui_platform_log(text: *const u8, length: usize) {
    for index in 0..length {
        // SAFETY: the caller's text; the port as in `Serial`.
        unsafe { SERIAL.write_volatile(text.add(index).read()) };
    }
}

/// As the header says.
#[unsafe(no_mangle)]
extern "C" fn tepui_platform_abort() -> ! {
    exit(2)
}
