//! What is kept of a translated function, and of a module's functions?
//!
//! This file holds unsafe code: code is shared by threads as raw pointers.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use tepui_abi::layout::ContextLayout;
use tepui_abi::{MemoryPlace, Plan, Target, Tunables};
use tepui_module::{DefinedFuncIndex, MemoryIndex, Module};

use crate::dispatch::{Ctx, Ip};
#[cfg(feature = "images")]
use crate::image::ImageCode;
#[cfg(feature = "decoder")]
use crate::translate;

/// The bytecode of one function.
#[derive(Debug)]
pub struct FunctionCode {
    pub(crate) words: Box<[u32]>,
    /// Bytes of the frame from the frame pointer on.
    pub(crate) frame_bytes: usize,
    /// Bytes of the area of parameters and results.
    pub(crate) area_bytes: usize,
    pub(crate) function: DefinedFuncIndex,
}

impl FunctionCode {
    /// Which of the module's functions it is.
    pub fn function(&self) -> DefinedFuncIndex {
        self.function
    }

    /// The slots that parameters and results take, whichever are more.
    pub fn area_slots(&self) -> usize {
        self.area_bytes / size_of::<u64>()
    }

    /// Bytes of bytecode.
    pub fn size(&self) -> usize {
        size_of_val(&*self.words)
    }

    pub(crate) fn start(&self) -> Ip {
        self.words.as_ptr()
    }
}

/// Why a function could not be translated: it is too large for the bytecode, or
/// the bytes are not those of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslateError {
    /// The function.
    pub function: DefinedFuncIndex,
    /// What happened.
    pub message: String,
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "translation of defined function {} failed: {}",
            self.function.as_u32(),
            self.message
        )
    }
}

impl core::error::Error for TranslateError {}

/// A place in a context: of a definition, or of a pointer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Place(u32);

impl Place {
    const INDIRECT: u32 = 1;
    /// A flag for the use of whoever keeps the place: indices have 64 bits.
    const WIDE: u32 = 2;

    pub(crate) fn new(offset: u32, indirect: bool) -> Place {
        debug_assert!(offset.is_multiple_of(4));
        Place(offset | if indirect { Place::INDIRECT } else { 0 })
    }

    pub(crate) fn with_wide(self, wide: bool) -> Place {
        Place(self.0 | if wide { Place::WIDE } else { 0 })
    }

    pub(crate) fn memory(plan: &Plan, memory: MemoryIndex) -> Place {
        match plan.memory(memory).place {
            MemoryPlace::Direct(number) => Place::new(plan.layout.direct_memory(number), false),
            MemoryPlace::Indirect(number) => Place::new(plan.layout.indirect_memory(number), true),
        }
    }

    pub(crate) const fn from_word(word: u32) -> Place {
        Place(word)
    }

    pub(crate) const fn word(self) -> u32 {
        self.0
    }

    /// Whether it is that of a pointer.
    pub(crate) fn is_indirect(self) -> bool {
        self.0 & Place::INDIRECT != 0
    }

    #[inline(always)]
    pub(crate) fn is_wide(self) -> bool {
        self.0 & Place::WIDE != 0
    }

    /// The address of what is there.
    ///
    /// # Safety
    ///
    /// The place belongs to the layout of `ctx`.
    #[inline(always)]
    pub(crate) unsafe fn resolve(self, ctx: Ctx) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe {
            let field = ctx.add((self.0 & !3) as usize);
            if self.0 & Place::INDIRECT != 0 {
                field.cast::<*mut u8>().read()
            } else {
                field
            }
        }
    }
}

/// Where the bytecode of one function is.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct FunctionEntry {
    /// Null until it is translated, and when it is not interpreted.
    pub(crate) code: AtomicPtr<FunctionCode>,
}

/// The functions of one module as the interpreter knows them: translated as they
/// are called. Contexts of its instances point here
/// ([`ContextLayout::functions`]).
#[derive(Debug)]
#[repr(C)]
pub struct ModuleCode {
    /// One per defined function.
    pub(crate) entries: Box<[FunctionEntry]>,
    /// The definition of memory 0.
    pub(crate) memory0: Option<Place>,
    tunables: Tunables,
    /// Where functions come from instead of a translation.
    #[cfg(feature = "images")]
    image: Option<ImageCode>,
}

impl ModuleCode {
    /// The functions of `module`, none of them translated. `plan` must be the
    /// plan of its instances on this machine. If it has guarded memories and
    /// [`HAS_GUARDS`](crate::HAS_GUARDS) is true, faults of the process must be led
    /// to where [`fault_landing`](crate::fault_landing) says.
    pub fn new(module: &Module, plan: &Plan, tunables: &Tunables) -> ModuleCode {
        let count = module.defined_function_count();
        let memory0 =
            (!module.memories().is_empty()).then(|| Place::memory(plan, MemoryIndex::new(0)));
        ModuleCode {
            entries: (0..count)
                .map(|_| FunctionEntry {
                    code: AtomicPtr::new(core::ptr::null_mut()),
                })
                .collect(),
            memory0,
            tunables: *tunables,
            #[cfg(feature = "images")]
            image: None,
        }
    }

    /// The functions of `module`, which come from an image. `plan` must be the plan of
    /// its instances on this machine without guarded memories, and all else that the
    /// image was made under must be the same.
    ///
    /// # Safety
    ///
    /// The bytecode was written by [`image::write`](crate::image::write) of this
    /// version for `module` and a machine like this, under `tunables`.
    #[cfg(feature = "images")]
    pub unsafe fn from_image(
        module: &Module,
        plan: &Plan,
        tunables: &Tunables,
        image: ImageCode,
    ) -> ModuleCode {
        let mut code = ModuleCode::new(module, plan, tunables);
        code.image = Some(image);
        code
    }

    /// The code of the functions behind a context; null when its instance has
    /// none.
    ///
    /// # Safety
    ///
    /// `ctx` is a live instance context.
    #[inline(always)]
    pub(crate) unsafe fn of(ctx: Ctx) -> *const ModuleCode {
        const OFFSET: u32 = ContextLayout::functions_on(Target::host());
        // SAFETY: every instance context has this field.
        unsafe { ctx.add(OFFSET as usize).cast::<*const ModuleCode>().read() }
    }

    /// The code of a function, translated or read from the image by this call if by
    /// none before.
    ///
    /// `module`, `bytes` and `plan` are those that the code was made for; the bytes
    /// are those of the image if it comes from one.
    ///
    /// # Errors
    ///
    /// When the function is too large, or damaged in the image.
    pub fn function(
        &self,
        module: &Module,
        bytes: &[u8],
        plan: &Plan,
        function: DefinedFuncIndex,
    ) -> Result<NonNull<FunctionCode>, TranslateError> {
        let entry = &self.entries[function.index()].code;
        if let Some(code) = NonNull::new(entry.load(Ordering::Acquire)) {
            return Ok(code);
        }
        let code = self.make(module, bytes, plan, function)?;
        let new = Box::into_raw(Box::new(code));
        let won = entry.compare_exchange(
            core::ptr::null_mut(),
            new,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let code = match won {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: from a box, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: neither is null.
        Ok(unsafe { NonNull::new_unchecked(code) })
    }

    fn make(
        &self,
        module: &Module,
        bytes: &[u8],
        plan: &Plan,
        function: DefinedFuncIndex,
    ) -> Result<FunctionCode, TranslateError> {
        #[cfg(feature = "images")]
        if let Some(image) = &self.image {
            return image
                .function(bytes, function)
                .map_err(|error| TranslateError {
                    function,
                    message: error.message.into(),
                });
        }
        #[cfg(feature = "decoder")]
        return translate::translate(&self.input(module, bytes, plan, function));
        #[cfg(not(feature = "decoder"))]
        {
            let _ = (module, bytes, plan);
            Err(TranslateError {
                function,
                message: "this build translates nothing".into(),
            })
        }
    }

    #[cfg(feature = "decoder")]
    fn input<'a>(
        &'a self,
        module: &'a Module,
        bytes: &'a [u8],
        plan: &'a Plan,
        function: DefinedFuncIndex,
    ) -> translate::Input<'a> {
        translate::Input {
            module,
            bytes,
            plan,
            tunables: &self.tunables,
            entries: &self.entries,
            function,
            #[cfg(feature = "images")]
            numbers: None,
        }
    }

    /// The offset in the module of the Wasm instruction that the bytecode at
    /// `code_offset` belongs to, from a [`Frame`](crate::Frame). Translates the
    /// function once more: positions are kept nowhere but in images.
    pub fn position(
        &self,
        module: &Module,
        bytes: &[u8],
        plan: &Plan,
        function: DefinedFuncIndex,
        code_offset: usize,
    ) -> Option<usize> {
        #[cfg(feature = "images")]
        if let Some(image) = &self.image {
            return image.position(bytes, function, code_offset);
        }
        #[cfg(feature = "decoder")]
        return translate::position(&self.input(module, bytes, plan, function), code_offset);
        #[cfg(not(feature = "decoder"))]
        {
            let _ = (module, bytes, plan, function, code_offset);
            None
        }
    }
}

impl Drop for ModuleCode {
    fn drop(&mut self) {
        for entry in &mut self.entries {
            let code = *entry.code.get_mut();
            if !code.is_null() {
                // SAFETY: from a box in `function`, and the module's code is
                // dropped when no frame of it is left.
                drop(unsafe { Box::from_raw(code) });
            }
        }
    }
}
