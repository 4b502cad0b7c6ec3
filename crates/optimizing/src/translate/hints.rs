//! Which way does a branch likely go? The hints of the module's author, from
//! the custom section `metadata.code.branch_hint` (branch hinting proposal).

use tepui_module::{FuncIndex, Module};

/// Hints are advice, and are read again for every function: beyond these limits
/// they are ignored. Bytes of the section that holds them.
const GREATEST_SECTION: usize = 1 << 14;
/// Custom sections of a module, among which theirs is to be found.
const MOST_SECTIONS: usize = 64;

/// The hints of one function, by ascending offset.
#[derive(Default)]
pub(super) struct Hints {
    /// Offset from the start of the body, its local declarations included.
    hints: Vec<(u32, bool)>,
    start: u32,
}

impl Hints {
    /// What the module says of `function`. A malformed section says nothing.
    pub(super) fn of(module: &Module, bytes: &[u8], function: FuncIndex) -> Hints {
        if module.custom_sections().len() > MOST_SECTIONS {
            return Hints::default();
        }
        let Some(section) = module.custom_section(bytes, "metadata.code.branch_hint") else {
            return Hints::default();
        };
        if section.len() > GREATEST_SECTION {
            return Hints::default();
        }
        let Some(defined) = module.defined_func_index(function) else {
            return Hints::default();
        };
        Self::read(section, function).map_or_else(Hints::default, |hints| Hints {
            hints,
            start: module.body(defined).range().start as u32,
        })
    }

    fn read(section: &[u8], function: FuncIndex) -> Option<Vec<(u32, bool)>> {
        let reader = wasmparser::BinaryReader::new(section, 0);
        let reader = wasmparser::BranchHintSectionReader::new(reader).ok()?;
        for entry in reader {
            let entry = entry.ok()?;
            if entry.func != function.as_u32() {
                continue;
            }
            let mut hints = Vec::new();
            for hint in entry.hints {
                let hint = hint.ok()?;
                hints.push((hint.func_offset, hint.taken));
            }
            return hints.is_sorted_by_key(|hint| hint.0).then_some(hints);
        }
        None
    }

    /// Whether the branch at this offset of the module is likely taken.
    pub(super) fn at(&self, position: u32) -> Option<bool> {
        if self.hints.is_empty() {
            return None;
        }
        let offset = position.checked_sub(self.start)?;
        let found = self.hints.binary_search_by_key(&offset, |hint| hint.0);
        Some(self.hints[found.ok()?].1)
    }
}
