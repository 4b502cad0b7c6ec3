//! The block in the baseline compiler's own emitter, which it keeps from function to function.

use std::cell::RefCell;

use crate::Block;
use crate::emit::{Cc, Emitter, Imm};
use crate::masm::Mem;
use crate::reg::Reg;

thread_local! {
    static EMITTER: RefCell<Emitter> = RefCell::new(Emitter::default());
}

pub fn emit(blocks: &[Block]) -> usize {
    EMITTER.with_borrow_mut(|e| {
        e.clear();
        for block in blocks {
            let (a, b, c) = (Reg::int(block.a), Reg::int(block.b), Reg::int(block.c));
            let (x, y) = (Reg::vector(block.x), Reg::vector(block.y));
            let mem = Mem {
                base: Reg::int(15),
                index: Some(a),
                scale: 0,
                disp: block.disp,
            };
            let home = Mem::at(Reg::int(5), -block.disp - 8);
            // mov a, b; add a, c; add b, imm; lea c, [a + disp]
            e.op(0x8b, false, a.code(), b);
            e.op(0x03, false, a.code(), c);
            match i8::try_from(block.imm) {
                Ok(imm) => e.op_imm(0x83, false, 0, b, Imm::I8(imm as u8)),
                Err(_) => e.op_imm(0x81, false, 0, b, Imm::I32(block.imm as u32)),
            }
            e.op(0x8d, false, c.code(), Mem::at(a, block.disp));
            // mov b, [r15 + a + disp]; mov [r15 + a + disp], c
            e.op(0x8b, false, b.code(), mem);
            e.op(0x89, false, c.code(), mem);
            // mov [rbp - disp - 8], b; mov a, [rbp - disp - 8], 64 bits
            e.op(0x89, true, b.code(), home);
            e.op(0x8b, true, a.code(), home);
            // movsd x, [r15 + a + disp]; mulsd x, y
            e.op(0xf2_0110, false, x.code(), mem);
            e.op(0xf2_0159, false, x.code(), y);
            // sub a, imm; jne over
            match i8::try_from(block.imm) {
                Ok(imm) => e.op_imm(0x83, false, 5, a, Imm::I8(imm as u8)),
                Err(_) => e.op_imm(0x81, false, 5, a, Imm::I32(block.imm as u32)),
            }
            let over = e.label();
            e.jcc(Cc::NotEqual, over);
            e.bind(over);
        }
        e.finish(&[]).len()
    })
}
