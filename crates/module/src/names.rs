//! What do people call the parts of a module, and which way do its branches
//! go? Custom sections that are read only when asked for.
//!
//! Neither the name section nor the branch hints decide about validity: what
//! cannot be read of them is as if it were not there (core specification,
//! "Custom Sections").

use crate::FuncIndex;
use crate::leb128;
use crate::module::Module;
use crate::order;
use alloc::vec::Vec;
#[cfg(feature = "decoder")]
use wasmparser::{BinaryReader, BranchHintSectionReader};

/// The names of a module's functions, for whoever needs many of them.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames<'a> {
    /// By index, which increases.
    names: Vec<(FuncIndex, &'a str)>,
}

impl<'a> FunctionNames<'a> {
    /// The name of a function, if it has one.
    pub fn get(&self, index: FuncIndex) -> Option<&'a str> {
        let found = self.names.binary_search_by_key(&index, |(index, _)| *index);
        Some(self.names[found.ok()?].1)
    }

    /// All functions with names, in the order of their indices.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FuncIndex, &'a str)> {
        self.names.iter().copied()
    }
}

/// The branch hints of a module (branch-hinting proposal).
#[derive(Clone, Debug, Default)]
pub struct BranchHints {
    /// By function and offset.
    hints: Vec<(FuncIndex, u32, bool)>,
}

/// Advice on one `if` or `br_if`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BranchHint {
    /// Where the instruction is, in bytes from the start of the function's body.
    pub offset: u32,
    /// Whether the branch is likely to be taken (of an `if`: the condition to be true).
    pub likely: bool,
}

impl BranchHints {
    /// Whether there is no hint.
    pub fn is_empty(&self) -> bool {
        self.hints.is_empty()
    }

    /// The hints of a function, in the order of their offsets.
    pub fn function(&self, index: FuncIndex) -> impl ExactSizeIterator<Item = BranchHint> {
        let start = self.hints.partition_point(|hint| hint.0 < index);
        let end = self.hints.partition_point(|hint| hint.0 <= index);
        self.hints[start..end]
            .iter()
            .map(|&(_, offset, likely)| BranchHint { offset, likely })
    }
}

impl Module {
    /// The name of the module in its name section.
    pub fn name<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        self.name_subsections(bytes)
            .filter(|(id, _)| *id == MODULE_NAME)
            .find_map(|(_, mut content)| content.name())
    }

    /// The name of a function in the name section.
    ///
    /// Reads the section up to that name each time; use
    /// [`Module::function_names`] for many.
    pub fn function_name<'a>(&self, bytes: &'a [u8], index: FuncIndex) -> Option<&'a str> {
        self.function_naming(bytes)
            .find(|(named, _)| *named == index)
            .map(|(_, name)| name)
    }

    /// The names of all functions in the name section.
    pub fn function_names<'a>(&self, bytes: &'a [u8]) -> FunctionNames<'a> {
        let mut names: Vec<_> = self.function_naming(bytes).collect();
        // They are to be in order. Of several for a function the first counts.
        if !names.is_sorted_by_key(|(index, _)| *index) {
            let mut places: Vec<_> = (0..names.len() as u32).collect();
            order::sort_by_key(&mut places, |place| (names[place as usize].0, place));
            let sorted = places.into_iter().map(|place| names[place as usize]);
            names = sorted.collect();
        }
        names.dedup_by_key(|(index, _)| *index);
        FunctionNames { names }
    }

    fn name_subsections<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (u8, Reader<'a>)> + use<'a> {
        let mut section = Reader(self.custom_section(bytes, "name").unwrap_or_default());
        core::iter::from_fn(move || {
            let id = section.byte()?;
            Some((id, Reader(section.vector()?)))
        })
    }

    fn function_naming<'a>(
        &self,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (FuncIndex, &'a str)> + use<'a> {
        self.name_subsections(bytes)
            .filter(|(id, _)| *id == FUNCTION_NAMES)
            .flat_map(|(_, mut content)| {
                let count = content.number().unwrap_or(0);
                (0..count).map_while(move |_| {
                    let index = content.number()?;
                    Some((FuncIndex::new(index), content.name()?))
                })
            })
    }
}

#[cfg(feature = "decoder")]
impl Module {
    /// The branch hints, when the proposal is on and the module has any.
    pub fn branch_hints(&self, bytes: &[u8]) -> BranchHints {
        let mut hints = Vec::new();
        if self.features().contains(crate::Proposal::BranchHinting)
            && let Some(section) = self.custom_section(bytes, "metadata.code.branch_hint")
            && let Ok(functions) = BranchHintSectionReader::new(BinaryReader::new(section, 0))
        {
            for function in functions.into_iter().map_while(Result::ok) {
                let index = FuncIndex::new(function.func);
                for hint in function.hints.into_iter().map_while(Result::ok) {
                    hints.push((index, hint.func_offset, hint.taken));
                }
            }
            hints.sort_by_key(|&(index, offset, _)| (index, offset));
        }
        BranchHints { hints }
    }
}

/// The subsection of the module's name.
const MODULE_NAME: u8 = 0;
/// The subsection of the functions' names.
const FUNCTION_NAMES: u8 = 1;

/// Reads a name section, as far as it can be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u32> {
        leb128::read_u32(&mut self.0)
    }

    /// A length, and so many bytes.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(bytes)
    }

    fn name(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.vector()?).ok()
    }
}
