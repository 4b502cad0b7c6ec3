//! How is running guest code kept within its allowance? Fuel and epochs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use tepui_abi::builtin::Builtin;

use super::Translator;

impl Translator<'_, '_> {
    /// Adds what was not charged yet to the counter: at every charge point of
    /// [`tepui_abi::fuel`].
    pub(super) fn charge(&mut self) {
        if self.fuel == 0 {
            return;
        }
        let (flags, offset) = (self.regions.store(), self.store_layout.fuel() as i32);
        let cost = self.iconst64(self.fuel);
        let ins = self.builder.ins();
        let before = ins.load(types::I64, flags, self.store, offset);
        let after = self.builder.ins().iadd(before, cost);
        self.builder.ins().store(flags, after, self.store, offset);
        self.fuel = 0;
    }

    /// At the entry and at the start of loop bodies: asks the runtime when fuel
    /// or time is up.
    pub(super) fn check_meters(&mut self) {
        if self.tunables.fuel {
            let (flags, offset) = (self.regions.store(), self.store_layout.fuel() as i32);
            let fuel = self
                .builder
                .ins()
                .load(types::I64, flags, self.store, offset);
            let zero = self.iconst64(0);
            let is_out = self
                .builder
                .ins()
                .icmp(IntCC::SignedGreaterThan, fuel, zero);
            self.when_rarely(is_out, |this| {
                this.call_builtin(Builtin::out_of_fuel, &[]);
            });
        }
        if self.tunables.epoch {
            // Other threads write the counter: an atomic load is never merged
            // with an earlier one.
            let epoch = self.context_pointer(self.plan.layout.epoch());
            let flags = self.regions.store();
            let now = self.builder.ins().atomic_load(types::I64, flags, epoch);
            let deadline = self.builder.ins().load(
                types::I64,
                flags,
                self.store,
                self.store_layout.epoch_deadline() as i32,
            );
            let is_over = self
                .builder
                .ins()
                .icmp(IntCC::UnsignedGreaterThanOrEqual, now, deadline);
            self.when_rarely(is_over, |this| {
                if let Some(deadline) = this.call_builtin(Builtin::new_epoch, &[]) {
                    let offset = this.store_layout.epoch_deadline() as i32;
                    let store = this.store;
                    this.builder.ins().store(flags, deadline, store, offset);
                }
            });
        }
    }

    /// Runs `make` in a cold block that is entered when the condition holds,
    /// and goes on behind it.
    pub(super) fn when_rarely(&mut self, condition: Value, make: impl FnOnce(&mut Self)) {
        let rare = self.builder.create_block();
        let after = self.builder.create_block();
        self.builder.set_cold_block(rare);
        self.builder.ins().brif(condition, rare, &[], after, &[]);
        self.builder.seal_block(rare);
        self.builder.switch_to_block(rare);
        make(self);
        self.builder.ins().jump(after, &[]);
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
    }
}
