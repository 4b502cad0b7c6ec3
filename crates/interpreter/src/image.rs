//! How are translated functions written to a file and read from it again?
//!
//! This file holds no unsafe code, but what it reads is trusted: nobody can tell
//! whether bytecode keeps the invariants that handlers rely on. What can be told is
//! checked: that all tables lie inside of the bytes, and that every number is one of
//! an instruction of this build.
//!
//! Bytecode in images is plain (see `numbers`), names functions and types by their
//! indices, and depends on the machine by the width of pointers and the order of
//! bytes alone. It is made for memories without guards, which any memory is good for.
//!
//! All functions lie one after the other:
//!
//! | | |
//! |---|---|
//! | 4 bytes each | where each function begins, and where the last ends |
//! | 4 bytes | words of bytecode |
//! | 4 bytes | bytes of the frame |
//! | 4 bytes | bytes of the area |
//! | 4 bytes each | the bytecode, in the machine's order of bytes |
//! | varints | per instruction: how many words behind the one before it begins; and the difference of its position in the Wasm to that of the one before, zigzag |
//!
//! Numbers but those of the bytecode are little-endian.

use alloc::boxed::Box;
use core::fmt;

use tepui_module::{DefinedFuncIndex, leb128};

use crate::code::FunctionCode;
use crate::dispatch::{HANDLER_WORDS, put_address};
use crate::numbers;

/// The hash of everything that the meaning of bytecode in images depends on besides
/// the machine: another version of this crate has another.
pub const FINGERPRINT: u64 = numbers::FINGERPRINT;

/// Bytes before the words of a function.
const HEAD: usize = 12;

/// What is wrong with an image: it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// What cannot be.
    pub message: &'static str,
    /// The function at which it was met, if it was one.
    pub function: Option<DefinedFuncIndex>,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        if let Some(function) = self.function {
            write!(f, " (in defined function {})", function.as_u32())?;
        }
        Ok(())
    }
}

impl core::error::Error for ImageError {}

/// Where the functions of an image lie in its bytes.
#[derive(Clone, Copy, Debug)]
pub struct ImageCode {
    start: usize,
    end: usize,
    count: u32,
}

/// A function as it lies in an image.
struct Parts<'a> {
    frame_bytes: usize,
    area_bytes: usize,
    code: &'a [u8],
    /// See [`Starts`].
    table: &'a [u8],
}

impl ImageCode {
    /// The functions that lie from `start` to `end` of `bytes`, which are `count`.
    ///
    /// # Errors
    ///
    /// When one is not inside.
    pub fn new(
        bytes: &[u8],
        start: usize,
        end: usize,
        count: u32,
    ) -> Result<ImageCode, ImageError> {
        let code = ImageCode { start, end, count };
        let error = |message| ImageError {
            message,
            function: None,
        };
        let table = (count as usize + 1)
            .checked_mul(4)
            .filter(|table| bytes.get(start..end).is_some_and(|all| *table <= all.len()))
            .ok_or_else(|| error("the table of functions runs past the end"))?;
        let mut before = table;
        for index in 0..=count as usize {
            let at = read(bytes, start + 4 * index).unwrap_or(0) as usize;
            let least = if index == 0 { table } else { before + HEAD };
            if at < least || at > end - start {
                return Err(error("a function is not inside of the image"));
            }
            before = at;
        }
        for index in 0..count {
            code.parts(bytes, DefinedFuncIndex::new(index))?;
        }
        Ok(code)
    }

    /// The head of a function, its words, and the table behind them.
    fn parts<'a>(
        &self,
        bytes: &'a [u8],
        function: DefinedFuncIndex,
    ) -> Result<Parts<'a>, ImageError> {
        let error = || ImageError {
            message: "a function is longer than its place in the image",
            function: Some(function),
        };
        let index = function.index();
        let parts = || {
            let at =
                |index: usize| Some(read(bytes, self.start + 4 * index)? as usize + self.start);
            let all = bytes.get(..self.end)?.get(at(index)?..at(index + 1)?)?;
            let words = (read(all, 0)? as usize).checked_mul(4)?;
            let sizes = [read(all, 4)? as usize, read(all, 8)? as usize];
            let (code, table) = all.get(HEAD..)?.split_at_checked(words)?;
            let is_sound = sizes.iter().all(|size| *size < 1 << 29 && size % 8 == 0);
            is_sound.then_some(Parts {
                frame_bytes: sizes[0],
                area_bytes: sizes[1],
                code,
                table,
            })
        };
        if index >= self.count as usize {
            return Err(error());
        }
        parts().ok_or_else(error)
    }

    /// A function, ready to run.
    ///
    /// # Errors
    ///
    /// When there is a number that is none of an instruction of this build.
    pub(crate) fn function(
        &self,
        bytes: &[u8],
        function: DefinedFuncIndex,
    ) -> Result<FunctionCode, ImageError> {
        let error = |message| ImageError {
            message,
            function: Some(function),
        };
        let parts = self.parts(bytes, function)?;
        let (code, _) = parts.code.as_chunks::<4>();
        let mut words: Box<[u32]> = code.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        for (start, _) in Starts::new(parts.table) {
            let place = words
                .get_mut(start..)
                .and_then(|words| words.get_mut(..HANDLER_WORDS))
                .ok_or_else(|| error("an instruction begins behind the end"))?;
            let handler = numbers::handler(place[0])
                .ok_or_else(|| error("the image has instructions that this build does not have"))?;
            put_address(place, handler);
        }
        if words.is_empty() {
            return Err(error("a function is empty"));
        }
        Ok(FunctionCode {
            words,
            frame_bytes: parts.frame_bytes,
            area_bytes: parts.area_bytes,
            function,
        })
    }

    /// The offset in the Wasm of the instruction that the bytecode at `code_offset`
    /// belongs to.
    pub(crate) fn position(
        &self,
        bytes: &[u8],
        function: DefinedFuncIndex,
        code_offset: usize,
    ) -> Option<usize> {
        let table = self.parts(bytes, function).ok()?.table;
        let before = Starts::new(table).take_while(|(start, _)| *start <= code_offset);
        Some(before.last()?.1)
    }
}

fn read(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

/// Where instructions begin, and their positions.
struct Starts<'a> {
    table: &'a [u8],
    start: usize,
    position: usize,
}

impl<'a> Starts<'a> {
    fn new(table: &'a [u8]) -> Starts<'a> {
        Starts {
            table,
            start: 0,
            position: 0,
        }
    }
}

impl Iterator for Starts<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = leb128::read_u32(&mut self.table)?;
        let difference = leb128::unzigzag(leb128::read_u32(&mut self.table)?.into());
        self.start = self.start.wrapping_add(start as usize);
        self.position = self.position.wrapping_add_signed(difference as isize);
        Some((self.start, self.position))
    }
}

#[cfg(feature = "decoder")]
pub use write::write;

/// Writing, which takes a translation.
#[cfg(feature = "decoder")]
mod write {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use tepui_abi::target::Endianness;
    use tepui_abi::{Plan, Target, Tunables};
    use tepui_module::{DefinedFuncIndex, Module, leb128};

    use crate::code::{FunctionEntry, TranslateError};
    use crate::numbers::Numbers;
    use crate::translate::{self, ImageFunction, Input};

    /// Translates all functions of a validated module for machines like `target`, and
    /// writes them in the order of their indices.
    ///
    /// Of `tunables` only what guests notice counts: memories are never guarded.
    ///
    /// # Errors
    ///
    /// When a function is too large.
    pub fn write(
        module: &Module,
        bytes: &[u8],
        target: Target,
        tunables: &Tunables,
    ) -> Result<Vec<u8>, TranslateError> {
        let count = module.defined_function_count();
        let tunables = tunables.checked();
        let plan = Plan::new(module, target, &tunables);
        let error = |index, message: &str| TranslateError {
            function: DefinedFuncIndex::new(index),
            message: message.to_string(),
        };
        let numbers = Numbers::new(target.pointer() as usize / 4)
            .ok_or_else(|| error(0, "instructions cannot be told apart in this build"))?;
        // Plain bytecode does not name them.
        let entries: &[FunctionEntry] = &[];
        let table = 4 * (count as usize + 1);
        let mut out = alloc::vec![0; table];
        for index in 0..=count {
            let at = u32::try_from(out.len())
                .map_err(|_| error(index.min(count - 1), "the image would be too large"))?;
            out[4 * index as usize..][..4].copy_from_slice(&at.to_le_bytes());
            if index == count {
                break;
            }
            let function = translate::translate_for_image(&Input {
                module,
                bytes,
                plan: &plan,
                tunables: &tunables,
                entries,
                function: DefinedFuncIndex::new(index),
                numbers: Some(&numbers),
            })?;
            write_function(&mut out, &function, target.endianness);
        }
        Ok(out)
    }

    fn write_function(out: &mut Vec<u8>, function: &ImageFunction, endianness: Endianness) {
        // All are below 2^29: the translation has limits.
        for number in [
            function.words.len(),
            function.frame_bytes,
            function.area_bytes,
        ] {
            out.extend_from_slice(&(number as u32).to_le_bytes());
        }
        for word in &function.words {
            out.extend_from_slice(&match endianness {
                Endianness::Little => word.to_le_bytes(),
                Endianness::Big => word.to_be_bytes(),
            });
        }
        let mut before = (0, 0);
        for &(start, position) in &function.starts {
            leb128::write(out, (start - before.0) as u64);
            let difference = position.wrapping_sub(before.1) as i32;
            leb128::write(out, leb128::zigzag(difference.into()));
            before = (start, position);
        }
    }
}
