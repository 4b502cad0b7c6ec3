//! Is what a module declares read as it stands, and what is wrong reported where it is?

mod common;

use common::{leb, load, one_function, refused, sections, sized, try_load, wasm};
use tepui_module::{
    ConstContext, ConstOp, ConstValue, DataMode, ElementItems, ElementMode, ErrorKind, ExternIndex,
    ExternType, Features, FuncIndex, GlobalIndex, HeapType, MemoryIndex, Module, Proposal,
    TableIndex, TypeRegistry, ValType,
};

#[test]
fn everything_that_a_module_declares() {
    let (module, _, bytes) = load(
        r#"(module $named
            (type $t (func (param i32) (result i64)))
            (import "env" "f" (func $imported (type $t)))
            (import "env" "m" (memory i64 1 3))
            (import "env" "g" (global $base i32))
            (import "other" "t" (table 2 4 externref))
            (memory $m 2 5 shared)
            (memory $small 7 (pagesize 1))
            (table $tab 10 funcref)
            (global $a (mut f64) (f64.const 1.5))
            (global $b i32 (i32.add (global.get $base) (i32.mul (i32.const 3) (i32.const 4))))
            (func $defined (type $t) (i64.extend_i32_u (local.get 0)))
            (func $hidden (nop))
            (func $referenced (nop))
            (func $go)
            (export "run" (func $defined))
            (export "mem" (memory $m))
            (export "also" (func $defined))
            (start $go)
            (elem $passive func $imported)
            (elem (table $tab) (offset (i32.const 1)) func $referenced $imported)
            (elem $exprs (ref null $t) (ref.func $imported) (ref.null $t))
            (elem declare func $defined)
            (data $d "xyz")
            (data (memory $m) (global.get $base) "hello")
            (@custom "mine" "abc"))"#,
    );
    assert_eq!(module.size(), bytes.len());
    assert_eq!(module.function_count(), 5);
    assert_eq!(module.imported_function_count(), 1);
    assert_eq!(module.defined_function_count(), 4);
    assert_eq!(module.bodies().len(), 4);
    let names: Vec<_> = module
        .imports()
        .iter()
        .map(|import| (&*import.module, &*import.field, import.ty.kind()))
        .collect();
    assert_eq!(
        names,
        [
            ("env", "f", "func"),
            ("env", "m", "memory"),
            ("env", "g", "global"),
            ("other", "t", "table")
        ]
    );
    let ty = module.func_type(FuncIndex::new(1));
    assert_eq!(
        (&*ty.params, &*ty.results),
        (&[ValType::I32][..], &[ValType::I64][..])
    );
    assert_eq!(
        module.func_type_id(FuncIndex::new(0)),
        module.func_type_id(FuncIndex::new(1))
    );
    assert_eq!(
        module
            .memories()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "(memory i64 1 3)",
            "(memory 2 5 shared)",
            "(memory 7 (pagesize 1))"
        ]
    );
    assert_eq!(
        module.memory(MemoryIndex::new(1)).minimum_bytes(),
        Some(2 << 16)
    );
    assert_eq!(
        module.table(TableIndex::new(0)).to_string(),
        "(table 2 4 externref)"
    );
    assert_eq!(module.global_initializers().len(), 2);
    assert_eq!(module.constant_global(GlobalIndex::new(0)), None);
    assert_eq!(module.constant_global(GlobalIndex::new(1)), None);
    assert!(module.constant_global(GlobalIndex::new(2)).is_some());

    assert_eq!(
        module.export("run"),
        Some(ExternIndex::Func(FuncIndex::new(1)))
    );
    assert_eq!(
        module.export("mem"),
        Some(ExternIndex::Memory(MemoryIndex::new(1)))
    );
    assert_eq!(module.export("nope"), None);
    assert_eq!(module.export_position("also"), Some(2));
    assert_eq!(
        module
            .extern_type(ExternIndex::Global(GlobalIndex::new(1)))
            .to_string(),
        "(global (mut f64))"
    );
    assert_eq!(module.start(), Some(FuncIndex::new(4)));

    let escaped: Vec<_> = module.escaped_functions().map(FuncIndex::as_u32).collect();
    assert_eq!(escaped, [0, 1, 3]);
    assert!(!module.is_escaped(FuncIndex::new(2)));

    let elements = module.elements();
    assert_eq!(elements[0].mode, ElementMode::Passive);
    assert_eq!(
        elements[0].items,
        ElementItems::Functions([FuncIndex::new(0)].into())
    );
    let ElementMode::Active { table, offset } = &elements[1].mode else {
        panic!("{:?}", elements[1].mode)
    };
    assert_eq!(
        (*table, offset.as_const_address()),
        (TableIndex::new(1), Some(1))
    );
    let ElementItems::Expressions(items) = &elements[2].items else {
        panic!("{:?}", elements[2].items)
    };
    assert_eq!(items[0].ops(), [ConstOp::RefFunc(FuncIndex::new(0))]);
    let id = module.types().next().unwrap();
    assert_eq!(items[1].ops(), [ConstOp::RefNull(HeapType::Concrete(id))]);
    assert_eq!(
        elements[2].ty.to_string(),
        format!("(ref null (type {id}))")
    );
    assert_eq!(elements[3].mode, ElementMode::Declared);

    let data = module.data_segments();
    assert_eq!(data[0].mode, DataMode::Passive);
    assert_eq!(&bytes[data[0].range.clone()], b"xyz");
    assert_eq!(&bytes[data[1].range.clone()], b"hello");

    assert_eq!(module.custom_section(&bytes, "mine"), Some(&b"abc"[..]));
    assert_eq!(module.name(&bytes), Some("named"));
    assert_eq!(
        module.function_name(&bytes, FuncIndex::new(2)),
        Some("hidden")
    );
    assert_eq!(
        module.function_names(&bytes).get(FuncIndex::new(4)),
        Some("go")
    );
    assert_eq!(module.function_names(&bytes).iter().len(), 5);
    // Other bytes are no reason to panic.
    assert_eq!(module.function_name(b"", FuncIndex::new(2)), None);
    assert!(
        module
            .body_reader(b"", tepui_module::DefinedFuncIndex::new(0))
            .is_none()
    );
    let mut reader = module
        .body_reader(&bytes, tepui_module::DefinedFuncIndex::new(0))
        .unwrap()
        .get_operators_reader()
        .unwrap();
    let (_, offset) = reader.read_with_offset().unwrap();
    assert!(module.code_range().contains(&(offset as usize)));
}

#[test]
fn constant_expressions_evaluate() {
    struct Context;
    impl ConstContext for Context {
        type Ref = u32;
        type Error = ();
        fn global(&mut self, _: GlobalIndex) -> Result<ConstValue<u32>, ()> {
            Ok(ConstValue::I64(100))
        }
        fn ref_null(&mut self, _: HeapType) -> Result<u32, ()> {
            Err(())
        }
        fn ref_func(&mut self, index: FuncIndex) -> Result<u32, ()> {
            Ok(index.as_u32())
        }
    }
    let (module, ..) = load(
        r#"(module (import "" "" (global $g i64)) (func $f)
            (global i64 (i64.sub (i64.mul (global.get $g) (i64.const -3)) (i64.const 1)))
            (global i32 (i32.sub (i32.const 2) (i32.const 5)))
            (global funcref (ref.func $f))
            (global externref (ref.null extern))
            (global v128 (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)))"#,
    );
    let mut stack = Vec::new();
    let values: Vec<_> = module
        .global_initializers()
        .iter()
        .map(|expr| expr.evaluate(&mut Context, &mut stack))
        .collect();
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    assert_eq!(
        values,
        [
            Ok(ConstValue::I64(-301)),
            Ok(ConstValue::I32(-3)),
            Ok(ConstValue::Ref(0)),
            Err(()),
            Ok(ConstValue::V128(bytes)),
        ]
    );
    assert_eq!(ConstValue::<u32>::I32(-1).as_address(), Some(0xffff_ffff));
}

#[test]
fn later_globals_may_read_earlier_ones() {
    let text = "(module (global $a i32 (i32.const 1)) (global i32 (global.get $a)))";
    let (module, ..) = load(text);
    assert_eq!(
        module.global_initializers()[1].ops(),
        [ConstOp::GlobalGet(GlobalIndex::new(0))]
    );
}

#[test]
fn errors_say_where() {
    let text =
        r#"(module (import "" "" (func)) (func $fine) (func $wrong (result i32) nop i64.const 1))"#;
    let error = refused(text, Features::default());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let function = error.function().unwrap();
    assert_eq!(function.index, FuncIndex::new(2));
    assert_eq!(function.name.as_deref(), Some("wrong"));
    let shown = error.to_string();
    assert!(shown.contains("type mismatch"), "{shown}");
    let place = format!("(at offset {:#x}, in function 2 `wrong`)", error.offset());
    assert!(shown.ends_with(&place), "{shown}");
    assert_eq!(
        wasm(text)[error.offset()],
        0x0b,
        "the `end` where the result is missing"
    );

    // Without a name section the index is all there is.
    let error = try_load(&one_function(&[0, 0x1a, 0x0b]), Features::default()).unwrap_err();
    assert!(error.to_string().ends_with("in function 0)"), "{error}");

    let error = refused(r#"(module (export "x" (func 3)))"#, Features::default());
    assert_eq!((error.kind(), error.function()), (ErrorKind::Invalid, None));

    for (bytes, at) in [
        (&b""[..], 0),
        (b"\0as", 0),
        (b"\0asm\x02\0\0\0", 4),
        (b"\0asm\x01\0\0\0\x01\x80", 9),
        (b"\0asm\x01\0\0\0\x01\x05", 10),
    ] {
        let error = try_load(bytes, Features::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
        assert!(
            error.offset() >= at && error.offset() <= bytes.len(),
            "{error}"
        );
    }
    // An unknown section, an unknown opcode, a body cut short.
    let error = try_load(&sections(&[(77, vec![])]), Features::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    let error = try_load(&one_function(&[0, 0xff, 0x0b]), Features::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.offset()),
        (ErrorKind::Malformed, 23),
        "{error}"
    );
    let error = try_load(&one_function(&[0, 0x01]), Features::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}

#[test]
fn hostile_names_are_shown_safely() {
    let name = format!("\\u{{1b}}[31m{}", "x".repeat(5_000));
    let text = format!(r#"(module (func) (export "{name}" (func 0)) (export "{name}" (func 0)))"#);
    let shown = refused(&text, Features::default()).to_string();
    assert!(shown.contains("duplicate export name"), "{shown}");
    assert!(!shown.contains('\u{1b}') && shown.len() < 700, "{shown}");
}

#[test]
fn names_of_functions_are_put_in_order() {
    let names: &[(u8, u8)] = &[(9, b'c'), (3, b'a'), (9, b'd'), (0, b'z'), (3, b'b')];
    let mut content = vec![names.len() as u8];
    for (index, name) in names {
        content.extend([*index, 1, *name]);
    }
    let mut section = b"\x04name\x01".to_vec();
    section.push(content.len() as u8);
    section.extend(content);
    let bytes = sections(&[(0, section)]);
    let (module, _) = try_load(&bytes, Features::default()).unwrap();
    let names = module.function_names(&bytes);
    // Of several for a function the first counts.
    let found: Vec<_> = names
        .iter()
        .map(|(index, name)| (index.as_u32(), name))
        .collect();
    assert_eq!(found, [(0, "z"), (3, "a"), (9, "c")]);
}

#[test]
fn the_first_error_is_reported_whatever_the_threads() {
    let mut text = String::from("(module ");
    for i in 0..4_000 {
        let wrong = i == 1_234 || i % 1_000 == 999;
        let body = if wrong { "drop" } else { "" };
        text += &format!("(func $f{i} {} {body})", "i32.const 1 drop ".repeat(30));
    }
    text += ")";
    let bytes = wasm(&text);
    let mut registry = TypeRegistry::new();
    let (module, bodies) = Module::decode(&bytes, Features::default(), &mut registry).unwrap();
    let expected = bodies.validate_here(&module, &bytes).unwrap_err();
    assert_eq!(expected.function().unwrap().name.as_deref(), Some("f999"));
    for threads in [2, 5, 16] {
        for _ in 0..5 {
            let error = bodies.validate_with(&module, &bytes, threads.try_into().unwrap());
            assert_eq!(error.unwrap_err(), expected);
        }
    }
    assert!(bodies.validate(&module, &bytes[1..]).is_err());
}

#[test]
fn proposals_that_are_not_implemented_are_named() {
    for (text, proposal) in [
        ("(module (type (struct (field i32))))", Proposal::Gc),
        ("(module (type (array i8)))", Proposal::Gc),
        ("(module (func (param anyref)))", Proposal::Gc),
        ("(module (func (local (ref null none))))", Proposal::Gc),
        (
            "(module (func (block (result i31ref) unreachable) drop))",
            Proposal::Gc,
        ),
        ("(module (func (drop (ref.null any))))", Proposal::Gc),
        (
            "(module (func (drop (ref.i31 (i32.const 1)))))",
            Proposal::Gc,
        ),
        (
            "(module (func (drop (ref.test funcref (ref.null func)))))",
            Proposal::Gc,
        ),
        (
            "(module (func (drop (select (result eqref) (ref.null eq) (ref.null eq) (i32.const 1)))))",
            Proposal::Gc,
        ),
        ("(module (global anyref (ref.null any)))", Proposal::Gc),
        (
            "(module (global externref (extern.convert_any (ref.null any))))",
            Proposal::Gc,
        ),
        ("(module (table 1 structref))", Proposal::Gc),
        ("(module (elem (ref null eq)))", Proposal::Gc),
        (
            r#"(module (import "" "" (global nullfuncref)))"#,
            Proposal::Gc,
        ),
        ("(module (tag))", Proposal::Exceptions),
        (r#"(module (import "" "" (tag)))"#, Proposal::Exceptions),
        ("(module (func (local exnref)))", Proposal::Exceptions),
        ("(module (func try_table end))", Proposal::Exceptions),
        (
            "(module (func unreachable throw_ref))",
            Proposal::Exceptions,
        ),
        ("(module (func try end))", Proposal::LegacyExceptions),
        (
            "(module (type $f (func)) (type (cont $f)))",
            Proposal::StackSwitching,
        ),
        ("(module (func (param contref)))", Proposal::StackSwitching),
        (
            "(module (table shared 1 1 (ref null (shared func))))",
            Proposal::SharedEverythingThreads,
        ),
        (
            "(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))",
            Proposal::MemoryControl,
        ),
        ("(component)", Proposal::ComponentModel),
    ] {
        let error = refused(text, Features::IMPLEMENTED);
        assert_eq!(
            error.kind(),
            ErrorKind::Unsupported(proposal),
            "{text}: {error}"
        );
        let shown = error.to_string();
        let expected =
            format!("the {proposal} proposal, which this version of Tepui does not implement");
        assert!(shown.contains(&expected), "{text}: {shown}");
    }
    let error = refused(
        "(module (func $f (drop (ref.i31 (i32.const 1)))))",
        Features::default(),
    );
    assert!(
        error.to_string().contains("instruction `ref.i31`"),
        "{error}"
    );
    assert!(error.to_string().contains("in function 0 `f`"), "{error}");
}

#[test]
fn every_implemented_proposal_can_be_switched_off() {
    for (text, proposal) in [
        (
            r#"(module (import "" "" (global (mut i32))))"#,
            Proposal::MutableGlobals,
        ),
        (
            "(module (func (drop (i32.extend8_s (i32.const 0)))))",
            Proposal::SignExtension,
        ),
        (
            "(module (func (drop (i32.trunc_sat_f32_s (f32.const 0)))))",
            Proposal::SaturatingFloatToInt,
        ),
        (
            "(module (func (result i32 i32) unreachable))",
            Proposal::MultiValue,
        ),
        (
            "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
            Proposal::BulkMemory,
        ),
        ("(module (memory 1) (data \"x\"))", Proposal::BulkMemory),
        (
            "(module (func (param externref)))",
            Proposal::ReferenceTypes,
        ),
        ("(module (func (param v128)))", Proposal::Simd),
        (
            "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
            Proposal::RelaxedSimd,
        ),
        ("(module (memory 1) (memory 1))", Proposal::MultiMemory),
        ("(module (memory 1 1 shared))", Proposal::Threads),
        ("(module (func $f return_call $f))", Proposal::TailCall),
        (
            "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
            Proposal::ExtendedConst,
        ),
        ("(module (memory i64 1))", Proposal::Memory64),
        (
            "(module (func (param (ref func))))",
            Proposal::FunctionReferences,
        ),
        (
            "(module (rec (type (func)) (type (func))))",
            Proposal::FunctionReferences,
        ),
        ("(module (type (sub (func))))", Proposal::FunctionReferences),
        (
            "(module (func (drop (drop (i64.mul_wide_s (i64.const 1) (i64.const 1))))))",
            Proposal::WideArithmetic,
        ),
        (
            "(module (memory 1 (pagesize 1)))",
            Proposal::CustomPageSizes,
        ),
    ] {
        let text = text.replace(
            "(drop (drop (i64.mul_wide_s (i64.const 1) (i64.const 1))))",
            "(i64.mul_wide_s (i64.const 1) (i64.const 1)) drop drop",
        );
        try_load(&wasm(&text), Features::IMPLEMENTED).expect(&text);
        let mut features = Features::IMPLEMENTED;
        features.disable(proposal);
        let error = refused(&text, features);
        assert_eq!(
            error.kind(),
            ErrorKind::Unsupported(proposal),
            "{text}: {error}"
        );
        let expected = format!("the {proposal} proposal is switched off");
        assert!(error.to_string().contains(&expected), "{text}: {error}");
        // The default is by phase.
        assert_eq!(
            try_load(&wasm(&text), Features::default()).is_ok(),
            proposal.phase() >= 4,
            "{text}"
        );
    }
}

#[test]
fn proposals_have_names() {
    for &proposal in Proposal::ALL {
        assert_eq!(proposal.name().parse(), Ok(proposal));
        assert_eq!(
            proposal.name().replace('-', "_").to_uppercase().parse(),
            Ok(proposal)
        );
        assert!(proposal.description().ends_with('.'), "{proposal}");
        assert_eq!(
            Features::default().contains(proposal),
            proposal.is_default()
        );
    }
    assert_eq!("exception-handling".parse(), Ok(Proposal::Exceptions));
    assert!("simdx".parse::<Proposal>().is_err());
    assert!(!Features::default().contains(Proposal::CustomPageSizes));
    assert!(Features::default().contains(Proposal::Threads));
    assert!(Features::default().enable(Proposal::Gc).is_err());
    assert_eq!(Features::MVP.iter().count(), 0);
}

#[test]
fn the_first_version_of_the_language_needs_no_proposal() {
    let text = "(module (type (func (param i32) (result f64))) (memory 1) (table 1 funcref)
        (func (type 0) f64.const 1) (elem (i32.const 0) func 0) (data (i32.const 0) \"x\"))";
    assert!(try_load(&wasm(text), Features::MVP).is_ok());
}

#[test]
fn branch_hints() {
    let bytes = wasm(
        "(module (func) (func (param i32)
            local.get 0 (@metadata.code.branch_hint \"\\01\") if nop end
            local.get 0 (@metadata.code.branch_hint \"\\00\") if nop end))",
    );
    let (module, _) = match try_load(&bytes, Features::default()) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    };
    let hints = module.branch_hints(&bytes);
    let of_second: Vec<_> = hints.function(FuncIndex::new(1)).collect();
    assert!(!of_second.is_empty());
    assert_eq!(hints.function(FuncIndex::new(0)).len(), 0);
    let body = module.bodies()[1].range();
    for hint in of_second {
        assert_eq!(bytes[body.start + hint.offset as usize], 0x04, "an `if`");
    }
    let mut features = Features::default();
    features.disable(Proposal::BranchHinting);
    let (module, _) = try_load(&bytes, features).unwrap();
    assert!(module.branch_hints(&bytes).is_empty());
}

#[test]
fn block_types_and_value_types_convert() {
    let (module, _, bytes) = load(
        "(module (type $t (func (param i32) (result f32 (ref null $t))))
            (func (block (result (ref null $t)) (ref.null $t)) drop
                i32.const 0 block (type $t) unreachable end drop drop))",
    );
    let id = module.types().next().unwrap();
    let mut seen = Vec::new();
    let body = module
        .body_reader(&bytes, tepui_module::DefinedFuncIndex::new(0))
        .unwrap();
    for op in body.get_operators_reader().unwrap() {
        if let tepui_module::wasmparser::Operator::Block { blockty } = op.unwrap() {
            let ty = module.block_type(blockty);
            seen.push((ty.params().len(), ty.results().to_vec()));
        }
    }
    let refer = ValType::Ref(tepui_module::RefType::new(true, HeapType::Concrete(id)));
    assert_eq!(seen, [(0, vec![refer]), (1, vec![ValType::F32, refer])]);
}

fn limit(bytes: &[u8]) {
    let error = try_load(bytes, Features::IMPLEMENTED).expect_err("beyond a limit");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

fn counted(count: u32, item: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    leb(&mut bytes, count);
    for _ in 0..count {
        bytes.extend(item);
    }
    bytes
}

#[test]
fn limits() {
    use tepui_module::limits;
    // Functions: one more than allowed, though there are no bodies for them.
    let types = (1, vec![1, 0x60, 0, 0]);
    limit(&sections(&[
        types.clone(),
        (3, counted(limits::FUNCTIONS as u32 + 1, &[0])),
    ]));
    limit(&sections(&[(
        1,
        counted(limits::TYPES as u32 + 1, &[0x60, 0, 0]),
    )]));
    limit(&sections(&[(
        5,
        counted(limits::MEMORIES as u32 + 1, &[0, 0]),
    )]));
    limit(&sections(&[(
        4,
        counted(limits::TABLES as u32 + 1, &[0x70, 0, 0]),
    )]));
    limit(&sections(&[(
        6,
        counted(limits::GLOBALS as u32 + 1, &[0x7f, 0, 0x41, 0, 0x0b]),
    )]));
    limit(&sections(&[(
        9,
        counted(limits::ELEMENT_SEGMENTS as u32 + 1, &[1, 0, 0]),
    )]));
    limit(&sections(&[(
        11,
        counted(limits::DATA_SEGMENTS as u32 + 1, &[1, 0]),
    )]));

    for (params, results, fits) in [
        (limits::FUNCTION_PARAMS, 0, true),
        (limits::FUNCTION_PARAMS + 1, 0, false),
        (0, limits::FUNCTION_RESULTS, true),
        (0, limits::FUNCTION_RESULTS + 1, false),
    ] {
        let mut ty = vec![1, 0x60];
        ty.extend(counted(params as u32, &[0x7f]));
        ty.extend(counted(results as u32, &[0x7f]));
        let bytes = sections(&[(1, ty)]);
        if fits {
            try_load(&bytes, Features::default()).unwrap();
        } else {
            limit(&bytes);
        }
    }

    let locals = |count: u32| {
        let mut body = vec![1];
        leb(&mut body, count);
        body.extend([0x7f, 0x0b]);
        one_function(&body)
    };
    let (_, summaries) =
        try_load(&locals(limits::FUNCTION_LOCALS as u32), Features::default()).unwrap();
    assert_eq!(
        summaries.functions()[0].locals as usize,
        limits::FUNCTION_LOCALS
    );
    limit(&locals(limits::FUNCTION_LOCALS as u32 + 1));
    limit(&locals(u32::MAX));

    let of_size = |size: usize| {
        let mut body = vec![0];
        body.resize(size - 1, 0x01);
        body.push(0x0b);
        one_function(&body)
    };
    try_load(&of_size(limits::FUNCTION_SIZE), Features::default()).unwrap();
    let error = try_load(&of_size(limits::FUNCTION_SIZE + 1), Features::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(error.function().unwrap().index, FuncIndex::new(0));

    let name = |size: usize| {
        let mut section = vec![1];
        leb(&mut section, size as u32);
        section.extend(std::iter::repeat_n(b'x', size));
        section.extend([0, 0, 0]);
        sections(&[types.clone(), (2, section)])
    };
    try_load(&name(limits::NAME_SIZE), Features::default()).unwrap();
    limit(&name(limits::NAME_SIZE + 1));

    // Many data segments, as real programs have.
    let module = sections(&[(11, counted(40_000, &[1, 0]))]);
    let (module, _) = try_load(&module, Features::default()).unwrap();
    assert_eq!(module.data_segments().len(), 40_000);
}

/// A compact import section repeats its module name for one byte a time.
#[test]
fn compact_imports_cannot_blow_up() {
    let mut section = vec![1];
    leb(&mut section, 100_000);
    section.extend(std::iter::repeat_n(b'm', 100_000));
    section.extend([0, 0x7e, 0x00, 0x00]);
    let mut few = section.clone();
    leb(&mut few, 2);
    few.extend([1, b'a', 1, b'b']);
    leb(&mut section, 200_000);
    for i in 0..200_000u32 {
        section.extend([
            3,
            b'a' + (i % 26) as u8,
            b'a' + (i / 26 % 26) as u8,
            b'a' + (i / 676 % 26) as u8,
        ]);
    }
    let types = (1, vec![1, 0x60, 0, 0]);
    limit(&sections(&[types.clone(), (2, section)]));
    let (module, _) = try_load(&sections(&[types, (2, few)]), Features::default()).unwrap();
    assert_eq!(module.imports().len(), 2);
    assert_eq!(module.imports()[1].module.len(), 100_000);
    assert!(std::sync::Arc::ptr_eq(
        &module.imports()[0].module,
        &module.imports()[1].module
    ));
    assert!(matches!(module.imports()[1].ty, ExternType::Func(_)));
}

/// Nesting is a matter of memory, not of the native stack.
#[test]
fn a_hundred_thousand_nested_blocks() {
    let depth = 100_000;
    for (open, shown) in [
        (&[0x02, 0x40][..], 0),
        (&[0x03, 0x40], depth),
        (&[0x41, 0, 0x04, 0x40], 0),
    ] {
        let mut body = vec![0];
        for _ in 0..depth {
            body.extend(open);
        }
        body.extend(std::iter::repeat_n(0x0b, depth + 1));
        let (_, summaries) = try_load(&one_function(&body), Features::default()).unwrap();
        let summary = &summaries.functions()[0];
        assert_eq!(summary.max_nesting as usize, depth);
        assert_eq!(summary.loops as usize, shown);
    }
    let mut body = vec![0, 0x41, 0];
    body.extend(std::iter::repeat_n(0x45, depth));
    body.extend([0x1a, 0x0b]);
    try_load(&one_function(&body), Features::default()).unwrap();
    // A constant expression as deep.
    let mut expr = vec![1, 0x7f, 0];
    expr.extend(std::iter::repeat_n([0x41, 1], depth).flatten());
    expr.extend(std::iter::repeat_n(0x6a, depth - 1));
    expr.push(0x0b);
    let (module, _) = try_load(&sections(&[(6, expr)]), Features::default()).unwrap();
    assert_eq!(module.global_initializers()[0].ops().len(), 2 * depth - 1);
}

#[test]
fn a_br_table_with_a_million_targets() {
    let mut body = vec![0, 0x41, 0, 0x0e];
    leb(&mut body, 1_000_000);
    body.extend(std::iter::repeat_n(0, 1_000_001));
    body.push(0x0b);
    let (_, summaries) = try_load(&one_function(&body), Features::default()).unwrap();
    assert_eq!(summaries.len(), 1);
    // A count that the body cannot hold allocates nothing.
    let _ = try_load(
        &one_function(&[0, 0x41, 0, 0x0e, 0xff, 0xff, 0xff, 0x0f, 0x0b]),
        Features::default(),
    )
    .unwrap_err();
}

#[test]
fn counts_are_not_believed() {
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        let bytes = sections(&[(id, vec![0xc0, 0x84, 0x3d])]); // 1,000,000 items in no bytes
        let error = try_load(&bytes, Features::IMPLEMENTED).unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Malformed | ErrorKind::Limit | ErrorKind::Invalid
            ),
            "section {id}: {error}"
        );
    }
    let code = [
        vec![1],
        sized(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b]),
    ]
    .concat();
    limit(&sections(&[
        (1, vec![1, 0x60, 0, 0]),
        (3, vec![1, 0]),
        (10, code),
    ]));
}
