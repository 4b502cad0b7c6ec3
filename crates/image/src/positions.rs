//! How source positions are kept: delta-compressed, in blocks that can be
//! searched.
//!
//! A position says that the code from a text offset on, up to the next
//! position, belongs to a Wasm instruction. Positions are grouped in blocks of
//! [`BLOCK`]. The first position of a block stands in the block index, by which
//! a search finds the block; the others follow as two LEB128 numbers each: the
//! distance in code, which is never zero, and for the Wasm offset 0 for
//! [`SourcePosition::NONE`] or 1 plus the zigzag-encoded distance from the last
//! offset of the block that was not `NONE` (0 before there is one).
//!
//! A search takes a binary search over the index and at most [`BLOCK`] steps.
//! It neither allocates nor panics, whatever the bytes are.

use tepui_abi::metadata::SourcePosition;
use tepui_module::leb128;

const NONE: u32 = SourcePosition::NONE;

/// Positions in a block.
pub(crate) const BLOCK: u32 = 64;

/// The first position of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its offset in the text.
    pub(crate) offset: u32,
    /// Its offset in the module, or `NONE`.
    pub(crate) wasm: u32,
    /// Where the other positions of the block begin in the deltas.
    pub(crate) start: u32,
}

/// Positions of a whole text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PositionTable {
    pub(crate) blocks: Vec<Block>,
    pub(crate) deltas: Vec<u8>,
    /// Above every offset in the module, and as low as that allows.
    pub(crate) bound: u64,
}

impl PositionTable {
    /// The last position at or before `offset`.
    pub(crate) fn find(&self, offset: u32) -> Option<SourcePosition> {
        let next = self.blocks.partition_point(|b| b.offset <= offset);
        let block = *self.blocks.get(next.checked_sub(1)?)?;
        let mut found = SourcePosition {
            offset: block.offset,
            wasm: block.wasm,
        };
        for position in self.rest(block, self.blocks.get(next).copied()) {
            if position.offset > offset {
                break;
            }
            found = position;
        }
        Some(found)
    }

    /// Every position, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SourcePosition> + '_ {
        self.blocks.iter().enumerate().flat_map(move |(i, &block)| {
            let first = SourcePosition {
                offset: block.offset,
                wasm: block.wasm,
            };
            std::iter::once(first).chain(self.rest(block, self.blocks.get(i + 1).copied()))
        })
    }

    fn rest(&self, block: Block, next: Option<Block>) -> Deltas<'_> {
        let end = next.map_or(self.deltas.len(), |next| next.start as usize);
        Deltas::new(
            block,
            self.deltas
                .get(block.start as usize..end)
                .unwrap_or_default(),
        )
    }
}

/// Reads the positions of a block after its first.
pub(crate) struct Deltas<'a> {
    bytes: &'a [u8],
    offset: u32,
    wasm: u32,
}

impl<'a> Deltas<'a> {
    pub(crate) fn new(block: Block, bytes: &'a [u8]) -> Deltas<'a> {
        Deltas {
            bytes,
            offset: block.offset,
            wasm: if block.wasm == NONE { 0 } else { block.wasm },
        }
    }

    /// Whether all bytes were read.
    pub(crate) fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Iterator for Deltas<'_> {
    type Item = SourcePosition;

    /// The next position; `None` at the end and at malformed bytes.
    fn next(&mut self) -> Option<SourcePosition> {
        let distance = leb128::read_u32(&mut self.bytes).filter(|&d| d != 0)?;
        self.offset = self.offset.checked_add(distance)?;
        let wasm = match leb128::read_u64(&mut self.bytes)?.checked_sub(1) {
            None => NONE,
            Some(zigzag) => {
                let wasm = i64::from(self.wasm).checked_add(leb128::unzigzag(zigzag))?;
                let wasm = u32::try_from(wasm).ok()?;
                if wasm == NONE {
                    return None;
                }
                self.wasm = wasm;
                wasm
            }
        };
        Some(SourcePosition {
            offset: self.offset,
            wasm,
        })
    }
}

/// Builds a table from positions in ascending order.
#[derive(Debug, Default)]
pub(crate) struct PositionEncoder {
    table: PositionTable,
    /// Positions in the last block.
    filled: u32,
    /// Offset of the last position.
    offset: u32,
    /// The last Wasm offset of the block that was not `NONE`, or 0.
    wasm: u32,
}

impl PositionEncoder {
    /// Adds a position. Its offset is greater than all before.
    ///
    /// Returns `None` when the deltas would pass 4 GiB.
    pub(crate) fn push(&mut self, position: SourcePosition) -> Option<()> {
        if self.filled == 0 || self.filled == BLOCK {
            self.table.blocks.push(Block {
                offset: position.offset,
                wasm: position.wasm,
                start: u32::try_from(self.table.deltas.len()).ok()?,
            });
            self.filled = 1;
            self.wasm = 0;
        } else {
            debug_assert!(position.offset > self.offset, "positions are sorted");
            leb128::write(&mut self.table.deltas, position.offset - self.offset);
            if position.wasm == NONE {
                self.table.deltas.push(0);
            } else {
                let delta = i64::from(position.wasm) - i64::from(self.wasm);
                leb128::write(&mut self.table.deltas, leb128::zigzag(delta) + 1);
            }
            self.filled += 1;
        }
        self.offset = position.offset;
        if position.wasm != NONE {
            self.wasm = position.wasm;
            self.table.bound = self.table.bound.max(u64::from(position.wasm) + 1);
        }
        Some(())
    }

    /// The finished table.
    pub(crate) fn finish(mut self) -> PositionTable {
        self.table.blocks.shrink_to_fit();
        self.table.deltas.shrink_to_fit();
        self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(positions: &[SourcePosition]) -> PositionTable {
        let mut encoder = PositionEncoder::default();
        for &position in positions {
            encoder.push(position).unwrap();
        }
        encoder.finish()
    }

    /// Positions with small and extreme distances and with `NONE`s, from a
    /// fixed pseudo-random sequence.
    fn sample(count: u32) -> Vec<SourcePosition> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut offset = 0;
        (0..count)
            .map(|i| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                offset += 1 + (state % 23) as u32 + if i % 97 == 96 { 100_000 } else { 0 };
                let wasm = match state >> 60 {
                    0 => NONE,
                    1 => NONE - 1,
                    2 => 0,
                    _ => 5_000 + i * 3 - (state >> 32) as u32 % 50,
                };
                SourcePosition { offset, wasm }
            })
            .collect()
    }

    #[test]
    fn every_position_is_found_again() {
        for count in [0, 1, 2, 63, 64, 65, 128, 129, 1_000] {
            let positions = sample(count);
            let table = encode(&positions);
            assert_eq!(table.iter().collect::<Vec<_>>(), positions);
            assert_eq!(table.find(0), None);
            for (i, &position) in positions.iter().enumerate() {
                assert_eq!(table.find(position.offset), Some(position));
                let next = positions.get(i + 1).map_or(u32::MAX, |next| next.offset);
                assert_eq!(table.find(next - 1), Some(position));
                let before = i.checked_sub(1).map(|i| positions[i]);
                assert_eq!(table.find(position.offset - 1), before);
            }
        }
    }

    #[test]
    fn ordinary_positions_take_little_over_two_bytes() {
        let positions: Vec<_> = (0..64_000)
            .map(|i| SourcePosition {
                offset: i * 6,
                wasm: 100 + i * 3,
            })
            .collect();
        let table = encode(&positions);
        let bytes = table.deltas.len() + table.blocks.len() * size_of::<Block>();
        assert!(bytes * 100 < positions.len() * 220, "{bytes}");
    }

    #[test]
    fn malformed_deltas_end_a_search_without_a_panic() {
        let mut state = 7_u64;
        let block = Block {
            offset: 3,
            wasm: 9,
            start: 0,
        };
        for _ in 0..10_000 {
            let deltas: Vec<u8> = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            let table = PositionTable {
                blocks: vec![block, Block { start: 9, ..block }],
                deltas,
                bound: 0,
            };
            assert!(table.find(u32::MAX).is_some());
            assert_eq!(table.find(2), None);
            let _ = table.iter().count();
        }
        let outside = PositionTable {
            blocks: vec![Block { start: 50, ..block }],
            deltas: Vec::new(),
            bound: 0,
        };
        assert_eq!(outside.find(10).unwrap().wasm, 9);
    }
}
