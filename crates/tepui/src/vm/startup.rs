//! What the memories of a new instance hold: worked out once per module.
//!
//! Active data segments at constant offsets of one defined memory become a
//! copy-on-write image, made when a second instance is started: one-shot
//! programs then pay for a copy, servers for a mapping.

use core::sync::atomic::{AtomicU32, Ordering};

use tepui_module::{DataMode, Module};
use tepui_native::memory::CowImage;

#[cfg(not(feature = "std"))]
use crate::prelude::*;
use crate::sync::OnceLock;

/// How the defined memories of a module begin.
pub(crate) struct Startup {
    /// One per defined memory.
    memories: Vec<MemoryStartup>,
    /// Whether every active data segment is part of `memories`, so that none
    /// is left to be copied one by one.
    complete: bool,
    instances: AtomicU32,
}

/// How one memory begins.
struct MemoryStartup {
    /// The bytes from address `start` on that segments write, if they are
    /// dense enough to be one image.
    extent: Option<(u64, u64)>,
    image: OnceLock<Option<CowImage>>,
}

/// Images are at most this large, and at least a quarter of their bytes come
/// from segments.
const LARGEST_IMAGE: u64 = 1 << 30;

impl Startup {
    /// Looks at the data segments of `module`.
    pub(crate) fn new(module: &Module, bytes: &[u8]) -> Startup {
        let _ = bytes;
        let imported = module.imported_memory_count();
        let mut complete = true;
        let defined = module.memories().len() as u32 - imported;
        let mut extents: Vec<Option<(u64, u64, u64)>> = vec![None; defined as usize];
        for segment in module.data_segments() {
            let DataMode::Active { memory, offset } = &segment.mode else {
                continue;
            };
            let constant = offset.as_const_address();
            let position = memory.as_u32().checked_sub(imported);
            let (Some(start), Some(position)) = (constant, position) else {
                complete = false;
                continue;
            };
            let length = segment.range.len() as u64;
            let Some(end) = start.checked_add(length) else {
                complete = false;
                continue;
            };
            let ty = &module.memories()[memory.as_u32() as usize];
            if ty.minimum_bytes().is_none_or(|minimum| end > minimum) || ty.shared {
                // Out of bounds, which is a trap in the order of segments; or
                // shared, which has no private mapping.
                complete = false;
                continue;
            }
            let extent = &mut extents[position as usize];
            *extent = Some(match *extent {
                None => (start, end, length),
                Some((s, e, bytes)) => (s.min(start), e.max(end), bytes + length),
            });
        }
        let memories = extents
            .into_iter()
            .map(|extent| {
                let extent = extent.and_then(|(start, end, filled)| {
                    let span = end - start;
                    (span <= LARGEST_IMAGE && filled >= span / 4).then_some((start, end))
                });
                MemoryStartup {
                    extent,
                    image: OnceLock::new(),
                }
            })
            .collect();
        Startup {
            memories,
            complete,
            instances: AtomicU32::new(0),
        }
    }

    /// The image of defined memory `index` with the address that it starts at,
    /// a multiple of `page`; `None` when segments are to be copied.
    pub(crate) fn image(
        &self,
        module: &Module,
        bytes: &[u8],
        index: usize,
        page: u64,
    ) -> Option<(&CowImage, u64)> {
        // With a segment outside of the images, the order of writes would matter.
        if !self.complete || self.instances.load(Ordering::Relaxed) < 2 {
            return None;
        }
        let memory = &self.memories[index];
        let (start, end) = memory.extent?;
        let start = start & !(page - 1);
        let image = memory
            .image
            .get_or_init(|| {
                let mut contents = vec![0; usize::try_from(end - start).ok()?];
                for segment in module.data_segments() {
                    if let DataMode::Active { memory, offset } = &segment.mode
                        && memory.as_u32() == module.imported_memory_count() + index as u32
                        && let Some(address) = offset.as_const_address()
                    {
                        let at = usize::try_from(address - start).ok()?;
                        let data = &bytes[segment.range.clone()];
                        contents[at..at + data.len()].copy_from_slice(data);
                    }
                }
                CowImage::new(&contents).ok().flatten()
            })
            .as_ref()?;
        Some((image, start))
    }

    /// Counts one more instance.
    pub(crate) fn count_instance(&self) {
        // Saturating is not needed: past two, the number means nothing.
        let _ = self
            .instances
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < 2).then_some(n + 1)
            });
    }
}
