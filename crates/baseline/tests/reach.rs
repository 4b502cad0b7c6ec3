//! Do the jumps of long functions reach? On aarch64, where conditional ones go
//! 1 MiB. That such code does what it should is tested where it is run.

mod common;

use common::everything;
use tepui_abi::{Architecture, Batch, Entry, Target};
use tepui_baseline::Baseline;
use tepui_testing::modules::{GUARDED, Loaded};

/// What `udf` is, in the encoding of aarch64.
const UNDEFINED_MASK: u32 = 0xffff_0000;

/// A function with divisions between a jump forward over all of them, a jump
/// back, and constants that do not fit into instructions.
fn module(divisions: u32) -> Loaded {
    let mut text = String::from(
        "(module (func (param i32 i32) (result i32) (local f64)
           block local.get 0 i32.eqz br_if 0
           loop",
    );
    for round in 0..divisions {
        text.push_str(
            " local.get 0 i32.const 3 i32.mul local.get 1 i32.div_s local.set 0
              local.get 0 local.get 1 i32.lt_s if local.get 1 local.set 0 end",
        );
        if round % 100 == 0 {
            text.push_str(" local.get 2 f64.const 0.1 f64.add local.set 2");
        }
    }
    text.push_str(
        " local.get 0 br_if 0 end
          local.get 2 i32.trunc_sat_f64_s local.set 0 end
          local.get 0))",
    );
    Loaded::text(&text)
}

/// The code of the function, constants included, and the offsets of its traps.
fn compile(loaded: &Loaded) -> (Vec<u8>, Vec<u32>) {
    let target = Target::of(Architecture::Aarch64);
    let compiler =
        Baseline::new(target, everything(), GUARDED).expect("there is a compiler for aarch64");
    let plan = loaded.plan(&compiler);
    let function = loaded.functions().next().expect("there is a function");
    let listing = compiler
        .list(&loaded.input(&plan, function, Entry::Start, Batch::Whole))
        .expect("the function can be compiled");
    let sites = listing.function.metadata.traps;
    let mut code = listing.function.code;
    code.truncate(listing.code_bytes as usize);
    (code, sites.iter().map(|site| site.offset).collect())
}

/// The words of the code.
fn words(code: &[u8]) -> Vec<u32> {
    code.as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect()
}

/// Distances of conditional jumps, in words.
fn conditional(words: &[u32]) -> Vec<i32> {
    words
        .iter()
        .filter(|word| {
            let is_cond = **word & 0xff00_0010 == 0x5400_0000;
            let is_zero = **word & 0x7e00_0000 == 0x3400_0000;
            is_cond || is_zero
        })
        .map(|word| (word << 8) as i32 >> 13)
        .collect()
}

#[test]
fn a_short_function_jumps_directly() {
    let (code, sites) = compile(&module(10));
    let words = words(&code);
    assert!(conditional(&words).iter().any(|distance| *distance > 2));
    for site in sites {
        assert_eq!(words[site as usize / 4] & UNDEFINED_MASK, 0);
    }
}

#[test]
fn a_long_function_hops_over_jumps_that_reach() {
    let (code, sites) = compile(&module(30_000));
    assert!(code.len() > 1 << 20, "only {} bytes", code.len());
    let words = words(&code);
    let distances = conditional(&words);
    assert!(distances.len() >= 90_000);
    assert!(
        distances
            .iter()
            .all(|distance| *distance == 2 || (-(1 << 18)..0).contains(distance)),
        "a conditional jump goes forward by more than a hop"
    );
    assert!(sites.len() >= 60_000);
    for site in sites {
        assert_eq!(words[site as usize / 4] & UNDEFINED_MASK, 0);
    }
    // Unconditional ones stay inside.
    for (at, word) in words.iter().enumerate() {
        if word & 0xfc00_0000 == 0x1400_0000 {
            let target = at as i64 + i64::from((word << 6) as i32 >> 6);
            assert!((0..words.len() as i64).contains(&target), "{at:#x}");
        }
    }
}
