//! Layout of batches: order, padding, calls, veneers, look-ups.

#[allow(dead_code, reason = "each test file uses a part")]
mod common;

use common::{Random, call, caller, func};
use tepui_abi::metadata::{FunctionMetadata, SourcePosition, TrapSite};
use tepui_abi::{Architecture, CompiledFunction, Relocation, RelocationKind, Target, Trap};
use tepui_image::{CodeBuilder, CodeImage, Error};

fn builder(architecture: Architecture) -> CodeBuilder {
    CodeBuilder::new(Target::of(architecture))
}

/// Where the call whose field is at `site` goes, decoded apart from the code
/// under test.
fn destination(text: &[u8], architecture: Architecture, site: u32) -> i64 {
    let at = site as usize;
    let word = |at: usize| <[u8; 4]>::try_from(&text[at..at + 4]).unwrap();
    let site = i64::from(site);
    match architecture {
        Architecture::X86_64 => site + 4 + i64::from(i32::from_le_bytes(word(at))),
        Architecture::Aarch64 => {
            let insn = u32::from_le_bytes(word(at));
            assert_eq!(insn >> 26, 0b100101, "not a `bl`");
            site + i64::from((insn << 6) as i32 >> 6) * 4
        }
        Architecture::Riscv64 => {
            let high = u32::from_le_bytes(word(at)) as i32 >> 12;
            let low = u32::from_le_bytes(word(at + 4)) as i32 >> 20;
            site + i64::from(high) * 4096 + i64::from(low)
        }
        Architecture::S390x => site - 2 + 2 * i64::from(i32::from_be_bytes(word(at))),
        Architecture::Interpreted => unreachable!(),
    }
}

/// Where a veneer at `veneer` goes.
fn veneer_destination(text: &[u8], veneer: i64) -> i64 {
    let at = veneer as usize;
    // ldrsw x16, #16; adr x17, #12; add x16, x16, x17; br x16.
    let code = [0x9800_0090_u32, 0x1000_0071, 0x8b11_0210, 0xd61f_0200];
    for (i, insn) in code.into_iter().enumerate() {
        assert_eq!(text[at + 4 * i..][..4], insn.to_le_bytes(), "not a veneer");
    }
    let literal = i32::from_le_bytes(text[at + 16..at + 20].try_into().unwrap());
    veneer + 16 + i64::from(literal)
}

/// Checks that each call arrives; returns how many go through a veneer.
fn check_calls(image: &CodeImage, functions: &[(u32, CompiledFunction)], reach: u32) -> usize {
    let architecture = image.target().architecture;
    let mut veneers = 0;
    for (function, compiled) in functions {
        let start = image.entry(func(*function)).unwrap();
        for relocation in &compiled.relocations {
            let site = start + relocation.offset;
            let entry = i64::from(image.entry(relocation.target).unwrap());
            let mut to = destination(image.text(), architecture, site);
            // Forward, the target may have been unknown when an island was due.
            let near = (i64::from(site) - entry).unsigned_abs() <= u64::from(reach);
            if near && (entry <= i64::from(site) || reach == u32::MAX) {
                assert_eq!(to, entry, "a near call goes straight");
            }
            if to != entry {
                assert_eq!(architecture, Architecture::Aarch64);
                assert_eq!(
                    image.function_at(to as u32),
                    None,
                    "veneers are in no function"
                );
                to = veneer_destination(image.text(), to);
                veneers += 1;
            }
            assert_eq!(to, entry);
        }
    }
    veneers
}

fn build(architecture: Architecture, functions: &[(u32, CompiledFunction)]) -> CodeImage {
    let mut builder = builder(architecture);
    for (function, compiled) in functions {
        builder.push(func(*function), compiled.clone());
    }
    builder.finish().unwrap()
}

#[test]
fn an_empty_batch_has_nothing() {
    let image = builder(Architecture::X86_64).finish().unwrap();
    assert_eq!(image.text(), []);
    assert_eq!(image.function_at(0), None);
    assert_eq!(image.trap_at(0), None);
    assert_eq!(image.position_at(0), None);
    assert_eq!(image.entry(func(0)), None);
}

#[test]
fn calls_forward_backward_and_to_itself_arrive_everywhere() {
    for architecture in Architecture::NATIVE {
        let functions: Vec<_> = (0..50)
            .map(|i| {
                (
                    i,
                    caller(architecture, &[i, (i + 7) % 50, (i + 43) % 50], 5, i),
                )
            })
            .collect();
        let image = build(architecture, &functions);
        assert_eq!(check_calls(&image, &functions, u32::MAX), 0);
        for record in image.functions() {
            assert_eq!(record.start % 16, 0);
        }
    }
}

#[test]
fn space_between_functions_traps() {
    for architecture in Architecture::NATIVE {
        let functions = [0, 1, 2].map(|i| (i, caller(architecture, &[0], 9, 0)));
        let image = build(architecture, &functions);
        let filler = match architecture {
            Architecture::X86_64 => 0xcc,
            _ => 0,
        };
        for pair in image.functions().windows(2) {
            assert!(pair[0].end < pair[1].start);
            for offset in pair[0].end..pair[1].start {
                assert_eq!(image.text()[offset as usize], filler);
                assert_eq!(image.function_at(offset), None);
                assert_eq!(image.position_at(offset), None);
            }
        }
    }
}

#[test]
fn functions_are_found_whatever_the_order_of_pushing() {
    let mut random = Random(1);
    let mut indices: Vec<u32> = (0..200).map(|i| i * 3 + 5).collect();
    for i in (1..indices.len()).rev() {
        indices.swap(i, random.below(i as u32 + 1) as usize);
    }
    let functions: Vec<_> = indices
        .iter()
        .map(|&i| {
            let target = indices[random.below(200) as usize];
            (i, caller(Architecture::X86_64, &[target], 9, i))
        })
        .collect();
    let image = build(Architecture::X86_64, &functions);
    check_calls(&image, &functions, u32::MAX);
    for (place, record) in image.functions().iter().enumerate() {
        assert_eq!(
            record.function,
            func(indices[place]),
            "text is in the order of pushes"
        );
        assert_eq!(image.entry(record.function), Some(record.start));
        for offset in record.start..record.end {
            assert_eq!(image.function_at(offset), Some(*record));
        }
        assert_eq!(image.entry(func(record.function.as_u32() + 1)), None);
    }
    assert_eq!(image.entry(func(u32::MAX)), None);
    assert_eq!(image.function_at(image.text_len()), None);
    assert_eq!(image.function_at(u32::MAX), None);
}

#[test]
fn traps_and_positions_are_found_where_they_are() {
    let architecture = Architecture::X86_64;
    let mut functions = Vec::new();
    for i in 0..40 {
        let targets: Vec<u32> = (0..i % 23).collect();
        functions.push((i, caller(architecture, &targets, i as usize % 4, 1_000 * i)));
    }
    let mut image = build(architecture, &functions);
    image.take_text();
    assert!(image.text().is_empty());
    for (function, compiled) in &functions {
        let start = image.entry(func(*function)).unwrap();
        let record = image.function_at(start).unwrap();
        assert_eq!(record.frame_bytes, compiled.metadata.frame_bytes);
        let mut trap_sites = compiled.metadata.traps.iter().peekable();
        let mut wasm = SourcePosition::NONE;
        let mut positions = compiled.metadata.positions.iter().peekable();
        for offset in 0..compiled.code.len() as u32 {
            let trap = trap_sites.next_if(|site| site.offset == offset);
            assert_eq!(image.trap_at(start + offset), trap.map(|site| site.trap));
            if let Some(position) = positions.next_if(|position| position.offset == offset) {
                wasm = position.wasm;
            }
            let expected = (wasm != SourcePosition::NONE).then_some(wasm);
            assert_eq!(image.position_at(start + offset), expected);
        }
    }
    assert_eq!(
        image.traps().count(),
        functions.iter().map(|f| f.1.metadata.traps.len()).sum()
    );
}

#[test]
fn a_position_ends_with_its_function() {
    let mut builder = builder(Architecture::X86_64);
    let function = |positions: Vec<SourcePosition>| CompiledFunction {
        code: vec![0x90; 16],
        alignment: 1,
        metadata: FunctionMetadata {
            positions,
            ..FunctionMetadata::default()
        },
        ..CompiledFunction::default()
    };
    let at = |offset, wasm| SourcePosition { offset, wasm };
    // Several for one byte, repeated ones, one after the last byte.
    builder.push(
        func(0),
        function(vec![at(0, 1), at(0, 2), at(4, 2), at(8, 3), at(16, 4)]),
    );
    builder.push(func(1), function(vec![at(5, 9)]));
    builder.push(func(2), function(vec![]));
    let image = builder.finish().unwrap();
    assert_eq!(
        image.positions().collect::<Vec<_>>(),
        [at(0, 2), at(8, 3), at(21, 9)]
    );
    assert_eq!(image.position_at(15), Some(3));
    assert_eq!(image.position_at(16), None);
    assert_eq!(image.position_at(20), None);
    assert_eq!(image.position_at(21), Some(9));
    assert_eq!(image.position_at(32), None);
}

#[test]
fn far_calls_go_through_veneers() {
    let mut with_veneers = 0;
    for reach in [0, 4, 60, 200, 1_000, 5_000, 40_000] {
        for (count, gap) in [(2, 0), (60, 20), (400, 100)] {
            let mut random = Random(u64::from(reach) + 1);
            let functions: Vec<_> = (0..count)
                .map(|i| {
                    let calls = random.below(9);
                    let targets: Vec<u32> = (0..calls).map(|_| random.below(count)).collect();
                    (i, caller(Architecture::Aarch64, &targets, gap, i))
                })
                .collect();
            let mut builder = builder(Architecture::Aarch64);
            builder.limit_call_reach(reach);
            for (function, compiled) in &functions {
                builder.push(func(*function), compiled.clone());
            }
            let image = builder.finish().unwrap();
            let veneers = check_calls(&image, &functions, reach);
            with_veneers += usize::from(veneers > 0);
            // Every call that no direct branch serves has a veneer within
            // reach, where functions are small enough for islands.
            if reach >= 5_000 {
                for (function, compiled) in &functions {
                    let start = image.entry(func(*function)).unwrap();
                    for relocation in &compiled.relocations {
                        let site = start + relocation.offset;
                        let to = destination(image.text(), Architecture::Aarch64, site);
                        assert!((to - i64::from(site)).unsigned_abs() <= u64::from(reach));
                    }
                }
            }
        }
    }
    assert!(with_veneers > 10);
}

#[test]
fn calls_share_veneers() {
    let mut builder = builder(Architecture::Aarch64);
    builder.limit_call_reach(100_000);
    let many = caller(Architecture::Aarch64, &[2; 500], 0, 0);
    let far = CompiledFunction {
        code: vec![0; 200_000],
        alignment: 4,
        ..CompiledFunction::default()
    };
    builder.push(func(0), many.clone());
    builder.push(func(1), far.clone());
    builder.push(func(2), caller(Architecture::Aarch64, &[], 0, 0));
    let image = builder.finish().unwrap();
    assert_eq!(check_calls(&image, &[(0, many.clone())], 100_000), 500);
    let bytes = many.code.len() + far.code.len();
    assert!(
        image.text_len() as usize - bytes < 100,
        "one veneer for 500 calls"
    );
}

#[test]
fn a_function_beyond_the_reach_has_an_island_at_each_end() {
    let (bytes, ..) = call(Architecture::Aarch64);
    let mut builder = builder(Architecture::Aarch64);
    builder.limit_call_reach(10_000);
    let relocation = |offset, target| Relocation {
        offset,
        kind: RelocationKind::Aarch64Call26,
        target: func(target),
    };
    let mut giant = CompiledFunction {
        code: vec![0; 16_000],
        alignment: 64,
        relocations: vec![
            relocation(0, 2),
            relocation(15_000, 3),
            relocation(8_000, 2),
        ],
        ..CompiledFunction::default()
    };
    for relocation in &giant.relocations {
        giant.code[relocation.offset as usize..][..4].copy_from_slice(bytes);
    }
    let filler = CompiledFunction {
        code: vec![0; 30_000],
        alignment: 4,
        ..CompiledFunction::default()
    };
    let mut functions = vec![(0, filler.clone()), (1, giant), (4, filler)];
    functions.extend([2, 3].map(|i| (i, caller(Architecture::Aarch64, &[], 0, 0))));
    for (function, compiled) in &functions {
        builder.push(func(*function), compiled.clone());
    }
    let image = builder.finish().unwrap();
    assert_eq!(check_calls(&image, &functions, 10_000), 3);
    let start = i64::from(image.entry(func(1)).unwrap());
    let end = start + 16_000;
    let to =
        |offset: i64| destination(image.text(), Architecture::Aarch64, (start + offset) as u32);
    assert!(to(0) < start);
    assert!(to(8_000) < start);
    assert!(to(15_000) >= end);
}

#[test]
fn calls_across_128_mebibytes_arrive() {
    let architecture = Architecture::Aarch64;
    let half = CompiledFunction {
        code: vec![0; 70 << 20],
        alignment: 4,
        ..CompiledFunction::default()
    };
    let small = [
        (0, caller(architecture, &[3, 0], 0, 0)),
        (3, caller(architecture, &[0, 3], 0, 0)),
    ];
    let mut builder = builder(architecture);
    builder.push(func(0), small[0].1.clone());
    builder.push(func(1), half.clone());
    builder.push(func(2), half);
    builder.push(func(3), small[1].1.clone());
    let image = builder.finish().unwrap();
    assert_eq!(check_calls(&image, &small, 128 << 20), 2);
}

#[test]
fn a_missing_function_is_named() {
    for architecture in Architecture::NATIVE {
        for reach in [u32::MAX, 4] {
            let mut builder = builder(architecture);
            builder.limit_call_reach(reach);
            builder.push(func(4), caller(architecture, &[4], 0, 0));
            builder.push(func(5), caller(architecture, &[4, 9], 0, 0));
            assert_eq!(
                builder.finish().unwrap_err(),
                Error::MissingFunction {
                    caller: func(5),
                    function: func(9)
                }
            );
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let good = caller(Architecture::X86_64, &[0], 4, 0);
    let refused = |change: &dyn Fn(&mut CompiledFunction), expected: &str| {
        let mut function = good.clone();
        change(&mut function);
        let mut builder = builder(Architecture::X86_64);
        builder.push(func(0), function);
        let Err(Error::BadFunction { what, .. }) = builder.finish() else {
            panic!("accepted, should be refused for: {expected}");
        };
        assert!(what.contains(expected), "{what}");
    };
    refused(&|f| f.code.clear(), "no code");
    refused(&|f| f.alignment = 0, "alignment");
    refused(&|f| f.alignment = 24, "alignment");
    refused(&|f| f.alignment = 8192, "alignment");
    refused(
        &|f| f.relocations[0].offset = f.code.len() as u32 - 3,
        "outside",
    );
    refused(&|f| f.relocations[0].offset = u32::MAX, "outside");
    refused(
        &|f| f.relocations[0].kind = RelocationKind::Aarch64Call26,
        "architecture",
    );
    let trap = |offset| TrapSite {
        offset,
        trap: Trap::Interrupt,
    };
    refused(&|f| f.metadata.traps = vec![trap(2), trap(1)], "order");
    refused(&|f| f.metadata.traps = vec![trap(2), trap(2)], "order");
    refused(
        &|f| f.metadata.traps = vec![trap(f.code.len() as u32)],
        "order",
    );
    let at = |offset| SourcePosition { offset, wasm: 0 };
    refused(&|f| f.metadata.positions = vec![at(2), at(1)], "order");
    refused(
        &|f| f.metadata.positions = vec![at(f.code.len() as u32 + 1)],
        "order",
    );

    let mut twice = builder(Architecture::X86_64);
    twice.push(func(7), caller(Architecture::X86_64, &[], 0, 0));
    twice.push(func(7), caller(Architecture::X86_64, &[], 0, 0));
    assert_eq!(
        twice.finish().unwrap_err(),
        Error::DuplicateFunction { function: func(7) }
    );

    let mut not_a_call = builder(Architecture::Riscv64);
    let mut function = caller(Architecture::Riscv64, &[0], 0, 0);
    function.code.fill(0);
    not_a_call.push(func(0), function);
    assert!(matches!(
        not_a_call.finish().unwrap_err(),
        Error::BadFunction { offset: 4, .. }
    ));
}
