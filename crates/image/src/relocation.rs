//! How the distance to a function is written into an instruction.

use tepui_abi::{Architecture, RelocationKind};

/// Bytes in a veneer.
pub(crate) const VENEER_BYTES: u32 = 20;

/// Distances that an aarch64 `b` or `bl` reaches, in bytes.
pub(crate) const AARCH64_BRANCH: std::ops::RangeInclusive<i64> = -(128 << 20)..=(128 << 20) - 4;

/// What the address of a function is always a multiple of.
pub(crate) const fn instruction_alignment(architecture: Architecture) -> u32 {
    match architecture {
        Architecture::X86_64 | Architecture::Interpreted => 1,
        Architecture::S390x => 2,
        Architecture::Aarch64 | Architecture::Riscv64 => 4,
    }
}

/// What space between functions is filled with: bytes that trap when they are
/// executed. `int3` on x86-64; elsewhere zeros, which are `udf #0` on aarch64,
/// the illegal `c.unimp` on riscv64 and an undefined operation on s390x.
pub(crate) const fn filler(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::X86_64 => 0xcc,
        _ => 0,
    }
}

/// The bytes that a relocation may touch, as distances from its offset.
pub(crate) const fn extent(kind: RelocationKind) -> (u32, u32) {
    match kind {
        RelocationKind::X86PcRelative4 | RelocationKind::Aarch64Call26 => (0, 4),
        RelocationKind::RiscvCall => (0, 8),
        RelocationKind::S390xPcRelative32Doubled => (2, 4),
    }
}

/// The architecture whose code has relocations of this kind.
pub(crate) const fn architecture(kind: RelocationKind) -> Architecture {
    match kind {
        RelocationKind::X86PcRelative4 => Architecture::X86_64,
        RelocationKind::Aarch64Call26 => Architecture::Aarch64,
        RelocationKind::RiscvCall => Architecture::Riscv64,
        RelocationKind::S390xPcRelative32Doubled => Architecture::S390x,
    }
}

/// Why a relocation could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// There is no instruction of the kind that the relocation needs.
    Instruction(&'static str),
    /// The distance does not fit.
    Distance,
}

/// Makes the instruction at `site` reach `destination`, both offsets in `text`.
///
/// The bytes of `extent(kind)` around `site` lie in `text`.
pub(crate) fn apply(
    text: &mut [u8],
    kind: RelocationKind,
    site: u32,
    destination: u32,
) -> Result<(), Unwritable> {
    let distance = i64::from(destination) - i64::from(site);
    let at = site as usize;
    match kind {
        RelocationKind::X86PcRelative4 => {
            let field = i32::try_from(distance - 4).map_err(|_| Unwritable::Distance)?;
            text[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        RelocationKind::Aarch64Call26 => {
            let word = read_u32(text, at);
            if word & 0x7c00_0000 != 0x1400_0000 {
                return Err(Unwritable::Instruction("neither `b` nor `bl`"));
            }
            if !AARCH64_BRANCH.contains(&distance) || distance % 4 != 0 {
                return Err(Unwritable::Distance);
            }
            let words = (distance / 4) as u32 & 0x03ff_ffff;
            write_u32(text, at, word & 0xfc00_0000 | words);
        }
        RelocationKind::RiscvCall => {
            let (auipc, jalr) = (read_u32(text, at), read_u32(text, at + 4));
            if auipc & 0x7f != 0x17 || jalr & 0x707f != 0x67 {
                return Err(Unwritable::Instruction("not an `auipc`, `jalr` pair"));
            }
            // `jalr` sign-extends its 12 bits, so `auipc` is rounded.
            let high = i32::try_from(distance + 0x800).map_err(|_| Unwritable::Distance)?;
            let high = high as u32 & 0xffff_f000;
            let low = distance as u32 & 0xfff;
            write_u32(text, at, auipc & 0xfff | high);
            write_u32(text, at + 4, jalr & 0x000f_ffff | low << 20);
        }
        RelocationKind::S390xPcRelative32Doubled => {
            // The distance counts from the instruction, two bytes earlier.
            let halfwords = (distance + 2) / 2;
            if (distance + 2) % 2 != 0 {
                return Err(Unwritable::Distance);
            }
            let field = i32::try_from(halfwords).map_err(|_| Unwritable::Distance)?;
            text[at..at + 4].copy_from_slice(&field.to_be_bytes());
        }
    }
    Ok(())
}

/// A veneer: code that jumps to `destination` from `veneer`, however far it is,
/// and changes only x16 and x17, which calls may always change.
///
/// ```text
/// ldrsw x16, literal
/// adr   x17, literal
/// add   x16, x16, x17
/// br    x16
/// literal: .word destination - literal
/// ```
///
/// It is independent of how the text is aligned, unlike one with `adrp`.
pub(crate) fn veneer(veneer: u32, destination: u32) -> [u8; VENEER_BYTES as usize] {
    let literal = destination.wrapping_sub(veneer + 16);
    let words = [0x9800_0090, 0x1000_0071, 0x8b11_0210, 0xd61f_0200, literal];
    let mut bytes = [0; VENEER_BYTES as usize];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn read_u32(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}

fn write_u32(text: &mut [u8], at: usize, word: u32) {
    text[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies a relocation to `code` at `site` in a text of 8 KiB.
    fn applied(kind: RelocationKind, code: &[u8], site: u32, destination: u32) -> Vec<u8> {
        let mut text = vec![0; 8 << 10];
        let (before, _) = extent(kind);
        let start = (site - before) as usize;
        text[start..start + code.len()].copy_from_slice(code);
        apply(&mut text, kind, site, destination).unwrap();
        text[start..start + code.len()].to_vec()
    }

    #[test]
    fn x86_distance_counts_from_the_end_of_the_field() {
        let kind = RelocationKind::X86PcRelative4;
        let field = [0xff; 4];
        // call at 0xff, field at 0x100, next instruction at 0x104.
        assert_eq!(
            applied(kind, &field, 0x100, 0x1104),
            [0x00, 0x10, 0x00, 0x00]
        );
        assert_eq!(applied(kind, &field, 0x100, 0), [0xfc, 0xfe, 0xff, 0xff]);
        assert_eq!(applied(kind, &field, 0x100, 0x104), [0; 4]);
    }

    #[test]
    fn aarch64_branch_keeps_its_link_bit() {
        let kind = RelocationKind::Aarch64Call26;
        // `bl #0`, forward by 0x20 bytes: `bl #0x20`.
        let bl = [0x00, 0x00, 0x00, 0x94];
        assert_eq!(applied(kind, &bl, 0x100, 0x120), [0x08, 0x00, 0x00, 0x94]);
        // Backward by 4: `bl #-4`.
        assert_eq!(applied(kind, &bl, 0x100, 0x0fc), [0xff, 0xff, 0xff, 0x97]);
        // `b` with an old distance, backward by 0x100: `b #-0x100`.
        let b = [0x55, 0x55, 0x55, 0x15];
        assert_eq!(applied(kind, &b, 0x100, 0), [0xc0, 0xff, 0xff, 0x17]);
    }

    #[test]
    fn aarch64_branch_reaches_128_mebibytes_and_no_further() {
        let kind = RelocationKind::Aarch64Call26;
        let mut text = vec![0, 0, 0, 0x94];
        apply(&mut text, kind, 0, (128 << 20) - 4).unwrap();
        assert_eq!(text, [0xff, 0xff, 0xff, 0x95]);
        assert_eq!(
            apply(&mut text, kind, 0, 128 << 20),
            Err(Unwritable::Distance)
        );
        assert_eq!(apply(&mut text, kind, 0, 6), Err(Unwritable::Distance));
        let mut other = vec![0x1f, 0x20, 0x03, 0xd5];
        assert!(matches!(
            apply(&mut other, kind, 0, 0),
            Err(Unwritable::Instruction(_))
        ));
    }

    #[test]
    fn riscv_pair_is_rounded() {
        let kind = RelocationKind::RiscvCall;
        // auipc ra, 0; jalr ra, 0(ra).
        let call = [0x97, 0x00, 0x00, 0x00, 0xe7, 0x80, 0x00, 0x00];
        // 0x1234: auipc ra, 1; jalr ra, 0x234(ra).
        assert_eq!(
            applied(kind, &call, 0x100, 0x1334),
            [0x97, 0x10, 0x00, 0x00, 0xe7, 0x80, 0x40, 0x23]
        );
        // 0x1800: the low part is -0x800, so auipc ra, 2.
        assert_eq!(
            applied(kind, &call, 0x100, 0x1900),
            [0x97, 0x20, 0x00, 0x00, 0xe7, 0x80, 0x00, 0x80]
        );
        // -0x100: auipc ra, 0; jalr ra, -0x100(ra).
        assert_eq!(
            applied(kind, &call, 0x100, 0),
            [0x97, 0x00, 0x00, 0x00, 0xe7, 0x80, 0x00, 0xf0]
        );
        // Old immediates go; a tail call's `jalr zero, 0(t1)` keeps its
        // registers: auipc t1, -1 (0xfffff); jalr zero, 0x7fc(t1) is -0x804.
        let tail = [0x17, 0x53, 0x55, 0x55, 0x67, 0x00, 0x53, 0x55];
        assert_eq!(
            applied(kind, &tail, 0x1000, 0x7fc),
            [0x17, 0xf3, 0xff, 0xff, 0x67, 0x00, 0xc3, 0x7f]
        );
        let mut other = vec![0; 8];
        assert!(matches!(
            apply(&mut other, kind, 0, 0),
            Err(Unwritable::Instruction(_))
        ));
    }

    #[test]
    fn riscv_pair_does_not_reach_past_its_rounding() {
        let call = [0x97, 0x00, 0x00, 0x00, 0xe7, 0x80, 0x00, 0x00];
        let mut text = call.to_vec();
        let kind = RelocationKind::RiscvCall;
        let last = 0x7fff_ffff - 0x800;
        apply(&mut text, kind, 0, last).unwrap();
        assert_eq!(text[..4], [0x97, 0xf0, 0xff, 0x7f]);
        let mut text = call.to_vec();
        assert_eq!(
            apply(&mut text, kind, 0, last + 1),
            Err(Unwritable::Distance)
        );
    }

    #[test]
    fn s390x_distance_is_in_halfwords_from_the_instruction() {
        let kind = RelocationKind::S390xPcRelative32Doubled;
        // brasl %r14, 0 at 0x100, its field at 0x102.
        let brasl = [0xc0, 0xe5, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            applied(kind, &brasl, 0x102, 0x1100),
            [0xc0, 0xe5, 0x00, 0x00, 0x08, 0x00]
        );
        assert_eq!(
            applied(kind, &brasl, 0x102, 0),
            [0xc0, 0xe5, 0xff, 0xff, 0xff, 0x80]
        );
        assert_eq!(
            applied(kind, &brasl, 0x102, 0x100),
            [0xc0, 0xe5, 0x00, 0x00, 0x00, 0x00]
        );
        let mut text = vec![0; 16];
        assert_eq!(apply(&mut text, kind, 2, 7), Err(Unwritable::Distance));
    }

    #[test]
    fn veneer_measures_from_its_literal() {
        let bytes = veneer(0x1000, 0x2000_0000);
        assert_eq!(
            bytes,
            [
                0x90, 0x00, 0x00, 0x98, // ldrsw x16, #16
                0x71, 0x00, 0x00, 0x10, // adr x17, #12
                0x10, 0x02, 0x11, 0x8b, // add x16, x16, x17
                0x00, 0x02, 0x1f, 0xd6, // br x16
                0xf0, 0xef, 0xff, 0x1f, // 0x2000_0000 - 0x1010
            ]
        );
        assert_eq!(veneer(0x1000, 0)[16..], [0xf0, 0xef, 0xff, 0xff]);
    }
}
