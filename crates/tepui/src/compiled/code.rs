//! Published code: which module, function and instruction an address belongs to.
//!
//! This file holds unsafe code: addresses are looked up by signal handlers.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tepui_abi::{Trap, Tunables};
use tepui_image::CodeImage;
#[cfg(feature = "interpreter")]
use tepui_module::DefinedFuncIndex;
use tepui_native::code::{CodeAllocation, find_code};
use tepui_native::slots::SlotTable;
use tepui_native::stubs;

use super::profile::Profiles;
use crate::backtrace::FrameInfo;
use crate::engine::{Engine, Variant};
use crate::module::ModuleInner;
use crate::{Error, Result};

/// The slots of a module's functions, and the code that they lead to.
///
/// Code comes in batches, each made by one compiler and published at once. A
/// function whose slot leads to none of them is interpreted.
pub(crate) struct Compiled {
    /// What was published, in that order; never removed.
    batches: Mutex<Vec<Arc<CodeBatch>>>,
    slots: SlotTable,
    module: Weak<ModuleInner>,
    variant: Variant,
    /// Where the code counts, if it does.
    profiles: Option<Profiles>,
}

/// Code that was published at once, with its tables. The address table leads
/// here.
struct CodeBatch {
    // Dropped first: unregisters the addresses that lead here.
    allocation: Option<CodeAllocation>,
    image: CodeImage,
    module: Weak<ModuleInner>,
}

/// What a slot holds whose function has no code.
fn no_code() -> *const u8 {
    stubs::leave_slot as *const u8
}

impl Compiled {
    /// The slots of the functions of `module`, none of which has code. It will be made
    /// under these tunables.
    ///
    /// # Errors
    ///
    /// When memory for slots cannot be had.
    pub(crate) fn new(
        engine: &Engine,
        module: Weak<ModuleInner>,
        functions: u32,
        tunables: &Tunables,
    ) -> Result<Compiled> {
        let variant = match tunables.memory_reservation {
            0 => Variant::Checked,
            _ => Variant::Guarded,
        };
        let profiling = engine.config().profiling.clone();
        Ok(Compiled {
            variant,
            profiles: profiling.map(|profiling| Profiles::new(profiling, functions)),
            batches: Mutex::new(Vec::new()),
            slots: SlotTable::new(engine.compilers().code_region()?, functions, no_code())
                .map_err(no_memory)?,
            module,
        })
    }

    /// Copies `text` into executable memory and points the slots of the functions
    /// of `image` there, which are the tables of that text without it. Functions may be running meanwhile:
    /// later calls of them enter the new code.
    ///
    /// # Errors
    ///
    /// When memory for code cannot be had.
    pub(crate) fn publish(&self, engine: &Engine, text: &[u8], image: CodeImage) -> Result<()> {
        if let Some(profiles) = &self.profiles {
            // Before anybody can count there.
            profiles.add(&image);
        }
        let batch = self.place(engine, text, image)?;
        if let Some(allocation) = &batch.allocation {
            for record in batch.image.functions() {
                let entry = allocation.base().wrapping_add(record.start as usize);
                self.slots.store(record.function.as_u32(), entry);
            }
        }
        Ok(())
    }

    /// Copies the code of one function into executable memory and gives its address,
    /// which no slot leads to.
    ///
    /// # Errors
    ///
    /// When memory for code cannot be had, or there is no code.
    pub(crate) fn publish_entry(
        &self,
        engine: &Engine,
        text: &[u8],
        image: CodeImage,
    ) -> Result<*const u8> {
        let batch = self.place(engine, text, image)?;
        let start = batch.image.functions().first();
        let entry = start.zip(batch.allocation.as_ref()).map(|(start, code)| {
            let base: *const u8 = code.base();
            base.wrapping_add(start.start as usize)
        });
        entry.ok_or_else(|| Error::msg("there is no code to enter"))
    }

    /// Copies `text` into executable memory, where addresses lead to the tables in
    /// `image`.
    fn place(&self, engine: &Engine, text: &[u8], image: CodeImage) -> Result<Arc<CodeBatch>> {
        let text_bytes = text.len();
        let allocation = if text_bytes == 0 {
            None
        } else {
            let allocation = engine
                .compilers()
                .code_region()?
                .allocate(text_bytes)
                .map_err(no_memory)?;
            // SAFETY: nobody knows the allocation yet.
            unsafe {
                allocation
                    .write(0..allocation.len(), |bytes| {
                        bytes[..text_bytes].copy_from_slice(text);
                        trap_fill(&mut bytes[text_bytes..]);
                    })
                    .map_err(no_memory)?;
            }
            Some(allocation)
        };
        let batch = Arc::new(CodeBatch {
            allocation,
            image,
            module: self.module.clone(),
        });
        // Kept before anybody can enter it.
        self.batches().push(batch.clone());
        if let Some(allocation) = &batch.allocation {
            allocation.register(Arc::as_ptr(&batch).cast());
        }
        Ok(batch)
    }

    /// For which style of memory access the code is.
    pub(crate) fn variant(&self) -> Variant {
        self.variant
    }

    /// Where the code counts, if it does.
    pub(crate) fn profiles(&self) -> Option<&Profiles> {
        self.profiles.as_ref()
    }

    fn batches(&self) -> MutexGuard<'_, Vec<Arc<CodeBatch>>> {
        // Batches are only ever added, each in one step.
        self.batches
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// Where a function has code, now.
    #[cfg(feature = "interpreter")]
    pub(crate) fn entry(&self, function: DefinedFuncIndex) -> Option<*const u8> {
        let has_code = self.slots.load(function.as_u32()) != no_code();
        has_code.then(|| self.slots.stub(function.as_u32()))
    }

    /// The code with its text, as it was before it was published; `None` unless
    /// it was published in one batch.
    pub(crate) fn to_image(&self) -> Option<CodeImage> {
        let batches = self.batches();
        let [batch] = &batches[..] else { return None };
        let mut image = batch.image.clone();
        if let Some(allocation) = &batch.allocation {
            let length = image.text_len() as usize;
            // SAFETY: published code is readable and never changes.
            let text = unsafe { std::slice::from_raw_parts(allocation.base(), length) };
            image.restore_text(text.to_vec());
        }
        Some(image)
    }

    pub(crate) fn slots(&self) -> &SlotTable {
        &self.slots
    }
}

fn no_memory(error: std::io::Error) -> Error {
    Error::new(error).context("cannot get memory for code")
}

/// Fills what is left of an allocation with instructions that trap.
fn trap_fill(bytes: &mut [u8]) {
    let byte = if cfg!(target_arch = "x86_64") {
        0xcc
    } else {
        0
    };
    bytes.fill(byte);
}

/// The trap that a fault of the instruction at `offset` means. Called by signal
/// handlers: takes no lock and allocates nothing.
///
/// # Safety
///
/// `owner` is what published code was registered with, and that code is
/// running.
pub(crate) unsafe fn trap_at(owner: *const (), offset: usize) -> Option<Trap> {
    // SAFETY: running code is kept alive by its store.
    let batch = unsafe { &*owner.cast::<CodeBatch>() };
    batch.image.trap_at(u32::try_from(offset).ok()?)
}

/// The Wasm frame whose instruction is at `pc`.
pub(crate) fn frame_at(pc: usize) -> Option<FrameInfo> {
    let found = find_code(pc)?;
    // SAFETY: only `Compiled::publish` registers code, and frames on the stack
    // of a store keep their code alive.
    let batch = unsafe { found.owner.cast::<CodeBatch>().as_ref()? };
    let module = batch.module.upgrade()?;
    let offset = u32::try_from(pc.checked_sub(found.base as usize)?).ok()?;
    let record = batch.image.function_at(offset)?;
    let function = module.module().func_index(record.function);
    let body = module.module().body(record.function).range();
    let position = batch.image.position_at(offset);
    Some(FrameInfo::new(
        module.name(),
        function.as_u32(),
        module.function_name(function),
        position.map(|position| position as usize),
        body.start,
    ))
}
