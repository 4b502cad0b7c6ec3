//! Where are values, and in which registers? The operand stack, locals, and the
//! allocation of registers.

use tepui_abi::convention::Representation;

use super::{Entry, Function, Held, Move, Owner, Place, is_float, size_of};
use crate::masm::{Assembler, Mem, Size, Src};
use crate::reg::{Reg, each};

const VECTOR_CLASS: u64 = !0 << 32;

/// The registers of a representation's class.
fn class(repr: Representation) -> u64 {
    if is_float(repr) {
        VECTOR_CLASS
    } else {
        !VECTOR_CLASS
    }
}

impl<A: Assembler> Function<'_, A> {
    /// The register of the context.
    pub(super) fn context(&mut self) -> Reg {
        self.saved |= A::CONTEXT.bit();
        A::CONTEXT
    }

    /// A word of the context.
    pub(super) fn in_context(&mut self, offset: u32) -> Mem {
        Mem::at(self.context(), offset as i32)
    }

    // The stack.

    #[inline(always)]
    pub(super) fn push(&mut self, place: Place, repr: Representation) {
        if self.stack.len() == self.stack.capacity() {
            return self.push_with_room(place, repr);
        }
        let below = self.stack.last().map_or(self.locals_end, |entry| entry.end);
        let end = Self::home_above(below, repr);
        let index = self.stack.len() as u32;
        match place {
            Place::Reg(reg) => {
                self.owners[reg.index()] = Owner::Entry(index);
                self.temps |= reg.bit();
            }
            Place::Local(local) => self.locals[local as usize].named += 1,
            Place::Home(_) => self.deepest = self.deepest.max(end),
            Place::Const(_) | Place::Flags(_) => {}
        }
        self.stack.push(Entry::new(place, repr, end));
    }

    /// Apart, so that pushing calls nothing while there is room.
    #[cold]
    #[inline(never)]
    fn push_with_room(&mut self, place: Place, repr: Representation) {
        self.stack.reserve(1);
        self.push(place, repr);
    }

    #[inline(always)]
    pub(super) fn push_reg(&mut self, reg: Reg, repr: Representation) {
        self.push(Place::Reg(reg), repr);
    }

    /// Takes the top entry as it is. Its register stays locked.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Entry {
        let entry = self
            .stack
            .pop()
            .expect("a validated body never pops an empty stack");
        self.settled = self.settled.min(self.stack.len());
        match entry.place() {
            Place::Reg(reg) => {
                self.owners[reg.index()] = Owner::None;
                self.temps &= !reg.bit();
                self.locked |= reg.bit();
            }
            Place::Local(local) => {
                let local = &mut self.locals[local as usize];
                local.named -= 1;
                if let Some(reg) = local.reg {
                    self.locked |= reg.bit();
                }
            }
            Place::Flags(_) => self.flags_pending = false,
            _ => {}
        }
        entry
    }

    /// Forgets everything above `height`, without code.
    pub(super) fn forget(&mut self, height: usize) {
        if self.flags_pending {
            self.flags_pending = false;
            self.masm.set_flags_live(false);
        }
        while self.stack.len() > height.max(self.settled) {
            self.pop();
        }
        self.stack.truncate(height);
        self.settled = self.settled.min(height);
    }

    /// A value of the stack in a register; it was taken off.
    #[inline(always)]
    pub(super) fn hold(&mut self, entry: Entry) -> Held {
        match entry.place() {
            Place::Reg(reg) => Held { reg, owned: true },
            Place::Local(local) => Held {
                reg: self.cache_local(local),
                owned: false,
            },
            _ => Held {
                reg: self.materialize_anywhere(entry),
                owned: true,
            },
        }
    }

    #[inline(never)]
    fn materialize_anywhere(&mut self, entry: Entry) -> Reg {
        let reg = self.allocate(entry.repr);
        self.materialize(entry, reg);
        reg
    }

    pub(super) fn pop_reg(&mut self) -> Held {
        let entry = self.pop();
        self.hold(entry)
    }

    /// An integer operand: a constant, a home, or a register.
    #[inline(always)]
    pub(super) fn source(&mut self, entry: Entry) -> Src {
        match entry.place() {
            Place::Const(value) => Src::Imm(if entry.repr == Representation::I32 {
                i64::from(value as i32)
            } else {
                value as i64
            }),
            Place::Home(at) => Src::Mem(Mem::at(A::FRAME, at)),
            _ => Src::Reg(self.hold(entry).reg),
        }
    }

    /// Puts a value into a register, without changing what is known.
    pub(super) fn materialize(&mut self, entry: Entry, dst: Reg) {
        match entry.place() {
            Place::Const(bits) => match entry.repr {
                Representation::F32 => self.masm.float_constant(false, dst, bits),
                Representation::F64 => self.masm.float_constant(true, dst, bits),
                _ => self.masm.imm(dst, bits),
            },
            Place::Reg(reg) => self.masm.copy(dst, reg),
            Place::Local(local) => {
                let local = self.locals[local as usize];
                match local.reg {
                    Some(reg) => self.masm.copy(dst, reg),
                    None => self.load_home(local.repr, dst, local.end),
                }
            }
            Place::Home(at) => self.load_frame(entry.repr, dst, at),
            Place::Flags(condition) => {
                self.masm.set_flags_live(false);
                self.masm.set_if(condition, dst);
            }
        }
    }

    /// Loads a value from its home, which ends so many bytes below the frame pointer.
    #[inline(always)]
    pub(super) fn load_home(&mut self, repr: Representation, dst: Reg, end: u32) {
        self.load_frame(repr, dst, -(end as i32));
    }

    /// Loads a value from the frame.
    fn load_frame(&mut self, repr: Representation, dst: Reg, at: i32) {
        if is_float(repr) {
            self.masm
                .load_vector(repr.bytes(), dst, Mem::at(A::FRAME, at));
        } else {
            self.masm.load_frame(size_of(repr), dst, at);
        }
    }

    /// Stores a value to its home.
    pub(super) fn store_home(&mut self, repr: Representation, src: Reg, end: u32) {
        if is_float(repr) {
            self.masm.store_vector(repr.bytes(), src, A::home(end));
        } else {
            self.masm.store_frame(size_of(repr), src, -(end as i32));
        }
    }

    pub(super) fn load_any(&mut self, repr: Representation, dst: Reg, mem: Mem) {
        if is_float(repr) {
            self.masm.load_vector(repr.bytes(), dst, mem);
        } else {
            self.masm.load(size_of(repr), dst, mem);
        }
    }

    pub(super) fn store_any(&mut self, repr: Representation, src: Reg, mem: Mem) {
        if is_float(repr) {
            self.masm.store_vector(repr.bytes(), src, mem);
        } else {
            self.masm.store(size_of(repr), src, mem);
        }
    }

    /// Stores a value, wherever it is, without changing what is known.
    pub(super) fn store_value(&mut self, entry: Entry, mem: Mem) {
        let repr = entry.repr;
        match entry.place() {
            Place::Home(at) if mem == Mem::at(A::FRAME, at) => {}
            Place::Reg(reg) => self.store_any(repr, reg, mem),
            Place::Local(local) if self.locals[local as usize].reg.is_some() => {
                if let Some(reg) = self.locals[local as usize].reg {
                    self.store_any(repr, reg, mem);
                }
            }
            Place::Const(bits) if repr.bytes() == 4 || bits as i32 as i64 as u64 == bits => {
                let size = if repr.bytes() == 4 {
                    Size::S32
                } else {
                    Size::S64
                };
                self.masm.store_imm(size, bits as i32, mem);
            }
            Place::Const(bits) => {
                self.masm.imm(A::SCRATCH_3, bits);
                self.masm.store(Size::S64, A::SCRATCH_3, mem);
            }
            _ => {
                let scratch = if is_float(repr) {
                    A::VECTOR_SCRATCH
                } else {
                    A::SCRATCH_3
                };
                self.materialize(entry, scratch);
                self.store_any(repr, scratch, mem);
            }
        }
    }

    /// Puts an entry of the stack where it belongs.
    pub(super) fn settle(&mut self, index: usize) {
        let entry = self.stack[index];
        let home = -(entry.end as i32);
        if entry.place() == Place::Home(home) {
            return;
        }
        match entry.place() {
            Place::Reg(reg) => {
                self.owners[reg.index()] = Owner::None;
                self.temps &= !reg.bit();
            }
            Place::Local(local) => self.locals[local as usize].named -= 1,
            Place::Flags(_) => self.flags_pending = false,
            _ => {}
        }
        self.deepest = self.deepest.max(entry.end);
        self.store_value(entry, A::home(entry.end));
        self.stack[index].set_place(Place::Home(home));
    }

    /// Puts the entries below `upto` where they belong.
    pub(super) fn settle_below(&mut self, upto: usize) {
        for index in self.settled..upto {
            self.settle(index);
        }
        self.settled = self.settled.max(upto);
    }

    /// Makes a number of the comparison that is in the flags.
    pub(super) fn settle_flags(&mut self) {
        if !self.flags_pending {
            return;
        }
        self.locked = 0;
        let entry = self.pop();
        let held = self.hold(entry);
        self.push_reg(held.reg, Representation::I32);
    }

    // Locals.

    /// The register of a local, loaded when it has none; it is locked.
    #[inline(always)]
    pub(super) fn cache_local(&mut self, local: u32) -> Reg {
        match self.locals[local as usize].reg {
            Some(reg) => {
                self.locked |= reg.bit();
                reg
            }
            None => self.load_local(local),
        }
    }

    #[inline(never)]
    fn load_local(&mut self, local: u32) -> Reg {
        let facts = self.locals[local as usize];
        let reg = self.allocate_for_local(facts.repr);
        self.load_home(facts.repr, reg, facts.end);
        self.bind_local(local, reg, false);
        reg
    }

    pub(super) fn bind_local(&mut self, local: u32, reg: Reg, dirty: bool) {
        self.locals[local as usize].reg = Some(reg);
        self.owners[reg.index()] = Owner::Local(local);
        self.cached |= reg.bit();
        if dirty {
            self.dirty |= reg.bit();
        } else {
            self.dirty &= !reg.bit();
        }
    }

    /// Forgets that a register caches a local.
    pub(super) fn unbind(&mut self, reg: Reg) {
        if let Owner::Local(local) = self.owners[reg.index()] {
            self.locals[local as usize].reg = None;
        }
        self.owners[reg.index()] = Owner::None;
        self.cached &= !reg.bit();
        self.dirty &= !reg.bit();
    }

    /// Stores a local that is only in its register.
    pub(super) fn clean(&mut self, reg: Reg) {
        if self.dirty & reg.bit() == 0 {
            return;
        }
        if let Owner::Local(local) = self.owners[reg.index()] {
            let local = self.locals[local as usize];
            self.store_home(local.repr, reg, local.end);
        }
        self.dirty &= !reg.bit();
    }

    /// Reads a local wherever the stack names it, because it will change.
    pub(super) fn read_named(&mut self, local: u32) {
        if self.locals[local as usize].named == 0 {
            return;
        }
        for index in (self.settled..self.stack.len()).rev() {
            if self.stack[index].place() != Place::Local(local) {
                continue;
            }
            let repr = self.stack[index].repr;
            match self.locals[local as usize].reg {
                // The register changes hands, once.
                Some(reg) if self.dirty & reg.bit() == 0 && self.locked & reg.bit() == 0 => {
                    self.unbind(reg);
                    self.locals[local as usize].named -= 1;
                    self.stack[index].set_place(Place::Reg(reg));
                    self.owners[reg.index()] = Owner::Entry(index as u32);
                    self.temps |= reg.bit();
                }
                _ => {
                    let entry = self.stack[index];
                    let locked = self.locked;
                    let reg = self.allocate(repr);
                    // Entries may name the local more often than there are
                    // registers: an earlier copy may have to make room.
                    self.locked = locked;
                    // Allocation may have put the entry at home.
                    if self.stack[index].place() != Place::Local(local) {
                        continue;
                    }
                    self.materialize(entry, reg);
                    self.locals[local as usize].named -= 1;
                    self.stack[index].set_place(Place::Reg(reg));
                    self.owners[reg.index()] = Owner::Entry(index as u32);
                    self.temps |= reg.bit();
                }
            }
            if self.locals[local as usize].named == 0 {
                return;
            }
        }
    }

    pub(super) fn local_set(&mut self, local: u32) {
        let entry = self.pop();
        if entry.place() == Place::Local(local) {
            return;
        }
        self.read_named(local);
        let reg = match entry.place() {
            Place::Reg(reg) => reg,
            _ => {
                // In the register that it has, if it has one.
                let old = self.locals[local as usize].reg;
                let reg = match old {
                    Some(reg) => reg,
                    None => self.allocate_for_local(entry.repr),
                };
                self.materialize(entry, reg);
                reg
            }
        };
        match self.locals[local as usize].reg {
            Some(old) if old != reg => self.unbind(old),
            _ => {}
        }
        self.bind_local(local, reg, true);
    }

    // Registers.

    fn take(&mut self, reg: Reg) -> Reg {
        self.locked |= reg.bit();
        self.saved |= reg.bit() & (A::CALLEE_SAVED | A::MEMORY_BASE.bit());
        reg
    }

    /// A register for a value of this representation; it is locked.
    pub(super) fn allocate(&mut self, repr: Representation) -> Reg {
        let class = class(repr);
        let free = self.allocatable & class & !(self.temps | self.cached | self.locked);
        let cheap = free & (A::CALLER_SAVED | A::VECTORS);
        let best = if cheap != 0 { cheap } else { free };
        if best != 0 {
            return self.take(Reg::from_index(best.trailing_zeros()));
        }
        self.evict(class)
    }

    /// A register for a local: one that calls keep, where there are calls in a
    /// loop.
    pub(super) fn allocate_for_local(&mut self, repr: Representation) -> Reg {
        let class = class(repr);
        if self.open_loops > 0 && self.calls {
            let free = self.allocatable & class & !(self.temps | self.cached | self.locked);
            let kept = free & !(A::CALLER_SAVED | A::VECTORS);
            if kept != 0 {
                return self.take(Reg::from_index(kept.trailing_zeros()));
            }
        }
        self.allocate(repr)
    }

    /// Frees a register: one of a local that is at home too, then of one that
    /// is not, then of the lowest entry.
    fn evict(&mut self, class: u64) -> Reg {
        let candidates = self.cached & class & self.allocatable & !self.locked;
        let clean = candidates & !self.dirty;
        let best = if clean != 0 { clean } else { candidates };
        if best != 0 {
            // In turn, so that no local is always the one.
            self.turn = (self.turn + 1) & 63;
            let rotated = best.rotate_right(self.turn);
            let reg = Reg::from_index((rotated.trailing_zeros() + self.turn) & 63);
            self.clean(reg);
            self.unbind(reg);
            return self.take(reg);
        }
        let temps = self.temps & class & self.allocatable & !self.locked;
        let lowest = each(temps)
            .filter_map(|reg| match self.owners[reg.index()] {
                Owner::Entry(index) => Some((index, reg)),
                _ => None,
            })
            .min_by_key(|(index, _)| *index);
        let Some((index, reg)) = lowest else {
            unreachable!("no instruction locks all registers");
        };
        self.settle(index as usize);
        self.take(reg)
    }

    /// Where the result of a one-byte instruction best goes: into the register
    /// of the local that the next instruction assigns, into that of an operand
    /// that is not needed any more, or into a free one.
    #[inline(always)]
    pub(super) fn result(&mut self, repr: Representation, operands: &[Held]) -> Reg {
        let next = self.position as usize + 1;
        self.result_before(next, repr, operands)
    }

    /// The same for an instruction that ends at `next`.
    #[inline(always)]
    pub(super) fn result_before(
        &mut self,
        next: usize,
        repr: Representation,
        operands: &[Held],
    ) -> Reg {
        if let Some(reg) = self.assigned_next(next, repr) {
            return reg;
        }
        for held in operands {
            if held.owned && held.reg.is_vector() == is_float(repr) {
                return held.reg;
            }
        }
        self.allocate(repr)
    }

    fn assigned_next(&mut self, next: usize, repr: Representation) -> Option<Reg> {
        let bytes = self.bytes.get(next..next + 3)?;
        // `local.set` and `local.tee`, of a small or not so small index.
        let local = match *bytes {
            [0x21 | 0x22, low, _] if low < 0x80 => u32::from(low),
            [0x21 | 0x22, low, high] if high < 0x80 => u32::from(low & 0x7f) | u32::from(high) << 7,
            _ => return None,
        };
        let facts = self.locals.get(local as usize)?;
        if facts.repr != repr || facts.named > 0 {
            return None;
        }
        let reg = facts.reg?;
        self.unbind(reg);
        Some(self.take(reg))
    }

    /// Makes sure that calls find nothing in the registers that they destroy:
    /// everything is stored that is not stored yet. What is known stays.
    pub(super) fn save_for_call(&mut self, height: usize) {
        let destroyed = A::CALLER_SAVED | A::VECTORS;
        for reg in each(self.dirty & destroyed) {
            self.clean(reg);
        }
        for index in self.settled..height {
            let at_risk = match self.stack[index].place() {
                Place::Reg(reg) => destroyed & reg.bit() != 0,
                Place::Flags(_) => true,
                _ => false,
            };
            if at_risk {
                self.settle(index);
            }
        }
    }

    /// Forgets what calls destroy.
    pub(super) fn after_call(&mut self) {
        let destroyed = A::CALLER_SAVED | A::VECTORS;
        for reg in each(self.cached & destroyed) {
            self.unbind(reg);
        }
        self.locked = 0;
    }

    /// Moves values into registers, all at once. The values may be in those
    /// registers; constants and homes come last.
    pub(super) fn move_all(&mut self, moves: &[(Entry, Reg)]) {
        let mut pending = self.take_moves();
        for (entry, dst) in moves {
            let src = self.register_of(entry);
            if let Some(src) = src
                && src != *dst
            {
                pending.push((src, *dst, entry.repr));
            }
        }
        self.move_registers(&mut pending);
        self.moves = pending;
        for (entry, dst) in moves {
            if self.register_of(entry).is_none() {
                self.materialize(*entry, *dst);
            }
        }
    }

    pub(super) fn register_of(&self, entry: &Entry) -> Option<Reg> {
        match entry.place() {
            Place::Reg(reg) => Some(reg),
            Place::Local(local) => self.locals[local as usize].reg,
            _ => None,
        }
    }

    /// An empty list of moves, to be given back to `self.moves` for its memory.
    #[inline]
    pub(super) fn take_moves(&mut self) -> Vec<Move> {
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        moves
    }

    /// Moves between registers, all at once.
    pub(super) fn move_registers(&mut self, moves: &mut [Move]) {
        let mut left = moves.len();
        while left > 0 {
            let mut moved = false;
            let mut i = 0;
            while i < left {
                let (src, dst, repr) = moves[i];
                let is_read = moves[..left]
                    .iter()
                    .enumerate()
                    .any(|(j, other)| j != i && other.0 == dst);
                if is_read {
                    i += 1;
                    continue;
                }
                if src != dst {
                    self.masm.move_reg(size_of(repr), dst, src);
                }
                moved = true;
                left -= 1;
                moves.swap(i, left);
            }
            if left > 0 && !moved {
                // All that is left are circles.
                let (src, dst, _) = moves[0];
                if src.is_vector() {
                    let spare = A::VECTOR_SCRATCH;
                    self.masm.copy(spare, dst);
                    self.masm.copy(dst, src);
                    for other in &mut moves[1..left] {
                        if other.0 == dst {
                            other.0 = spare;
                        }
                    }
                } else {
                    self.masm.exchange(src, dst);
                    for other in &mut moves[1..left] {
                        if other.0 == dst {
                            other.0 = src;
                        } else if other.0 == src {
                            other.0 = dst;
                        }
                    }
                }
                left -= 1;
                moves.swap(0, left);
            }
        }
    }

    /// Checks the invariants of registers, in builds with debug assertions.
    pub(super) fn assert_sound(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        for reg in each(self.cached) {
            match self.owners[reg.index()] {
                Owner::Local(local) => {
                    debug_assert_eq!(self.locals[local as usize].reg, Some(reg));
                }
                other => debug_assert!(false, "{reg:?} caches a local but is {other:?}"),
            }
        }
        for reg in each(self.temps) {
            match self.owners[reg.index()] {
                Owner::Entry(index) => {
                    debug_assert_eq!(self.stack[index as usize].place(), Place::Reg(reg));
                }
                other => debug_assert!(false, "{reg:?} holds an entry but is {other:?}"),
            }
        }
        debug_assert_eq!(self.temps & self.cached, 0);
    }
}
