//! Does the code generator put values where the convention says? (Tests.)
//!
//! For random signatures, a function that stores each of its parameters, and
//! one that stores each result of a call, are compiled, and the register that
//! each store takes its value from is read from the listing.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, InstBuilder, MemFlagsData, UserFuncName, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use tepui_abi::convention::Location;
use tepui_abi::{Architecture, Target, Tunables};
use tepui_module::{FuncType, ValType};

use crate::isa::{Machine, OptLevel, Processor, Verifier};
use crate::translate::call::{Shape, signature};

fn machine(architecture: Architecture) -> Machine {
    Machine::new(
        Target::of(architecture),
        // Where vectors can be stored as they are.
        &Processor::Named(match architecture {
            Architecture::S390x => vec!["arch13".to_owned()],
            _ => Vec::new(),
        }),
        &Tunables::guarded(12),
        OptLevel::Speed,
        Verifier::On,
    )
    .expect("the architecture has a compiler")
}

/// The names that a register has in listings.
fn names(architecture: Architecture, location: Location, side: Side) -> Vec<String> {
    let pick = |list: &[&str], n: u8| list[n as usize].to_owned();
    let number = match location {
        Location::Integer(n) | Location::Vector(n) | Location::Float(n) => n,
        Location::Overflow(_) => panic!("not in a register"),
    };
    match (architecture, location, side) {
        (Architecture::X86_64, Location::Integer(n), Side::Parameters) => vec![
            pick(&["rdx", "rcx", "r8", "r9"], n),
            pick(&["edx", "ecx", "r8d", "r9d"], n),
        ],
        (Architecture::X86_64, Location::Integer(n), Side::Results) => vec![
            pick(&["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10"], n),
            pick(
                &["eax", "ecx", "edx", "esi", "edi", "r8d", "r9d", "r10d"],
                n,
            ),
        ],
        (Architecture::X86_64, _, _) => vec![format!("xmm{number}")],
        (Architecture::Aarch64, Location::Integer(n), side) => {
            let n = n + if side == Side::Parameters { 4 } else { 2 };
            vec![format!("x{n}"), format!("w{n}")]
        }
        (Architecture::Aarch64, _, _) => {
            vec![
                format!("s{number}"),
                format!("d{number}"),
                format!("q{number}"),
            ]
        }
        (Architecture::Riscv64, Location::Integer(n), Side::Parameters) => {
            vec![format!("a{}", n + 2)]
        }
        (Architecture::Riscv64, Location::Integer(n), Side::Results) => vec![format!("a{n}")],
        (Architecture::Riscv64, _, _) => vec![format!("fa{number}")],
        (Architecture::S390x, Location::Integer(n), side) => {
            vec![format!(
                "r{}",
                n + if side == Side::Parameters { 4 } else { 2 }
            )]
        }
        (Architecture::S390x, Location::Float(n), _) => vec![format!("f{}", 2 * n)],
        (Architecture::S390x, _, _) => vec![format!("v{}", 24 + number)],
        (Architecture::Interpreted, ..) => panic!("no registers"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Parameters,
    Results,
}

/// A function that stores what it gets at multiples of 32 from its context.
fn listing(machine: &Machine, shape: &Shape, side: Side) -> String {
    let mut context = Context::new();
    context.func = Function::with_name_signature(
        UserFuncName::user(0, 0),
        match side {
            Side::Parameters => shape.signature.clone(),
            Side::Results => {
                let mut none = shape.signature.clone();
                none.params.truncate(2);
                none.returns.clear();
                none
            }
        },
    );
    if side == Side::Parameters {
        context.func.signature.returns.clear();
    }
    let mut builder_context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let params = builder.block_params(block).to_vec();
    let base = params[0];
    let values = match side {
        Side::Parameters => params[2..].to_vec(),
        Side::Results => {
            let mut callee = shape.signature.clone();
            callee.params.truncate(2);
            let callee = builder.import_signature(callee);
            let code = builder
                .ins()
                .load(types::I64, MemFlagsData::trusted(), base, 8);
            let call = builder.ins().call_indirect(callee, code, &params[..2]);
            builder.inst_results(call).to_vec()
        }
    };
    for (i, value) in values.iter().enumerate() {
        let offset = 32 * (i as i32 + 1);
        builder
            .ins()
            .store(MemFlagsData::trusted(), *value, base, offset);
    }
    builder.ins().return_(&[]);
    builder.finalize(machine.isa().frontend_config());
    context.set_disasm(true);
    context
        .compile(machine.isa(), &mut ControlPlane::default())
        .map_err(|error| format!("{:?}", error.inner))
        .expect("the function is valid");
    let code = context.compiled_code().expect("it was compiled");
    code.vcode.clone().expect("a listing was asked for")
}

fn words(line: &str) -> Vec<&str> {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The line that accesses memory at `offset` from a register.
fn line_at(listing: &str, architecture: Architecture, offset: usize) -> Option<&str> {
    let stack_pointers: &[&str] = match architecture {
        Architecture::X86_64 => &["rsp", "rbp"],
        Architecture::S390x => &["r15"],
        _ => &["sp", "fp"],
    };
    let decimal = format!("{offset}");
    let hexadecimal = format!("0x{offset:x}");
    listing.lines().find(|line| {
        (line.contains('(') || line.contains('['))
            && words(line)[1..]
                .iter()
                .any(|word| *word == decimal || *word == hexadecimal)
            // Saves and restores go by the stack or frame pointer.
            && !stack_pointers.iter().any(|r| words(line).contains(r))
    })
}

fn check(architecture: Architecture, values: &[ValType], side: Side) {
    let machine = machine(architecture);
    let ty = match side {
        Side::Parameters => FuncType::new(values.to_vec(), Vec::new()),
        Side::Results => FuncType::new(Vec::new(), values.to_vec()),
    };
    let shape = signature(&machine, &ty);
    let locations = match side {
        Side::Parameters => &shape.parameters,
        Side::Results => &shape.results,
    };
    let listing = listing(&machine, &shape, side);
    let mut in_registers = 0;
    for location in locations {
        if let Location::Overflow(_) = location {
            continue;
        }
        in_registers += 1;
        let line = line_at(&listing, architecture, 32 * in_registers);
        let names = names(architecture, *location, side);
        assert!(
            line.is_some_and(|line| names.iter().any(|name| words(line).contains(&&**name))),
            "{architecture}, {side:?} {values:?}: {location:?} should be in {names:?}:\n{listing}"
        );
    }
}

#[test]
fn values_travel_where_the_convention_says() {
    let types = [
        ValType::I32,
        ValType::I64,
        ValType::F32,
        ValType::F64,
        ValType::V128,
        ValType::FUNCREF,
        ValType::EXTERNREF,
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    for architecture in Architecture::NATIVE {
        for round in 0..80 {
            // Now and then of few types, so that each class overflows alone.
            let kinds = 1 + next(types.len());
            let shift = next(types.len());
            let values: Vec<ValType> = (0..next(24))
                .map(|_| types[(next(kinds) + shift) % types.len()])
                .collect();
            let side = if round % 2 == 0 {
                Side::Parameters
            } else {
                Side::Results
            };
            check(architecture, &values, side);
        }
    }
}
