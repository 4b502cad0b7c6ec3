//! Published code: which module, function and instruction an address belongs to.
//!
//! This file holds unsafe code: addresses are looked up by signal handlers.

use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use tepui_abi::{Plan, Target, Trap};
#[cfg(feature = "interpreter")]
use tepui_image::CodeBuilder;
use tepui_image::CodeImage;
use tepui_module::DefinedFuncIndex;
use tepui_native::code::{CodeAllocation, find_code};
use tepui_native::slots::SlotTable;
use tepui_native::stubs;

use crate::backtrace::FrameInfo;
use crate::engine::Engine;
use crate::module::ModuleInner;
use crate::vm::context::VmFuncRef;
use crate::{Error, Result};

/// The code of a module, ready to run, with its slots.
pub(crate) struct ModuleCode {
    // Dropped first: unregisters the addresses that lead here.
    allocation: Option<CodeAllocation>,
    image: CodeImage,
    slots: SlotTable,
    plan: Plan,
    module: Weak<ModuleInner>,
    #[cfg(feature = "interpreter")]
    interpreted: Option<tepui_interpreter::ModuleCode>,
}

impl ModuleCode {
    /// Copies the text of `image` into executable memory, and points the slots
    /// of `functions` functions there.
    ///
    /// # Errors
    ///
    /// When memory for code cannot be had.
    pub(crate) fn publish(
        engine: &Engine,
        module: Weak<ModuleInner>,
        functions: u32,
        plan: Plan,
        mut image: CodeImage,
    ) -> Result<Arc<ModuleCode>> {
        let failed = |error| Error::new(error).context("cannot get memory for code");
        let region = engine.code_region()?;
        let slots =
            SlotTable::new(region, functions, stubs::leave_slot as *const u8).map_err(failed)?;
        let text_bytes = image.text().len();
        let allocation = if text_bytes == 0 {
            None
        } else {
            let allocation = region.allocate(text_bytes).map_err(failed)?;
            // SAFETY: nobody knows the allocation yet.
            unsafe {
                allocation
                    .write(0..allocation.len(), |bytes| {
                        bytes[..text_bytes].copy_from_slice(image.text());
                        trap_fill(&mut bytes[text_bytes..]);
                    })
                    .map_err(failed)?;
            }
            Some(allocation)
        };
        image.release_text();
        let code = Arc::new(ModuleCode {
            allocation,
            image,
            slots,
            plan,
            module,
            #[cfg(feature = "interpreter")]
            interpreted: None,
        });
        if let Some(allocation) = &code.allocation {
            allocation.register(Arc::as_ptr(&code).cast());
            for index in 0..functions {
                if let Some(offset) = code.image.entry(DefinedFuncIndex::new(index)) {
                    let entry = allocation.base().wrapping_add(offset as usize);
                    code.slots.store(index, entry);
                }
            }
        }
        Ok(code)
    }

    /// The slots of a module whose functions are all interpreted.
    ///
    /// # Errors
    ///
    /// When memory for slots cannot be had.
    #[cfg(feature = "interpreter")]
    pub(crate) fn interpret(
        engine: &Engine,
        module: &Arc<ModuleInner>,
        plan: Plan,
        tunables: &tepui_abi::Tunables,
    ) -> Result<Arc<ModuleCode>> {
        let decoded = module.module();
        let slots = SlotTable::new(
            engine.code_region()?,
            decoded.defined_function_count(),
            stubs::leave_slot as *const u8,
        )
        .map_err(|error| Error::new(error).context("cannot get memory for code"))?;
        let interpreted = tepui_interpreter::ModuleCode::new(decoded, &plan, tunables);
        Ok(Arc::new(ModuleCode {
            allocation: None,
            image: CodeBuilder::new(TARGET).finish()?,
            slots,
            plan,
            module: Arc::downgrade(module),
            interpreted: Some(interpreted),
        }))
    }

    /// The functions as the interpreter knows them, if they are interpreted.
    #[cfg(feature = "interpreter")]
    pub(crate) fn interpreted(&self) -> Option<&tepui_interpreter::ModuleCode> {
        self.interpreted.as_ref()
    }

    /// The code with its text, as it was before it was published.
    pub(crate) fn to_image(&self) -> CodeImage {
        let mut image = self.image.clone();
        if let Some(allocation) = &self.allocation {
            let length = image.text_len() as usize;
            // SAFETY: published code is readable and never changes.
            let text = unsafe { std::slice::from_raw_parts(allocation.base(), length) };
            image.restore_text(text.to_vec());
        }
        image
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn slots(&self) -> &SlotTable {
        &self.slots
    }

    /// A function reference to a defined function, for a context.
    pub(crate) fn func_ref(
        &self,
        function: DefinedFuncIndex,
        type_id: u32,
        context: *mut u8,
    ) -> VmFuncRef {
        VmFuncRef {
            code: self.slots.stub(function.as_u32()),
            context,
            type_id,
            function: function.as_u32(),
        }
    }

    fn text_offset(&self, pc: usize) -> Option<u32> {
        let base = self.allocation.as_ref()?.base() as usize;
        u32::try_from(pc.checked_sub(base)?).ok()
    }
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

/// The published code that holds `pc`.
fn code_at(pc: usize) -> Option<NonNull<ModuleCode>> {
    let found = find_code(pc)?;
    NonNull::new(found.owner.cast::<ModuleCode>().cast_mut())
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
    let code = unsafe { &*owner.cast::<ModuleCode>() };
    code.image.trap_at(u32::try_from(offset).ok()?)
}

/// The Wasm frame whose instruction is at `pc`.
pub(crate) fn frame_at(pc: usize) -> Option<FrameInfo> {
    let code = code_at(pc)?;
    // SAFETY: frames on the stack of a store keep their code alive.
    let code = unsafe { code.as_ref() };
    let module = code.module.upgrade()?;
    let offset = code.text_offset(pc)?;
    let record = code.image.function_at(offset)?;
    let function = module.module().func_index(record.function);
    let body = module.module().body(record.function).range();
    let position = code.image.position_at(offset);
    Some(FrameInfo::new(
        module.name(),
        function.as_u32(),
        module.function_name(function),
        position.map(|position| position as usize),
        body.start,
    ))
}

/// The layout that images of this host are made for.
pub(crate) const TARGET: Target = Target::host();
