//! What can only be seen of a whole process: its memory, its maps, how it dies.
//!
//! Each test starts this binary again and looks at the child, so that other
//! tests do not disturb it.

#![cfg(target_os = "linux")]

mod tier;

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use tepui::{Caller, Engine, Error, Extern, Features, Func, Instance, Linker, Module, Store, Trap};
use tepui_testing::process::{self, is_any_case, is_emulated};

/// Runs the test `name` of this binary in a process of its own, as a child.
fn child(name: &str) -> Output {
    process::case(name)
        // Otherwise glibc may take a new arena, of megabytes, for any thread.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_success(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn engine() -> Engine {
    let mut config = tier::config();
    config
        .features(Features::IMPLEMENTED)
        .parallel_compilation(false);
    Engine::new(&config).unwrap()
}

#[test]
fn every_tier() {
    if !is_any_case() {
        tier::run_in_others(|_| &[]);
    }
}

/// Why a test that looks at the memory of this process is not run.
const OF_AN_EMULATOR: &str = "not run: the memory that would be measured is an emulator's";

/// Kilobytes in memory, mappings, open files.
fn usage() -> (usize, usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count();
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (resident, maps, files)
}

/// Does `work` often, and sees that what the process has stays about the same.
#[track_caller]
fn flat(what: &str, rounds: usize, mut work: impl FnMut(usize)) {
    for round in 0..rounds / 2 {
        work(round);
    }
    let before = usage();
    for round in rounds / 2..rounds * 3 / 2 {
        work(round);
    }
    let after = usage();
    println!("{what}: {before:?}, then {after:?}");
    assert!(
        after.0 < before.0 + 3000,
        "{what}: {} kB became {} kB",
        before.0,
        after.0
    );
    assert!(
        after.1 < before.1 + 20,
        "{what}: {} mappings became {}",
        before.1,
        after.1
    );
    assert!(after.2 <= before.2, "{what} leaves files open");
}

const MODULE: &str = "(module
    (import \"\" \"f\" (func $f))
    (memory (export \"m\") 2) (table 10 funcref)
    (data (i32.const 4000) \"some initial data that spans a page, or so one hopes, by its length of a hundred bytes and more\")
    (elem (i32.const 1) $add)
    (func $add (export \"add\") (param i32) (result i32)
      (i32.store (i32.const 70000) (local.get 0))
      (i32.add (local.get 0) (i32.const 1)))
    (func (export \"trap\") (unreachable))
    (func $deep (export \"deep\") (call $deep) (call $deep))
    (func (export \"host\") (call $f)))";

/// 22, 27: stores, instances, modules, engines and threads by the thousand leave
/// nothing behind.
#[test]
fn nothing_is_left_behind() {
    if is_emulated() {
        return println!("{OF_AN_EMULATOR}");
    }
    if !is_any_case() {
        return assert_success(&child("nothing_is_left_behind"));
    }
    let engine = engine();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker
        .func_wrap("", "f", || -> tepui::Result<()> {
            Err(Error::msg("an error with a text"))
        })
        .unwrap();
    let module = Module::new(&engine, MODULE).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    flat("stores", 4000, |_| {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let add = instance
            .get_typed_func::<i32, i32>(&mut store, "add")
            .unwrap();
        assert_eq!(add.call(&mut store, 1).unwrap(), 2);
    });
    flat("modules", 300, |round| {
        let text = MODULE.replace(
            "(local.get 0) (i32.const 1)",
            &format!("(local.get 0) (i32.const {round})"),
        );
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let add = instance
            .get_typed_func::<i32, i32>(&mut store, "add")
            .unwrap();
        assert_eq!(add.call(&mut store, 1).unwrap(), round as i32 + 1);
    });
    flat("types", 2000, |round| {
        let params = "i64 ".repeat(round % 200);
        let text = format!("(module (type (func (param {params}) (result f32))))");
        Module::new(&engine, text).unwrap();
    });
    flat("refused modules", 1000, |round| {
        let text =
            format!("(module (type (func (param i32))) (func (result i64) (i32.const {round})))");
        Module::new(&engine, text).unwrap_err();
    });
    flat("engines", 60, |_| {
        let engine = self::engine();
        let module = Module::new(&engine, "(module (memory 1) (func (export \"f\")))").unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        f.call(&mut store, ()).unwrap();
    });
    if tier::has_images(tier::strategy()) {
        let image = module.serialize().unwrap();
        flat("images", 400, |_| {
            // SAFETY: the image was just made.
            let module = unsafe { Module::deserialize(&engine, &image) }.unwrap();
            let mut store = Store::new(&engine, ());
            linker.instantiate(&mut store, &module).unwrap();
        });
    }
    flat("threads", 200, |_| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut store = Store::new(&engine, ());
                let instance = pre.instantiate(&mut store).unwrap();
                let trap = instance
                    .get_typed_func::<(), ()>(&mut store, "trap")
                    .unwrap();
                trap.call(&mut store, ()).unwrap_err();
            });
        });
    });
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    for (name, rounds) in [("trap", 20_000), ("host", 20_000), ("deep", 200)] {
        let func = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        flat(name, rounds, |_| {
            func.call(&mut store, ()).unwrap_err();
        });
    }
}

/// 23: as many instances in one store as its default limit, and more with a
/// memory each than a process has mappings for: an error, not a crash.
#[test]
fn very_many_instances_in_one_store() {
    if is_emulated() {
        return println!("{OF_AN_EMULATOR}");
    }
    if !is_any_case() {
        return assert_success(&child("very_many_instances_in_one_store"));
    }
    let engine = engine();
    let module = Module::new(
        &engine,
        "(module (global $g (mut i32) (i32.const 5))
           (func (export \"next\") (result i32)
             (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))",
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let before = usage();
    let instances: Vec<_> = (0..10_000)
        .map(|_| Instance::new(&mut store, &module, &[]).unwrap())
        .collect();
    for instance in [instances[0], instances[9_999], instances[0]] {
        let next = instance
            .get_typed_func::<(), i32>(&mut store, "next")
            .unwrap();
        assert!(next.call(&mut store, ()).unwrap() >= 6);
    }
    let after = usage();
    assert!(
        after.0 < before.0 + 40_000,
        "10,000 instances took {} kB",
        after.0 - before.0
    );
    drop(store);

    let module = Module::new(&engine, "(module (memory (export \"m\") 1))").unwrap();
    let mut store = Store::new(&engine, ());
    let mut made = 0;
    let error = loop {
        match Instance::new(&mut store, &module, &[]) {
            Ok(_) if made == 70_000 => break None,
            Ok(_) => made += 1,
            Err(error) => break Some(error),
        }
    };
    assert!(made > 1000, "{made}");
    if let Some(error) = error {
        assert!(format!("{error:#}").contains("memory"), "{error:?}");
    }
    drop(store);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "m").unwrap();
    assert_eq!(memory.data_size(&store), 65536);
}

/// Installs a handler of the program's own for a signal.
fn install(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: zeros are a valid action, the handler calls only what is allowed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

extern "C" fn exit_with_seven(_: libc::c_int) {
    // SAFETY: allowed in signal handlers.
    unsafe { libc::_exit(7) }
}

/// A guest that traps by signals of every kind, and can call a host function.
fn guest(engine: &Engine, host: impl Fn() + Send + Sync + 'static) -> (Store<()>, Instance) {
    let module = Module::new(
        engine,
        "(module (import \"\" \"f\" (func $f)) (memory 1)
           (func (export \"segv\") (drop (i32.load (i32.const 65536))))
           (func (export \"ill\") (unreachable))
           (func (export \"fpe\") (param i32)
             (drop (i32.div_u (i32.const 1) (local.get 0))))
           (func (export \"host\") (call $f)))",
    )
    .unwrap();
    let mut store = Store::new(engine, ());
    let host = Func::wrap(&mut store, host);
    let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
    (store, instance)
}

fn guests_trap(store: &mut Store<()>, instance: Instance) {
    for _ in 0..3 {
        for (name, trap) in [
            ("segv", Trap::MemoryOutOfBounds),
            ("ill", Trap::UnreachableCodeReached),
            ("fpe", Trap::IntegerDivisionByZero),
        ] {
            let func = instance.get_func(&mut *store, name).unwrap();
            let params: &[tepui::Val] = if name == "fpe" {
                &[tepui::Val::I32(0)]
            } else {
                &[]
            };
            let error = func.call(&mut *store, params, &mut []).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&trap));
        }
    }
}

/// Reads an address that is not mapped.
fn fault() {
    let address = std::hint::black_box(8_usize);
    // SAFETY: it is not; the process is about to die, as the test wants.
    unsafe { std::ptr::read_volatile(address as *const u8) };
}

/// A program's own handler, there before the runtime's, still gets the faults
/// that are not the guest's.
#[test]
fn handlers_of_the_program_still_run() {
    let name = "handlers_of_the_program_still_run";
    if !is_any_case() {
        let output = child(name);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        return;
    }
    install(libc::SIGSEGV, exit_with_seven);
    let (mut store, instance) = guest(&engine(), || {});
    guests_trap(&mut store, instance);
    fault();
}

/// Runs the test of this name again in a process of its own, where a guest calls
/// `host` after `prepare` has been there; gives what came of it.
fn ended_in_host(name: &str, prepare: impl FnOnce(), host: fn()) -> Option<Output> {
    if !is_any_case() {
        return Some(child(name));
    }
    prepare();
    let (mut store, instance) = guest(&engine(), host);
    guests_trap(&mut store, instance);
    let host = instance
        .get_typed_func::<(), ()>(&mut store, "host")
        .unwrap();
    let _ = host.call(&mut store, ());
    None
}

/// The same while a guest waits for the host function that faults.
#[test]
fn faults_of_host_functions_are_the_programs() {
    let name = "faults_of_host_functions_are_the_programs";
    let prepare = || install(libc::SIGSEGV, exit_with_seven);
    if let Some(output) = ended_in_host(name, prepare, fault) {
        assert_eq!(output.status.code(), Some(7), "{output:?}");
    }
}

/// Without a handler of its own the program dies of its fault, not of something
/// else and not never.
#[test]
fn a_fault_of_the_program_kills_it() {
    let name = "a_fault_of_the_program_kills_it";
    if let Some(output) = ended_in_host(name, || {}, fault) {
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
    }
}

/// Signals that another process sends are no traps, guest or not.
#[test]
fn signals_from_outside_are_no_traps() {
    let name = "signals_from_outside_are_no_traps";
    let prepare = || install(libc::SIGFPE, exit_with_seven);
    let send = || {
        // SAFETY: sends a signal to ourselves.
        unsafe { libc::raise(libc::SIGFPE) };
    };
    if let Some(output) = ended_in_host(name, prepare, send) {
        assert_eq!(output.status.code(), Some(7), "{output:?}");
    }
}

/// 17: a host function that recurses without end is the program's own stack
/// overflow, with Rust's own message.
#[test]
fn a_host_function_overflows_the_stack() {
    let name = "a_host_function_overflows_the_stack";
    if !is_any_case() {
        let output = child(name);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("overflowed its stack"), "{text}");
        return;
    }
    fn deep(n: u64) -> u64 {
        let place = [n; 64];
        std::hint::black_box(&place);
        if std::hint::black_box(n) == u64::MAX {
            return n;
        }
        1 + deep(n + 1)
    }
    let (mut store, instance) = guest(&engine(), || {
        std::hint::black_box(deep(0));
    });
    guests_trap(&mut store, instance);
    let host = instance
        .get_typed_func::<(), ()>(&mut store, "host")
        .unwrap();
    let _ = host.call(&mut store, ());
}

/// A handler that mends the fault, as garbage collectors and emulators do: the
/// access is done again, in the middle of a guest's host call.
#[test]
fn a_handler_that_mends_the_fault() {
    let name = "a_handler_that_mends_the_fault";
    if !is_any_case() {
        return assert_success(&child(name));
    }
    static PAGE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    extern "C" fn mend(_: libc::c_int) {
        let page = PAGE.load(std::sync::atomic::Ordering::Relaxed) as *mut libc::c_void;
        // SAFETY: the page is this test's own.
        unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) };
    }
    // SAFETY: a new mapping.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    PAGE.store(page as usize, std::sync::atomic::Ordering::Relaxed);
    install(libc::SIGSEGV, mend);
    let touch = || {
        let page = PAGE.load(std::sync::atomic::Ordering::Relaxed) as *mut u8;
        // SAFETY: the page is mapped; the handler makes it accessible. Nobody
        // else uses it.
        unsafe {
            page.write_volatile(page.read_volatile() + 1);
            libc::mprotect(page.cast(), 4096, libc::PROT_NONE);
        }
    };
    let (mut store, instance) = guest(&engine(), touch);
    let host = instance
        .get_typed_func::<(), ()>(&mut store, "host")
        .unwrap();
    for _ in 0..50 {
        touch();
        host.call(&mut store, ()).unwrap();
        guests_trap(&mut store, instance);
    }
    // SAFETY: makes the page readable, and reads it.
    let count = unsafe {
        libc::mprotect(page, 4096, libc::PROT_READ);
        page.cast::<u8>().read_volatile()
    };
    assert_eq!(count, 100);
}

/// A panic in a host function leaves through all frames of guest and host, and
/// the store goes on.
#[test]
fn panics_leave_nothing_behind() {
    let name = "panics_leave_nothing_behind";
    if !is_any_case() {
        return assert_success(&child(name));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let engine = engine();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker
        .func_wrap("", "f", |mut caller: Caller<'_, ()>, depth: i32| {
            if depth == 0 {
                panic!("at the bottom");
            }
            let run = caller
                .get_export("run")
                .and_then(Extern::into_func)
                .unwrap();
            let run = run.typed::<i32, ()>(&caller).unwrap();
            run.call(&mut caller, depth - 1).unwrap();
        })
        .unwrap();
    let module = Module::new(
        &engine,
        "(module (import \"\" \"f\" (func $f (param i32)))
           (func (export \"run\") (param i32) (call $f (local.get 0))))",
    )
    .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance
        .get_typed_func::<i32, ()>(&mut store, "run")
        .unwrap();
    flat("panics", 3000, |round| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.call(&mut store, round as i32 % 20)
        }));
        let payload = panic.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"at the bottom"));
    });
}
