//! What does code count, and how is a frame left for better code? The counts and
//! records of [`tepui_abi::profile`], which says what they mean.

use tepui_abi::Trap;
use tepui_abi::builtin::Builtin;
use tepui_abi::convention::Representation;
use tepui_abi::layout::FuncRefLayout;
use tepui_abi::profile::{OSR_GREATEST_HEIGHT, ProfileLayout, ProfileMetadata, SiteRecord};

use super::{Exit, Function, Owner};
use crate::masm::{Alu, Assembler, Condition, IntCc, Label, Mem, Size, Src};
use crate::reg::{Reg, each};

/// What the code of a function counts.
#[derive(Default)]
pub(crate) struct Counting {
    metadata: Box<ProfileMetadata>,
    /// Where loops leave the frame, once there is one.
    leave: Option<Label>,
}

impl Counting {
    pub(super) fn into_metadata(self) -> Box<ProfileMetadata> {
        self.metadata
    }
}

impl<A: Assembler> Function<'_, A> {
    /// Loads the pointer of the function's profile.
    fn load_profile(&mut self, dst: Reg) {
        let table = self.in_context(self.plan.layout.profiles());
        self.masm.load(Size::S64, dst, table);
        let row = Mem::at(dst, 8 * self.input.function.as_u32() as i32);
        self.masm.load(Size::S64, dst, row);
    }

    /// Takes one from a count; the flags then say whether it was below one.
    fn count(&mut self, at: i32) {
        self.masm.notes().wasm_position = self.position;
        self.load_profile(A::SCRATCH);
        self.masm.alu_mem(Alu::Sub, Mem::at(A::SCRATCH, at), 1);
    }

    /// Counts an entry.
    pub(super) fn count_entry(&mut self) {
        if self.counting.is_none() {
            return;
        }
        self.count(ProfileLayout::CALLS);
        self.when(IntCc::Less, |this| {
            let function = this.input.function.as_u32();
            this.masm.imm(A::C_PARAMS[1], u64::from(function));
            this.call_runtime(Builtin::hot_function);
        });
    }

    /// Notes a loop that cannot be reached.
    pub(super) fn count_unreachable_loop(&mut self) {
        if let Some(counting) = &mut self.counting {
            counting.metadata.loops.push(None);
        }
    }

    /// Counts a round at the header of loop `ordinal`, where everything on the
    /// stack is at home.
    pub(super) fn count_round(&mut self, ordinal: u32) {
        let Some(counting) = &mut self.counting else {
            return;
        };
        let values = (self.stack.len() <= OSR_GREATEST_HEIGHT)
            .then(|| self.stack.iter().map(|entry| entry.repr).collect());
        counting.metadata.loops.push(values);
        let leave = match counting.leave {
            Some(label) => label,
            None => {
                let label = self.masm.label();
                counting.leave = Some(label);
                self.exits.push((label, Exit::HotLoop));
                label
            }
        };
        self.count(ProfileLayout::loop_rounds(ordinal));
        self.when(IntCc::Less, |this| {
            // The runtime reads the frame: what calls keep is stored as well.
            for reg in each(this.dirty & !(A::CALLER_SAVED | A::VECTORS)) {
                if let Owner::Local(local) = this.owners[reg.index()] {
                    let local = this.locals[local as usize];
                    this.store_home(local.repr, reg, local.end);
                }
            }
            let function = this.input.function.as_u32();
            this.masm.imm(A::C_PARAMS[1], u64::from(function));
            this.masm.imm(A::C_PARAMS[2], u64::from(ordinal));
            this.call_runtime(Builtin::hot_loop);
            this.masm.test(Size::S64, A::SCRATCH);
            this.masm.jump_if(Condition::Is(IntCc::NotEqual), leave);
        });
    }

    /// Puts in place what the entry at a loop is given: the buffer is in the scratch
    /// register, which then holds the entry.
    pub(super) fn pass_buffer(&mut self) {
        let context = self.context();
        self.masm.copy(A::CALLER_CONTEXT, A::SCRATCH);
        self.masm.copy(A::CALLEE_CONTEXT, context);
        let store = self.in_context(self.plan.layout.store_context());
        self.masm.load(Size::S64, A::SCRATCH, store);
        let code = Mem::at(A::SCRATCH, self.store_layout.tail_code() as i32);
        self.masm.load(Size::S64, A::SCRATCH, code);
    }

    /// Records the call of the function whose reference is in the scratch register,
    /// where it stays, with the trap of a null one. Gives the trap that is still to
    /// be looked for.
    pub(super) fn record_call(&mut self, null: Option<Trap>) -> Option<Trap> {
        let Some(counting) = &mut self.counting else {
            return null;
        };
        let site = ProfileLayout::site(counting.metadata.sites.len() as u32);
        counting.metadata.sites.push(self.position);
        let layout = FuncRefLayout::new(self.plan.layout.target());
        let (profile, called) = (A::SCRATCH_2, A::SCRATCH_3);
        let context = self.context();
        self.masm.site(null);
        let function = Mem::at(A::SCRATCH, layout.function() as i32);
        self.masm.load(Size::S32, called, function);
        let theirs = Mem::at(A::SCRATCH, layout.context() as i32);
        self.masm.compare(Size::S64, context, Src::Mem(theirs));
        self.masm.set_flags_live(true);
        self.masm.imm(profile, u64::from(SiteRecord::FOREIGN));
        let elsewhere = Condition::Is(IntCc::NotEqual);
        self.masm.move_if(elsewhere, Size::S32, called, profile);
        self.masm.set_flags_live(false);

        self.load_profile(profile);
        let at = |field| Mem::at(profile, site + field);
        let (same, done) = (self.masm.label(), self.masm.label());
        self.masm.alu_mem(Alu::Add, at(SiteRecord::CALLS), 1);
        let target = Src::Mem(at(SiteRecord::TARGET));
        self.masm.compare(Size::S32, called, target);
        self.masm.jump_if(Condition::Is(IntCc::Equal), same);
        self.masm.alu_mem(Alu::Sub, at(SiteRecord::LEAD), 1);
        self.masm.jump_if(Condition::Is(IntCc::GreaterEqual), done);
        self.store_any(Representation::I32, called, at(SiteRecord::TARGET));
        self.masm.store_imm(Size::S32, 0, at(SiteRecord::LEAD));
        self.masm.bind(same);
        self.masm.alu_mem(Alu::Add, at(SiteRecord::LEAD), 1);
        self.masm.bind(done);
        None
    }
}
