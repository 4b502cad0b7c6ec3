//! What does the operand stack hold, and when does it move to slots?

use super::emit::Last;
use super::{LIMIT, SLOT, Step, Stop, Translator};
use crate::handlers::control as op;

/// What an entry of the operand stack stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Temporary,
    Local(u32),
    /// A number; narrow ones zero-extended.
    Constant(u64),
}

/// An entry of the operand stack.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Its slot.
    pub(super) home: i32,
    /// Whether it takes two slots.
    pub(super) wide: bool,
}

/// A local.
#[derive(Clone, Copy)]
pub(super) struct Local {
    pub(super) place: i32,
    pub(super) wide: bool,
    /// Entries of the stack that stand for it.
    pub(super) readers: u32,
}

impl Translator<'_> {
    pub(super) fn grow_frame(&mut self, beyond: i32) -> Step {
        let end = i64::from(self.top) + i64::from(beyond);
        if end > LIMIT as i64 {
            return Err(Stop::new("the frame is too large for the interpreter"));
        }
        self.frame = self.frame.max(end as i32);
        Ok(())
    }

    fn push_entry(&mut self, kind: Kind, wide: bool) -> Step<i32> {
        let home = self.top;
        self.stack.push(Entry { kind, home, wide });
        self.top += if wide { 2 * SLOT } else { SLOT };
        self.grow_frame(0)?;
        Ok(home)
    }

    pub(super) fn push_temporary(&mut self, wide: bool) -> Step<i32> {
        self.push_entry(Kind::Temporary, wide)
    }

    pub(super) fn push_constant(&mut self, value: u64) -> Step {
        self.push_entry(Kind::Constant(value), false)?;
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Entry {
        let entry = self
            .stack
            .pop()
            .expect("a validated body never pops an empty stack");
        self.settled = self.settled.min(self.stack.len());
        self.top = entry.home;
        if let Kind::Local(index) = entry.kind {
            self.locals[index as usize].readers -= 1;
        }
        entry
    }

    /// Forgets entries down to `height`.
    pub(super) fn truncate(&mut self, height: usize) {
        while self.stack.len() > height {
            self.pop();
        }
    }

    /// The slot of an entry that was taken; constants are written to its home.
    pub(super) fn slot_of(&mut self, entry: Entry) -> i32 {
        match entry.kind {
            Kind::Temporary => entry.home,
            Kind::Local(index) => self.locals[index as usize].place,
            Kind::Constant(value) => {
                self.write_constant(entry.home, value);
                entry.home
            }
        }
    }

    pub(super) fn pop_slot(&mut self) -> i32 {
        let entry = self.pop();
        self.slot_of(entry)
    }

    pub(super) fn write_constant(&mut self, to: i32, value: u64) {
        match u32::try_from(value) {
            Ok(value) => {
                self.start(op::constant32);
                self.place(to);
                self.word(value);
            }
            Err(_) => {
                self.start(op::constant64);
                self.place(to);
                self.wide(value);
            }
        }
    }

    /// Writes an entry to a slot, if it is not there.
    pub(super) fn copy_to(&mut self, to: i32, entry: Entry) {
        let from = match entry.kind {
            Kind::Temporary => entry.home,
            Kind::Local(index) => self.locals[index as usize].place,
            Kind::Constant(value) => return self.write_constant(to, value),
        };
        if from == to {
            return;
        }
        if entry.wide {
            self.start(op::copy_wide);
            self.place(to);
            self.place(from);
        } else {
            self.copy(to, from);
        }
    }

    /// Writes the copy of a slot, into the instruction written last if that copies
    /// slots too.
    pub(super) fn copy(&mut self, to: i32, from: i32) {
        self.last = None;
        self.copies = Some(match self.copies {
            Some((start, end, count @ (1 | 2))) if end == self.words.len() && !self.is_plain() => {
                self.put_handler(start, if count == 1 { op::copy2 } else { op::copy3 });
                (start, end + 2, count + 1)
            }
            _ => {
                let start = self.start(op::copy);
                (start, self.words.len() + 2, 1)
            }
        });
        self.place(to);
        self.place(from);
    }

    /// Makes an entry of the stack a temporary.
    fn settle_entry(&mut self, index: usize) {
        let entry = self.stack[index];
        if let Kind::Local(local) = entry.kind {
            self.locals[local as usize].readers -= 1;
        }
        self.copy_to(entry.home, entry);
        self.stack[index].kind = Kind::Temporary;
    }

    /// Saves all entries that stand for locals.
    pub(super) fn settle_locals(&mut self) {
        for index in self.settled..self.stack.len() {
            if let Kind::Local(_) = self.stack[index].kind {
                self.settle_entry(index);
            }
        }
        self.settled = self.stack.len();
    }

    /// Makes the top `count` entries temporaries, in their homes.
    pub(super) fn settle_top(&mut self, count: usize) {
        let start = self.stack.len() - count;
        self.moves.clear();
        for index in start..self.stack.len() {
            let entry = self.stack[index];
            match entry.kind {
                Kind::Temporary => {}
                Kind::Local(local) => {
                    self.locals[local as usize].readers -= 1;
                    self.moves.push((entry.home, entry));
                    self.stack[index].kind = Kind::Temporary;
                }
                Kind::Constant(_) => self.settle_entry(index),
            }
        }
        self.write_moves();
    }

    /// Writes the copies that were noted, in order.
    pub(super) fn write_moves(&mut self) {
        let moves = core::mem::take(&mut self.moves);
        for &(to, entry) in &moves {
            self.copy_to(to, entry);
        }
        self.moves = moves;
        self.moves.clear();
    }

    /// Before a local is assigned: saves what stands for its old value.
    fn save_readers(&mut self, local: u32) {
        /// Entries looked at before all are saved: bounds the time per assignment.
        const NEAR: usize = 16;
        let near = self.stack.len().saturating_sub(NEAR).max(self.settled);
        for index in (near..self.stack.len()).rev() {
            if self.locals[local as usize].readers == 0 {
                return;
            }
            if self.stack[index].kind == Kind::Local(local) {
                self.settle_entry(index);
            }
        }
        if self.locals[local as usize].readers != 0 {
            self.settle_locals();
        }
    }

    // Locals.

    pub(super) fn local_get(&mut self, index: u32) -> Step {
        let local = &mut self.locals[index as usize];
        local.readers += 1;
        let wide = local.wide;
        self.push_entry(Kind::Local(index), wide)?;
        Ok(())
    }

    pub(super) fn local_set(&mut self, index: u32) -> Step {
        let entry = self.pop();
        self.assign(index, entry);
        Ok(())
    }

    pub(super) fn local_tee(&mut self, index: u32) -> Step {
        let entry = self.pop();
        self.assign(index, entry);
        self.local_get(index)
    }

    /// Assigns an entry that was taken.
    fn assign(&mut self, index: u32, entry: Entry) {
        let place = self.locals[index as usize].place;
        if entry.kind == Kind::Local(index) {
            return;
        }
        if self.locals[index as usize].readers == 0
            && entry.kind == Kind::Temporary
            && self.redirect(entry.home, place)
        {
            return;
        }
        self.save_readers(index);
        self.copy_to(place, entry);
        self.last = None;
    }

    /// Lets the instruction written last put its result elsewhere, if it gave
    /// the value of the entry at `home`, which was taken.
    pub(super) fn redirect(&mut self, home: i32, place: i32) -> bool {
        let Some(last) = self.last_giving(home) else {
            return false;
        };
        let Some(result) = last.result else {
            return false;
        };
        self.words[result] = place as u32;
        self.last = Some(Last {
            result: None,
            place,
            unstored: None,
            branches: None,
            ..last
        });
        if !self.is_plain() {
            self.fuse_additions();
        }
        true
    }
}
