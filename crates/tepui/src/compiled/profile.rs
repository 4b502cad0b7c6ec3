//! What does code count, and what happens when a count runs out? The memory of
//! [profiles](tepui_abi::profile), better code for hot functions, and the way into it
//! from the middle of a loop.
//!
//! This file holds unsafe code: code writes profiles through pointers, and frames of
//! code are read.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tepui_abi::convention::Representation;
#[cfg(test)]
use tepui_abi::profile::SiteRecord;
use tepui_abi::profile::{Homes, OSR_SLOT_BYTES, ProfileLayout, ProfileMetadata};
use tepui_abi::{Batch, Entry, FunctionInput, Plan};
use tepui_image::{CodeBuilder, CodeImage};
use tepui_module::{DefinedFuncIndex, Module as Decoded};

use super::code::Compiled;
use crate::code::TARGET;
use crate::config::{Profiling, WhenHot};
use crate::module::ModuleInner;
use crate::tier::Tier;
use crate::vm::context::OverflowSlot;
use crate::{Error, Result};

/// Where code of a module counts, under engines that were asked for it.
pub(crate) struct Profiles {
    profiling: Profiling,
    /// The table that contexts point to: a pointer for each defined function, null
    /// before it has code that counts.
    rows: Box<[AtomicPtr<AtomicU32>]>,
    /// Never removed: code may be running.
    kept: Mutex<HashMap<DefinedFuncIndex, Profile>>,
    /// Entries in the middle of loops, by function and loop; `None` where there can be
    /// none.
    entries: Mutex<HashMap<(DefinedFuncIndex, u32), Option<LoopEntry>>>,
}

/// The profile of a function.
struct Profile {
    metadata: ProfileMetadata,
    /// What the pointer in the table leads into.
    words: Box<[AtomicU32]>,
    /// How often the runtime was asked at an entry, and at each loop.
    asked: Vec<u32>,
}

/// Code that continues a call in a loop; it lives as long as the module.
#[derive(Clone, Copy)]
struct LoopEntry(*const u8);

// SAFETY: code may be entered from every thread.
unsafe impl Send for LoopEntry {}

/// What was counted for a function.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Entries that are still let pass.
    pub(crate) calls: i32,
    /// Rounds of each loop that are still let pass.
    pub(crate) loops: Vec<i32>,
    /// The records of indirect calls, in order.
    pub(crate) sites: Vec<Site>,
    /// How often the runtime was asked at an entry, and at each loop.
    pub(crate) asked: Vec<u32>,
}

/// What an indirect call called: see [`SiteRecord`].
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Byte offset of the instruction in the module.
    pub(crate) position: u32,
    pub(crate) target: u32,
    pub(crate) lead: u32,
    pub(crate) calls: u32,
}

impl Profile {
    fn new(metadata: ProfileMetadata, profiling: &Profiling) -> Profile {
        let layout = metadata.layout();
        let words = (0..layout.bytes() / 4).map(|_| AtomicU32::new(0)).collect();
        let profile = Profile {
            asked: vec![0; 1 + metadata.loops.len()],
            metadata,
            words,
        };
        profile.set(ProfileLayout::CALLS, profiling.calls);
        for index in 0..layout.loops {
            profile.set(ProfileLayout::loop_rounds(index), profiling.rounds);
        }
        profile
    }

    /// The word `offset` bytes from the profile's pointer.
    fn word(&self, offset: i32) -> &AtomicU32 {
        let below = self.metadata.layout().bytes_below() as i32;
        &self.words[((below + offset) / 4) as usize]
    }

    #[cfg(test)]
    fn get(&self, offset: i32) -> u32 {
        self.word(offset).load(Ordering::Relaxed)
    }

    fn set(&self, offset: i32, count: i32) {
        self.word(offset).store(count as u32, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there changes in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Profiles {
    /// Those of a module with so many defined functions.
    pub(crate) fn new(profiling: Profiling, functions: u32) -> Profiles {
        Profiles {
            profiling,
            rows: (0..functions).map(|_| AtomicPtr::default()).collect(),
            kept: Mutex::default(),
            entries: Mutex::default(),
        }
    }

    /// The table that contexts point to.
    pub(crate) fn table(&self) -> *const u8 {
        self.rows.as_ptr().cast()
    }

    /// Makes profiles for the functions of code that is about to be published.
    pub(crate) fn add(&self, image: &CodeImage) {
        let mut kept = lock(&self.kept);
        for (record, metadata) in image.functions().iter().zip(image.profiles()) {
            let profile = kept
                .entry(record.function)
                .or_insert_with(|| Profile::new(metadata.clone(), &self.profiling));
            let pointer = ptr::from_ref(profile.word(ProfileLayout::CALLS)).cast_mut();
            self.rows[record.function.index()].store(pointer, Ordering::Release);
        }
    }

    /// What was counted so far; `None` when no code of the function counts.
    #[cfg(test)]
    pub(crate) fn counts(&self, function: DefinedFuncIndex) -> Option<Counts> {
        let kept = lock(&self.kept);
        let profile = kept.get(&function)?;
        let loops = 0..profile.metadata.loops.len() as u32;
        let sites = (0..).zip(&profile.metadata.sites);
        Some(Counts {
            calls: profile.get(ProfileLayout::CALLS) as i32,
            loops: loops
                .map(|index| profile.get(ProfileLayout::loop_rounds(index)) as i32)
                .collect(),
            sites: sites
                .map(|(index, &position)| {
                    let at = |field| profile.get(ProfileLayout::site(index) + field);
                    Site {
                        position,
                        target: at(SiteRecord::TARGET),
                        lead: at(SiteRecord::LEAD),
                        calls: at(SiteRecord::CALLS),
                    }
                })
                .collect(),
            asked: profile.asked.clone(),
        })
    }

    /// Sets how many rounds of a loop are still let pass.
    #[cfg(test)]
    pub(crate) fn set_rounds(&self, function: DefinedFuncIndex, index: u32, rounds: i32) {
        lock(&self.kept)[&function].set(ProfileLayout::loop_rounds(index), rounds);
    }

    /// Notes that a count ran out, of entries or of a loop, and sets it so that it
    /// does not run out again. Gives how the stack lies at the loop.
    fn ran_out(
        &self,
        function: DefinedFuncIndex,
        index: Option<u32>,
    ) -> Option<Box<[Representation]>> {
        let mut kept = lock(&self.kept);
        let profile = kept.get_mut(&function)?;
        let (offset, place) = match index {
            None => (ProfileLayout::CALLS, 0),
            Some(index) => (ProfileLayout::loop_rounds(index), 1 + index as usize),
        };
        let never = i32::MAX;
        profile.set(offset, never);
        *profile.asked.get_mut(place)? += 1;
        profile.metadata.loops.get(index? as usize)?.clone()
    }
}

/// What `hot_loop` needs to leave a frame.
pub(crate) struct Exit {
    /// The code to go on in.
    pub(crate) entry: *const u8,
    /// What the frame has at the loop: locals, then the operand stack.
    values: Vec<Representation>,
}

impl Exit {
    /// Copies the values of the frame at `frame_pointer` into a buffer.
    ///
    /// # Safety
    ///
    /// `frame_pointer` is that of code that counts, which is at the loop that the exit
    /// was made for and has stored everything in its frame.
    pub(crate) unsafe fn fill(&self, buffer: &mut Vec<OverflowSlot>, frame_pointer: usize) {
        const _: () = assert!(size_of::<OverflowSlot>() == OSR_SLOT_BYTES as usize);
        let homes = Homes::of(TARGET.architecture);
        buffer.clear();
        buffer.extend(homes.place(self.values.iter().copied()).map(|(repr, end)| {
            let mut slot = OverflowSlot([0; 16]);
            let home = ptr::with_exposed_provenance::<u8>(frame_pointer - end as usize);
            // SAFETY: the value's home lies there, as compiler and runtime have from
            // the same description.
            let value = unsafe { std::slice::from_raw_parts(home, repr.bytes() as usize) };
            slot.0[..value.len()].copy_from_slice(value);
            slot
        }));
        // An empty buffer has an address as well, which nobody reads at.
        buffer.reserve(1);
    }
}

impl Compiled {
    /// A function was entered as often as its count lets pass.
    pub(crate) fn hot_function(
        &self,
        module: &ModuleInner,
        plan: &Plan,
        function: DefinedFuncIndex,
    ) {
        let Some(profiles) = self.profiles() else {
            return;
        };
        profiles.ran_out(function, None);
        if profiles.profiling.when_hot == WhenHot::GoOn {
            return;
        }
        // What cannot be compiled stays as it is.
        if let Ok(mut image) = self.optimize(module, plan, function, Entry::Start) {
            let text = image.take_text();
            let _ = self.publish(module.engine(), &text, image);
        }
    }

    /// A loop went round as often as its count lets pass. `None` when it is to go on.
    pub(crate) fn hot_loop(
        &self,
        module: &ModuleInner,
        plan: &Plan,
        function: DefinedFuncIndex,
        index: u32,
    ) -> Option<Exit> {
        let profiles = self.profiles()?;
        let stack = profiles.ran_out(function, Some(index))?;
        if profiles.profiling.when_hot == WhenHot::GoOn {
            return None;
        }
        // One thread makes it, the others wait.
        let mut entries = lock(&profiles.entries);
        let entry = *entries.entry((function, index)).or_insert_with(|| {
            let entry = Entry::Loop { index };
            let mut image = self.optimize(module, plan, function, entry).ok()?;
            let text = image.take_text();
            let code = self.publish_entry(module.engine(), &text, image).ok()?;
            Some(LoopEntry(code))
        });
        drop(entries);
        let entry = entry?;
        // Later calls come here, too, and are to leave.
        if let Some(profile) = lock(&profiles.kept).get(&function) {
            profile.set(ProfileLayout::loop_rounds(index), profiles.profiling.rounds);
        }
        let mut values = locals(module.module(), module.bytes(), function)?;
        values.extend(stack);
        Some(Exit {
            entry: entry.0,
            values,
        })
    }

    /// Has the optimizing compiler make code of a function.
    fn optimize(
        &self,
        module: &ModuleInner,
        plan: &Plan,
        function: DefinedFuncIndex,
        entry: Entry,
    ) -> Result<CodeImage> {
        let compiler = module.engine().compiler(Tier::Optimizing, self.variant())?;
        let input = FunctionInput {
            module: module.module(),
            bytes: module.bytes(),
            summaries: module.summaries(),
            plan,
            function,
            entry,
            batch: Batch::Alone,
        };
        // On another thread: the guest's stack has no room for it.
        let compiled = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("tepui-compile".into())
                .spawn_scoped(scope, || compiler.compile(&input))
                .map_err(Error::new)?
                .join()
                .map_err(|_| Error::msg("the compiler panicked"))?
                .map_err(Error::new)
        })?;
        let mut builder = CodeBuilder::new(compiler.target());
        builder.push(function, compiled);
        Ok(builder.finish()?)
    }
}

/// How the locals of a function lie in its frame, parameters first.
fn locals(
    module: &Decoded,
    bytes: &[u8],
    function: DefinedFuncIndex,
) -> Option<Vec<Representation>> {
    let ty = module.func_type(module.func_index(function));
    let mut locals: Vec<_> = ty.params.iter().map(|ty| Representation::of(*ty)).collect();
    let mut reader = module
        .body_reader(bytes, function)?
        .get_locals_reader()
        .ok()?;
    for _ in 0..reader.get_count() {
        let (count, ty) = reader.read().ok()?;
        let repr = Representation::of(module.val_type(ty));
        locals.extend(std::iter::repeat_n(repr, count as usize));
    }
    Some(locals)
}
