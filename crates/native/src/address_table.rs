//! Which code an address belongs to: a look-up that is wait-free and safe in a
//! signal handler.
//!
//! Holds unsafe code: tables that are never freed, shared by all threads.
//!
//! Each region of code has a *node* with a table of one entry per granule of
//! 64 KiB. Nodes form a list that only ever grows; a node whose region is gone
//! is used again for a later region, table included, so that a reader never
//! meets memory that was given back. A sequence number, odd while a node
//! changes, tells a reader that it must not trust what it read; a node that
//! changes belongs to no region with running code, so the reader passes on
//! instead of waiting.
//!
//! An answer is right as long as the code at the address is alive throughout
//! the look-up, which is so for addresses that a thread is running at or will
//! return to. For other addresses the answer may be of code that is gone.

use std::io;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

use crate::memory::Reservation;

/// Bytes in a granule: the unit in which code memory is handed out.
pub(crate) const GRANULE: usize = 64 << 10;

/// What is known of one granule; all zeros is "nothing".
struct Granule {
    /// One more than the number of the first granule of the allocation that
    /// this granule belongs to; 0 for none.
    first: AtomicU32,
    /// In the first granule: how many granules the allocation has.
    count: AtomicU32,
    /// In the first granule: what the allocation was registered with.
    owner: AtomicPtr<()>,
}

/// The table of one region, or of none at the moment.
pub(crate) struct Node {
    sequence: AtomicUsize,
    base: AtomicUsize,
    /// Bytes of the region; 0 when there is none. Never beyond the table.
    len: AtomicUsize,
    granules: *const Granule,
    capacity: usize,
    next: *const Node,
}

// SAFETY: the raw pointers lead to memory that is never freed and to atomics.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Sync for Node {}

static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());
/// Nodes without a region; the lock also orders additions to the list.
static FREE: Mutex<Vec<&'static Node>> = Mutex::new(Vec::new());

/// What [`find_code`] knows about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRef {
    /// What the allocation was registered with.
    pub owner: *const (),
    /// The first address of the allocation.
    pub base: *const u8,
    /// Bytes in the allocation.
    pub len: usize,
}

/// Finds the registered allocation of code that holds the address `pc`, in any
/// region of the process. Wait-free; may be called in a signal handler.
///
/// The answer is right for code that is kept alive during the call. The owner
/// is as alive as the one who registered it keeps it.
pub fn find_code(pc: usize) -> Option<CodeRef> {
    let mut node: *const Node = NODES.load(Ordering::Acquire);
    // SAFETY: nodes are never freed, and were complete when they were linked.
    while let Some(current) = unsafe { node.as_ref() } {
        if let Some(found) = current.find(pc) {
            return Some(found);
        }
        node = current.next;
    }
    None
}

impl Node {
    /// Makes or finds a node for a region; it stays empty until [`Node::open`].
    pub(crate) fn take(len: usize) -> io::Result<&'static Node> {
        let wanted = len.div_ceil(GRANULE);
        let mut free = FREE.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some(index) = free.iter().position(|node| node.capacity >= wanted) {
            return Ok(free.swap_remove(index));
        }
        let table = Reservation::new(wanted * size_of::<Granule>())?;
        table.make_accessible(0..table.len())?;
        let granules = table.base().as_ptr().cast_const().cast::<Granule>();
        std::mem::forget(table);
        let node = Box::leak(Box::new(Node {
            sequence: AtomicUsize::new(0),
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            granules,
            capacity: wanted,
            next: NODES.load(Ordering::Relaxed),
        }));
        NODES.store(node, Ordering::Release);
        Ok(node)
    }

    /// Gives the node to the region at `base`.
    pub(crate) fn open(&self, base: usize, len: usize) {
        assert!(len.div_ceil(GRANULE) <= self.capacity);
        self.change(base, len);
    }

    /// Ends the region; the node will serve another one. All its allocations
    /// are unregistered.
    pub(crate) fn close(&'static self) {
        self.change(0, 0);
        FREE.lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .push(self);
    }

    /// Only the owner of the node calls this: one thread at a time.
    fn change(&self, base: usize, len: usize) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.base.store(base, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    fn granule(&self, index: usize) -> &Granule {
        assert!(index < self.capacity);
        // SAFETY: the table has `capacity` entries, is never freed, and zeros
        // are valid entries.
        unsafe { &*self.granules.add(index) }
    }

    pub(crate) fn find(&self, pc: usize) -> Option<CodeRef> {
        let before = self.sequence.load(Ordering::Acquire);
        let base = self.base.load(Ordering::Relaxed);
        let len = self.len.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if !before.is_multiple_of(2) || self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        let offset = pc.checked_sub(base).filter(|offset| *offset < len)?;
        let first = self
            .granule(offset / GRANULE)
            .first
            .load(Ordering::Acquire)
            .checked_sub(1)? as usize;
        let granule = self.granule(first);
        Some(CodeRef {
            owner: granule.owner.load(Ordering::Relaxed),
            base: (base + first * GRANULE) as *const u8,
            len: granule.count.load(Ordering::Relaxed) as usize * GRANULE,
        })
    }

    /// Enters an allocation. Its granules belong to the caller.
    pub(crate) fn register(&self, first: u32, count: u32, owner: *const ()) {
        let entry = self.granule(first as usize);
        entry.owner.store(owner.cast_mut(), Ordering::Relaxed);
        entry.count.store(count, Ordering::Relaxed);
        for index in first..first + count {
            self.granule(index as usize)
                .first
                .store(first + 1, Ordering::Release);
        }
    }

    /// Removes an allocation.
    pub(crate) fn unregister(&self, first: u32, count: u32) {
        for index in first..first + count {
            self.granule(index as usize)
                .first
                .store(0, Ordering::Release);
        }
    }
}
