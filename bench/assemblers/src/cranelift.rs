//! The block in Cranelift's assembler. It has no labels of its own: jumps are patched here as our emitter patches them.

use cranelift_assembler_x64::{
    Amode, AmodeOffset, AmodeOffsetPlusKnownOffset, CodeSink, DeferredTarget, GprMem, KnownOffset,
    NonRspGpr, Registers, Scale, TrapCode, XmmMem, inst,
};

use crate::Block;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Plain;

impl Registers for Plain {
    type ReadGpr = u8;
    type ReadWriteGpr = u8;
    type WriteGpr = u8;
    type ReadXmm = u8;
    type ReadWriteXmm = u8;
    type WriteXmm = u8;
}

struct Sink(Vec<u8>);

impl CodeSink for Sink {
    fn put1(&mut self, value: u8) {
        self.0.push(value);
    }
    fn put2(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn put4(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn put8(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn add_trap(&mut self, _: TrapCode) {}
    fn use_target(&mut self, _: DeferredTarget) {}
    fn known_offset(&self, _: KnownOffset) -> i32 {
        0
    }
}

pub fn emit(blocks: &[Block]) -> usize {
    let mut sink = Sink(Vec::with_capacity(8192));
    for block in blocks {
        let &Block {
            a,
            b,
            c,
            x,
            y,
            disp,
            imm,
        } = block;
        let at = |base, disp: i32| Amode::ImmReg {
            base,
            simm32: AmodeOffsetPlusKnownOffset {
                simm32: AmodeOffset::new(disp),
                offset: None,
            },
            trap: None,
        };
        let mem = Amode::ImmRegRegShift {
            base: 15,
            index: NonRspGpr::new(a),
            scale: Scale::One,
            simm32: AmodeOffset::new(disp),
            trap: None,
        };
        let home = at(5, -disp - 8);
        inst::movl_rm::<Plain>::new(a, GprMem::Gpr(b)).encode(&mut sink);
        inst::addl_rm::<Plain>::new(a, GprMem::Gpr(c)).encode(&mut sink);
        match i8::try_from(imm) {
            Ok(imm) => inst::addl_mi_sxb::<Plain>::new(GprMem::Gpr(b), imm).encode(&mut sink),
            Err(_) => inst::addl_mi::<Plain>::new(GprMem::Gpr(b), imm as u32).encode(&mut sink),
        }
        inst::leal_rm::<Plain>::new(c, at(a, disp)).encode(&mut sink);
        inst::movl_rm::<Plain>::new(b, GprMem::Mem(mem)).encode(&mut sink);
        inst::movl_mr::<Plain>::new(GprMem::Mem(mem), c).encode(&mut sink);
        inst::movq_mr::<Plain>::new(GprMem::Mem(home), b).encode(&mut sink);
        inst::movq_rm::<Plain>::new(a, GprMem::Mem(home)).encode(&mut sink);
        inst::movsd_a_m::<Plain>::new(x, mem).encode(&mut sink);
        inst::mulsd_a::<Plain>::new(x, XmmMem::Xmm(y)).encode(&mut sink);
        match i8::try_from(imm) {
            Ok(imm) => inst::subl_mi_sxb::<Plain>::new(GprMem::Gpr(a), imm).encode(&mut sink),
            Err(_) => inst::subl_mi::<Plain>::new(GprMem::Gpr(a), imm as u32).encode(&mut sink),
        }
        inst::jne_d32::new(0).encode(&mut sink);
        let after = sink.0.len();
        let distance = (sink.0.len() - after) as u32;
        sink.0[after - 4..].copy_from_slice(&distance.to_le_bytes());
    }
    sink.0.len()
}
