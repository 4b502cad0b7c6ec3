//! What code counts while it runs, and where a call lies that leaves it for
//! better code in the middle of a loop.
//!
//! Code that was made under [`Tunables::profile`](crate::Tunables::profile)
//! counts how often its functions are entered and its loops go round, asks the
//! runtime when a count runs out, and records what its indirect calls call. All
//! of that stands in *profiles*, one for each function that has such code.
//!
//! # Profiles
//!
//! The context points to the table of profiles
//! ([`ContextLayout::profiles`](crate::layout::ContextLayout::profiles)): a pointer
//! for each defined function. A profile belongs to the code and is shared by all
//! instances that run it, from whatever thread, because it is the module's
//! function that gets better code: many short-lived instances make it hot
//! together. Counts are changed by plain instructions: what two threads count at
//! the same moment may be counted once.
//!
//! A profile's pointer leads into its middle: the counts of
//! [entries](ProfileLayout::CALLS) and [loops](ProfileLayout::loop_rounds) stand above
//! it, the [records](ProfileLayout::site) of indirect calls below, because code is made
//! in one pass, in which the number of neither is known beforehand.
//!
//! # Counts
//!
//! A count is the number (`i32`) of events that are still let pass. Code takes one
//! away at each event. When the count was not positive before, it calls
//! [`hot_function`](crate::builtin::Builtin::hot_function) at an entry, after the
//! parameters in the overflow area were read, and
//! [`hot_loop`](crate::builtin::Builtin::hot_loop) at a loop, each time that control
//! reaches the start of the body, before the meters are looked at. The runtime
//! sets the count anew, so that it is asked again after as many events as it
//! likes.
//!
//! # Records of calls
//!
//! `call_indirect`, `call_ref` and their tail calls each have a record, which keeps
//! the function that made up the majority of the calls, if there is one: a call of
//! the recorded [target](SiteRecord::TARGET) adds one to its
//! [lead](SiteRecord::LEAD), a call of another one takes one away; when there was
//! none to take, that one is recorded from then on, with a lead of one. If a
//! function was called more often than all others together, it is the target. The
//! lead beside the number of [calls](SiteRecord::CALLS) says how clear it is: when
//! they are equal, nothing else was ever called. Both wrap around after 2^32 calls.
//!
//! # On-stack replacement
//!
//! `hot_loop` returns 0 when the loop is to go on as it is. Otherwise it returns the
//! address of an [OSR buffer](OSR_SLOT_BYTES), which it has filled from the frame of
//! its caller, and has put the address of an [entry at the
//! loop](crate::Entry::Loop) where
//! [`StoreLayout::tail_code`](crate::layout::StoreLayout::tail_code) is. The code
//! then gives the callee-saved registers back, leaves its frame, and jumps there with
//! its own context and the buffer as the two contexts. The buffer is good until the
//! entry has read it, which it does before anything else.
//!
//! Before it calls `hot_loop`, code stores in its frame all that is only in
//! registers: locals and operand stack lie at their [homes](Homes) there, with
//! constants and unset references as what they are.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::convention::Representation;
use crate::target::Architecture;

/// Bytes in a slot of an OSR buffer.
///
/// A buffer holds the locals in index order, then the operand stack at the
/// loop's header from bottom to top, the loop's parameters included. Each value
/// lies at the start of its slot in the host's byte order.
pub const OSR_SLOT_BYTES: u32 = 16;

/// The most values on the operand stack that a loop may find and still be left
/// for another entry. What compilers make has a handful.
pub const OSR_GREATEST_HEIGHT: usize = 64;

/// What is counted for one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileLayout {
    /// `loop` instructions.
    pub loops: u32,
    /// Indirect calls with a record.
    pub sites: u32,
}

impl ProfileLayout {
    /// Entries that are still let pass, an `i32`, from the profile's pointer.
    pub const CALLS: i32 = 0;

    /// Rounds that are still let pass, an `i32`, of loop `index`, counted in the
    /// order of `loop` instructions.
    pub const fn loop_rounds(index: u32) -> i32 {
        (4 + 4 * index) as i32
    }

    /// The [record](SiteRecord) of indirect call `index`, counted in the order of the
    /// body without what cannot be reached.
    pub const fn site(index: u32) -> i32 {
        -(((index + 1) * SiteRecord::BYTES) as i32)
    }

    /// Bytes below the profile's pointer.
    pub const fn bytes_below(self) -> u32 {
        self.sites * SiteRecord::BYTES
    }

    /// Bytes in the profile, a multiple of 4, which is its alignment.
    pub const fn bytes(self) -> u32 {
        self.bytes_below() + 4 + 4 * self.loops
    }
}

/// The record of an indirect call: three numbers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct SiteRecord;

impl SiteRecord {
    /// The defined function that was called, of the caller's own instance, or
    /// [`SiteRecord::FOREIGN`].
    pub const TARGET: i32 = 0;
    /// By how many calls the target leads, as described [above](self).
    pub const LEAD: i32 = 4;
    /// Calls.
    pub const CALLS: i32 = 8;
    /// Bytes in a record.
    pub const BYTES: u32 = 12;

    /// The target when it belongs to another instance or to the host.
    pub const FOREIGN: u32 = u32::MAX;
}

/// What is kept beside code that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileMetadata {
    /// For each `loop` instruction in order how the operand stack lies at its
    /// header, from the bottom. `None` when the loop is never left for another
    /// entry: it cannot be reached, or finds more than [`OSR_GREATEST_HEIGHT`]
    /// values.
    pub loops: Vec<Option<Box<[Representation]>>>,
    /// For each indirect call with a record the byte offset of the instruction in
    /// the module.
    pub sites: Vec<u32>,
}

impl ProfileMetadata {
    /// What the code counts.
    pub fn layout(&self) -> ProfileLayout {
        ProfileLayout {
            loops: self.loops.len() as u32,
            sites: self.sites.len() as u32,
        }
    }
}

/// Where values lie in the frames of the baseline compiler's code: locals in index
/// order, then the operand stack, downwards from the frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homes {
    /// Each directly below the one before.
    Packed,
    /// Each at a multiple of its size, so that distances have their shortest form.
    Aligned,
}

impl Homes {
    /// Those of an architecture.
    pub const fn of(architecture: Architecture) -> Homes {
        match architecture {
            Architecture::X86_64 => Homes::Packed,
            _ => Homes::Aligned,
        }
    }

    /// Bytes from the frame pointer down to a value that comes after what ends
    /// `end` bytes below it.
    #[inline]
    pub const fn next(self, end: u32, repr: Representation) -> u32 {
        let bytes = repr.bytes();
        match self {
            Homes::Packed => end + bytes,
            Homes::Aligned => (end + bytes).next_multiple_of(bytes),
        }
    }

    /// The values, each with the bytes from the frame pointer down to it.
    pub fn place(
        self,
        values: impl IntoIterator<Item = Representation>,
    ) -> impl Iterator<Item = (Representation, u32)> {
        let mut end = 0;
        values.into_iter().map(move |repr| {
            end = self.next(end, repr);
            (repr, end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_profile_do_not_overlap() {
        let layout = ProfileLayout { loops: 3, sites: 2 };
        let below = layout.bytes_below() as i32;
        let mut parts: Vec<(i32, u32)> = Vec::from([(ProfileLayout::CALLS, 4)]);
        parts.extend((0..3).map(|index| (ProfileLayout::loop_rounds(index), 4)));
        parts.extend((0..2).map(|index| (ProfileLayout::site(index), SiteRecord::BYTES)));
        parts.sort_unstable();
        let mut end = -below;
        for (start, bytes) in parts {
            assert_eq!(start, end);
            end = start + bytes as i32;
        }
        assert_eq!((end + below) as u32, layout.bytes());
    }

    #[test]
    fn homes_are_packed_or_aligned() {
        use Representation::{F64, I32, V128};
        let values = [I32, F64, I32, V128];
        let ends = |homes: Homes| homes.place(values).map(|home| home.1).collect::<Vec<_>>();
        assert_eq!(ends(Homes::Packed), [4, 12, 16, 32]);
        assert_eq!(ends(Homes::Aligned), [4, 16, 20, 48]);
    }
}
