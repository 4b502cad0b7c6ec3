//! Code of a batch of functions with its tables, and the look-ups in them.
//!
//! The look-ups are safe in a signal handler: they neither allocate nor lock
//! nor panic, and take logarithmic time.

use tepui_abi::metadata::{SourcePosition, TrapSite};
use tepui_abi::profile::ProfileMetadata;
use tepui_abi::{Target, Trap};
use tepui_module::DefinedFuncIndex;

use crate::positions::PositionTable;

/// Where a function lies in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRecord {
    /// The function.
    pub function: DefinedFuncIndex,
    /// Offset of its first byte, which is its entry.
    pub start: u32,
    /// Offset after its last byte.
    pub end: u32,
    /// Bytes of its frame below the saved frame pointer.
    pub frame_bytes: u32,
}

/// The code of a batch of functions, with calls between them resolved, and the
/// tables beside it.
///
/// Made by [`CodeBuilder`](crate::CodeBuilder) or read from an
/// [`Image`](crate::Image). All offsets are relative to the start of the text.
/// The code is position-independent, but the text must be placed at a multiple
/// of [`alignment`](CodeImage::alignment).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeImage {
    pub(crate) target: Target,
    pub(crate) alignment: u32,
    pub(crate) text_len: u32,
    /// Empty once taken.
    pub(crate) text: Vec<u8>,
    /// By ascending start; they do not overlap.
    pub(crate) functions: Vec<FunctionRecord>,
    /// Places in `functions` by ascending function; empty when `functions` is
    /// in that order itself.
    pub(crate) order: Vec<u32>,
    /// Strictly ascending.
    pub(crate) trap_offsets: Vec<u32>,
    /// As many as `trap_offsets`.
    pub(crate) trap_codes: Vec<u8>,
    pub(crate) positions: PositionTable,
    /// What the code of each function counts, in the order of `functions`; empty
    /// when none counts.
    pub(crate) profiles: Vec<ProfileMetadata>,
}

impl CodeImage {
    /// The machine that the code is for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What the address of the text must be a multiple of: a power of two from
    /// 16 to 4,096.
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// The machine code. Empty after [`take_text`](CodeImage::take_text).
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes of machine code, also after the text was released.
    pub fn text_len(&self) -> u32 {
        self.text_len
    }

    /// Takes the machine code out, for executable memory. The tables stay.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Puts the machine code back that was taken, read from where it runs.
    ///
    /// # Panics
    ///
    /// When it is not as long as it was.
    pub fn restore_text(&mut self, text: Vec<u8>) {
        assert_eq!(text.len(), self.text_len as usize, "text of another image");
        self.text = text;
    }

    /// The function whose code contains `text_offset`. For a return address
    /// ask for the byte before it.
    ///
    /// `None` for padding and veneers between functions.
    pub fn function_at(&self, text_offset: u32) -> Option<FunctionRecord> {
        let next = self
            .functions
            .partition_point(|record| record.start <= text_offset);
        let record = *self.functions.get(next.checked_sub(1)?)?;
        (text_offset < record.end).then_some(record)
    }

    /// The trap that a fault of the instruction that begins at `text_offset`
    /// means. `None` when no trap is expected there.
    pub fn trap_at(&self, text_offset: u32) -> Option<Trap> {
        let place = self.trap_offsets.binary_search(&text_offset).ok()?;
        Trap::from_code(*self.trap_codes.get(place)?)
    }

    /// The byte offset in the module of the Wasm instruction that the code at
    /// `text_offset` belongs to. For a return address ask for the byte before
    /// it.
    ///
    /// `None` for code that belongs to no instruction.
    pub fn position_at(&self, text_offset: u32) -> Option<u32> {
        let record = self.function_at(text_offset)?;
        let position = self.positions.find(text_offset)?;
        (position.offset >= record.start && position.wasm != SourcePosition::NONE)
            .then_some(position.wasm)
    }

    /// Where `function` begins. `None` when it is not in this batch.
    pub fn entry(&self, function: DefinedFuncIndex) -> Option<u32> {
        let function = function.as_u32();
        let place = if self.order.is_empty() {
            self.functions
                .binary_search_by_key(&function, |record| record.function.as_u32())
                .ok()?
        } else {
            let key = |&place: &u32| {
                // Every place is in range; 0 only keeps the look-up total.
                self.functions
                    .get(place as usize)
                    .map_or(0, |record| record.function.as_u32())
            };
            let found = self.order.binary_search_by_key(&function, key).ok()?;
            *self.order.get(found)? as usize
        };
        Some(self.functions.get(place)?.start)
    }

    /// Every function, by ascending start.
    pub fn functions(&self) -> &[FunctionRecord] {
        &self.functions
    }

    /// What the code of each function counts, in the order of
    /// [`functions`](CodeImage::functions); empty when none counts.
    pub fn profiles(&self) -> &[ProfileMetadata] {
        &self.profiles
    }

    /// Every trap site, by ascending offset in the text.
    pub fn traps(&self) -> impl Iterator<Item = TrapSite> + '_ {
        self.trap_offsets
            .iter()
            .zip(&self.trap_codes)
            .filter_map(|(&offset, &code)| {
                Some(TrapSite {
                    offset,
                    trap: Trap::from_code(code)?,
                })
            })
    }

    /// Every source position, by ascending offset in the text.
    pub fn positions(&self) -> impl Iterator<Item = SourcePosition> + '_ {
        self.positions.iter()
    }

    /// Bytes of heap that the tables take, without the text.
    pub fn table_bytes(&self) -> usize {
        self.functions.len() * size_of::<FunctionRecord>()
            + self.order.len() * 4
            + self.trap_offsets.len() * 5
            + self.positions.blocks.len() * size_of::<crate::positions::Block>()
            + self.positions.deltas.len()
    }
}
