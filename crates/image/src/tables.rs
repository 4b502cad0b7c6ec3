//! The tables of a compilation as they stand in a file, and the checks that the
//! look-ups in them rely on. The layout stands in `file.rs`.

use tepui_abi::Trap;
use tepui_abi::metadata::SourcePosition;
use tepui_module::DefinedFuncIndex;

use crate::code::FunctionRecord;
use crate::error::Error;
use crate::positions::{BLOCK, Block, Deltas};
use crate::profiles;
use crate::reader::{Reader, invalid};

/// The tables of a compilation as they stand in the file.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
    /// Where the tables begin in the file.
    offset: u64,
    pub(crate) functions: &'a [u8],
    pub(crate) order: &'a [u8],
    pub(crate) trap_offsets: &'a [u8],
    pub(crate) trap_codes: &'a [u8],
    blocks: &'a [u8],
    pub(crate) deltas: &'a [u8],
    pub(crate) profiles: &'a [u8],
    /// Above every offset in the module; known once the tables were checked.
    pub(crate) position_bound: u64,
}

impl<'a> Tables<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Tables<'a>, Error> {
        let at = reader.offset();
        let functions = reader.u32()?;
        let order = reader.u32()?;
        let traps = reader.u32()?;
        let blocks = reader.u32()?;
        let deltas = reader.u32()?;
        let profiles = reader.u32()?;
        if order != 0 && order != functions {
            return Err(invalid("the order does not fit the functions", at));
        }
        let offset = reader.offset();
        let mut table = |count, bytes, what| {
            let rest = reader.rest().len();
            Ok(reader.array(count, bytes, rest, what)?.rest())
        };
        let tables = Tables {
            offset,
            functions: table(functions, 16, "functions outside their section")?,
            order: table(order, 4, "order outside its section")?,
            trap_offsets: table(traps, 4, "trap offsets outside their section")?,
            trap_codes: table(traps, 1, "trap codes outside their section")?,
            blocks: table(blocks, 12, "position blocks outside their section")?,
            deltas: table(deltas, 1, "position deltas outside their section")?,
            profiles: table(profiles, 1, "profiles outside their section")?,
            position_bound: 0,
        };
        if !reader.rest().is_empty() {
            return Err(invalid("bytes after the tables", reader.offset()));
        }
        Ok(tables)
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = FunctionRecord> + use<'a> {
        self.functions.chunks_exact(16).map(|row| FunctionRecord {
            function: DefinedFuncIndex::new(number(row, 0)),
            start: number(row, 4),
            end: number(row, 8),
            frame_bytes: number(row, 12),
        })
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> + use<'a> {
        self.blocks.chunks_exact(12).map(|row| Block {
            offset: number(row, 0),
            wasm: number(row, 4),
            start: number(row, 8),
        })
    }

    /// Checks what the look-ups in the tables rely on.
    pub(crate) fn check(&mut self, text_len: u32, module_len: u64) -> Result<(), Error> {
        self.check_functions(text_len)?;
        self.check_traps()?;
        self.position_bound = self.check_positions(module_len)?;
        profiles::check(self.profiles, self.functions.len() / 16, self.offset)?;
        Ok(())
    }

    fn check_functions(&self, text_len: u32) -> Result<(), Error> {
        let mut at = self.offset;
        let mut end = 0;
        for record in self.functions() {
            if record.start < end || record.start >= record.end || record.end > text_len {
                return Err(invalid("functions overlap or leave the code", at));
            }
            end = record.end;
            at += 16;
        }
        // Strictly ascending functions: none is there twice, and when they are
        // reached through the order, it names each place once.
        let count = self.functions.len() / 16;
        let mut last = None;
        let mut ascends = |function: u32| {
            let ascends = last.is_none_or(|last| last < function);
            last = Some(function);
            ascends
        };
        let sorted = if self.order.is_empty() {
            self.functions()
                .all(|record| ascends(record.function.as_u32()))
        } else {
            numbers(self.order).all(|place| {
                (place as usize) < count && ascends(number(self.functions, place as usize * 16))
            })
        };
        if sorted {
            Ok(())
        } else {
            Err(invalid("functions are not in order", at))
        }
    }

    fn check_traps(&self) -> Result<(), Error> {
        let offset = self.offset + (self.functions.len() + self.order.len()) as u64;
        let mut functions = self.functions();
        let mut function = functions.next();
        let mut last = None;
        for (i, (site, &code)) in numbers(self.trap_offsets).zip(self.trap_codes).enumerate() {
            while let Some(record) = function
                && record.end <= site
            {
                function = functions.next();
            }
            let at = offset + i as u64 * 4;
            if last >= Some(site) || function.is_none_or(|record| site < record.start) {
                return Err(invalid("trap sites out of order or in no function", at));
            }
            if Trap::from_code(code).is_none() {
                return Err(invalid("unknown trap", at));
            }
            last = Some(site);
        }
        Ok(())
    }

    /// Gives what is above every offset in the module.
    fn check_positions(&self, module_len: u64) -> Result<u64, Error> {
        let offset = self.offset
            + (self.functions.len()
                + self.order.len()
                + self.trap_offsets.len()
                + self.trap_codes.len()) as u64;
        let mut functions = self.functions();
        let mut function = functions.next();
        let mut last = None;
        let mut bound = 0;
        let mut check = |position: SourcePosition, at| {
            while let Some(record) = function
                && record.end <= position.offset
            {
                function = functions.next();
            }
            let inside = function.is_some_and(|record| record.start <= position.offset);
            if !inside || last >= Some(position.offset) {
                return Err(invalid("positions out of order or in no function", at));
            }
            if position.wasm != SourcePosition::NONE {
                bound = bound.max(u64::from(position.wasm) + 1);
                if bound > module_len {
                    return Err(invalid("a position outside the module", at));
                }
            }
            last = Some(position.offset);
            Ok(())
        };
        let ends = self
            .blocks()
            .skip(1)
            .map(|block| block.start as usize)
            .chain([self.deltas.len()]);
        let mut done = 0;
        for (i, (block, end)) in self.blocks().zip(ends).enumerate() {
            let at = offset + i as u64 * 12;
            let malformed = invalid("malformed position block", at);
            let first = SourcePosition {
                offset: block.offset,
                wasm: block.wasm,
            };
            check(first, at)?;
            if block.start as usize != done {
                return Err(malformed);
            }
            let Some(bytes) = self.deltas.get(done..end) else {
                return Err(malformed);
            };
            let mut deltas = Deltas::new(block, bytes);
            let mut count = 1;
            for position in deltas.by_ref() {
                check(position, at)?;
                count += 1;
            }
            if !deltas.is_done() || count > BLOCK {
                return Err(malformed);
            }
            done = end;
        }
        if done != self.deltas.len() {
            return Err(invalid("position deltas without a block", offset));
        }
        Ok(bound)
    }
}

/// The number at `at` in `bytes`, which is long enough.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|row| number(row, 0))
}
