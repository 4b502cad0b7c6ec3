//! Does compiled code compute what it should? A small harness maps the code of
//! a module and calls it, without the runtime: x86-64 only, where the convention
//! agrees with the C one for up to four integers and one result.
//!
//! This file holds unsafe code: it maps memory and calls what was compiled.

#![cfg(all(target_arch = "x86_64", unix))]

mod common;

use std::ffi::c_void;
use std::ptr;

use common::BARE;
use tepui_abi::builtin::{Builtin, TABLE_HEADER_WORDS};
use tepui_abi::layout::{FuncRefLayout, MemoryLayout, StoreLayout, TableLayout};
use tepui_abi::profile::OSR_SLOT_BYTES;
use tepui_abi::slots::SlotGeometry;
use tepui_abi::stack::StackLayout;
use tepui_abi::{
    Batch, CompiledFunction, Compiler, Entry, MemoryPlace, RelocationKind, Target, Trap, Tunables,
};
use tepui_module::{FuncIndex, MemoryIndex};
use tepui_optimizing::{OptLevel, Optimizing, Processor, Verifier};
use tepui_testing::modules::{GUARDED, Loaded, METERED};

/// Calls with everything on, and with nothing.
const ALL: [Tunables; 4] = [
    GUARDED,
    BARE,
    METERED,
    Tunables {
        spectre: false,
        ..GUARDED
    },
];

extern "sysv64" fn unexpected() -> ! {
    eprintln!("a builtin was called that the test does not expect");
    std::process::abort()
}

extern "sysv64" fn out_of_fuel(context: *const u8) {
    // SAFETY: the context begins with the pointer to the store context, whose
    // first word is the fuel counter; both live as long as the instance.
    unsafe {
        let store = context.cast::<*mut i64>().read();
        store.write(-50);
        store.add(100).write(store.add(100).read() + 1);
    }
}

extern "sysv64" fn new_epoch(_context: *const u8) -> u64 {
    u64::MAX
}

extern "sysv64" fn is_subtype(_context: *const u8, actual: u32, expected: u32) -> u32 {
    // In the test's module, type 1 is below type 0.
    u32::from(actual == expected || (actual, expected) == (1, 0))
}

/// A mapping that is never taken back: tests are short.
fn map(bytes: usize, protection: i32) -> *mut u8 {
    // SAFETY: a fresh anonymous mapping disturbs no other memory.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    assert_ne!(address, libc::MAP_FAILED);
    address.cast()
}

struct Instance {
    loaded: Loaded,
    compiler: Optimizing,
    context: *mut u8,
    store: *mut u8,
    functions: Vec<(CompiledFunction, *mut u8)>,
    batch: Batch<'static>,
}

fn publish(compiled: &CompiledFunction) -> *mut u8 {
    let code = map(
        compiled.code.len().max(1),
        libc::PROT_READ | libc::PROT_WRITE,
    );
    // SAFETY: the mapping has room for the code.
    unsafe { ptr::copy_nonoverlapping(compiled.code.as_ptr(), code, compiled.code.len()) };
    code
}

fn seal(code: *mut u8, bytes: usize) {
    // SAFETY: the range is the mapping that `publish` made.
    let result = unsafe { libc::mprotect(code.cast(), bytes, libc::PROT_READ | libc::PROT_EXEC) };
    assert_eq!(result, 0);
}

impl Instance {
    fn new(text: &str, tunables: Tunables, batch: Batch<'static>) -> Instance {
        let loaded = Loaded::text(text);
        let compiler = Optimizing::new(
            Target::host(),
            &Processor::Host,
            tunables,
            OptLevel::Speed,
            Verifier::On,
        )
        .expect("this machine has a compiler");
        assert_eq!(compiler.check_host(), Ok(()));
        let plan = loaded.plan(&compiler);
        let layout = &plan.layout;
        let target = Target::host();
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        let context = map(layout.size() as usize, writable);
        let store = map(4096, writable);
        let stack = map(StackLayout::new(target).size() as usize, writable);
        let builtins = map(4096, writable);
        let epoch = map(4096, writable);
        let put = |base: *mut u8, offset: u32, value: u64| {
            // SAFETY: every offset comes from the layout of the mapping.
            unsafe {
                base.add(offset as usize)
                    .cast::<u64>()
                    .write_unaligned(value)
            };
        };

        let functions: Vec<_> = loaded
            .functions()
            .map(|function| {
                let compiled = compiler
                    .compile(&loaded.input(&plan, function, Entry::Start, batch))
                    .expect("the function can be compiled");
                let code = publish(&compiled);
                (compiled, code)
            })
            .collect();
        for (compiled, code) in &functions {
            relocate(compiled, *code, &functions);
            seal(*code, compiled.code.len());
        }

        put(context, layout.store_context(), store as u64);
        put(context, layout.builtins(), builtins as u64);
        put(context, layout.epoch(), epoch as u64);
        let store_layout = StoreLayout::new(target);
        put(store, store_layout.stack(), stack as u64);
        put(store, store_layout.fuel(), (-50_i64) as u64);
        for builtin in Builtin::ALL {
            let function = match builtin {
                Builtin::out_of_fuel => out_of_fuel as *const () as u64,
                Builtin::new_epoch => new_epoch as *const () as u64,
                Builtin::is_subtype => is_subtype as *const () as u64,
                _ => unexpected as *const () as u64,
            };
            put(builtins, builtin.offset(8), function);
        }
        assert_eq!(TABLE_HEADER_WORDS, 1);

        // Type ids are the module's own type indices.
        let types = map(4096, writable);
        for index in 0..loaded.module.type_count() {
            // SAFETY: a page has room for the few types of a test.
            unsafe { types.cast::<u32>().add(index as usize).write(index) };
        }
        put(context, layout.type_ids(), types as u64);

        // Stubs: a jump through the slot a page behind.
        let geometry = SlotGeometry::new(target.architecture);
        let stubs = map(
            geometry.total_bytes(functions.len() as u32) as usize + 1,
            writable,
        );
        for (index, (_, code)) in functions.iter().enumerate() {
            let stub = geometry.stub_offset(index as u32) as u32;
            let slot = geometry.slot_offset(index as u32) as u32;
            put(stubs, slot, *code as u64);
            // jmp [rip + distance]
            put(stubs, stub, 0x25ff | u64::from(slot - stub - 6) << 16);
        }
        let bytes = geometry.total_bytes(functions.len() as u32) as usize;
        // SAFETY: the range is the mapping of stubs made above.
        let result = unsafe {
            libc::mprotect(
                stubs.cast(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            )
        };
        assert_eq!(result, 0);
        put(context, layout.stub_base(), stubs as u64);

        let reference = FuncRefLayout::new(target);
        for (number, function) in plan.escaped.iter().enumerate() {
            let at = layout.func_ref(number as u32);
            let defined = loaded
                .module
                .defined_func_index(*function)
                .expect("an escaped function is defined");
            put(
                context,
                at + reference.code(),
                functions[defined.index()].1 as u64,
            );
            put(context, at + reference.context(), context as u64);
            put(
                context,
                at + reference.type_id(),
                u64::from(loaded.module.func_type_index(*function).as_u32()),
            );
        }
        let table = TableLayout::new(target);
        for (index, ty) in loaded.module.tables().iter().enumerate() {
            let elements = map(ty.minimum as usize * 8 + 4096, writable);
            let at = layout.defined_table(index as u32);
            put(context, at + table.base(), elements as u64);
            put(context, at + table.length(), ty.minimum);
        }
        let memory = MemoryLayout::new(target);
        for (index, ty) in loaded.module.memories().iter().enumerate() {
            let base = map(8 << 30, libc::PROT_NONE);
            let length = ty.minimum_bytes().expect("a small memory") as usize;
            // SAFETY: the range is the start of the mapping made above.
            let result = unsafe { libc::mprotect(base.cast(), length, writable) };
            assert_eq!(result, 0);
            let MemoryPlace::Direct(direct) = plan.memory(MemoryIndex::new(index as u32)).place
            else {
                panic!("the harness knows defined memories only");
            };
            let at = layout.direct_memory(direct);
            put(context, at + memory.base(), base as u64);
            put(context, at + memory.length(), length as u64);
        }
        Instance {
            loaded,
            compiler,
            context,
            store,
            functions,
            batch,
        }
    }

    fn address(&self, name: &str) -> *mut u8 {
        let Some(tepui_module::ExternIndex::Func(index)) = self.loaded.module.export(name) else {
            panic!("no function {name}");
        };
        let defined = self.loaded.module.defined_func_index(index);
        self.functions[defined.expect("defined").index()].1
    }

    fn call(&self, name: &str, arguments: &[u64]) -> u64 {
        self.call_at(self.address(name), self.context as u64, arguments)
    }

    fn call_at(&self, code: *mut u8, second: u64, arguments: &[u64]) -> u64 {
        type Entry = extern "sysv64" fn(*mut u8, u64, u64, u64, u64, u64) -> u64;
        // SAFETY: the code follows the convention, in which two contexts and up
        // to four integers travel as in the C one.
        let entry: Entry = unsafe { std::mem::transmute(code) };
        let at = |i: usize| arguments.get(i).copied().unwrap_or(0xdead_beef_dead_beef);
        entry(self.context, second, at(0), at(1), at(2), at(3))
    }

    /// A call with garbage in the upper half of every argument.
    fn call32(&self, name: &str, arguments: &[u32]) -> u32 {
        let arguments: Vec<u64> = arguments
            .iter()
            .map(|a| u64::from(*a) | 0xabcd_ef01_0000_0000)
            .collect();
        self.call(name, &arguments) as u32
    }

    /// The trap that a call ends with: the call runs in a child process, whose
    /// handler looks the faulting address up.
    fn trap(&self, name: &str, arguments: &[u32]) -> Option<Trap> {
        // SAFETY: the child only runs compiled code and leaves.
        let child = unsafe { libc::fork() };
        assert_ne!(child, -1);
        if child == 0 {
            let sites: Vec<(u64, u8)> = self
                .functions
                .iter()
                .flat_map(|(compiled, code)| {
                    compiled
                        .metadata
                        .traps
                        .iter()
                        .map(|site| (*code as u64 + u64::from(site.offset), site.trap.code()))
                })
                .collect();
            SITES.set(sites).expect("set once per child");
            for signal in [libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE] {
                // SAFETY: the action is complete, and the handler only reads
                // what was set before and leaves.
                unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = handler as *const () as usize;
                    action.sa_flags = libc::SA_SIGINFO;
                    libc::sigaction(signal, &action, ptr::null_mut());
                }
            }
            self.call32(name, arguments);
            // SAFETY: leaves without running anything of the parent's.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert!(libc::WIFEXITED(status), "the child ended with {status:#x}");
        let code = libc::WEXITSTATUS(status) as u8;
        assert_ne!(code, 255, "a fault at an address that is in no table");
        Trap::from_code(code)
    }

    /// Enters a function at one of its loops.
    fn enter_at(&self, function: u32, index: u32, slots: &[u64]) -> u64 {
        let plan = self.loaded.plan(&self.compiler);
        let function = tepui_module::DefinedFuncIndex::new(function);
        let entry = Entry::Loop { index };
        let input = self.loaded.input(&plan, function, entry, self.batch);
        let compiled = self
            .compiler
            .compile(&input)
            .expect("the loop can be entered");
        let code = publish(&compiled);
        relocate(&compiled, code, &self.functions);
        seal(code, compiled.code.len());
        let buffer = map(
            slots.len() * OSR_SLOT_BYTES as usize + 1,
            libc::PROT_READ | libc::PROT_WRITE,
        );
        for (i, slot) in slots.iter().enumerate() {
            // SAFETY: the mapping has a slot for each.
            unsafe {
                buffer
                    .add(i * OSR_SLOT_BYTES as usize)
                    .cast::<u64>()
                    .write(*slot);
            }
        }
        self.call_at(code, buffer as u64, &[])
    }

    fn refuels(&self) -> i64 {
        // SAFETY: `out_of_fuel` counts there, within the mapping.
        unsafe { self.store.cast::<i64>().add(100).read() }
    }
}

static SITES: std::sync::OnceLock<Vec<(u64, u8)>> = std::sync::OnceLock::new();

extern "C" fn handler(_signal: i32, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a valid context to a handler with SA_SIGINFO.
    let pc = unsafe {
        (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] as u64
    };
    let code = SITES
        .get()
        .and_then(|sites| sites.iter().find(|site| site.0 == pc))
        .map_or(255, |site| i32::from(site.1));
    // SAFETY: leaves at once.
    unsafe { libc::_exit(code) }
}

fn relocate(compiled: &CompiledFunction, code: *mut u8, functions: &[(CompiledFunction, *mut u8)]) {
    for relocation in &compiled.relocations {
        assert_eq!(relocation.kind, RelocationKind::X86PcRelative4);
        let field = code.wrapping_add(relocation.offset as usize);
        let target = functions[relocation.target.index()].1;
        let distance = target as i64 - (field as i64 + 4);
        let distance = i32::try_from(distance).expect("mappings lie close to one another");
        // SAFETY: the field lies in the code, which is still writable.
        unsafe { field.cast::<i32>().write_unaligned(distance) };
    }
}

/// Runs `check` under all tunables, with and without direct calls.
fn everywhere(text: &str, check: impl Fn(&Instance)) {
    for tunables in ALL {
        for batch in [Batch::Whole, Batch::Alone] {
            check(&Instance::new(text, tunables, batch));
        }
    }
}

#[test]
fn calls_and_recursion() {
    let text = r#"(module
        (func $fib (export "fib") (param i32) (result i32)
            (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                (then (local.get 0))
                (else (i32.add
                    (call $fib (i32.sub (local.get 0) (i32.const 1)))
                    (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func $even (export "even") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
            (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
        (func $odd (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
            (return_call $even (i32.sub (local.get 0) (i32.const 1)))))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call32("fib", &[15]), 610);
        // Deeper than any stack could be without tail calls.
        assert_eq!(instance.call32("even", &[3_000_000]), 1);
        assert_eq!(instance.call32("even", &[3_000_001]), 0);
    });
}

#[test]
fn many_parameters_and_results_travel() {
    // 1,000 of each, of all types in turn: out of registers in every class.
    let types = ["i32", "i64", "f32", "f64", "v128", "funcref"];
    for count in [0, 1, 5, 9, 40, 1000] {
        let list: Vec<&str> = (0..count).map(|i| types[i % types.len()]).collect();
        let list = list.join(" ");
        let mut pushes = String::new();
        let mut checks = String::new();
        for i in 0..count {
            let number = i + 3;
            let (push, check) = match types[i % types.len()] {
                "v128" => (
                    format!("(i64x2.splat (i64.const {number}))"),
                    "(i64.eq (i64x2.extract_lane 1 (local.get $v)) (i64.const N))",
                ),
                "funcref" => ("(ref.null func)".to_owned(), "(ref.is_null (local.get $r))"),
                "i32" => (
                    format!("(i32.const {number})"),
                    "(i32.eq (local.get $i32) (i32.const N))",
                ),
                "i64" => (
                    format!("(i64.const {number})"),
                    "(i64.eq (local.get $i64) (i64.const N))",
                ),
                "f32" => (
                    format!("(f32.const {number})"),
                    "(f32.eq (local.get $f32) (f32.const N))",
                ),
                _ => (
                    format!("(f64.const {number})"),
                    "(f64.eq (local.get $f64) (f64.const N))",
                ),
            };
            pushes.push_str(&push);
            // Results come off the stack in reverse.
            let local = match types[i % types.len()] {
                "v128" => "$v",
                "funcref" => "$r",
                "i32" => "$i32",
                "i64" => "$i64",
                "f32" => "$f32",
                _ => "$f64",
            };
            let check = check.replace('N', &number.to_string());
            checks.insert_str(
                0,
                &format!("(local.set {local}) (local.set $ok (i32.and (local.get $ok) {check}))\n"),
            );
        }
        let gets: String = (0..count).map(|i| format!("(local.get {i})")).collect();
        let text = format!(
            r#"(module
            (type $many (func (param {list}) (result {list})))
            (table 1 funcref)
            (elem declare func $echo)
            (func $echo (type $many) {gets})
            (func $through (type $many) {gets} (return_call $echo))
            (func (export "test") (result i32)
                (local $ok i32) (local $i32 i32) (local $i64 i64) (local $f32 f32)
                (local $f64 f64) (local $v v128) (local $r funcref)
                (local.set $ok (i32.const 1))
                {pushes}
                (call $through)
                (call_ref $many (ref.func $echo))
                {checks}
                (local.get $ok)))"#
        );
        for batch in [Batch::Whole, Batch::Alone] {
            let instance = Instance::new(&text, METERED, batch);
            assert_eq!(instance.call32("test", &[]), 1, "{count} values, {batch:?}");
        }
    }
}

#[test]
fn memory_is_not_left() {
    let text = r#"(module
        (memory 1)
        (func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "load32") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "far") (param i32) (result i32) (i32.load offset=0x7fffffff (local.get 0)))
        (func (export "farther") (param i32) (result i32) (i32.load offset=0xfffffffc (local.get 0)))
        (func (export "near") (param i32) (result i32) (i32.load offset=65532 (local.get 0)))
        (func (export "store64") (param i32 i32)
            (i64.store (local.get 0) (i64.extend_i32_s (local.get 1))))
        (func (export "vector") (param i32) (result i32)
            (i32x4.extract_lane 3 (v128.load (local.get 0))))
        (func (export "atomic") (param i32) (result i32) (i32.atomic.load offset=2 (local.get 0)))
        (func (export "size") (result i32) (memory.size)))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call32("size", &[]), 1);
        instance.call32("store64", &[65528, 0x8765_4321]);
        assert_eq!(instance.call32("load32", &[65528]), 0x8765_4321);
        assert_eq!(instance.call32("load32", &[65532]), 0xffff_ffff);
        assert_eq!(instance.call32("near", &[0]), 0xffff_ffff);
        assert_eq!(instance.call32("load8", &[65535]), 0xff);
        assert_eq!(instance.call32("vector", &[65520]), 0xffff_ffff);
        assert_eq!(instance.call32("atomic", &[65526]), 0x8765_4321);
        let out = Some(Trap::MemoryOutOfBounds);
        for (name, index) in [
            ("load8", 65536),
            ("load8", u32::MAX),
            ("load32", 65533),
            ("load32", u32::MAX),
            ("near", 1),
            ("near", u32::MAX),
            ("far", 0),
            ("far", u32::MAX),
            ("farther", 0),
            ("farther", 1),
            ("farther", u32::MAX),
            ("vector", 65521),
            ("atomic", 65534),
            // Wraps in 32 bits, to an aligned address.
            ("atomic", 0xffff_fffe),
        ] {
            assert_eq!(instance.trap(name, &[index]), out, "{name} {index:#x}");
        }
        assert_eq!(instance.trap("store64", &[65529, 1]), out);
        assert_eq!(instance.trap("atomic", &[0]), Some(Trap::HeapMisaligned));
        assert_eq!(instance.trap("load32", &[0]), None);
    });
}

#[test]
fn wide_memory_is_not_left() {
    let text = r#"(module
        (memory i64 1)
        (func (export "load") (param i64) (result i32) (i32.load (local.get 0)))
        (func (export "at") (param i32) (result i32) (i32.load (i64.extend_i32_u (local.get 0))))
        (func (export "before") (param i32) (result i32)
            (i32.load offset=8 (i64.sub (i64.const 0) (i64.extend_i32_u (local.get 0)))))
        (func (export "far") (param i32) (result i32)
            (i32.load offset=0xffffffffffffff00 (i64.extend_i32_u (local.get 0))))
        (func (export "page") (param i32) (result i32)
            (i32.load offset=0x10000 (i64.extend_i32_s (local.get 0)))))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call("load", &[65532]) as u32, 0);
        let out = Some(Trap::MemoryOutOfBounds);
        assert_eq!(instance.trap("at", &[65533]), out);
        assert_eq!(instance.trap("before", &[4]), out);
        assert_eq!(instance.trap("before", &[9]), out);
        assert_eq!(instance.trap("far", &[0]), out);
        assert_eq!(instance.trap("far", &[0x200]), out);
        assert_eq!(instance.trap("page", &[0]), out);
        // The sum wraps around to the last bytes below zero, not to the memory.
        assert_eq!(instance.trap("page", &[(-65536_i32) as u32]), out);
    });
}

#[test]
fn tables_are_checked() {
    let text = r#"(module
        (rec (type $top (sub (func (result i32)))))
        (rec (type $sub (sub $top (func (result i32)))))
        (type $other (func (result i64)))
        (table $t 3 funcref)
        (func $a (type $top) (i32.const 11))
        (func $b (type $sub) (i32.const 12))
        (func $c (type $other) (i64.const 13))
        (elem declare func $a $b $c)
        (func (export "fill")
            (table.set $t (i32.const 0) (ref.func $a))
            (table.set $t (i32.const 1) (ref.func $b))
            (table.set $t (i32.const 2) (ref.func $c)))
        (func (export "null") (table.set $t (i32.const 1) (ref.null func)))
        (func (export "call") (param i32) (result i32)
            (call_indirect $t (type $top) (local.get 0)))
        (func (export "call_sub") (param i32) (result i32)
            (call_indirect $t (type $sub) (local.get 0)))
        (func (export "tail") (param i32) (result i32)
            (return_call_indirect $t (type $top) (local.get 0)))
        (func (export "is_null") (param i32) (result i32)
            (ref.is_null (table.get $t (local.get 0))))
        (func (export "size") (result i32) (table.size $t)))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call32("is_null", &[1]), 1);
        assert_eq!(instance.trap("call", &[1]), Some(Trap::IndirectCallToNull));
        instance.call32("fill", &[]);
        assert_eq!(instance.call32("size", &[]), 3);
        assert_eq!(instance.call32("call", &[0]), 11);
        assert_eq!(instance.call32("call", &[1]), 12);
        assert_eq!(instance.call32("tail", &[1]), 12);
        assert_eq!(instance.call32("call_sub", &[1]), 12);
        assert_eq!(instance.trap("call_sub", &[0]), Some(Trap::BadSignature));
        assert_eq!(instance.trap("call", &[2]), Some(Trap::BadSignature));
        for index in [3, 4, u32::MAX] {
            assert_eq!(
                instance.trap("call", &[index]),
                Some(Trap::TableOutOfBounds)
            );
            assert_eq!(
                instance.trap("is_null", &[index]),
                Some(Trap::TableOutOfBounds)
            );
        }
        instance.call32("null", &[]);
        assert_eq!(instance.trap("tail", &[1]), Some(Trap::IndirectCallToNull));
    });
}

#[test]
fn arithmetic_traps() {
    let text = r#"(module
        (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
        (func (export "rem") (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
        (func (export "trunc") (param i32) (result i32)
            (i32.trunc_f32_s (f32.reinterpret_i32 (local.get 0))))
        (func (export "stop") (unreachable))
        (func (export "null") (result i32) (ref.as_non_null (ref.null func)) drop (i32.const 0)))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call32("div", &[7, 2]), 3);
        assert_eq!(instance.call32("rem", &[0x8000_0000, u32::MAX]), 0);
        let (zero, overflow) = (Trap::IntegerDivisionByZero, Trap::IntegerOverflow);
        assert_eq!(instance.trap("div", &[7, 0]), Some(zero));
        assert_eq!(instance.trap("rem", &[7, 0]), Some(zero));
        assert_eq!(
            instance.trap("div", &[0x8000_0000, u32::MAX]),
            Some(overflow)
        );
        assert_eq!(
            instance.trap("trunc", &[0x7fc0_0000]),
            Some(Trap::BadConversionToInteger)
        );
        assert_eq!(instance.trap("trunc", &[0x4f00_0000]), Some(overflow));
        assert_eq!(
            instance.trap("stop", &[]),
            Some(Trap::UnreachableCodeReached)
        );
        assert_eq!(instance.trap("null", &[]), Some(Trap::NullReference));
    });
}

#[test]
fn control_flow() {
    let text = r#"(module
        (func (export "table") (param i32) (result i32)
            (block $a (result i32)
                (block $b (result i32)
                    (block $c (result i32)
                        (br_table $a $b $c $a (i32.const 100) (local.get 0)))
                    (i32.add (i32.const 1)))
                (i32.add (i32.const 10))))
        (func (export "if") (param i32 i32) (result i32)
            (local.get 1)
            (if (param i32) (result i32) (local.get 0)
                (then (i32.add (i32.const 5)) (br_if 0 (local.get 0)) (unreachable))))
        (func (export "loop") (param i32) (result i64) (local i64)
            (i64.const 1)
            (loop $l (param i64) (result i64)
                (i64.mul (i64.extend_i32_u (local.get 0)))
                (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))
                (br_if $l)))
        (func (export "epilogue") (param i32) (result i32)
            (br_if 0 (i32.const 4) (local.get 0)) (drop) (i32.const 9)
            (br_table 0 0 (local.get 0))))"#;
    everywhere(text, |instance| {
        let results: Vec<u32> = (0..5).map(|i| instance.call32("table", &[i])).collect();
        assert_eq!(results, [100, 110, 111, 100, 100]);
        assert_eq!(instance.call32("if", &[0, 7]), 7);
        assert_eq!(instance.call32("if", &[1, 7]), 12);
        assert_eq!(instance.call("loop", &[10]), 3_628_800);
        assert_eq!(instance.call32("epilogue", &[1]), 4);
        assert_eq!(instance.call32("epilogue", &[0]), 9);
    });
}

/// The nest of loops of [`loops_are_entered`], from any point on.
fn nest(n: u64, level: u32, state: [u64; 4], stack: &[u64]) -> u64 {
    let [mut i, mut j, mut k, mut sum] = state;
    let mut stack = stack.to_vec();
    let mut level = level;
    loop {
        match level {
            0 => {
                stack.push(i * 3);
                j = 0;
                level = 1;
            }
            1 => {
                stack.push(j + 100);
                k = 0;
                level = 2;
            }
            _ => {
                sum += i + j + k;
                k += 1;
                if k < n {
                    continue;
                }
                sum += stack.pop().unwrap_or_default();
                j += 1;
                if j < n {
                    level = 1;
                    continue;
                }
                sum += stack.pop().unwrap_or_default();
                i += 1;
                if i < n {
                    level = 0;
                    continue;
                }
                return sum + stack.pop().unwrap_or_default();
            }
        }
    }
}

#[test]
fn loops_are_entered() {
    let text = r#"(module (func (export "nest") (param $n i64) (result i64)
        (local $i i64) (local $j i64) (local $k i64) (local $sum i64) (local $pad v128)
        (i64.const 5)
        (loop $a
            (i64.mul (local.get $i) (i64.const 3))
            (local.set $j (i64.const 0))
            (if (i64.ge_s (local.get $i) (i64.const 0)) (then
              (block $out
                (loop $b
                    (i64.add (local.get $j) (i64.const 100))
                    (local.set $k (i64.const 0))
                    (loop $c
                        (local.set $sum (i64.add (local.get $sum)
                            (i64.add (local.get $i) (i64.add (local.get $j) (local.get $k)))))
                        (local.set $k (i64.add (local.get $k) (i64.const 1)))
                        (br_if $c (i64.lt_u (local.get $k) (local.get $n))))
                    (local.set $sum (i64.add (local.get $sum)))
                    (local.set $j (i64.add (local.get $j) (i64.const 1)))
                    (br_if $b (i64.lt_u (local.get $j) (local.get $n)))
                    (br $out)))) 
              (else (unreachable)))
            (local.set $sum (i64.add (local.get $sum)))
            (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $a (i64.lt_u (local.get $i) (local.get $n))))
        (i64.add (local.get $sum))))"#;
    everywhere(text, |instance| {
        let n = 6;
        let whole = nest(n, 0, [0; 4], &[5]);
        assert_eq!(instance.call("nest", &[n]), whole);
        for (index, state, stack) in [
            (0, [0, 0, 0, 0], vec![5]),
            (0, [4, 9, 9, 77], vec![5]),
            (1, [2, 3, 9, 77], vec![5, 6]),
            (2, [2, 3, 4, 77], vec![5, 6, 103]),
            (2, [5, 5, 5, 77], vec![1000, 2000, 3000]),
        ] {
            let [i, j, k, sum] = state;
            let mut slots = vec![n, i, j, k, sum, 0];
            slots.extend(&stack);
            assert_eq!(
                instance.enter_at(0, index, &slots),
                nest(n, index, state, &stack),
                "loop {index}"
            );
        }
    });
}

#[test]
fn loops_with_parameters_are_entered() {
    // Two loops around the target take parameters, and so does the target.
    let text = r#"(module (func (param $n i32) (result i64) (local $i i32)
        (i64.const 1) (i64.const 2)
        (loop $a (param i64 i64) (result i64)
            (i64.add)
            (loop $b (param i64) (result i64)
                (i64.const 10)
                (loop $c (param i64 i64) (result i64)
                    (i64.add)
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (i64.const 10)
                    (br_if $c (i32.and (local.get $i) (i32.const 3)))
                    (drop))
                (br_if $b (i32.and (local.get $i) (i32.const 15))))
            (i64.const 1000)
            (br_if $a (i32.lt_u (local.get $i) (local.get $n)))
            (drop))))"#;
    everywhere(text, |instance| {
        // From the start: 3, and 10 per step, and 1000 per 16 steps but the last.
        assert_eq!(instance.enter_at(0, 0, &[64, 0, 1, 2]), 3 + 640 + 3000);
        assert_eq!(instance.enter_at(0, 1, &[64, 0, 3]), 3 + 640 + 3000);
        assert_eq!(instance.enter_at(0, 1, &[64, 52, 3]), 3 + 120);
        assert_eq!(instance.enter_at(0, 2, &[64, 33, 7, 10]), 7 + 310 + 1000);
    });
}

#[test]
fn fuel_counts_instructions() {
    let text = r#"(module (func (export "spin") (param i32) (result i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 0)))"#;
    let instance = Instance::new(text, METERED, Batch::Whole);
    assert_eq!(instance.call32("spin", &[1000]), 0);
    // Five instructions a turn; after a refuel of 50, turns of 5 until above zero.
    let refuels = instance.refuels();
    assert_eq!(refuels, 5 * 1000 / 55);
}

#[test]
fn vectors_compute() {
    let text = r#"(module
        (func (export "sum") (param i32) (result i32)
            (local $v v128)
            (local.set $v (i32x4.mul (i32x4.splat (local.get 0)) (v128.const i32x4 1 2 3 4)))
            (local.set $v (i8x16.shuffle 12 13 14 15 8 9 10 11 4 5 6 7 0 1 2 3 (local.get $v) (local.get $v)))
            (i32.add
                (i32.mul (i32.const 1000) (i32x4.extract_lane 0 (local.get $v)))
                (i32x4.extract_lane 3 (local.get $v))))
        (func (export "swizzle") (param i32) (result i32)
            (i8x16.extract_lane_u 2 (i8x16.swizzle
                (v128.const i8x16 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25)
                (i8x16.splat (local.get 0)))))
        (func (export "trunc") (result i32)
            (i32x4.extract_lane 1 (i32x4.trunc_sat_f64x2_u_zero (v128.const f64x2 -1 3e9))))
        (func (export "madd") (result i32)
            (i32.trunc_f32_s (f32x4.extract_lane 2 (f32x4.relaxed_nmadd
                (v128.const f32x4 1 2 3 4) (v128.const f32x4 5 6 7 8) (v128.const f32x4 100 100 100 100))))))"#;
    everywhere(text, |instance| {
        assert_eq!(instance.call32("sum", &[5]), 20_005);
        for (index, result) in [(0, 10), (15, 25), (16, 0), (255, 0)] {
            assert_eq!(instance.call32("swizzle", &[index]), result);
        }
        assert_eq!(instance.call32("trunc", &[]), 3_000_000_000);
        assert_eq!(instance.call32("madd", &[]), 79);
    });
}

#[test]
fn positions_and_traps_are_in_order() {
    let instance = Instance::new(
        r#"(module (memory 1) (func (export "f") (param i32) (result i32)
            (i32.div_u (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)))))"#,
        GUARDED,
        Batch::Whole,
    );
    let _ = FuncIndex::new(0);
    let metadata = &instance.functions[0].0.metadata;
    assert!(metadata.traps.is_sorted_by_key(|site| site.offset));
    assert!(
        metadata
            .positions
            .is_sorted_by(|a, b| a.offset < b.offset && a.wasm != b.wasm)
    );
    let body = instance.loaded.module.bodies()[0].range();
    let traps: Vec<Trap> = metadata.traps.iter().map(|site| site.trap).collect();
    assert_eq!(
        traps
            .iter()
            .filter(|t| **t == Trap::MemoryOutOfBounds)
            .count(),
        2
    );
    assert!(traps.contains(&Trap::IntegerDivisionByZero));
    for site in &metadata.traps {
        let at = metadata
            .positions
            .partition_point(|p| p.offset <= site.offset);
        let wasm = metadata.positions[at - 1].wasm as usize;
        assert!(body.contains(&wasm), "{wasm:#x} is not in {body:x?}");
    }
}
