//! How the functions of a batch become one text: layout, tables, direct calls.
//!
//! Functions are appended in the order in which they are pushed; code is copied
//! once and never moved. Calls are resolved at the end, except on aarch64, whose
//! direct calls reach only 128 MiB: there a call waits until its target is
//! placed near enough or until the oldest waiting call would otherwise lose
//! reach of the next free place. Then an *island* of veneers is put between two
//! functions, one veneer per target that waiting calls need. A veneer jumps to
//! any place in the text. A function that is longer than the reach of a call gets
//! an island before it as well, for the calls near its beginning.

use std::collections::VecDeque;

use hashbrown::HashMap;
use tepui_abi::metadata::SourcePosition;
use tepui_abi::profile::ProfileMetadata;
use tepui_abi::{Architecture, CompiledFunction, RelocationKind, Target};
use tepui_module::DefinedFuncIndex;

use crate::code::{CodeImage, FunctionRecord};
use crate::error::Error;
use crate::positions::PositionEncoder;
use crate::relocation::{self, Unwritable, VENEER_BYTES};

/// The largest text, in bytes: every distance in it fits in 32 bits with sign,
/// also rounded as riscv64 needs it.
pub const MAX_TEXT: u32 = (1 << 31) - (64 << 10);

/// The largest alignment of a function: one page, since text lies on pages.
pub(crate) const MAX_ALIGNMENT: u32 = 4 << 10;

/// The smallest alignment of a text.
pub(crate) const MIN_ALIGNMENT: u32 = 16;

/// A call whose target may not be placed yet.
#[derive(Clone, Copy, Debug)]
struct Call {
    site: u32,
    kind: RelocationKind,
    target: u32,
}

/// Lays out the functions of a batch.
///
/// ```
/// use tepui_abi::{Architecture, CompiledFunction, Relocation, RelocationKind, Target};
/// use tepui_image::CodeBuilder;
/// use tepui_module::DefinedFuncIndex;
///
/// let mut builder = CodeBuilder::new(Target::of(Architecture::X86_64));
/// // call function 1; ret
/// builder.push(DefinedFuncIndex::new(0), CompiledFunction {
///     code: vec![0xe8, 0, 0, 0, 0, 0xc3],
///     alignment: 16,
///     relocations: vec![Relocation {
///         offset: 1,
///         kind: RelocationKind::X86PcRelative4,
///         target: DefinedFuncIndex::new(1),
///     }],
///     metadata: Default::default(),
/// });
/// // ret
/// builder.push(DefinedFuncIndex::new(1), CompiledFunction {
///     code: vec![0xc3],
///     alignment: 16,
///     ..CompiledFunction::default()
/// });
/// let image = builder.finish()?;
/// assert_eq!(image.entry(DefinedFuncIndex::new(1)), Some(16));
/// assert_eq!(image.text()[..6], [0xe8, 11, 0, 0, 0, 0xc3]);
/// # Ok::<(), tepui_image::Error>(())
/// ```
#[derive(Debug)]
pub struct CodeBuilder {
    target: Target,
    alignment: u32,
    /// The largest text: [`MAX_TEXT`], less in tests.
    limit: u32,
    text: Vec<u8>,
    functions: Vec<FunctionRecord>,
    starts: HashMap<u32, u32>,
    /// Unresolved calls by ascending site.
    calls: VecDeque<Call>,
    /// How far a call may reach without a veneer, where that is limited.
    reach: Option<u32>,
    /// The last veneer for each target.
    veneers: HashMap<u32, u32>,
    /// Veneers to be filled in at the end: offset and target.
    unfilled: Vec<(u32, u32)>,
    trap_offsets: Vec<u32>,
    trap_codes: Vec<u8>,
    positions: PositionEncoder,
    /// As many as functions, unless none counts.
    profiles: Vec<ProfileMetadata>,
    /// The first error; nothing is added after it.
    error: Option<Error>,
}

impl CodeBuilder {
    /// A builder of code for `target`.
    pub fn new(target: Target) -> CodeBuilder {
        CodeBuilder {
            target,
            alignment: MIN_ALIGNMENT,
            limit: MAX_TEXT,
            text: Vec::new(),
            functions: Vec::new(),
            starts: HashMap::new(),
            calls: VecDeque::new(),
            reach: match target.architecture {
                Architecture::Aarch64 => Some(*relocation::AARCH64_BRANCH.end() as u32),
                _ => None,
            },
            veneers: HashMap::new(),
            unfilled: Vec::new(),
            trap_offsets: Vec::new(),
            trap_codes: Vec::new(),
            positions: PositionEncoder::default(),
            profiles: Vec::new(),
            error: None,
        }
    }

    /// Lets calls reach no further than `bytes` without a veneer, so that
    /// veneers can be tested with little code. Only calls for which no veneer
    /// can be placed that near may still reach further.
    ///
    /// Has no effect for targets whose calls reach the whole text, and never
    /// lengthens a reach.
    pub fn limit_call_reach(&mut self, bytes: u32) {
        if let Some(reach) = &mut self.reach {
            *reach = bytes.min(*reach);
        }
    }

    /// Makes room for about `bytes` of code in `functions` functions.
    pub fn reserve(&mut self, functions: usize, bytes: usize) {
        self.functions.reserve(functions);
        self.starts.reserve(functions);
        self.text.reserve(bytes);
    }

    /// Appends a function. Functions may come in any order.
    ///
    /// Errors are kept and returned by [`finish`](CodeBuilder::finish).
    pub fn push(&mut self, function: DefinedFuncIndex, compiled: CompiledFunction) {
        if self.error.is_none()
            && let Err(error) = self.try_push(function, &compiled)
        {
            self.error = Some(error);
        }
    }

    /// Resolves the calls and gives the code with its tables.
    ///
    /// # Errors
    ///
    /// The first of: [`Error::BadFunction`] when what a compiler returned
    /// contradicts itself or the target, [`Error::DuplicateFunction`],
    /// [`Error::TextTooLarge`], [`Error::MissingFunction`],
    /// [`Error::CallTooFar`].
    pub fn finish(mut self) -> Result<CodeImage, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        for call in &self.calls {
            self.start_of(call.target, call.site)?;
        }
        if self.reach.is_some() {
            self.emit_island()?;
        }
        for call in std::mem::take(&mut self.calls) {
            let destination = self.start_of(call.target, call.site)?;
            self.resolve(call, destination)?;
        }
        for (veneer, target) in std::mem::take(&mut self.unfilled) {
            // A veneer lies in no function: its caller is not known any more,
            // so the nearest function before it is named.
            let destination = self.start_of(target, veneer)?;
            let bytes = relocation::veneer(veneer, destination);
            self.text[veneer as usize..][..bytes.len()].copy_from_slice(&bytes);
        }

        let function = |&record: &FunctionRecord| record.function;
        let order = if self.functions.is_sorted_by_key(function) {
            Vec::new()
        } else {
            let mut order: Vec<u32> = (0..self.functions.len() as u32).collect();
            order.sort_unstable_by_key(|&place| self.functions[place as usize].function);
            order
        };
        self.functions.shrink_to_fit();
        self.trap_offsets.shrink_to_fit();
        self.trap_codes.shrink_to_fit();
        Ok(CodeImage {
            target: self.target,
            alignment: self.alignment,
            text_len: self.text.len() as u32,
            text: self.text,
            functions: self.functions,
            order,
            trap_offsets: self.trap_offsets,
            trap_codes: self.trap_codes,
            positions: self.positions.finish(),
            profiles: self.profiles,
        })
    }

    fn try_push(
        &mut self,
        function: DefinedFuncIndex,
        compiled: &CompiledFunction,
    ) -> Result<(), Error> {
        let bad = |offset, what| Error::BadFunction {
            function,
            offset,
            what,
        };
        let architecture = self.target.architecture;
        let len = u32::try_from(compiled.code.len()).map_err(|_| Error::TextTooLarge)?;
        if len == 0 {
            return Err(bad(0, "no code"));
        }
        if !compiled.alignment.is_power_of_two() || compiled.alignment > MAX_ALIGNMENT {
            return Err(bad(0, "alignment is not a power of two up to 4096"));
        }
        if self.starts.contains_key(&function.as_u32()) {
            return Err(Error::DuplicateFunction { function });
        }
        for relocation in &compiled.relocations {
            let (before, after) = relocation::extent(relocation.kind);
            let inside = relocation.offset >= before
                && relocation
                    .offset
                    .checked_add(after)
                    .is_some_and(|end| end <= len);
            if !inside {
                return Err(bad(relocation.offset, "relocation outside the code"));
            }
            if relocation::architecture(relocation.kind) != architecture {
                return Err(bad(relocation.offset, "relocation of another architecture"));
            }
        }

        let alignment = compiled
            .alignment
            .max(relocation::instruction_alignment(architecture));
        self.make_islands(compiled, len)?;
        self.pad(alignment)?;
        let start = self.text.len() as u32;
        let end = start
            .checked_add(len)
            .filter(|&end| end <= self.limit)
            .ok_or(Error::TextTooLarge)?;
        self.alignment = self.alignment.max(alignment);
        self.text.extend_from_slice(&compiled.code);
        self.functions.push(FunctionRecord {
            function,
            start,
            end,
            frame_bytes: compiled.metadata.frame_bytes,
        });
        self.starts.insert(function.as_u32(), start);
        if let Some(profile) = &compiled.metadata.profile {
            self.profiles
                .resize_with(self.functions.len() - 1, ProfileMetadata::default);
            self.profiles.push((**profile).clone());
        } else if !self.profiles.is_empty() {
            self.profiles.push(ProfileMetadata::default());
        }

        let mut next = 0;
        for site in &compiled.metadata.traps {
            if site.offset < next || site.offset >= len {
                return Err(bad(site.offset, "trap sites are not in order"));
            }
            next = site.offset + 1;
            self.trap_offsets.push(start + site.offset);
            self.trap_codes.push(site.trap.code());
        }
        self.add_positions(function, start, len, &compiled.metadata.positions)?;

        let sorted = compiled
            .relocations
            .is_sorted_by_key(|relocation| relocation.offset);
        let first = self.calls.len();
        for relocation in &compiled.relocations {
            let call = Call {
                site: start + relocation.offset,
                kind: relocation.kind,
                target: relocation.target.as_u32(),
            };
            match self.starts.get(&call.target) {
                Some(&destination) if self.reaches(call.site, destination) => {
                    self.resolve(call, destination)?;
                }
                _ => self.calls.push_back(call),
            }
        }
        if !sorted {
            self.calls.make_contiguous()[first..].sort_unstable_by_key(|call| call.site);
        }
        Ok(())
    }

    /// Adds positions, leaving out those that say nothing new.
    fn add_positions(
        &mut self,
        function: DefinedFuncIndex,
        start: u32,
        len: u32,
        positions: &[SourcePosition],
    ) -> Result<(), Error> {
        let mut last = SourcePosition::NONE;
        for (i, position) in positions.iter().enumerate() {
            let next = positions.get(i + 1).map(|next| next.offset);
            if position.offset > len || next.is_some_and(|next| next < position.offset) {
                return Err(Error::BadFunction {
                    function,
                    offset: position.offset,
                    what: "source positions are not in order",
                });
            }
            // Of several for one byte the last one holds.
            let covers_nothing = next == Some(position.offset) || position.offset == len;
            if covers_nothing || position.wasm == last {
                continue;
            }
            last = position.wasm;
            self.positions
                .push(SourcePosition {
                    offset: start + position.offset,
                    wasm: position.wasm,
                })
                .ok_or(Error::TextTooLarge)?;
        }
        Ok(())
    }

    /// Whether a call at `site` may go to `destination` without a veneer.
    fn reaches(&self, site: u32, destination: u32) -> bool {
        self.reach
            .is_none_or(|reach| site.abs_diff(destination) <= reach)
    }

    fn start_of(&self, target: u32, site: u32) -> Result<u32, Error> {
        self.starts
            .get(&target)
            .copied()
            .ok_or_else(|| Error::MissingFunction {
                caller: self.function_before(site),
                function: DefinedFuncIndex::new(target),
            })
    }

    /// The last function that begins at or before `offset`.
    fn function_before(&self, offset: u32) -> DefinedFuncIndex {
        let next = self.functions.partition_point(|f| f.start <= offset);
        self.functions[next.saturating_sub(1)].function
    }

    fn resolve(&mut self, call: Call, destination: u32) -> Result<(), Error> {
        relocation::apply(&mut self.text, call.kind, call.site, destination).map_err(|reason| {
            let caller = self.function_before(call.site);
            match reason {
                Unwritable::Distance => Error::CallTooFar {
                    caller,
                    function: DefinedFuncIndex::new(call.target),
                },
                Unwritable::Instruction(what) => Error::BadFunction {
                    function: caller,
                    offset: call.site - self.starts[&caller.as_u32()],
                    what,
                },
            }
        })
    }

    /// Fills up to a multiple of `alignment`.
    fn pad(&mut self, alignment: u32) -> Result<(), Error> {
        let end = self.text.len().next_multiple_of(alignment as usize);
        if end > self.limit as usize {
            return Err(Error::TextTooLarge);
        }
        self.text
            .resize(end, relocation::filler(self.target.architecture));
        Ok(())
    }

    /// Puts the islands before the next function that are due there.
    fn make_islands(&mut self, next: &CompiledFunction, len: u32) -> Result<(), Error> {
        let Some(reach) = self.reach else {
            return Ok(());
        };
        // Where the place after the next function is at most.
        let after = |builder: &CodeBuilder| {
            let veneers = builder.calls.len() + next.relocations.len();
            builder.text.len() as u64
                + u64::from(len)
                + u64::from(MAX_ALIGNMENT + MIN_ALIGNMENT)
                + veneers as u64 * u64::from(VENEER_BYTES)
        };
        let is_due = |builder: &CodeBuilder| {
            builder
                .calls
                .front()
                .is_some_and(|call| u64::from(call.site) + u64::from(reach) < after(builder))
        };
        if is_due(self) {
            while let Some(&call) = self.calls.front()
                && let Some(&destination) = self.starts.get(&call.target)
                && self.reaches(call.site, destination)
            {
                self.resolve(call, destination)?;
                self.calls.pop_front();
            }
            if is_due(self) {
                self.emit_island()?;
            }
        }
        if after(self) > self.text.len() as u64 + u64::from(reach) {
            for relocation in &next.relocations {
                let target = relocation.target.as_u32();
                let site = (self.text.len() as u32).saturating_add(relocation.offset);
                let at_hand = [&self.starts, &self.veneers]
                    .iter()
                    .filter_map(|places| places.get(&target))
                    .any(|&place| self.reaches(site, place));
                if relocation.offset <= reach && !at_hand {
                    self.add_veneer(target)?;
                }
            }
        }
        Ok(())
    }

    /// Resolves every waiting call: directly, by a veneer that exists, or by a
    /// new one at the end of the text.
    fn emit_island(&mut self) -> Result<(), Error> {
        for call in std::mem::take(&mut self.calls) {
            let near = |builder: &CodeBuilder, place: Option<&u32>| {
                place
                    .copied()
                    .filter(|&place| builder.reaches(call.site, place))
            };
            let destination = match near(self, self.starts.get(&call.target))
                .or_else(|| near(self, self.veneers.get(&call.target)))
            {
                Some(place) => place,
                None => self.add_veneer(call.target)?,
            };
            self.resolve(call, destination)?;
        }
        Ok(())
    }

    /// Makes room for a veneer to `target` at the end of the text.
    fn add_veneer(&mut self, target: u32) -> Result<u32, Error> {
        self.pad(4)?;
        let veneer = self.text.len() as u32;
        self.text.resize(self.text.len() + VENEER_BYTES as usize, 0);
        if self.text.len() > self.limit as usize {
            return Err(Error::TextTooLarge);
        }
        self.veneers.insert(target, veneer);
        self.unfilled.push((veneer, target));
        Ok(veneer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes functions of `len` bytes until the text may not grow.
    fn fill(limit: u32, len: usize, count: u32) -> Result<CodeImage, Error> {
        let mut builder = CodeBuilder::new(Target::of(Architecture::X86_64));
        builder.limit = limit;
        for function in 0..count {
            builder.push(
                DefinedFuncIndex::new(function),
                CompiledFunction {
                    code: vec![0x90; len],
                    alignment: 16,
                    ..CompiledFunction::default()
                },
            );
        }
        builder.finish()
    }

    #[test]
    fn text_ends_at_the_limit() {
        assert_eq!(fill(100, 20, 3).unwrap().text_len(), 84);
        assert_eq!(fill(84, 20, 3).unwrap().text_len(), 84);
        assert_eq!(fill(83, 20, 3).unwrap_err(), Error::TextTooLarge);
        // The padding alone passes the limit.
        assert_eq!(fill(30, 20, 2).unwrap_err(), Error::TextTooLarge);
    }

    #[test]
    fn veneers_count_against_the_limit() {
        let build = |limit| {
            let mut builder = CodeBuilder::new(Target::of(Architecture::Aarch64));
            builder.limit = limit;
            builder.limit_call_reach(8);
            for (function, target) in [(0, 1), (1, 0)] {
                builder.push(
                    DefinedFuncIndex::new(function),
                    CompiledFunction {
                        code: vec![0, 0, 0, 0x94, 0, 0, 0, 0, 0, 0, 0, 0],
                        alignment: 4,
                        relocations: vec![tepui_abi::Relocation {
                            offset: 0,
                            kind: RelocationKind::Aarch64Call26,
                            target: DefinedFuncIndex::new(target),
                        }],
                        ..CompiledFunction::default()
                    },
                );
            }
            builder.finish()
        };
        let len = build(MAX_TEXT).unwrap().text_len();
        assert!(len > 24, "there are veneers");
        assert_eq!(build(len).unwrap().text_len(), len);
        assert_eq!(build(len - 1).unwrap_err(), Error::TextTooLarge);
    }
}
