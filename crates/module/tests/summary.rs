//! Do summaries say what is in the body?

mod common;

use common::{load, one_function, try_load};
use tepui_module::{AssignedLocals, DefinedFuncIndex, Features, FunctionSummary, SummaryFlags};

fn summary(body: &str) -> FunctionSummary {
    let (_, summaries, _) = load(&format!(
        "(module (memory 1) (table 1 funcref) (type $t (func)) (global $g (mut i32) (i32.const 0))
            (func $f {body}) (elem declare func $f))"
    ));
    *summaries.function(DefinedFuncIndex::new(0))
}

#[test]
fn heights_locals_and_sizes() {
    let empty = summary("");
    assert_eq!((empty.max_height, empty.locals, empty.body_size), (0, 0, 2));
    let s = summary(
        "(param i32 i64) (local f32 f32) i32.const 1 i32.const 2 i32.const 3 drop drop drop",
    );
    assert_eq!((s.max_height, s.locals), (3, 4));
    // Results of a block count when it ends.
    let s = summary(
        "block (result i32 i32 i32 i32) i32.const 1 i32.const 2 i32.const 3 i32.const 4 end
         i32.const 5 drop drop drop drop drop",
    );
    assert_eq!((s.max_height, s.max_nesting), (5, 1));
    assert_eq!(summary("block loop end end").max_nesting, 2);
}

#[test]
fn calls_and_flags() {
    let s = summary(
        "call $f call $f ref.func $f call_ref $t i32.const 0 call_indirect (type $t) return_call $f",
    );
    assert_eq!(
        (s.direct_calls, s.indirect_calls, s.ref_calls, s.calls()),
        (3, 1, 1, 5)
    );
    for flag in [
        SummaryFlags::CALLS,
        SummaryFlags::TAIL_CALLS,
        SummaryFlags::MAY_THROW,
        SummaryFlags::TABLES,
        SummaryFlags::REFERENCES,
    ] {
        assert!(s.flags.contains(flag), "{flag:?}");
    }
    assert!(
        !s.flags
            .intersects(SummaryFlags::THROWS.union(SummaryFlags::HAS_TRY))
    );
    assert!(!s.is_leaf());

    let only = |body: &str, flag: SummaryFlags| {
        let s = summary(body);
        assert_eq!(s.flags, flag, "{body}");
        assert!(s.is_leaf() || flag.contains(SummaryFlags::CALLS));
    };
    only("", SummaryFlags::default());
    only("i32.const 0 i32.load drop", SummaryFlags::MEMORY_ACCESS);
    only(
        "i32.const 0 i32.const 0 i32.store8",
        SummaryFlags::MEMORY_ACCESS,
    );
    only("i32.const 0 memory.grow drop", SummaryFlags::MEMORY_GROW);
    only("memory.size drop", SummaryFlags::MEMORY_BULK);
    only("i32.const 0 global.set $g", SummaryFlags::GLOBAL_SET);
    only("i32.const 0 table.get 0 drop", SummaryFlags::TABLES);
    only("i32.const 0 br_table 0", SummaryFlags::BR_TABLE);
    only(
        "i32.const 0 i32.atomic.load drop",
        SummaryFlags::ATOMICS.union(SummaryFlags::MEMORY_ACCESS),
    );
    let vector = SummaryFlags::SIMD.union(SummaryFlags::MEMORY_ACCESS);
    only("v128.const i32x4 0 0 0 0 drop", vector);
}

#[test]
fn locals_assigned_in_loops() {
    let (_, summaries, _) = load(
        "(module
            (func)
            (func (param i32 i32 i32 i32 i32)
                i32.const 0 local.set 0
                loop                             ;; 0: assigns 1, 2, 3 and 4
                    i32.const 0 local.set 3
                    loop i32.const 0 local.tee 2 local.set 1 i32.const 0 local.set 2 end  ;; 1
                    i32.const 0 local.set 3
                    loop loop nop end end        ;; 2, 3: nothing
                    i32.const 0 local.set 4
                    i32.const 0 local.set 1
                end
                block loop i32.const 0 local.set 0 end end)  ;; 4
            (func (local i32) loop i32.const 0 local.set 0 end))",
    );
    let loops = |index| {
        summaries
            .loops(DefinedFuncIndex::new(index))
            .map(|locals| match locals {
                AssignedLocals::These(locals) => locals.to_vec(),
                AssignedLocals::Any => panic!("small loops are listed"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(loops(0), Vec::<Vec<u32>>::new());
    assert_eq!(
        loops(1),
        [vec![1, 2, 3, 4], vec![1, 2], vec![], vec![], vec![0]]
    );
    assert_eq!(loops(2), [vec![0]]);
    let outer = summaries.loop_locals(DefinedFuncIndex::new(1), 0);
    assert!(outer.contains(3) && !outer.contains(0));
}

#[test]
fn loops_in_unreachable_code_are_counted() {
    let (_, summaries, _) = load(
        "(module (func (local i32)
            unreachable
            loop i32.const 0 local.set 0 i32.const 0 if nop else loop nop end end end
            loop i32.const 0 local.set 0 end))",
    );
    assert_eq!(summaries.function(DefinedFuncIndex::new(0)).loops, 3);
    assert_eq!(
        summaries.loop_locals(DefinedFuncIndex::new(0), 2),
        AssignedLocals::These(&[0])
    );
}

/// Deep loops over many locals stay linear: what would be a list of lists is given up.
#[test]
fn nested_loops_with_many_locals_are_bounded() {
    let (depth, locals) = (20_000, 1_000u32);
    let mut body = vec![1];
    common::leb(&mut body, locals);
    body.push(0x7f);
    for _ in 0..depth {
        body.extend([0x03, 0x40]);
    }
    for local in 0..locals {
        body.extend([0x41, 0, 0x21]);
        common::leb(&mut body, local);
    }
    body.extend(std::iter::repeat_n(0x0b, depth + 1));
    let (_, summaries) = try_load(&one_function(&body), Features::default()).unwrap();
    let index = DefinedFuncIndex::new(0);
    assert_eq!(summaries.function(index).loops as usize, depth);
    assert_eq!(summaries.loop_locals(index, 0), AssignedLocals::Any);
    assert!(summaries.loop_locals(index, 0).contains(12_345));
    let all: Vec<u32> = (0..locals).collect();
    let innermost = summaries.loop_locals(index, depth as u32 - 1);
    assert_eq!(innermost, AssignedLocals::These(&all));
}

/// However bodies are cut among threads, the summaries are the same.
#[test]
fn threads_make_the_same_summaries() {
    let mut text =
        String::from("(module (memory 1) (func $f (param i32) (result i32) local.get 0)");
    for i in 0..3_000 {
        text += &format!(
            "(func (param i32) (local i32 i64) loop local.get 0 i32.const {i} i32.add call $f local.set {} local.get 0 br_if 0 end {})",
            i % 2,
            "i32.const 1 drop ".repeat(i % 40)
        );
    }
    text += ")";
    let bytes = common::wasm(&text);
    let mut registry = tepui_module::TypeRegistry::new();
    let (module, bodies) =
        tepui_module::Module::decode(&bytes, Features::default(), &mut registry).unwrap();
    let one = bodies.validate_here(&module, &bytes).unwrap();
    assert_eq!(one.len(), 3_001);
    for threads in [2, 3, 8] {
        let many = bodies
            .validate_with(&module, &bytes, threads.try_into().unwrap())
            .unwrap();
        assert_eq!(one, many);
    }
    assert_eq!(one, bodies.validate(&module, &bytes).unwrap());
}
