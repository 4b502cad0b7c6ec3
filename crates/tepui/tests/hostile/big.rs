//! Are modules near and beyond the limits compiled in reasonable time, or
//! refused with a clear error?

use std::time::Instant;

use tepui::{Module, Trap};
use tepui_testing::patience::patience;
use wasm_encoder::{
    BlockType, CodeSection, DataCountSection, DataSection, ExportKind, ExportSection, Function,
    FunctionSection, InstructionSink, MemArg, MemArgTarget, MemorySection, MemoryType,
    Module as Bytes, TypeSection, ValType,
};

use crate::support::{World, engine, engine_with, trap_of};

/// A module that exports one function `f` of an `i32` that returns one.
fn module(locals: &[(u32, ValType)], body: impl FnOnce(&mut InstructionSink<'_>)) -> Vec<u8> {
    let mut function = Function::new(locals.iter().copied());
    body(&mut function.instructions());
    function.instructions().end();
    finish(function)
}

fn finish(function: Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, 0);
    let mut code = CodeSection::new();
    code.function(&function);
    let mut bytes = Bytes::new();
    bytes
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    bytes.finish()
}

/// Compiles on a small stack, in bounded time.
fn compile(what: &str, bytes: Vec<u8>) -> tepui::Result<Module> {
    let begin = Instant::now();
    let result = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let engine = engine_with(|config| {
                config.parallel_compilation(false).compiler_verifier(false);
            });
            Module::new(&engine, bytes)
        })
        .unwrap()
        .join()
        .unwrap();
    let took = begin.elapsed();
    assert!(took < patience(60), "{what} took {took:?}");
    if let Err(error) = &result {
        assert!(!format!("{error:#}").is_empty());
    }
    result
}

fn run(module: &Module, argument: i32) -> tepui::Result<i32> {
    World::of(module).call("f", argument)
}

fn switch(targets: u32) -> Vec<u8> {
    module(&[], |code| {
        for _ in 0..3 {
            code.block(BlockType::Empty);
        }
        code.local_get(0);
        code.br_table((0..targets).map(|index| index % 3), 1);
        for value in 0..3 {
            code.end();
            code.i32_const(value + 10);
            code.return_();
        }
        code.unreachable();
    })
}

/// 6: `br_table` with as many targets as allowed, and with a million.
#[test]
fn huge_switches() {
    let module = compile("100,000 targets", switch(100_000)).unwrap();
    for (argument, expected) in [
        (0, 10),
        (1, 11),
        (99_998, 12),
        (99_999, 10),
        (100_000, 11),
        (-1, 11),
    ] {
        assert_eq!(run(&module, argument).unwrap(), expected, "{argument}");
    }
    match compile("1,000,000 targets", switch(1_000_000)) {
        Ok(module) => assert_eq!(run(&module, 999_999).unwrap(), 10),
        Err(error) => assert!(format!("{error:#}").contains("br_table"), "{error:#}"),
    }
    // Many switches, each with a table of its own.
    let many = self::module(&[], |code| {
        for round in 0..200 {
            for _ in 0..3 {
                code.block(BlockType::Empty);
            }
            code.local_get(0);
            code.br_table((0..1000).map(|index| (index + round) % 3), 1);
            for _ in 0..3 {
                code.end();
                code.local_get(0);
                code.i32_const(1);
                code.i32_add();
                code.local_set(0);
            }
        }
        code.local_get(0);
    });
    let module = compile("200 switches", many).unwrap();
    assert!(run(&module, 0).unwrap() > 200);
}

/// 7: locals as many as allowed, used and unused, of every type.
#[test]
fn huge_numbers_of_locals() {
    let bytes = module(&[(49_999, ValType::I32)], |code| {
        // Written late, so that they live across a loop.
        for index in (1..49_999).step_by(500) {
            code.local_get(0);
            code.i32_const(index as i32);
            code.i32_add();
            code.local_set(index);
        }
        code.loop_(BlockType::Empty);
        code.local_get(49_998);
        code.local_get(1);
        code.i32_add();
        code.local_set(49_998);
        code.local_get(0);
        code.i32_const(1);
        code.i32_sub();
        code.local_tee(0);
        code.br_if(0);
        code.end();
        code.local_get(49_998);
    });
    let module = compile("50,000 locals", bytes).unwrap();
    assert_eq!(run(&module, 3).unwrap(), 3 * 4);
    let bytes = self::module(&[(50_000, ValType::I32)], |code| {
        code.local_get(0);
    });
    assert!(compile("50,001 locals", bytes).is_err());
    let bytes = self::module(&[(u32::MAX, ValType::I64)], |code| {
        code.local_get(0);
    });
    assert!(compile("2^32 locals", bytes).is_err());
    let bytes = self::module(
        &[(u32::MAX, ValType::I64), (u32::MAX, ValType::F32)],
        |code| {
            code.local_get(0);
        },
    );
    assert!(compile("2^33 locals", bytes).is_err());
    // Many locals, all written in each of many blocks.
    let bytes = self::module(&[(2000, ValType::I32)], |code| {
        for round in 0..100 {
            code.local_get(0);
            code.if_(BlockType::Empty);
            for index in (1..2000).step_by(20) {
                code.i32_const(round + index as i32);
                code.local_set(index);
            }
            code.end();
        }
        code.local_get(1981);
    });
    let module = compile("2000 locals in 100 blocks", bytes).unwrap();
    assert_eq!(run(&module, 1).unwrap(), 99 + 1981);
    assert_eq!(run(&module, 0).unwrap(), 0);
}

/// 7: more data segments than there is a short number for, and too many.
#[test]
fn huge_numbers_of_segments() {
    let module = |count: u32| {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut exports = ExportSection::new();
        exports.export("f", ExportKind::Func, 0);
        let mut function = Function::new([]);
        let last = count - 1;
        function
            .instructions()
            .i32_const(0)
            .i32_const(0)
            .local_get(0)
            .memory_init(0, last)
            .data_drop(last)
            .data_drop(last / 2)
            .i32_const(0)
            .i32_load8_u(MemArg {
                offset: 0,
                align: 0,
                target: MemArgTarget::Memory(0),
                ordering: None,
            })
            .end();
        let mut code = CodeSection::new();
        code.function(&function);
        let mut data = DataSection::new();
        for index in 0..count {
            data.passive([index as u8]);
        }
        let mut bytes = Bytes::new();
        bytes
            .section(&types)
            .section(&functions)
            .section(&memories)
            .section(&exports)
            .section(&DataCountSection { count })
            .section(&code)
            .section(&data);
        bytes.finish()
    };
    for count in [32_769, 65_537, 100_000] {
        let module = compile("data segments", module(count)).unwrap();
        assert_eq!(
            run(&module, 1).unwrap(),
            i32::from((count - 1) as u8),
            "{count}"
        );
        let error = run(&module, 2).unwrap_err();
        assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds);
    }
    assert!(compile("too many data segments", module(1_000_000)).is_err());
}

/// 8: blocks, loops and conditions, nested very deeply.
#[test]
fn deeply_nested_blocks() {
    let depth = 100_000;
    let bytes = module(&[], |code| {
        for _ in 0..depth {
            code.block(BlockType::Result(ValType::I32));
        }
        code.local_get(0);
        for _ in 0..depth {
            code.end();
        }
    });
    let module = compile("nested blocks", bytes).unwrap();
    assert_eq!(run(&module, 5).unwrap(), 5);

    // A branch out of all of them.
    let bytes = self::module(&[], |code| {
        for _ in 0..depth {
            code.block(BlockType::Empty);
        }
        code.local_get(0);
        code.br_if(depth - 1);
        code.i32_const(1);
        code.return_();
        for _ in 0..depth {
            code.end();
        }
        code.i32_const(2);
    });
    let module = compile("a branch out of nested blocks", bytes).unwrap();
    assert_eq!(run(&module, 0).unwrap(), 1);
    assert_eq!(run(&module, 1).unwrap(), 2);

    let depth = 20_000;
    let bytes = self::module(&[], |code| {
        for _ in 0..depth {
            code.loop_(BlockType::Empty);
        }
        code.local_get(0);
        code.i32_const(1);
        code.i32_sub();
        code.local_tee(0);
        code.br_if(depth / 2);
        for _ in 0..depth {
            code.end();
        }
        code.local_get(0);
    });
    let module = compile("nested loops", bytes).unwrap();
    assert_eq!(run(&module, 9).unwrap(), 0);

    let bytes = self::module(&[], |code| {
        for _ in 0..depth {
            code.local_get(0);
            code.if_(BlockType::Empty);
            code.local_get(0);
            code.i32_const(1);
            code.i32_sub();
            code.local_set(0);
        }
        for _ in 0..depth {
            code.end();
        }
        code.local_get(0);
    });
    let module = compile("nested conditions", bytes).unwrap();
    assert_eq!(run(&module, 7).unwrap(), 0);
    assert_eq!(run(&module, depth as i32 + 3).unwrap(), 3);
}

/// 8: long chains of operators, each on the result of the one before.
#[test]
fn long_chains_of_operators() {
    type Step = fn(&mut InstructionSink<'_>, i32);
    type Model = fn(i32, i32) -> i32;
    let chains: [(&str, Step, Model); 5] = [
        (
            "i32.eqz",
            |code, _| {
                code.i32_eqz();
            },
            |n, x| {
                if n % 2 == 0 {
                    i32::from(x != 0)
                } else {
                    i32::from(x == 0)
                }
            },
        ),
        (
            "i32.extend8_s",
            |code, _| {
                code.i32_extend8_s();
            },
            |_, x| i32::from(x as i8),
        ),
        (
            "i32.add of a constant",
            |code, _| {
                code.i32_const(3).i32_add();
            },
            |n, x| x.wrapping_add(n.wrapping_mul(3)),
        ),
        (
            "i32.xor with the parameter",
            |code, _| {
                code.local_get(0).i32_xor();
            },
            |n, x| {
                if n % 2 == 0 { x } else { 0 }
            },
        ),
        (
            "select",
            |code, i| {
                code.local_get(0).i32_const(i % 2).select();
            },
            |_, x| x,
        ),
    ];
    let length = 100_000;
    for (name, step, model) in chains {
        let bytes = module(&[], |code| {
            code.local_get(0);
            for index in 0..length {
                step(code, index);
            }
        });
        let module = compile(name, bytes).unwrap();
        for x in [0, 1, -1, 300] {
            assert_eq!(run(&module, x).unwrap(), model(length, x), "{name} of {x}");
        }
    }
    // As many values on the stack at once.
    let bytes = module(&[], |code| {
        for _ in 0..length {
            code.local_get(0);
        }
        for _ in 1..length {
            code.i32_add();
        }
    });
    let module = compile("a deep stack", bytes).unwrap();
    assert_eq!(run(&module, 3).unwrap(), 3 * length);
}

/// 6, 7: bodies of megabytes, with calls and traps in them, right up to the
/// limit and beyond.
#[test]
fn huge_bodies() {
    let bytes = module(&[], |code| {
        for _ in 0..60_000 {
            code.local_get(0)
                .i32_const(7)
                .i32_div_u()
                .local_get(0)
                .i32_add()
                .local_set(0);
        }
        code.local_get(0);
    });
    let module = compile("60,000 divisions", bytes).unwrap();
    let model = (0..60_000).fold(1_u32, |x, _| (x / 7).wrapping_add(x));
    assert_eq!(run(&module, 1).unwrap(), model as i32);

    // Dead code is skipped quickly.
    let bytes = self::module(&[], |code| {
        code.local_get(0).return_();
        for _ in 0..1_000_000 {
            code.i32_const(1).drop();
        }
        code.unreachable();
    });
    let module = compile("a megabyte of dead code", bytes).unwrap();
    assert_eq!(run(&module, 4).unwrap(), 4);

    let bytes = self::module(&[], |code| {
        for _ in 0..4_000_000 {
            code.nop().nop();
        }
        code.local_get(0);
    });
    let error = compile("a body beyond the limit", bytes).unwrap_err();
    assert!(format!("{error:#}").contains("limit"), "{error:#}");
}

/// 6: a body so long that no conditional jump of aarch64 reaches from one end to
/// the other, with jumps both ways, traps, constants of every kind and switches.
#[test]
fn bodies_beyond_the_reach_of_jumps() {
    const ROUNDS: u32 = 45_000;
    let float = |round: u32| f64::from(round) * 1.1 + 0.3;
    let bytes = module(&[(2, ValType::I32), (1, ValType::V128)], |code| {
        code.block(BlockType::Empty);
        code.local_get(0).i32_eqz().br_if(0);
        code.loop_(BlockType::Empty);
        for round in 0..ROUNDS {
            // x = 3 x + 7 / (y | 1)
            code.local_get(0).i32_const(3).i32_mul();
            code.i32_const(7);
            code.local_get(1).i32_const(1).i32_or().i32_div_s();
            code.i32_add().local_set(0);
            if round % 1_000 == 0 {
                code.f64_const(float(round).into()).i32_trunc_f64_s();
                code.local_get(0).i32_add().local_set(0);
                code.v128_const(i128::from(round) << 64 | 0x1234_5678_9abc_def0);
                code.local_get(3).v128_xor().local_set(3);
            }
            if round % 10_000 == 0 {
                // Out of everything when x is 12346.
                code.local_get(0).i32_const(12346).i32_eq().br_if(1);
                code.block(BlockType::Empty);
                code.local_get(2).br_table([0, 1, 2], 0);
                code.end();
            }
        }
        code.local_get(1).i32_const(1).i32_add().local_tee(1);
        code.i32_const(2).i32_lt_u().br_if(0);
        code.end();
        code.local_get(3).i32x4_extract_lane(2);
        code.local_get(0).i32_add().local_set(0);
        code.end();
        code.local_get(0);
    });
    let module = compile("a body beyond the reach of jumps", bytes).unwrap();
    let model = |argument: i32| {
        let mut x = argument;
        if x == 0 {
            return x;
        }
        let mut lane = 0;
        for y in 0..2 {
            for round in 0..ROUNDS {
                x = x.wrapping_mul(3).wrapping_add(7 / (y | 1));
                if round % 1_000 == 0 {
                    x = x.wrapping_add(float(round) as i32);
                    lane ^= round as i32;
                }
                if round % 10_000 == 0 && x == 12346 {
                    return x;
                }
            }
        }
        x.wrapping_add(lane)
    };
    // 4113 leaves by the first branch out.
    for argument in [0, 1, -1, 77, 4113] {
        assert_eq!(run(&module, argument).unwrap(), model(argument));
    }
}

/// 7: many functions, types and exports.
#[test]
fn huge_numbers_of_functions() {
    let count = 30_000;
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    for index in 0..900 {
        types.ty().function(
            vec![ValType::I64; index % 30],
            vec![ValType::F32; index / 30],
        );
    }
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for index in 0..count {
        functions.function(0);
        exports.export(&format!("f{index}"), ExportKind::Func, index);
        let mut function = Function::new([]);
        // Each calls one far away.
        let mut sink = function.instructions();
        sink.local_get(0).i32_const(1).i32_add();
        if index + 997 < count {
            sink.call(index + 997);
        }
        sink.end();
        code.function(&function);
    }
    exports.export("f", ExportKind::Func, 0);
    let mut bytes = Bytes::new();
    bytes
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    let module = compile("30,000 functions", bytes.finish()).unwrap();
    assert_eq!(run(&module, 0).unwrap(), 1 + (count as i32 - 1) / 997);
    let mut world = World::of(&module);
    assert_eq!(
        world.call::<_, i32>(&format!("f{}", count - 1), 1).unwrap(),
        2
    );
}

/// 9: signatures at the limit of 1,000 and beyond.
#[test]
fn huge_signatures() {
    let engine = engine();
    let text = |n: usize| {
        format!(
            "(module
               (type $t (func (param {p}) (result {p})))
               (func $id (type $t) {gets})
               (func $f (export \"f\") (param i32) (result i32)
                 {consts} (call $id) {drops}))",
            p = "i32 ".repeat(n),
            gets = (0..n)
                .rev()
                .map(|i| format!("(local.get {i})"))
                .collect::<String>(),
            consts = (0..n)
                .map(|i| format!("(i32.add (local.get 0) (i32.const {i}))"))
                .collect::<String>(),
            drops = "(drop)".repeat(n - 1),
        )
    };
    for n in [1, 5, 9, 100, 999, 1000] {
        let module = Module::new(&engine, text(n)).unwrap();
        // The first result is the last parameter.
        assert_eq!(run(&module, 7).unwrap(), 7 + n as i32 - 1, "{n}");
    }
    let error = Module::new(&engine, text(1001)).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("limit") || text.contains("out of bounds"),
        "{text}"
    );
}

/// 8: types in long chains, wide groups and deep hierarchies.
#[test]
fn huge_types() {
    let chain = |length: usize| {
        let mut text = String::from("(module (type $t0 (func))");
        for index in 1..length {
            text += &format!("(type $t{index} (func (param (ref null $t{}))))", index - 1);
        }
        text + "(func (export \"f\") (param i32) (result i32) (local.get 0)))"
    };
    let group = |length: usize| {
        let mut text = String::from("(module (rec ");
        for index in 0..length {
            let next = (index + 1) % length;
            text += &format!("(type $t{index} (func (param (ref null $t{next}))))");
        }
        text + ") (func (export \"f\") (param i32) (result i32) (local.get 0)))"
    };
    let hierarchy = |depth: usize| {
        let mut text = String::from("(module (type $t0 (sub (func)))");
        for index in 1..depth {
            text += &format!("(type $t{index} (sub $t{} (func)))", index - 1);
        }
        text + "(func (export \"f\") (param i32) (result i32) (local.get 0)))"
    };
    let engine = engine();
    let begin = Instant::now();
    for text in [chain(20_000), group(20_000), hierarchy(63)] {
        for _ in 0..2 {
            let module = Module::new(&engine, &text).unwrap();
            assert_eq!(run(&module, 1).unwrap(), 1);
        }
    }
    let error = Module::new(&engine, hierarchy(1000)).unwrap_err();
    assert!(format!("{error:#}").contains("depth"), "{error:#}");
    assert!(begin.elapsed() < patience(60));
}
