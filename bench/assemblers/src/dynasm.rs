//! The block in `dynasmrt`, whose macro turns instructions into pushes of bytes when it is compiled. Which form a
//! constant or distance takes is chosen here where it depends on the value; the macro chooses it by the type.

use dynasmrt::{DynasmApi, DynasmLabelApi, VecAssembler, dynasm, x64::X64Relocation};

use crate::Block;

pub fn emit(blocks: &[Block]) -> usize {
    let mut ops: VecAssembler<X64Relocation> =
        VecAssembler::new_with_capacity(0, 8192, 0, 0, blocks.len(), 0, blocks.len());
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
        let home = -disp - 8;
        dynasm!(ops
            ; .arch x64
            ; mov Rd(a), Rd(b)
            ; add Rd(a), Rd(c)
        );
        match i8::try_from(imm) {
            Ok(imm) => dynasm!(ops ; .arch x64 ; add Rd(b), BYTE imm),
            Err(_) => dynasm!(ops ; .arch x64 ; add Rd(b), DWORD imm),
        }
        // The short form is the macro's for a distance of a byte.
        match i8::try_from(disp) {
            Ok(disp) => dynasm!(ops
                ; .arch x64
                ; lea Rd(c), [BYTE Rq(a) + disp]
                ; mov Rd(b), [BYTE r15 + Rq(a) + disp]
                ; mov [BYTE r15 + Rq(a) + disp], Rd(c)
            ),
            Err(_) => dynasm!(ops
                ; .arch x64
                ; lea Rd(c), [DWORD Rq(a) + disp]
                ; mov Rd(b), [DWORD r15 + Rq(a) + disp]
                ; mov [DWORD r15 + Rq(a) + disp], Rd(c)
            ),
        }
        match i8::try_from(home) {
            Ok(home) => dynasm!(ops
                ; .arch x64
                ; mov [BYTE rbp + home], Rq(b)
                ; mov Rq(a), [BYTE rbp + home]
            ),
            Err(_) => dynasm!(ops
                ; .arch x64
                ; mov [DWORD rbp + home], Rq(b)
                ; mov Rq(a), [DWORD rbp + home]
            ),
        }
        match i8::try_from(disp) {
            Ok(disp) => dynasm!(ops ; .arch x64 ; movsd Rx(x), [BYTE r15 + Rq(a) + disp]),
            Err(_) => dynasm!(ops ; .arch x64 ; movsd Rx(x), [DWORD r15 + Rq(a) + disp]),
        }
        dynasm!(ops ; .arch x64 ; mulsd Rx(x), Rx(y));
        match i8::try_from(imm) {
            Ok(imm) => dynasm!(ops ; .arch x64 ; sub Rd(a), BYTE imm),
            Err(_) => dynasm!(ops ; .arch x64 ; sub Rd(a), DWORD imm),
        }
        let over = ops.new_dynamic_label();
        dynasm!(ops ; .arch x64 ; jne =>over ; =>over);
    }
    ops.finalize().expect("all labels are bound").len()
}
