//! Where does control go? Blocks, branches, merges, loops, returns, and the
//! meters that are read at loops.
//!
//! # Merges
//!
//! The first branch to a label decides which locals are in which registers
//! there, whether their homes are out of date, and in which register a single
//! result arrives; later ones move only what differs. Several results, and
//! parameters of loops, travel in their homes.
//!
//! A loop's header keeps in registers, dirty from the start, the locals that
//! the summary says are assigned in it, as far as there is room; others that
//! happen to be in registers stay there, clean.

use tepui_abi::builtin::Builtin;
use tepui_abi::convention::{Assigner, Representation};
use tepui_abi::{FunctionInput, Trap};
use tepui_module::{AssignedLocals, Nesting};

use super::{Function, Owner, Place, Step, Stop, is_float};
use crate::masm::{Assembler, Condition, IntCc, Label, Mem, Size, Src};
use crate::reg::{Reg, each};

const NONE: u32 = u32::MAX;

/// Registers that stay free for values at the header of a loop, per class.
const KEPT_FREE: u32 = 4;

/// What is in registers at a label.
pub(crate) struct State {
    /// The local in each register of `mask`.
    locals: [u32; 64],
    mask: u64,
    dirty: u64,
    /// Where a single result arrives.
    result: Option<Reg>,
}

enum Kind {
    Function,
    Block,
    Loop,
    /// An `if`, with where to go when the condition is zero, and the state
    /// there.
    If {
        otherwise: Label,
        state: u32,
    },
    /// An `if` whose `else` was met.
    Else,
}

/// An open block.
pub(crate) struct Block {
    kind: Kind,
    /// `None` for the function's body.
    ty: Option<wasmparser::BlockType>,
    /// Values below the block's parameters.
    pub(crate) height: u32,
    params: u32,
    results: u32,
    /// Where branches to it go, once there is one.
    label: Option<Label>,
    /// What is in registers there, once that is decided.
    state: u32,
    /// The edge of the `br_table` at hand that leads here.
    edge: Option<Label>,
}

impl Block {
    pub(crate) fn function() -> Block {
        Block {
            kind: Kind::Function,
            ty: None,
            height: 0,
            params: 0,
            results: 0,
            label: None,
            state: NONE,
            edge: None,
        }
    }
}

impl<A: Assembler> Function<'_, A> {
    // States.

    fn capture(&mut self) -> u32 {
        let index = match self.free_states.pop() {
            Some(index) => index as usize,
            None => {
                if self.states_used == self.states.len() {
                    self.states.push(State {
                        locals: [NONE; 64],
                        mask: 0,
                        dirty: 0,
                        result: None,
                    });
                }
                self.states_used += 1;
                self.states_used - 1
            }
        };
        let state = &mut self.states[index];
        state.mask = self.cached;
        state.dirty = self.dirty;
        state.result = None;
        for reg in each(self.cached) {
            if let Owner::Local(local) = self.owners[reg.index()] {
                state.locals[reg.index()] = local;
            }
        }
        index as u32
    }

    fn drop_state(&mut self, state: u32) {
        if state != NONE {
            self.free_states.push(state);
        }
    }

    /// The registers that hold the local that they hold in the state.
    fn shared_with(&self, state: &State) -> u64 {
        let mut shared = 0;
        for reg in each(self.cached & state.mask) {
            if self.owners[reg.index()] == Owner::Local(state.locals[reg.index()]) {
                shared |= reg.bit();
            }
        }
        shared
    }

    /// Makes the state the one at hand, without code.
    fn assume(&mut self, index: u32) {
        let stays = self.shared_with(&self.states[index as usize]);
        for reg in each(self.cached & !stays) {
            self.unbind(reg);
        }
        for reg in each(self.temps) {
            self.owners[reg.index()] = Owner::None;
        }
        self.temps = 0;
        self.locked = 0;
        let state = &self.states[index as usize];
        self.cached = state.mask;
        self.dirty = state.dirty;
        for reg in each(state.mask & !stays) {
            let local = state.locals[reg.index()];
            self.locals[local as usize].reg = Some(reg);
            self.owners[reg.index()] = Owner::Local(local);
        }
    }

    /// Whether who is in state `from` is in state `to` without any code.
    fn covers(&self, from: u32, to: u32) -> bool {
        let (from, to) = (&self.states[from as usize], &self.states[to as usize]);
        from.dirty & !to.dirty == 0
            && to.mask & !from.mask == 0
            && each(to.mask).all(|reg| from.locals[reg.index()] == to.locals[reg.index()])
    }

    /// Decides the state of a label at the first branch to it, which takes
    /// `arity` values from the stack.
    fn decide(&mut self, index: usize, arity: usize) -> u32 {
        let known = self.blocks[index].state;
        let state = if known == NONE {
            self.capture()
        } else {
            self.drop_unknown(known);
            known
        };
        self.blocks[index].state = state;
        if arity == 1 && self.states[state as usize].result.is_none() {
            let top = self.stack[self.stack.len() - 1];
            let reg = match top.place() {
                Place::Reg(reg) if self.states[state as usize].mask & reg.bit() == 0 => reg,
                _ => {
                    let class = if is_float(top.repr) {
                        !0 << 32
                    } else {
                        u64::from(u32::MAX)
                    };
                    let state = &mut self.states[state as usize];
                    let mut free = self.allocatable & class & !state.mask;
                    let cheap = free & (A::CALLER_SAVED | A::VECTORS);
                    if cheap != 0 {
                        free = cheap;
                    }
                    if free == 0 {
                        free = state.mask & class;
                    }
                    let reg = Reg::from_index(free.trailing_zeros());
                    state.mask &= !reg.bit();
                    state.dirty &= !reg.bit();
                    self.saved |= reg.bit() & (A::CALLEE_SAVED | A::MEMORY_BASE.bit());
                    reg
                }
            };
            self.states[state as usize].result = Some(reg);
        }
        state
    }

    /// A local that a further branch to the label does not have in a register
    /// is in none there, if its home is up to date: who comes with it in a
    /// register loses nothing, and nobody has to load it.
    fn drop_unknown(&mut self, index: u32) {
        let state = &mut self.states[index as usize];
        for reg in each(state.mask & !state.dirty) {
            let local = state.locals[reg.index()];
            if self.locals[local as usize].reg.is_none() {
                state.mask &= !reg.bit();
            }
        }
    }

    /// Where values `height` and following of the stack have their homes.
    fn base_of(&self, height: usize) -> u32 {
        match height.checked_sub(1) {
            Some(below) => self.stack[below].end,
            None => self.locals_end,
        }
    }

    /// Whether a branch to the block needs no code, besides the jump.
    fn conforms(&self, index: usize, arity: usize) -> bool {
        let block = &self.blocks[index];
        let state = &self.states[block.state as usize];
        if self.dirty & !state.dirty != 0 || state.mask & !self.shared_with(state) != 0 {
            return false;
        }
        if arity == 0 {
            return true;
        }
        let start = self.stack.len() - arity;
        if arity == 1
            && let Some(result) = state.result
        {
            return self.stack[start].place() == Place::Reg(result);
        }
        let mut end = self.base_of(block.height as usize);
        self.stack[start..].iter().all(|entry| {
            end = Self::home_above(end, entry.repr);
            entry.place() == Place::Home(-(end as i32))
        })
    }

    /// Brings registers and homes into the state of the block's label, with the
    /// top `arity` values. What is known while compiling does not change.
    fn conform(&mut self, index: usize, arity: usize) {
        let (height, state) = (
            self.blocks[index].height as usize,
            self.blocks[index].state as usize,
        );
        let (mask, dirty, result, shared) = {
            let state = &self.states[state];
            let shared = self.shared_with(state);
            (state.mask, state.dirty, state.result, shared)
        };
        // Homes that must be up to date there.
        for reg in each(self.dirty & !(shared & dirty)) {
            let Owner::Local(local) = self.owners[reg.index()] else {
                continue;
            };
            let wanted = &self.states[state];
            let moves = shared & reg.bit() == 0;
            let stays =
                moves && each(mask & dirty).any(|other| wanted.locals[other.index()] == local);
            if !stays {
                let local = self.locals[local as usize];
                self.store_home(local.repr, reg, local.end);
            }
        }
        let start = self.stack.len() - arity;
        let in_register = if arity == 1 { result } else { None };
        if in_register.is_none() {
            let mut end = self.base_of(height);
            for at in start..self.stack.len() {
                let entry = self.stack[at];
                end = Self::home_above(end, entry.repr);
                self.deepest = self.deepest.max(end);
                self.store_value(entry, A::home(end));
            }
        }
        let mut moves = self.take_moves();
        let mut loads = 0_u64;
        for reg in each(mask & !shared) {
            let local = self.states[state].locals[reg.index()];
            let facts = self.locals[local as usize];
            match facts.reg {
                Some(src) => moves.push((src, reg, facts.repr)),
                None => loads |= reg.bit(),
            }
        }
        // A register that is read for another must not be loaded before: loads
        // come last. A local that stays where it is must not be overwritten:
        // nothing else has its register as its aim.
        let mut late = None;
        if let Some(dst) = in_register {
            let entry = self.stack[start];
            match self.register_of(&entry) {
                Some(src) if src == dst => {}
                Some(src) => moves.push((src, dst, entry.repr)),
                None => late = Some((entry, dst)),
            }
        }
        self.move_registers(&mut moves);
        self.moves = moves;
        for reg in each(loads) {
            let local = self.locals[self.states[state].locals[reg.index()] as usize];
            self.load_home(local.repr, reg, local.end);
        }
        if let Some((entry, dst)) = late {
            self.materialize(entry, dst);
        }
    }

    // Blocks.

    fn open(&mut self, kind: Kind, ty: wasmparser::BlockType) -> Step {
        let block_type = self.module.block_type(ty);
        let (params, results) = (block_type.params().len(), block_type.results().len());
        self.settle_below(self.stack.len());
        self.blocks.push(Block {
            kind,
            ty: Some(ty),
            height: (self.stack.len() - params) as u32,
            params: params as u32,
            results: results as u32,
            label: None,
            state: NONE,
            edge: None,
        });
        if self.masm.position() > A::GREATEST_CODE {
            return Err(Stop::new("the function's code is too large"));
        }
        Ok(())
    }

    fn index_of(&self, depth: u32) -> usize {
        self.blocks.len() - 1 - depth as usize
    }

    fn arity(&self, index: usize) -> usize {
        let block = &self.blocks[index];
        match block.kind {
            Kind::Function => self.func_type.results.len(),
            Kind::Loop => block.params as usize,
            _ => block.results as usize,
        }
    }

    fn label(&mut self, index: usize) -> Label {
        match self.blocks[index].label {
            Some(label) => label,
            None => {
                let label = self.masm.label();
                self.blocks[index].label = Some(label);
                label
            }
        }
    }

    pub(super) fn block(&mut self, ty: wasmparser::BlockType) -> Step {
        self.open(Kind::Block, ty)
    }

    pub(super) fn loop_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.charge();
        self.open(Kind::Loop, ty)?;
        let ordinal = self.loops;
        self.loops += 1;
        self.open_loops += 1;
        self.choose_loop_registers(ordinal);
        self.locked = 0;
        let state = self.capture();
        let label = self.masm.label();
        self.masm.bind(label);
        if let Some(block) = self.blocks.last_mut() {
            block.label = Some(label);
            block.state = state;
        }
        self.count_round(ordinal);
        self.check_meters();
        Ok(())
    }

    /// Decides which locals are in registers at the header of a loop.
    fn choose_loop_registers(&mut self, ordinal: u32) {
        let assigned = Self::loop_locals(self.input, ordinal);
        for class in [u64::from(u32::MAX), !0 << 32] {
            for reg in each(self.cached & class) {
                let Owner::Local(local) = self.owners[reg.index()] else {
                    continue;
                };
                if assigned.contains(local) {
                    self.dirty |= reg.bit();
                } else {
                    self.clean(reg);
                }
            }
        }
        if let AssignedLocals::These(list) = assigned {
            // What a few registers can take; the list may be long.
            for &local in list.iter().take(64) {
                let facts = self.locals[local as usize];
                if facts.reg.is_some() {
                    continue;
                }
                let class = class_of(facts.repr);
                self.locked = 0;
                if self.free_in(class) <= KEPT_FREE {
                    // In place of one that the loop does not assign.
                    let Some(reg) = each(self.cached & !self.dirty & class).next() else {
                        continue;
                    };
                    self.unbind(reg);
                }
                let reg = self.allocate_for_local(facts.repr);
                self.load_home(facts.repr, reg, facts.end);
                self.bind_local(local, reg, true);
            }
        }
        for class in [u64::from(u32::MAX), !0 << 32] {
            while self.free_in(class) < KEPT_FREE {
                let candidates = self.cached & class;
                let clean = candidates & !self.dirty;
                let best = if clean != 0 { clean } else { candidates };
                if best == 0 {
                    break;
                }
                let reg = Reg::from_index(best.trailing_zeros());
                self.clean(reg);
                self.unbind(reg);
            }
        }
    }

    /// The locals that a loop assigns, as far as is known.
    fn loop_locals<'i>(input: &'i FunctionInput<'_>, ordinal: u32) -> AssignedLocals<'i> {
        match input.summaries {
            Some(summaries) => summaries.loop_locals(input.function, ordinal),
            None => AssignedLocals::Any,
        }
    }

    fn free_in(&self, class: u64) -> u32 {
        (self.allocatable & class & !(self.temps | self.cached)).count_ones()
    }

    /// Takes a condition from the stack and makes sure that what lies below is
    /// at home when `settle` says so. Gives the condition that the flags then
    /// hold.
    fn pop_condition(&mut self, settle: Settle) -> Condition {
        let entry = self.pop();
        match entry.place() {
            Place::Flags(condition) => {
                if settle == Settle::All {
                    self.settle_below(self.stack.len());
                }
                condition
            }
            _ => {
                let held = self.hold(entry);
                if settle == Settle::All {
                    self.settle_below(self.stack.len());
                }
                self.masm.test(Size::S32, held.reg);
                self.masm.set_flags_live(true);
                Condition::Is(IntCc::NotEqual)
            }
        }
    }

    pub(super) fn if_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.charge();
        let condition = self.pop_condition(Settle::All);
        let otherwise = self.masm.label();
        self.masm.jump_if(condition.not(), otherwise);
        self.masm.set_flags_live(false);
        self.locked = 0;
        let state = self.capture();
        self.open(Kind::If { otherwise, state }, ty)?;
        let (results, last) = (
            self.blocks.last().map_or(0, |block| block.results),
            self.blocks.len() - 1,
        );
        if results == 0 {
            // So that the way around it needs no code.
            self.blocks[last].state = self.capture();
        }
        Ok(())
    }

    /// Jumps from the end of a block's code to what follows it.
    fn leave_to(&mut self, index: usize) {
        let arity = self.blocks[index].results as usize;
        self.decide(index, arity);
        let label = self.label(index);
        self.conform(index, arity);
        self.masm.jump(label);
    }

    /// Puts values of the types on the stack, in their homes.
    fn push_homes(&mut self, types: &[tepui_module::ValType]) {
        for ty in types {
            let repr = Representation::of(*ty);
            let end = Self::home_above(self.base_of(self.stack.len()), repr);
            self.push(Place::Home(-(end as i32)), repr);
        }
        self.settled = self.stack.len();
    }

    /// Begins the code for when the condition of an `if` was zero.
    fn begin_else(&mut self, index: usize, otherwise: Label, state: u32) {
        let (height, ty) = (self.blocks[index].height as usize, self.blocks[index].ty);
        self.forget(height);
        self.assume(state);
        self.drop_state(state);
        self.masm.bind(otherwise);
        self.blocks[index].kind = Kind::Else;
        if let Some(ty) = ty {
            let module = self.module;
            self.push_homes(module.block_type(ty).params());
        }
        self.reachable = true;
    }

    pub(super) fn else_(&mut self) -> Step {
        let index = self.blocks.len() - 1;
        if self.reachable {
            self.charge();
            self.leave_to(index);
        }
        if let Kind::If { otherwise, state } = self.blocks[index].kind {
            self.begin_else(index, otherwise, state);
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Step {
        if self.reachable {
            self.charge();
        }
        let index = self.blocks.len() - 1;
        // Whether the way around an `if` arrives in the state of the label.
        let mut around = false;
        match self.blocks[index].kind {
            Kind::Function => {
                if self.reachable {
                    self.emit_return(Returning::AtTheEnd);
                    self.unreachable();
                }
                self.blocks.pop();
                return Ok(());
            }
            Kind::Loop => {
                self.open_loops -= 1;
                let block = &self.blocks[index];
                let (height, state) = (block.height as usize, block.state);
                if !self.reachable {
                    self.forget(height);
                }
                self.drop_state(state);
                self.blocks.pop();
                return Ok(());
            }
            Kind::If { otherwise, state } => {
                let block = &self.blocks[index];
                let (label_state, plain) = (block.state, block.results == 0 && block.params == 0);
                if self.reachable && plain {
                    self.decide(index, 0);
                }
                around = plain && label_state != NONE && self.covers(state, label_state);
                if self.reachable {
                    if around {
                        self.conform(index, 0);
                    } else {
                        self.leave_to(index);
                    }
                }
                self.begin_else(index, otherwise, state);
            }
            Kind::Block | Kind::Else => {}
        }
        let block = &self.blocks[index];
        let (height, results, ty) = (block.height as usize, block.results as usize, block.ty);
        let label = block.label;
        if label.is_some() || around {
            if self.reachable {
                self.decide(index, results);
                self.conform(index, results);
            }
            let state = self.blocks[index].state;
            self.forget(height);
            self.assume(state);
            if let Some(label) = label {
                self.masm.bind(label);
            }
            let result = self.states[state as usize].result;
            let module = self.module;
            let types = ty.map(|ty| module.block_type(ty));
            let types = types.as_ref().map_or(&[][..], |ty| ty.results());
            match (result, types) {
                (Some(reg), [ty]) => self.push_reg(reg, Representation::of(*ty)),
                _ => self.push_homes(types),
            }
            self.reachable = true;
        } else if !self.reachable {
            self.forget(height);
        }
        let state = self.blocks[index].state;
        self.drop_state(state);
        self.blocks.pop();
        Ok(())
    }

    // Branches.

    /// Branches for good.
    fn jump_to(&mut self, index: usize) {
        if index == 0 {
            self.emit_return(Returning::Anywhere);
            return;
        }
        let arity = self.arity(index);
        self.decide_unless_loop(index, arity);
        let label = self.label(index);
        self.conform(index, arity);
        self.masm.jump(label);
    }

    fn decide_unless_loop(&mut self, index: usize, arity: usize) {
        if !matches!(self.blocks[index].kind, Kind::Loop) {
            self.decide(index, arity);
        }
    }

    pub(super) fn br(&mut self, depth: u32) -> Step {
        self.charge();
        self.jump_to(self.index_of(depth));
        self.unreachable();
        Ok(())
    }

    pub(super) fn br_if(&mut self, depth: u32) -> Step {
        self.charge();
        let condition = self.pop_condition(Settle::Nothing);
        self.branch_if(condition, depth);
        Ok(())
    }

    /// Branches with the values on top of the stack when the flags hold the
    /// condition.
    pub(super) fn branch_if(&mut self, condition: Condition, depth: u32) {
        let index = self.index_of(depth);
        let arity = self.arity(index);
        if index != 0 {
            self.decide_unless_loop(index, arity);
            if self.conforms(index, arity) {
                let label = self.label(index);
                self.masm.jump_if(condition, label);
                self.masm.set_flags_live(false);
                return;
            }
        }
        let over = self.masm.label();
        self.masm.jump_if(condition.not(), over);
        self.masm.set_flags_live(false);
        self.jump_to(index);
        self.masm.bind(over);
    }

    pub(super) fn br_table(&mut self, table: &wasmparser::BrTable<'_>) -> Step {
        self.charge();
        let selector = self.pop();
        let default = table.default();
        let mut depths = Vec::with_capacity(table.len() as usize + 1);
        for target in table.targets() {
            depths.push(target?);
        }
        while depths.last() == Some(&default) {
            depths.pop();
        }
        if depths.is_empty() {
            self.jump_to(self.index_of(default));
            self.unreachable();
            return Ok(());
        }
        let count = depths.len() as u64;
        depths.push(default);
        self.materialize(selector, A::SCRATCH);
        self.masm.imm(A::SCRATCH_2, count);
        self.masm
            .compare(Size::S32, A::SCRATCH, Src::Reg(A::SCRATCH_2));
        // Also under misspeculation the table is not left.
        self.masm.move_if(
            Condition::Is(IntCc::AboveEqual),
            Size::S32,
            A::SCRATCH,
            A::SCRATCH_2,
        );
        let mut order = Vec::new();
        let mut labels = Vec::with_capacity(depths.len());
        for depth in depths {
            let index = self.index_of(depth);
            let label = match self.blocks[index].edge {
                Some(label) => label,
                None => {
                    let label = self.edge(index);
                    self.blocks[index].edge = Some(label);
                    order.push((index, label));
                    label
                }
            };
            labels.push(label);
        }
        self.masm.jump_table(labels);
        for (index, label) in order {
            self.blocks[index].edge = None;
            if self.blocks[index].label == Some(label) {
                continue;
            }
            self.masm.bind(label);
            self.jump_to(index);
        }
        self.unreachable();
        Ok(())
    }

    /// Where an entry of a table leads: to the label itself when nothing has to
    /// be moved.
    fn edge(&mut self, index: usize) -> Label {
        if index != 0 {
            let arity = self.arity(index);
            self.decide_unless_loop(index, arity);
            if self.conforms(index, arity) {
                return self.label(index);
            }
        }
        self.masm.label()
    }

    pub(super) fn return_(&mut self) -> Step {
        self.charge();
        self.emit_return(Returning::Anywhere);
        self.unreachable();
        Ok(())
    }

    /// Returns the values on top of the stack, which stay known.
    fn emit_return(&mut self, from: Returning) {
        let start = self.stack.len() - self.func_type.results.len();
        let architecture = self.plan.layout.target().architecture;
        self.pass_values(start, Assigner::results(architecture), A::INT_RESULTS);
        if let Returning::Anywhere = from {
            let epilogue = self.epilogue;
            self.masm.jump(epilogue);
        }
    }

    pub(super) fn unreachable_instruction(&mut self) {
        self.charge();
        self.trap_now(Trap::UnreachableCodeReached);
    }

    /// Follows the nesting of unreachable code.
    pub(super) fn skip(&mut self, nesting: Nesting) -> Step {
        match nesting {
            Nesting::Same => {}
            Nesting::Block => self.skipped += 1,
            Nesting::Loop => {
                self.skipped += 1;
                self.loops += 1;
                self.count_unreachable_loop();
            }
            Nesting::End if self.skipped > 0 => self.skipped -= 1,
            Nesting::End => self.end()?,
            Nesting::Else if self.skipped == 0 => self.else_()?,
            Nesting::Else => {}
        }
        Ok(())
    }

    // Meters.

    /// Adds what was not charged yet to the counter: at every charge point of
    /// [`tepui_abi::fuel`].
    pub(super) fn charge(&mut self) {
        if self.fuel == 0 {
            return;
        }
        self.settle_flags();
        let store = self.in_context(self.plan.layout.store_context());
        self.masm.load(Size::S64, A::SCRATCH, store);
        let counter = Mem::at(A::SCRATCH, self.store_layout.fuel() as i32);
        self.masm.add_to_mem(counter, self.fuel);
        self.fuel = 0;
    }

    /// At the entry and at the start of loop bodies: asks the runtime when fuel
    /// or time is up.
    pub(super) fn check_meters(&mut self) {
        self.masm.notes().wasm_position = self.position;
        let store = self.plan.layout.store_context();
        if self.tunables.fuel {
            let mem = self.in_context(store);
            self.masm.load(Size::S64, A::SCRATCH, mem);
            let counter = Mem::at(A::SCRATCH, self.store_layout.fuel() as i32);
            self.masm.compare_mem_imm(Size::S64, counter, 0);
            self.when(IntCc::Greater, |this| {
                this.call_runtime(Builtin::out_of_fuel);
            });
        }
        if self.tunables.epoch {
            let epoch = self.in_context(self.plan.layout.epoch());
            self.masm.load(Size::S64, A::SCRATCH, epoch);
            self.masm
                .load(Size::S64, A::SCRATCH, Mem::at(A::SCRATCH, 0));
            let mem = self.in_context(store);
            self.masm.load(Size::S64, A::SCRATCH_2, mem);
            let deadline = Mem::at(A::SCRATCH_2, self.store_layout.epoch_deadline() as i32);
            self.masm.compare(Size::S64, A::SCRATCH, Src::Mem(deadline));
            self.when(IntCc::AboveEqual, |this| {
                this.call_runtime(Builtin::new_epoch);
                let mem = this.in_context(store);
                this.masm.load(Size::S64, A::SCRATCH_2, mem);
                this.masm.store(Size::S64, A::SCRATCH, deadline);
            });
        }
    }

    /// Runs code that calls the runtime when the condition holds, with what is
    /// in registers saved around it.
    pub(super) fn when(&mut self, cc: IntCc, make: impl FnOnce(&mut Self)) {
        let over = self.masm.label();
        self.masm.jump_if(Condition::Is(cc.not()), over);
        let destroyed = self.cached & (A::CALLER_SAVED | A::VECTORS);
        let local_of = |this: &Self, reg: Reg| match this.owners[reg.index()] {
            Owner::Local(local) => Some(this.locals[local as usize]),
            _ => None,
        };
        for reg in each(destroyed & self.dirty) {
            if let Some(local) = local_of(self, reg) {
                self.store_home(local.repr, reg, local.end);
            }
        }
        make(self);
        for reg in each(destroyed) {
            if let Some(local) = local_of(self, reg) {
                self.load_home(local.repr, reg, local.end);
            }
        }
        self.masm.bind(over);
    }
}

/// Whether the stack is to be brought home.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settle {
    All,
    Nothing,
}

/// Where a return stands.
enum Returning {
    /// Last of all, before the epilogue.
    AtTheEnd,
    Anywhere,
}

fn class_of(repr: Representation) -> u64 {
    if is_float(repr) {
        !0 << 32
    } else {
        u64::from(u32::MAX)
    }
}
