//! Is a body that was made to hurt compiled, or refused with an error, in
//! bounded time and memory? It must not panic, overflow the stack or hang.

mod common;

use std::time::Instant;

use common::BARE;
use tepui_abi::{Architecture, Batch, CompileError, CompiledFunction, Compiler, Entry, Target};
use tepui_module::{DefinedFuncIndex, leb128};
use tepui_optimizing::{OptLevel, Optimizing, Verifier};
use tepui_testing::modules::Loaded;
use tepui_testing::patience::patience;

/// No compilation may take more seconds, also in a build without optimizations and on
/// a busy machine.
const LONGEST: u64 = 120;

fn section(module: &mut Vec<u8>, id: u8, contents: &[u8]) {
    module.push(id);
    leb128::write(module, contents.len() as u64);
    module.extend(contents);
}

/// Type 0 is `[i32] -> [i32]`, type 1 is `[] -> [i32 × 1000]`.
fn module(locals: u64, code: &[u8]) -> Loaded {
    let mut types = vec![2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 0];
    leb128::write(&mut types, 1000_u32);
    types.extend([0x7f; 1000]);
    let mut body = vec![1];
    leb128::write(&mut body, locals);
    body.push(0x7f);
    body.extend(code);
    body.push(0x0b);
    let mut bodies = vec![1];
    leb128::write(&mut bodies, body.len() as u64);
    bodies.extend(body);
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    section(&mut bytes, 1, &types);
    section(&mut bytes, 3, &[1, 0]);
    section(&mut bytes, 10, &bodies);
    Loaded::bytes(bytes).expect("the body is valid")
}

fn compile(loaded: &Loaded, architecture: Architecture) -> Result<CompiledFunction, CompileError> {
    compile_entered(loaded, architecture, Entry::Start)
}

fn compile_entered(
    loaded: &Loaded,
    architecture: Architecture,
    entry: Entry,
) -> Result<CompiledFunction, CompileError> {
    // The verifier is not there when it counts.
    let compiler = Optimizing::new(
        Target::of(architecture),
        &common::processor(architecture),
        BARE,
        OptLevel::Speed,
        Verifier::Off,
    )
    .expect("the architecture has a compiler");
    let plan = loaded.plan(&compiler);
    let start = Instant::now();
    let input = loaded.input(&plan, DefinedFuncIndex::new(0), entry, Batch::Whole);
    let result = compiler.compile(&input);
    let took = start.elapsed();
    match &result {
        Ok(function) => println!("{architecture}: {} bytes in {took:?}", function.code.len()),
        Err(error) => println!("{architecture}: {error} in {took:?}"),
    }
    assert!(took < patience(LONGEST), "{took:?}");
    result
}

const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const EMPTY: u8 = 0x40;
const I32: u8 = 0x7f;
const END: u8 = 0x0b;
const DROP: u8 = 0x1a;
const EQZ: u8 = 0x45;
const ADD: u8 = 0x6a;

/// `br_table` of a million entries, that lead to three places.
fn giant_table() -> Loaded {
    let mut code = vec![0x02, EMPTY, 0x02, EMPTY, 0x02, EMPTY, LOCAL_GET, 0, 0x0e];
    leb128::write(&mut code, 1_000_000_u32);
    for i in 0..1_000_001_u32 {
        code.push((i % 3) as u8);
    }
    code.extend([END, 0x41, 1, 0x0f, END, 0x41, 2, 0x0f, END, 0x41, 3]);
    module(0, &code)
}

#[test]
fn branch_tables_of_a_million() {
    let loaded = giant_table();
    for architecture in Architecture::NATIVE {
        let result = compile(&loaded, architecture);
        if let Ok(function) = &result {
            assert!(function.code.len() > 1_000_000);
        }
    }
}

#[test]
fn branch_table_with_many_values() {
    // A hundred blocks of a thousand results each, and a table to each of them.
    let mut code = Vec::new();
    for _ in 0..100 {
        code.extend([0x02, 1]);
    }
    for _ in 0..1000 {
        code.extend([0x41, 0]);
    }
    code.extend([LOCAL_GET, 0, 0x0e]);
    leb128::write(&mut code, 20_000_u32);
    for i in 0..20_001 {
        code.push((i % 100) as u8);
    }
    code.resize(code.len() + 100, END);
    code.resize(code.len() + 999, DROP);
    let result = compile(&module(0, &code), Architecture::X86_64);
    assert!(result.is_ok() || result.is_err_and(|error| error.message.contains("too large")));
}

#[test]
fn fifty_thousand_locals() {
    let mut code = vec![0x03, EMPTY];
    for i in 1..49_999_u64 {
        code.push(LOCAL_GET);
        leb128::write(&mut code, i);
        code.push(LOCAL_GET);
        leb128::write(&mut code, i + 1);
        code.extend([ADD, LOCAL_SET]);
        leb128::write(&mut code, i);
    }
    code.extend([LOCAL_GET, 1, 0x0d, 0, END, LOCAL_GET, 7]);
    let result = compile(&module(49_999, &code), Architecture::X86_64);
    assert!(result.is_ok(), "{:?}", result.err());
}

#[test]
fn deep_nests() {
    for (name, open) in [
        ("blocks", vec![0x02, EMPTY]),
        ("loops", vec![0x03, EMPTY]),
        ("ifs", vec![LOCAL_GET, 0, 0x04, EMPTY]),
    ] {
        let mut code = Vec::new();
        for _ in 0..100_000 {
            code.extend(&open);
        }
        code.extend([LOCAL_GET, 0, LOCAL_SET, 1]);
        for depth in [0_u64, 1, 50_000, 99_999] {
            code.extend([LOCAL_GET, 0, 0x0d]);
            leb128::write(&mut code, depth);
        }
        code.resize(code.len() + 100_000, END);
        code.extend([LOCAL_GET, 1]);
        println!("{name}");
        let result = compile(&module(1, &code), Architecture::X86_64);
        assert!(result.is_ok(), "{name}: {:?}", result.err());
    }
}

#[test]
fn loops_in_loops_with_many_locals() {
    // Every local lives through every loop: a parameter per loop and local.
    let mut code = Vec::new();
    for _ in 0..20_000 {
        code.extend([0x03, EMPTY]);
    }
    for i in 1..=2_000_u64 {
        code.push(LOCAL_GET);
        leb128::write(&mut code, i);
        code.extend([0x41, 1, ADD, LOCAL_SET]);
        leb128::write(&mut code, i);
    }
    for _ in 0..20_000 {
        code.extend([LOCAL_GET, 0, 0x0d, 0, END]);
    }
    code.extend([LOCAL_GET, 1]);
    let loaded = module(2_000, &code);
    let error = compile(&loaded, Architecture::X86_64).expect_err("it is beyond the limits");
    assert!(error.message.contains("too large"), "{error}");
    let entry = Entry::Loop { index: 19_999 };
    let error =
        compile_entered(&loaded, Architecture::X86_64, entry).expect_err("it is beyond the limits");
    assert!(error.message.contains("too large"), "{error}");
}

#[test]
fn many_blocks_and_many_locals() {
    let mut code = Vec::new();
    for _ in 0..500_000 {
        code.extend([LOCAL_GET, 0, 0x04, EMPTY, END]);
    }
    for i in 1..=40_000_u64 {
        code.push(LOCAL_GET);
        leb128::write(&mut code, i);
        code.push(DROP);
    }
    code.extend([LOCAL_GET, 0]);
    let error =
        compile(&module(40_000, &code), Architecture::X86_64).expect_err("it is beyond the limits");
    assert!(error.message.contains("too large"), "{error}");
}

#[test]
fn long_chains() {
    let mut unary = vec![LOCAL_GET, 0];
    unary.resize(1_000_000, EQZ);
    let mut binary = vec![LOCAL_GET, 0];
    for _ in 0..300_000 {
        binary.extend([LOCAL_GET, 0, ADD]);
    }
    let mut wide = Vec::new();
    for _ in 0..100_000 {
        wide.extend([LOCAL_GET, 0, EQZ]);
    }
    wide.resize(wide.len() + 99_999, ADD);
    for code in [unary, binary, wide] {
        let result = compile(&module(0, &code), Architecture::X86_64);
        assert!(result.is_ok(), "{:?}", result.err());
    }
}

#[test]
fn blocks_with_a_thousand_results() {
    // Each of them is left early once, so each has a thousand parameters.
    let mut code = Vec::new();
    for _ in 0..20_000 {
        code.extend([0x02, 1]);
    }
    for _ in 0..1000 {
        code.extend([0x41, 0]);
    }
    for _ in 0..20_000 {
        code.extend([LOCAL_GET, 0, 0x0d, 0, END]);
    }
    code.resize(code.len() + 999, DROP);
    let error =
        compile(&module(0, &code), Architecture::X86_64).expect_err("it is beyond the limits");
    assert!(error.message.contains("too large"), "{error}");
}

#[test]
fn a_loop_that_is_not_there() {
    let loaded = module(0, &[0x00, 0x03, I32, 0x41, 0, END]);
    for index in [0, 1, u32::MAX] {
        let error = compile_entered(&loaded, Architecture::X86_64, Entry::Loop { index })
            .expect_err("there is no such loop");
        assert!(error.message.contains("loop"), "{error}");
    }
}
