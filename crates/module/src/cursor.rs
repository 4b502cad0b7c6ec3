//! How are the instructions of a body read, one after another? By the decoder; but
//! whoever reads all of them, and has little to do for most, reads the common ones
//! itself, from their bytes: the decoder's choice among all instructions costs more than
//! what follows from an `i32.const`.

use wasmparser::{BinaryReader, FrameStack, Result, VisitOperator, WasmFeatures};

/// Where a reader of instructions is.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    code: &'a [u8],
    at: usize,
    /// The offset of `code` in the module.
    start: u64,
    features: WasmFeatures,
}

impl<'a> Cursor<'a> {
    /// At the instruction that the reader is at. They end where the reader does.
    ///
    /// # Errors
    ///
    /// None that comes from what the bytes are.
    pub fn new(mut reader: BinaryReader<'a>) -> Result<Cursor<'a>> {
        let start = reader.original_position();
        let features = reader.features();
        let code = reader.read_bytes(reader.bytes_remaining())?;
        Ok(Cursor {
            code,
            at: 0,
            start,
            features,
        })
    }

    /// The offset in the module of the next instruction.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Whether there is no further instruction.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.at >= self.code.len()
    }

    /// The next instruction's opcode and the three bytes behind it, which need not be
    /// its own. `None` when there are not so many: the last instructions of a body are
    /// left to the decoder.
    #[inline]
    pub fn peek(&self) -> Option<[u8; 4]> {
        let bytes = self.code.get(self.at..)?.first_chunk()?;
        Some(*bytes)
    }

    /// Goes on behind the next instruction, which is so many bytes long: no more than
    /// what was seen of it.
    #[inline]
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn reader(&self) -> BinaryReader<'a> {
        let code = self.code.get(self.at..).unwrap_or_default();
        BinaryReader::new_features(code, self.offset(), self.features)
    }

    /// Has the decoder read the next instruction, which the visitor visits.
    ///
    /// # Errors
    ///
    /// As [`BinaryReader::visit_operator`]; the cursor is then of no further use.
    #[inline]
    pub fn visit<V>(&mut self, visitor: &mut V) -> Result<V::Output>
    where
        V: VisitOperator<'a> + FrameStack,
    {
        let mut reader = self.reader();
        let output = reader.visit_operator(visitor)?;
        self.at += reader.current_position();
        Ok(output)
    }

    /// Says that this was the last instruction.
    ///
    /// # Errors
    ///
    /// When blocks are open, or there are further instructions.
    pub fn finish(&self, frames: &impl FrameStack) -> Result<()> {
        self.reader().finish_expression(frames)
    }
}
