//! How long do assemblers take to emit what a one-pass compiler emits? The emitter of Tepui's baseline compiler, the
//! run-time assembler `dynasmrt`, and the assembler of Cranelift, each as its users use it, with registers, distances
//! and constants that are known at run time only.
//!
//! `cargo run --release --manifest-path bench/assemblers/Cargo.toml`
//!
//! The *block* that is emitted again and again is what straight code with a branch becomes: moves, arithmetic with
//! registers and constants, loads and stores with base, index and distance, floats, and a jump forward on the flags of a subtraction.
//! All three make the same instructions. Told is the least time of many rounds, which take turns.

#![allow(
    dead_code,
    reason = "the emitter has more instructions than a block has"
)]

#[path = "../../../crates/baseline/src/x64/emit.rs"]
mod emit;
#[path = "../../../crates/baseline/src/masm/operand.rs"]
mod masm;
#[path = "../../../crates/baseline/src/reg.rs"]
mod reg;

mod cranelift;
mod dynasm;
mod tepui;

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What differs from block to block: numbers of registers that may be given to values, a distance, a constant.
#[derive(Clone, Copy)]
pub struct Block {
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub x: u8,
    pub y: u8,
    pub disp: i32,
    pub imm: i32,
}

/// Instructions in a block.
const INSTRUCTIONS: usize = 12;

/// Blocks in a function: a function of some 5 KB of code.
const BLOCKS: usize = 100;

/// Functions in a round.
const FUNCTIONS: usize = 200;

const ROUNDS: usize = 40;

fn blocks() -> Vec<Block> {
    const INTEGERS: [u8; 9] = [3, 6, 7, 8, 9, 10, 11, 12, 13];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    (0..BLOCKS)
        .map(|_| Block {
            a: INTEGERS[random(9)],
            b: INTEGERS[random(9)],
            c: INTEGERS[random(9)],
            x: random(14) as u8,
            y: random(14) as u8,
            disp: [0, 4, 8, 16, 124, 128, 1024, 4096][random(8)],
            imm: [1, 4, 8, -1, 100, 1000, 65535, 1 << 20][random(8)],
        })
        .collect()
}

fn main() {
    let blocks = blocks();
    type Emit = fn(&[Block]) -> usize;
    let assemblers: [(&str, Emit); 3] = [
        ("tepui's emitter", tepui::emit),
        ("dynasmrt", dynasm::emit),
        ("cranelift-assembler-x64", cranelift::emit),
    ];
    let mut least = [Duration::MAX; 3];
    let mut bytes = [0; 3];
    for _ in 0..ROUNDS {
        for (number, (_, emit)) in assemblers.iter().enumerate() {
            let start = Instant::now();
            bytes[number] = 0;
            for _ in 0..FUNCTIONS {
                bytes[number] += emit(black_box(&blocks));
            }
            least[number] = least[number].min(start.elapsed());
        }
    }
    for (number, (name, _)) in assemblers.iter().enumerate() {
        let instructions = (BLOCKS * FUNCTIONS * INSTRUCTIONS) as f64;
        println!(
            "{name:<24} {:6.2} ns an instruction, {:6.1} MB of code a second, {:.2} times the first",
            least[number].as_nanos() as f64 / instructions,
            bytes[number] as f64 / least[number].as_secs_f64() / 1e6,
            least[number].as_secs_f64() / least[0].as_secs_f64(),
        );
    }
}
