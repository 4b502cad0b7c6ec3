//! Return addresses of the guest frames on a stack.
//!
//! Holds unsafe code: it reads stacks.
//!
//! Guest frames keep a chain of frame pointers: at a frame pointer lies the
//! caller's frame pointer, and one word above it the return address into the
//! caller. The frames between one *enter* and the point where the guest left
//! off are an **activation**; the frames of a host function, and of an *enter*
//! that it made, lie between two activations and are not walked.

use std::marker::PhantomData;
use std::ops::Range;

use tepui_abi::Target;
use tepui_abi::layout::StoreLayout;

use crate::arch;

const STORE: StoreLayout = StoreLayout::new(Target::host());
const WORD: usize = size_of::<usize>();

/// A guest frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where the frame will go on: a return address, so that the call is the
    /// instruction before it. In the first frame of an activation that ended in
    /// a fault it is the instruction that faulted, and [`Frame::exact`] is set.
    pub pc: usize,
    /// The frame pointer.
    pub fp: usize,
    /// Whether `pc` is the address of the instruction itself.
    pub exact: bool,
}

/// The frames of one activation, innermost first.
///
/// A chain that leads out of the stack, or not upwards, ends the walk: damage
/// costs frames of the backtrace, never a crash.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    next: Frame,
    entry_fp: usize,
    stack: Range<usize>,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Frames<'a> {
    /// Walks from the frame with frame pointer `fp`, which is at `pc`, up to
    /// the *enter* frame at `entry_fp`. Nothing outside of `stack` is read.
    ///
    /// # Safety
    ///
    /// The addresses of `stack` from `fp` on are readable, and not written
    /// while the frames are used.
    pub unsafe fn new(pc: usize, fp: usize, entry_fp: usize, stack: Range<usize>) -> Frames<'a> {
        Frames {
            next: Frame {
                pc,
                fp,
                exact: false,
            },
            entry_fp,
            stack,
            lifetime: PhantomData,
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = self.next;
        if frame.fp >= self.entry_fp
            || frame.fp < self.stack.start
            || frame.fp.checked_add(2 * WORD)? > self.stack.end
            || !frame.fp.is_multiple_of(WORD)
        {
            return None;
        }
        let words = frame.fp as *const usize;
        // SAFETY: both words lie in the stack, which is readable.
        let (fp, pc) = unsafe { (words.read(), words.add(1).read()) };
        self.next = if fp > frame.fp {
            Frame {
                pc,
                fp,
                exact: false,
            }
        } else {
            // Ends the walk at the next step.
            Frame {
                pc,
                fp: self.entry_fp,
                exact: false,
            }
        };
        Some(frame)
    }
}

/// What *enter* keeps at the stack pointer that it stores in the store
/// context's `entry_sp`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryFrame {
    /// `entry_sp` before, of the next older *enter* frame; 0 for none.
    pub entry_sp: usize,
    /// `exit_fp` before; 0 for none.
    pub exit_fp: usize,
    /// The store context.
    pub store_context: *mut u8,
    /// The register image that results go to.
    pub image: *mut tepui_abi::image::RegisterImage,
}

impl EntryFrame {
    /// The frame pointer of the *enter* frame at `entry_sp`: where its
    /// activation ends.
    pub const fn frame_pointer(entry_sp: usize) -> usize {
        entry_sp + arch::ENTRY_FRAME_BYTES
    }
}

/// One run of guest frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Where the guest left off.
    pub pc: usize,
    /// The frame pointer of the frame that left off.
    pub fp: usize,
    /// The frame pointer of the *enter* frame.
    pub entry_fp: usize,
    /// Whether `pc` is an instruction that faulted, not a return address.
    pub exact: bool,
}

impl Activation {
    /// The frames, read from inside of `stack` only.
    ///
    /// # Safety
    ///
    /// As [`Frames::new`].
    pub unsafe fn frames<'a>(&self, stack: Range<usize>) -> Frames<'a> {
        // SAFETY: the caller's.
        let mut frames = unsafe { Frames::new(self.pc, self.fp, self.entry_fp, stack) };
        frames.next.exact = self.exact;
        frames
    }
}

/// The activations of a store's chain of calls, innermost first.
#[derive(Clone, Debug)]
pub struct Activations {
    pc: usize,
    fp: usize,
    exact: bool,
    entry_sp: usize,
}

impl Activations {
    /// The activations of the store of `store_context`, when the guest is in a
    /// host function or a builtin: the exit values are those of its last
    /// leaving. Empty when no guest runs.
    ///
    /// # Safety
    ///
    /// The store context is valid, and the guest does not run while the
    /// activations are used.
    pub unsafe fn new(store_context: *const u8) -> Activations {
        // SAFETY: the store context is valid; no code runs, so the stub that
        // was left through has not returned.
        let (pc, fp) = unsafe { left_at(word(store_context, STORE.exit_fp())) };
        Activations {
            pc,
            fp,
            exact: false,
            // SAFETY: as above.
            entry_sp: unsafe { word(store_context, STORE.entry_sp()) },
        }
    }

    /// The same for a guest whose innermost frame faulted at `pc` with frame
    /// pointer `fp`.
    ///
    /// # Safety
    ///
    /// As [`Activations::new`].
    pub unsafe fn after_fault(store_context: *const u8, pc: usize, fp: usize) -> Activations {
        Activations {
            pc,
            fp,
            exact: true,
            // SAFETY: the store context is valid.
            entry_sp: unsafe { word(store_context, STORE.entry_sp()) },
        }
    }
}

/// A word of a store context.
///
/// # Safety
///
/// The store context is valid, and has a word at this offset.
unsafe fn word(store_context: *const u8, offset: u32) -> usize {
    // SAFETY: the caller's.
    unsafe { store_context.add(offset as usize).cast::<usize>().read() }
}

/// Where the guest left off, and its frame pointer, from the frame pointer of
/// the stub through which it left; zeros from 0.
///
/// # Safety
///
/// `exit_fp` is 0, or the stub has not returned.
unsafe fn left_at(exit_fp: usize) -> (usize, usize) {
    if exit_fp == 0 {
        return (0, 0);
    }
    // SAFETY: every stub that notes where a guest leaves begins with a frame:
    // the guest's frame pointer, and above it the return address.
    let [fp, pc] = unsafe { (exit_fp as *const [usize; 2]).read() };
    (pc, fp)
}

impl Iterator for Activations {
    type Item = Activation;

    fn next(&mut self) -> Option<Activation> {
        if self.entry_sp == 0 {
            return None;
        }
        let activation = Activation {
            pc: self.pc,
            fp: self.fp,
            exact: self.exact,
            entry_fp: EntryFrame::frame_pointer(self.entry_sp),
        };
        // SAFETY: `entry_sp` is of an *enter* frame that has not returned, as
        // the guest of the caller's store context is inside of it.
        let frame = unsafe { (self.entry_sp as *const EntryFrame).read() };
        // SAFETY: the guest that *enter* was called under is still where it left.
        (self.pc, self.fp) = unsafe { left_at(frame.exit_fp) };
        self.exact = false;
        self.entry_sp = frame.entry_sp;
        Some(activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack of words; addresses are those of the words.
    fn walk(words: &[usize], pc: usize, start: usize, entry: usize) -> Vec<usize> {
        let base = words.as_ptr() as usize;
        let stack = base..base + size_of_val(words);
        // SAFETY: the stack is the slice.
        unsafe { Frames::new(pc, base + start * WORD, base + entry * WORD, stack) }
            .map(|frame| frame.pc)
            .collect()
    }

    #[test]
    fn follows_the_chain_up_to_the_entry() {
        let mut words = vec![0usize; 12];
        let base = words.as_ptr() as usize;
        words[2] = base + 5 * WORD;
        words[3] = 0x200;
        words[5] = base + 8 * WORD;
        words[6] = 0x300;
        words[8] = base + 10 * WORD;
        words[9] = 0x999;
        assert_eq!(walk(&words, 0x100, 2, 8), [0x100, 0x200]);
        assert_eq!(walk(&words, 0x100, 2, 10), [0x100, 0x200, 0x300]);
        assert_eq!(walk(&words, 0x100, 8, 8), []);
    }

    #[test]
    fn damage_ends_the_walk() {
        let mut words = vec![0usize; 12];
        let base = words.as_ptr() as usize;
        for bad in [
            0,
            1,
            base,
            base + 2 * WORD,
            base + 3 * WORD + 1,
            usize::MAX,
            usize::MAX - 7,
        ] {
            words[2] = bad;
            words[3] = 0x200;
            let found = walk(&words, 0x100, 2, 10);
            assert!(found.len() <= 2, "{bad:x}: {found:x?}");
            assert_eq!(found[0], 0x100);
        }
        words[2] = base + 11 * WORD;
        assert_eq!(walk(&words, 0x100, 2, 10), [0x100]);
    }
}
