//! Do shared memories hold up with several threads in them?

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tepui::{
    Engine, Instance, MemoryType, Module, SharedMemory, Store, Trap, TypedFunc, WaitResult,
};
use tepui_testing::patience::patience;

use crate::support::{engine_with, engines, trap_of};

const MODULE: &str = "(module
    (import \"\" \"m\" (memory 1 64 shared))
    (func (export \"count\") (param $n i32)
      (loop $l
        (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
        (drop (i64.atomic.rmw8.add_u (i32.const 8) (i64.const 1)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export \"lock-count\") (param $n i32)
      (loop $l
        ;; A lock of two states; the waiter sleeps on it.
        (loop $again
          (if (i32.atomic.rmw.cmpxchg (i32.const 64) (i32.const 0) (i32.const 1)) (then
            (drop (memory.atomic.wait32 (i32.const 64) (i32.const 1) (i64.const 1000000)))
            (br $again))))
        (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
        (i32.atomic.store (i32.const 64) (i32.const 0))
        (drop (memory.atomic.notify (i32.const 64) (i32.const 1)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export \"wait\") (param i32 i32 i64) (result i32)
      (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
    (func (export \"wait64\") (param i32 i64 i64) (result i32)
      (memory.atomic.wait64 (local.get 0) (local.get 1) (local.get 2)))
    (func (export \"wait-offset\") (param i32 i32 i64) (result i32)
      (memory.atomic.wait32 offset=0xfffffffc (local.get 0) (local.get 1) (local.get 2)))
    (func (export \"notify\") (param i32 i32) (result i32)
      (memory.atomic.notify (local.get 0) (local.get 1)))
    (func (export \"notify-offset\") (param i32 i32) (result i32)
      (memory.atomic.notify offset=0xfffffffc (local.get 0) (local.get 1)))
    (func (export \"grow\") (result i32) (memory.grow (i32.const 1)))
    (func (export \"touch\") (result i32)
      (local $last i32)
      (local.set $last (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))
      (i32.atomic.store (local.get $last) (i32.const 7))
      (i32.load (local.get $last))))";

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(engine: &Engine, module: &Module, memory: &SharedMemory) -> Guest {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(u64::MAX);
        let instance = Instance::new(&mut store, module, &[memory.clone().into()]).unwrap();
        Guest { store, instance }
    }

    fn func<P: tepui::WasmParams, R: tepui::WasmResults>(&mut self, name: &str) -> TypedFunc<P, R> {
        self.instance.get_typed_func(&mut self.store, name).unwrap()
    }
}

/// Threads in one memory: nothing is lost, with locks or without.
#[test]
fn atomic_counters() {
    for (name, engine) in engines() {
        let module = Module::new(&engine, MODULE).unwrap();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 64)).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut guest = Guest::new(&engine, &module, &memory);
                    let count = guest.func::<i32, ()>("count");
                    count.call(&mut guest.store, 20_000).unwrap();
                    let count = guest.func::<i32, ()>("lock-count");
                    count.call(&mut guest.store, 300).unwrap();
                });
            }
        });
        let word = |address: usize| {
            // SAFETY: the memory has this word, and all threads are gone.
            unsafe { memory.data()[address].get().cast::<u32>().read() }
        };
        assert_eq!(word(0), 80_000, "{name}");
        assert_eq!(word(8), 80_000 % 256, "{name}");
        assert_eq!(word(128), 1200, "{name}");
    }
}

/// 12: waits with no time, some time, the longest time there is, on the wrong
/// value, beyond the end, misaligned, at a wrapping offset.
#[test]
fn waits_of_every_length() {
    for (name, engine) in engines() {
        let module = Module::new(&engine, MODULE).unwrap();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 64)).unwrap();
        let mut guest = Guest::new(&engine, &module, &memory);
        let wait = guest.func::<(i32, i32, i64), i32>("wait");
        let wait64 = guest.func::<(i32, i64, i64), i32>("wait64");
        let mut at = |address, value, timeout| {
            wait.call(&mut guest.store, (address, value, timeout))
                .map_err(|error| trap_of(&error))
        };
        for timeout in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(at(0, 1, timeout), Ok(1), "{name}: not equal");
            assert_eq!(
                at(65536, 0, timeout),
                Err(Trap::MemoryOutOfBounds),
                "{name}"
            );
            assert_eq!(at(-4, 0, timeout), Err(Trap::MemoryOutOfBounds), "{name}");
            assert_eq!(at(2, 0, timeout), Err(Trap::HeapMisaligned), "{name}");
        }
        assert_eq!(at(0, 0, 0), Ok(2), "{name}: at once");
        let begin = Instant::now();
        assert_eq!(at(65532, 0, 20_000_000), Ok(2), "{name}: after a while");
        assert!(begin.elapsed() >= Duration::from_millis(20));
        let error = wait64.call(&mut guest.store, (65532, 0, 0)).unwrap_err();
        assert_eq!(trap_of(&error), Trap::HeapMisaligned);
        assert_eq!(wait64.call(&mut guest.store, (65528, 0, 5)).unwrap(), 2);
        for export in ["wait-offset"] {
            let wait = guest.func::<(i32, i32, i64), i32>(export);
            // 0xfffffffc + 4 is no address 0.
            for address in [4, 8, 0, -4] {
                let error = wait.call(&mut guest.store, (address, 0, 0)).unwrap_err();
                assert_eq!(
                    trap_of(&error),
                    Trap::MemoryOutOfBounds,
                    "{name}: {address}"
                );
            }
        }
        let notify = guest.func::<(i32, i32), i32>("notify-offset");
        let error = notify.call(&mut guest.store, (4, 1)).unwrap_err();
        assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds);
    }
}

/// 12: the longest waits end when somebody notifies, guest or host.
#[test]
fn waiters_wake() {
    let engine = engine_with(|config| {
        config.epoch_interruption(true);
    });
    let module = Module::new(&engine, MODULE).unwrap();
    let memory = SharedMemory::new(&engine, MemoryType::shared(1, 64)).unwrap();
    for timeout in [-1, i64::MAX, i64::MIN, 3_600_000_000_000] {
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let mut guest = Guest::new(&engine, &module, &memory);
                        let wait = guest.func::<(i32, i32, i64), i32>("wait");
                        wait.call(&mut guest.store, (256, 0, timeout)).unwrap()
                    })
                })
                .collect();
            let mut guest = Guest::new(&engine, &module, &memory);
            let notify = guest.func::<(i32, i32), i32>("notify");
            let mut woken = 0;
            let begin = Instant::now();
            while woken < 6 {
                assert!(begin.elapsed() < patience(30), "waiters do not come");
                woken += notify.call(&mut guest.store, (256, 1)).unwrap();
                woken += memory.atomic_notify(256, 2).unwrap() as i32;
                assert_eq!(memory.atomic_notify(260, u32::MAX).unwrap(), 0);
                thread::yield_now();
            }
            assert_eq!(woken, 6);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), 0, "woken");
            }
        });
    }
    // The host waits, too.
    let waited = memory.atomic_wait32(0, 0, Some(Duration::from_millis(1)));
    assert_eq!(waited, Ok(WaitResult::TimedOut));
    assert_eq!(memory.atomic_wait64(0, 1, None), Ok(WaitResult::Mismatch));
    assert_eq!(
        memory.atomic_wait64(65532, 0, None),
        Err(Trap::HeapMisaligned)
    );
    assert_eq!(
        memory.atomic_wait32(65536, 0, None),
        Err(Trap::MemoryOutOfBounds)
    );
    assert_eq!(
        memory.atomic_wait32(u64::MAX - 3, 0, None),
        Err(Trap::MemoryOutOfBounds)
    );
}

/// 25: many threads grow one memory and use its last page meanwhile; the base
/// stays where it is.
#[test]
fn growth_from_many_threads() {
    for (name, engine) in engines() {
        let module = Module::new(&engine, MODULE).unwrap();
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 64)).unwrap();
        let base = memory.data().as_ptr() as usize;
        let grown = Arc::new(AtomicU32::new(0));
        thread::scope(|scope| {
            for thread in 0..5 {
                let (engine, module, memory, grown) = (&engine, &module, &memory, grown.clone());
                scope.spawn(move || {
                    let mut guest = Guest::new(engine, module, memory);
                    let grow = guest.func::<(), i32>("grow");
                    let touch = guest.func::<(), i32>("touch");
                    for _ in 0..30 {
                        let old = if thread == 0 {
                            memory.grow(1).map_or(-1, |old| old as i32)
                        } else {
                            grow.call(&mut guest.store, ()).unwrap()
                        };
                        if old >= 0 {
                            grown.fetch_add(1, Ordering::Relaxed);
                        }
                        assert_eq!(touch.call(&mut guest.store, ()).unwrap(), 7);
                    }
                });
            }
        });
        assert_eq!(memory.size(), 64, "{name}");
        assert_eq!(grown.load(Ordering::Relaxed), 63, "{name}: each page once");
        assert_eq!(memory.data().as_ptr() as usize, base, "{name}");
        assert_eq!(memory.data().len(), 64 << 16);
    }
}

/// 24: a wait is interrupted, and its thread leaves the queue.
#[test]
fn an_interrupted_waiter_leaves_no_trace() {
    let engine = engine_with(|config| {
        config.epoch_interruption(true);
    });
    let module = Module::new(&engine, MODULE).unwrap();
    let memory = SharedMemory::new(&engine, MemoryType::shared(1, 64)).unwrap();
    for _ in 0..3 {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut guest = Guest::new(&engine, &module, &memory);
                guest.store.set_epoch_deadline(1);
                let wait = guest.func::<(i32, i32, i64), i32>("wait");
                trap_of(&wait.call(&mut guest.store, (512, 0, -1)).unwrap_err())
            });
            while !waiter.is_finished() {
                thread::sleep(Duration::from_millis(5));
                engine.increment_epoch();
            }
            assert_eq!(waiter.join().unwrap(), Trap::Interrupt);
        });
        assert_eq!(memory.atomic_notify(512, u32::MAX), Ok(0));
    }
}
