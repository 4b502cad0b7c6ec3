//! Where does control go? Blocks, branches, returns, meters.
//!
//! Targets are distances from the operand that holds them. Forward ones are
//! filled in when the block ends.

use alloc::vec::Vec;

use tepui_abi::convention::Representation;
use tepui_module::{Nesting, ValType};

use super::emit::giving;
use super::stack::{Entry, Kind};
use super::{SLOT, Step, Stop, Translator, bytes_of, is_wide};
use crate::dispatch::{HANDLER_WORDS, Handler};
use crate::handlers::control as op;
use crate::state::HEADER_BYTES;
use crate::value::{Class, Kept, Slot};

/// What an open block is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Function,
    Block,
    /// With the start of its body.
    Loop(usize),
    /// With the operand that holds where the condition leads when it is zero.
    If(usize),
    /// An `if` whose `else` was met, or needs none.
    Else,
}

/// An open block.
pub(super) struct Block {
    kind: BlockKind,
    /// `None` for the function's body.
    ty: Option<wasmparser::BlockType>,
    /// Entries of the stack below its parameters, and where the next lies.
    height: usize,
    top: i32,
    /// Operands that are to hold the distance to what follows.
    ends: Vec<usize>,
}

impl Block {
    /// The function's body.
    pub(super) fn function() -> Block {
        Block {
            kind: BlockKind::Function,
            ty: None,
            height: 0,
            top: 0,
            ends: Vec::new(),
        }
    }
}

/// A condition to branch on.
enum Condition {
    /// Already known.
    Known(bool),
    /// A slot that is zero or not.
    Slot(i32),
    /// The number at hand, which lies in a slot as well.
    Kept,
    /// A comparison: branches when it holds and when not, and their operands.
    Compare([Handler; 2], [u32; 4], usize),
    /// A reference in a slot; the condition is that it is null.
    Null(i32),
}

impl<'a> Translator<'a> {
    // Meters.

    /// Writes what was not charged yet: at every charge point of
    /// [`tepui_abi::fuel`].
    pub(super) fn charge(&mut self) {
        while self.fuel > 0 {
            let part = self.fuel.min(u64::from(u32::MAX));
            self.start(op::charge);
            self.word(part as u32);
            self.fuel -= part;
        }
    }

    /// At the entry and at the start of loop bodies.
    pub(super) fn check_meters(&mut self) {
        if self.input.tunables.fuel {
            self.start(op::check_fuel);
        }
        if self.input.tunables.epoch {
            self.start(op::check_epoch);
        }
        self.last = None;
    }

    // Blocks.

    fn widths(&self, ty: wasmparser::BlockType, of: Arity) -> Vec<bool> {
        let ty = self.module.block_type(ty);
        let types = match of {
            Arity::Parameters => ty.params(),
            Arity::Results => ty.results(),
        };
        types.iter().map(|ty| is_wide(*ty)).collect()
    }

    fn label_count(&self, index: usize) -> usize {
        let block = &self.control[index];
        match block.ty {
            None => self.func_type.results.len(),
            Some(ty) => {
                let ty = self.module.block_type(ty);
                if matches!(block.kind, BlockKind::Loop(_)) {
                    ty.params().len()
                } else {
                    ty.results().len()
                }
            }
        }
    }

    fn result_count(&self, index: usize) -> usize {
        match self.control[index].ty {
            None => self.func_type.results.len(),
            Some(ty) => self.module.block_type(ty).results().len(),
        }
    }

    fn parameter_count(&self, ty: wasmparser::BlockType) -> usize {
        self.module.block_type(ty).params().len()
    }

    /// Opens a block; its parameters are on top of the stack.
    fn open(&mut self, kind: BlockKind, ty: wasmparser::BlockType) {
        let height = self.stack.len() - self.parameter_count(ty);
        let top = self.stack.get(height).map_or(self.top, |entry| entry.home);
        self.control.push(Block {
            kind,
            ty: Some(ty),
            height,
            top,
            ends: Vec::new(),
        });
    }

    /// Entries for values in their homes.
    fn push_temporaries(&mut self, widths: &[bool]) -> Step {
        for wide in widths {
            self.push_temporary(*wide)?;
        }
        Ok(())
    }

    pub(super) fn block(&mut self, ty: wasmparser::BlockType) -> Step {
        self.settle_locals();
        self.open(BlockKind::Block, ty);
        Ok(())
    }

    pub(super) fn loop_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.charge();
        self.settle_locals();
        self.settle_top(self.parameter_count(ty));
        self.open(BlockKind::Loop(self.words.len()), ty);
        self.forget();
        self.check_meters();
        Ok(())
    }

    pub(super) fn if_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.hold_condition(self.parameter_count(ty));
        let condition = self.take_condition();
        self.charge();
        // The condition was taken; saving entries does not change it: none is saved to
        // where it reads, and the locals that it assigns are those of no entry.
        self.settle_locals();
        self.settle_top(self.parameter_count(ty));
        let otherwise = self.write_branch(condition, false);
        match otherwise {
            Branch::At(operand) => self.open(BlockKind::If(operand), ty),
            // The condition always holds: what follows `else` is never reached,
            // but its end must be found. A branch that is never taken does it.
            Branch::Never => self.open(BlockKind::Else, ty),
            Branch::Always(operand) => self.open(BlockKind::If(operand), ty),
        }
        if let Branch::Always(_) = otherwise {
            self.unreachable();
        }
        Ok(())
    }

    /// Before the condition of an `if` with so many parameters is taken: leaves the
    /// instruction written last where it is if it reads a slot that an entry is going to
    /// be saved to. One that assigned a local reads what is no longer on the stack, and
    /// others may have taken that place since.
    fn hold_condition(&mut self, parameters: usize) {
        let Some(last) = &self.last else {
            return;
        };
        // Results of calls are at hand behind them, with no instruction of their own.
        let operands = last.start + self.handler_words()..last.end;
        let Some(read) = self.words.get(operands) else {
            return;
        };
        let reads = |place: i32| read.contains(&(place as u32));
        let below = self.stack.len() - 1;
        let first = self.settled.min(below - parameters);
        let is_overwritten = self.stack[first..below].iter().any(|entry| {
            entry.kind != Kind::Temporary
                && (reads(entry.home) || entry.wide && reads(entry.home + SLOT))
        });
        if is_overwritten {
            self.last = None;
        }
    }

    pub(super) fn else_(&mut self) -> Step {
        let index = self.control.len() - 1;
        if self.reachable {
            self.charge();
            self.settle_top(self.result_count(index));
            self.start(op::jump);
            let operand = self.words.len();
            self.word(0);
            self.control[index].ends.push(operand);
        }
        let (height, ty) = (self.control[index].height, self.control[index].ty);
        let kind = self.control[index].kind;
        self.control[index].kind = BlockKind::Else;
        match kind {
            BlockKind::If(operand) => {
                self.truncate(height);
                self.top = self.control[index].top;
                self.bind(operand);
                self.reachable = true;
                if let Some(ty) = ty {
                    let widths = self.widths(ty, Arity::Parameters);
                    self.push_temporaries(&widths)?;
                }
            }
            // The condition always holds.
            _ => self.unreachable(),
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Step {
        if self.reachable {
            self.charge();
        }
        let index = self.control.len() - 1;
        if index == 0 {
            return self.end_function();
        }
        if let BlockKind::If(operand) = self.control[index].kind {
            // Without `else`: the results are the parameters, in the same homes.
            if self.reachable {
                self.settle_top(self.result_count(index));
            }
            self.control[index].ends.push(operand);
        }
        let joined = !self.control[index].ends.is_empty();
        if joined {
            if self.reachable {
                self.settle_top(self.result_count(index));
            }
            self.join(index)?;
        } else if !self.reachable {
            let height = self.control[index].height;
            self.truncate(height);
            self.top = self.control[index].top;
        }
        self.control.pop();
        Ok(())
    }

    /// Lets the branches to the end of a block lead here.
    fn join(&mut self, index: usize) -> Step {
        let block = &mut self.control[index];
        let (height, top, ty) = (block.height, block.top, block.ty);
        let ends = core::mem::take(&mut block.ends);
        for operand in ends {
            self.bind(operand);
        }
        self.truncate(height);
        self.top = top;
        if let Some(ty) = ty {
            let widths = self.widths(ty, Arity::Results);
            self.push_temporaries(&widths)?;
        }
        self.settled = self.settled.min(self.stack.len());
        self.reachable = true;
        Ok(())
    }

    /// The end of the body: branches to it are returns, so nothing leads here
    /// but the code before.
    fn end_function(&mut self) -> Step {
        if self.reachable {
            self.return_values()?;
        }
        self.control.pop();
        Ok(())
    }

    /// Lets the branch whose distance is in `operand` lead here.
    fn bind(&mut self, operand: usize) {
        self.words[operand] = ((self.words.len() - operand) * 4) as u32;
        self.forget();
    }

    fn unreachable(&mut self) {
        self.reachable = false;
        // A trap loses what was not charged yet.
        self.fuel = 0;
        self.last = None;
    }

    /// Follows the nesting of unreachable code.
    pub(super) fn skip(&mut self, nesting: Nesting) -> Step {
        match nesting {
            Nesting::Block | Nesting::Loop => self.skipped += 1,
            Nesting::End if self.skipped > 0 => self.skipped -= 1,
            Nesting::End => self.end()?,
            Nesting::Else if self.skipped == 0 => self.else_()?,
            Nesting::Else | Nesting::Same => {}
        }
        Ok(())
    }

    // Branches.

    /// Takes the condition on top of the stack. A comparison that was written
    /// last is taken back, to become part of the branch.
    fn take_condition(&mut self) -> Condition {
        let entry = self.pop();
        if let Kind::Constant(value) = entry.kind {
            return Condition::Known(value as u32 != 0);
        }
        let slot = self.slot_of(entry);
        if entry.kind == Kind::Temporary
            && let Some(last) = self.last_giving(slot)
            && let Some(branches) = last.branches
        {
            let from = last.start + HANDLER_WORDS;
            let count = last.end - 1 - from;
            let mut operands = [0; 4];
            operands[..count].copy_from_slice(&self.words[from..last.end - 1]);
            self.take_back(&last);
            return Condition::Compare(branches, operands, count);
        }
        if !self.is_plain()
            && let Some((branches, first, count)) = self.fuse_condition(entry)
        {
            let mut operands = [0; 4];
            operands[..count].copy_from_slice(&first[..count]);
            return Condition::Compare(branches, operands, count);
        }
        if self.use_kept(entry, slot, Class::Integer) {
            Condition::Kept
        } else {
            Condition::Slot(slot)
        }
    }

    /// Writes a branch that is taken when the condition is `when`.
    fn write_branch(&mut self, condition: Condition, when: bool) -> Branch {
        let by = |yes: Handler, no: Handler| if when { yes } else { no };
        match condition {
            Condition::Known(value) if value == when => {
                self.start(op::jump);
                self.word(0);
                return Branch::Always(self.words.len() - 1);
            }
            Condition::Known(_) => return Branch::Never,
            Condition::Slot(slot) => {
                self.start(by(
                    op::branch_if_not_zero::<Slot>,
                    op::branch_if_zero::<Slot>,
                ));
                self.place(slot);
            }
            Condition::Kept => {
                self.start(by(
                    op::branch_if_not_zero::<Kept>,
                    op::branch_if_zero::<Kept>,
                ));
            }
            Condition::Null(slot) => {
                self.start(by(op::branch_if_null, op::branch_if_set));
                self.place(slot);
            }
            Condition::Compare([yes, no], operands, count) => {
                self.start(by(yes, no));
                for operand in &operands[..count] {
                    self.word(*operand);
                }
            }
        }
        self.word(0);
        Branch::At(self.words.len() - 1)
    }

    /// The block that a relative depth names.
    fn block_index(&self, depth: u32) -> usize {
        self.control.len() - 1 - depth as usize
    }

    /// Lets the branch whose distance is in `operand` lead to the block's label.
    fn lead_to(&mut self, index: usize, operand: usize) {
        match self.control[index].kind {
            BlockKind::Loop(start) => {
                self.words[operand] = ((start as i64 - operand as i64) * 4) as i32 as u32;
            }
            _ => self.control[index].ends.push(operand),
        }
    }

    /// Whether the values of a branch are where the label has them.
    fn is_in_place(&self, index: usize) -> bool {
        let count = self.label_count(index);
        let start = self.stack.len() - count;
        if count > 0 && self.stack[start].home != self.control[index].top {
            return false;
        }
        self.stack[start..]
            .iter()
            .all(|entry| entry.kind == Kind::Temporary)
    }

    /// Copies the values on top of the stack to where the label has them. The
    /// stack stays as it is.
    fn write_label_values(&mut self, index: usize) {
        let count = self.label_count(index);
        let start = self.stack.len() - count;
        let mut to = self.control[index].top;
        self.moves.clear();
        // Homes of the label lie below or at those of the values, so that a copy
        // in order never overwrites what is still to be read. Constants wait:
        // they read nothing.
        for i in start..self.stack.len() {
            let entry = self.stack[i];
            let is_there = entry.kind == Kind::Temporary && entry.home == to;
            if !is_there && !matches!(entry.kind, Kind::Constant(_)) {
                self.moves.push((to, entry));
            }
            to += if entry.wide { 2 * SLOT } else { SLOT };
        }
        self.write_moves();
        let mut to = self.control[index].top;
        for i in start..self.stack.len() {
            let entry = self.stack[i];
            if let Kind::Constant(value) = entry.kind {
                self.write_constant(to, value);
            }
            to += if entry.wide { 2 * SLOT } else { SLOT };
        }
    }

    /// Goes to a label, with the values on top of the stack.
    fn go_to(&mut self, index: usize) -> Step {
        if index == 0 {
            return self.return_values();
        }
        self.write_label_values(index);
        self.start(op::jump);
        let operand = self.words.len();
        self.word(0);
        self.lead_to(index, operand);
        self.last = None;
        Ok(())
    }

    pub(super) fn br(&mut self, depth: u32) -> Step {
        self.charge();
        let index = self.block_index(depth);
        self.go_to(index)?;
        self.unreachable();
        Ok(())
    }

    pub(super) fn br_if(&mut self, depth: u32) -> Step {
        let condition = self.take_condition();
        self.charge();
        self.branch_if(condition, depth)
    }

    fn branch_if(&mut self, condition: Condition, depth: u32) -> Step {
        let index = self.block_index(depth);
        if index > 0 && self.is_in_place(index) {
            match self.write_branch(condition, true) {
                Branch::Never => {}
                Branch::At(operand) => self.lead_to(index, operand),
                Branch::Always(operand) => {
                    self.lead_to(index, operand);
                    self.unreachable();
                }
            }
            self.last = None;
            return Ok(());
        }
        match self.write_branch(condition, false) {
            Branch::Never => {
                self.go_to(index)?;
                self.unreachable();
            }
            Branch::Always(operand) => self.bind(operand),
            Branch::At(operand) => {
                self.go_to(index)?;
                self.bind(operand);
            }
        }
        Ok(())
    }

    pub(super) fn br_on_null(&mut self, depth: u32) -> Step {
        let reference = self.pop();
        let slot = self.slot_of(reference);
        self.charge();
        self.branch_if(Condition::Null(slot), depth)?;
        self.push_back(reference, slot)
    }

    pub(super) fn br_on_non_null(&mut self, depth: u32) -> Step {
        // The branch takes the reference with it; what goes on does not.
        let reference = self.pop();
        let slot = self.slot_of(reference);
        self.charge();
        self.push_back(reference, slot)?;
        let index = self.block_index(depth);
        let Branch::At(operand) = self.write_branch(Condition::Null(slot), true) else {
            return Err(Stop::new("a branch on a reference is always written"));
        };
        self.go_to(index)?;
        self.bind(operand);
        self.pop();
        Ok(())
    }

    /// Puts an entry back that was taken and not changed.
    pub(super) fn push_back(&mut self, entry: Entry, slot: i32) -> Step {
        match entry.kind {
            Kind::Local(index) => self.local_get(index),
            _ => {
                debug_assert_eq!(slot, entry.home);
                self.push_temporary(entry.wide)?;
                Ok(())
            }
        }
    }

    pub(super) fn br_table(&mut self, table: &wasmparser::BrTable<'_>) -> Step {
        let selector = self.pop_slot();
        self.charge();
        let count = table.len();
        self.start(op::branch_table);
        self.place(selector);
        self.word(count);
        let first = self.words.len();
        // Every target that is not a label itself gets a piece of code that
        // copies the values: one per block, however often the table names it.
        let mut pieces: Vec<(u32, Vec<usize>)> = Vec::new();
        let mut piece_of: Vec<u32> = Vec::new();
        let default = core::iter::once(Ok(table.default()));
        for depth in table.targets().chain(default) {
            let depth = depth?;
            let operand = self.words.len();
            self.word(0);
            let index = self.block_index(depth);
            if index > 0 && self.label_count(index) == 0 {
                self.lead_to(index, operand);
                continue;
            }
            if piece_of.len() <= depth as usize {
                piece_of.resize(depth as usize + 1, u32::MAX);
            }
            let known = piece_of[depth as usize];
            if known == u32::MAX {
                piece_of[depth as usize] = pieces.len() as u32;
                pieces.push((depth, Vec::from([operand])));
            } else {
                pieces[known as usize].1.push(operand);
            }
        }
        debug_assert_eq!(self.words.len() - first, count as usize + 1);
        self.last = None;
        for (depth, operands) in pieces {
            for operand in operands {
                self.bind(operand);
            }
            let index = self.block_index(depth);
            self.go_to(index)?;
        }
        self.unreachable();
        Ok(())
    }

    // Returns.

    pub(super) fn return_(&mut self) -> Step {
        self.charge();
        self.return_values()?;
        self.unreachable();
        Ok(())
    }

    /// Returns the values on top of the stack. The stack stays as it is.
    pub(super) fn return_values(&mut self) -> Step {
        let types = &self.func_type.results;
        let count = types.len();
        let start = self.stack.len() - count;
        let area = -(HEADER_BYTES as i32) - self.area;
        if let [ty] = types[..]
            && !is_wide(ty)
        {
            self.return_value(ty, self.stack[start], area);
            return Ok(());
        }
        // Results overwrite parameters: a parameter that is still to be read
        // after its slot was written is first saved to the home of its entry.
        let end_of_results = area + bytes_of(&self.func_type.results);
        if count > 1 {
            for i in start..self.stack.len() {
                let entry = self.stack[i];
                if let Kind::Local(index) = entry.kind
                    && self.locals[index as usize].place < end_of_results
                {
                    self.copy_to(entry.home, entry);
                }
            }
        }
        let mut to = area;
        for i in start..self.stack.len() {
            let mut entry = self.stack[i];
            if let Kind::Local(index) = entry.kind
                && count > 1
                && self.locals[index as usize].place < end_of_results
            {
                entry.kind = Kind::Temporary;
            }
            self.copy_to(to, entry);
            to += if entry.wide { 2 * SLOT } else { SLOT };
        }
        self.start(op::return_);
        self.last = None;
        Ok(())
    }

    /// Returns one number or reference, which is at hand then.
    fn return_value(&mut self, ty: ValType, entry: Entry, area: i32) {
        let representation = Representation::of(ty);
        if let Kind::Constant(value) = entry.kind
            && !self.is_plain()
        {
            match representation {
                Representation::I32 => self.start(op::return_constant::<u32>),
                Representation::F32 => self.start(op::return_constant::<f32>),
                Representation::F64 => self.start(op::return_constant::<f64>),
                _ => self.start(op::return_constant::<u64>),
            };
            match representation {
                Representation::I32 | Representation::F32 => self.word(value as u32),
                _ => self.wide(value),
            }
            self.place(area);
            self.last = None;
            return;
        }
        let class = match representation {
            Representation::F32 | Representation::F64 => Class::Float,
            _ => Class::Integer,
        };
        // What has the bits of a float may be at hand as a number.
        if entry.kind == Kind::Temporary
            && self.is_kept(entry.home, class)
            && self.redirect(entry.home, area)
        {
            self.start(op::return_);
            return;
        }
        let from = match entry.kind {
            Kind::Local(index) => self.locals[index as usize].place,
            Kind::Temporary => entry.home,
            Kind::Constant(value) => {
                self.write_constant(entry.home, value);
                entry.home
            }
        };
        self.start(match representation {
            Representation::F32 => op::return_slot::<f32>,
            Representation::F64 => op::return_slot::<f64>,
            _ => op::return_slot::<u64>,
        });
        self.place(from);
        self.place(area);
        self.last = None;
    }

    pub(super) fn unreachable_instruction(&mut self) {
        self.charge();
        self.start(op::unreachable);
        self.unreachable();
    }

    /// Ends the code at hand by an access that is always out of bounds.
    pub(super) fn always_out_of_bounds(&mut self) {
        self.start(op::out_of_bounds);
        self.unreachable();
    }

    /// A tail call has ended the code at hand.
    pub(super) fn left(&mut self) {
        self.unreachable();
    }

    pub(super) fn select(&mut self) -> Step {
        let condition = self.pop();
        let (b, a) = (self.pop(), self.pop());
        if a.wide {
            let (condition, b, a) = (self.slot_of(condition), self.slot_of(b), self.slot_of(a));
            let start = self.start_result(op::select_wide, true)?;
            self.place(condition);
            self.place(a);
            self.place(b);
            self.end_result(start);
            return Ok(());
        }
        let slot = self.slot_of(condition);
        let kept = !matches!(a.kind, Kind::Constant(_))
            && !matches!(b.kind, Kind::Constant(_))
            && self.use_kept(condition, slot, Class::Integer);
        let (b, a) = (self.slot_of(b), self.slot_of(a));
        let handlers = if kept {
            giving!(op::select<Kept>)
        } else {
            giving!(op::select<Slot>)
        };
        let start = self.start(handlers.stored);
        if !kept {
            self.place(slot);
        }
        self.place(a);
        self.place(b);
        self.give(start, Class::Integer, handlers.unstored, None)
    }
}

/// Which types of a block type are meant.
enum Arity {
    Parameters,
    Results,
}

/// A branch that was written.
#[derive(Clone, Copy)]
enum Branch {
    /// It depends; its distance is in this operand.
    At(usize),
    /// It is always taken; its distance is in this operand.
    Always(usize),
    /// None was written, because it is never taken.
    Never,
}

const _: () = assert!(HANDLER_WORDS <= 2);
