//! Are objects of two engines or stores ever taken for each other?
//!
//! Each use of a handle with the wrong store is an error or a panic that says
//! so; none goes through.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tepui::{
    Extern, ExternRef, ExternType, Func, FuncType, Global, GlobalType, HeapType, Instance, Linker,
    MemoryType, Module, Mutability, Ref, RefType, Rooted, SharedMemory, Store, Table, TableType,
    Val, ValType,
};

use crate::support::{engine, panic_message};

/// What was refused, and how.
#[track_caller]
fn refused<R>(what: &str, act: impl FnOnce() -> tepui::Result<R>) {
    let words = [
        "wrong store",
        "another store",
        "another engine",
        "wrong engine",
    ];
    let text = match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(_)) => panic!("{what} went through"),
        Ok(Err(error)) => format!("{error:#}"),
        Err(payload) => panic_message(&*payload),
    };
    assert!(
        words.iter().any(|word| text.contains(word)),
        "{what}: {text}"
    );
}

const EVERYTHING: &str = "(module
    (memory (export \"memory\") 1)
    (table (export \"table\") 1 funcref)
    (table (export \"externs\") 1 externref)
    (global (export \"global\") (mut i32) (i32.const 1))
    (global (export \"func-global\") (mut funcref) (ref.null func))
    (global (export \"extern-global\") (mut externref) (ref.null extern))
    (func (export \"func\") (param i32) (result i32) (local.get 0))
    (func (export \"take\") (param funcref externref))
    (func (export \"give\") (param funcref) (result funcref) (local.get 0)))";

/// 26: every method that takes a store, given another store of the same engine
/// and one of another engine.
#[test]
fn handles_with_the_wrong_store() {
    let engine = engine();
    let module = Module::new(&engine, EVERYTHING).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let table = instance.get_table(&mut store, "table").unwrap();
    let externs = instance.get_table(&mut store, "externs").unwrap();
    let global = instance.get_global(&mut store, "global").unwrap();
    let func = instance.get_func(&mut store, "func").unwrap();
    let typed = func.typed::<i32, i32>(&store).unwrap();
    let external = ExternRef::new(&mut store, 5_u8).unwrap();
    let host = Func::wrap(&mut store, || {});
    let foreign: [Extern; 5] = [
        memory.into(),
        table.into(),
        externs.into(),
        global.into(),
        func.into(),
    ];

    for other_engine in [engine.clone(), crate::support::engine()] {
        let module = Module::new(&other_engine, EVERYTHING).unwrap();
        let mut other = Store::new(&other_engine, ());
        let there = Instance::new(&mut other, &module, &[]).unwrap();
        let null = Ref::Func(None);

        refused("Memory::data", || Ok(memory.data(&other).len()));
        refused("Memory::data_mut", || Ok(memory.data_mut(&mut other).len()));
        refused("Memory::data_and_store_mut", || {
            Ok(memory.data_and_store_mut(&mut other).0.len())
        });
        refused("Memory::data_ptr", || Ok(memory.data_ptr(&other)));
        refused("Memory::data_size", || Ok(memory.data_size(&other)));
        refused("Memory::size", || Ok(memory.size(&other)));
        refused("Memory::page_size", || Ok(memory.page_size(&other)));
        refused("Memory::ty", || Ok(memory.ty(&other)));
        refused("Memory::grow", || memory.grow(&mut other, 0));
        refused("Memory::read", || Ok(memory.read(&other, 0, &mut [])));
        refused("Memory::write", || Ok(memory.write(&mut other, 0, &[])));

        refused("Table::ty", || Ok(table.ty(&other)));
        refused("Table::get", || Ok(table.get(&mut other, 0)));
        refused("Table::set", || table.set(&mut other, 0, null));
        refused("Table::size", || Ok(table.size(&other)));
        refused("Table::grow", || table.grow(&mut other, 0, null));
        refused("Table::fill", || table.fill(&mut other, 0, null, 0));

        refused("Global::ty", || Ok(global.ty(&other)));
        refused("Global::get", || Ok(global.get(&mut other)));
        refused("Global::set", || global.set(&mut other, Val::I32(1)));

        refused("Func::ty", || Ok(func.ty(&other)));
        refused("Func::matches_ty", || {
            let ty = FuncType::new(&other_engine, [], []);
            Ok(func.matches_ty(&other, &ty))
        });
        refused("Func::call", || {
            func.call(&mut other, &[Val::I32(1)], &mut [Val::I32(0)])
        });
        refused("Func::call of a host function", || {
            host.call(&mut other, &[], &mut [])
        });
        refused("Func::typed", || func.typed::<i32, i32>(&other).map(drop));
        refused("TypedFunc::call", || typed.call(&mut other, 1));

        refused("Instance::module", || {
            Ok(instance.module(&other).name().is_some())
        });
        refused("Instance::exports", || {
            Ok(instance.exports(&mut other).len())
        });
        refused("Instance::get_export", || {
            Ok(instance.get_export(&mut other, "memory"))
        });
        refused("Instance::get_func", || {
            Ok(instance.get_func(&mut other, "func"))
        });
        refused("Instance::get_memory", || {
            Ok(instance.get_memory(&mut other, "memory"))
        });

        refused("ExternRef::data", || {
            external.data(&other).map(|data| data.is_some())
        });
        let here = ExternRef::new(&mut other, 6_u8).unwrap();
        refused("Rooted::ref_eq", || {
            Rooted::ref_eq(&other, &here, &external)
        });

        for item in &foreign {
            refused("Extern::ty", || Ok(item.ty(&other)));
            refused("Linker::define", || {
                Linker::<()>::new(&other_engine)
                    .define(&other, "", "", item.clone())
                    .map(drop)
            });
        }

        // As values.
        let table_there = there.get_table(&mut other, "table").unwrap();
        let externs_there = there.get_table(&mut other, "externs").unwrap();
        let func_global = there.get_global(&mut other, "func-global").unwrap();
        let extern_global = there.get_global(&mut other, "extern-global").unwrap();
        for func in [func, host] {
            refused("a function in Table::set", || {
                table_there.set(&mut other, 0, func.into())
            });
            refused("a function in Table::grow", || {
                table_there.grow(&mut other, 1, func.into())
            });
            refused("a function in Table::fill", || {
                table_there.fill(&mut other, 0, func.into(), 1)
            });
            let ty = TableType::new(RefType::new(true, HeapType::Func), 1, None);
            refused("a function in Table::new", || {
                Table::new(&mut other, ty, func.into())
            });
            refused("a function in Global::set", || {
                func_global.set(&mut other, Val::FuncRef(Some(func)))
            });
            let ty = GlobalType::new(
                ValType::Ref(RefType::new(true, HeapType::Func)),
                Mutability::Var,
            );
            refused("a function in Global::new", || {
                Global::new(&mut other, ty, Val::FuncRef(Some(func)))
            });
            let take = there.get_func(&mut other, "take").unwrap();
            refused("a function as a parameter", || {
                take.call(
                    &mut other,
                    &[Val::FuncRef(Some(func)), Val::ExternRef(None)],
                    &mut [],
                )
            });
            let take = there
                .get_typed_func::<(Option<Func>, Option<Rooted<ExternRef>>), ()>(&mut other, "take")
                .unwrap();
            refused("a function as a typed parameter", || {
                take.call(&mut other, (Some(func), None))
            });
            let gives = Func::wrap(&mut other, move || Some(func));
            refused("a function as a host function's result", || {
                gives.call(&mut other, &[], &mut [Val::FuncRef(None)])
            });
            let ty = FuncType::new(
                &other_engine,
                [],
                [ValType::Ref(RefType::new(true, HeapType::Func))],
            );
            let gives = Func::new(&mut other, ty, move |_, _, results| {
                results[0] = Val::FuncRef(Some(func));
                Ok(())
            });
            refused("a function as a dynamic result", || {
                gives.call(&mut other, &[], &mut [Val::FuncRef(None)])
            });
            refused("Val::ty", || Val::FuncRef(Some(func)).ty(&other));
        }
        refused("an externref in Table::set", || {
            externs_there.set(&mut other, 0, external.into())
        });
        refused("an externref in Global::set", || {
            extern_global.set(&mut other, Val::ExternRef(Some(external)))
        });
        let take = there.get_func(&mut other, "take").unwrap();
        refused("an externref as a parameter", || {
            let params = [Val::FuncRef(None), Val::ExternRef(Some(external))];
            take.call(&mut other, &params, &mut [])
        });

        // As imports.
        let imports = [
            "(memory 1)",
            "(table 1 funcref)",
            "(table 1 externref)",
            "(global (mut i32))",
            "(func (param i32) (result i32))",
        ];
        for (ty, item) in imports.iter().zip(&foreign) {
            let text = format!("(module (import \"\" \"\" {ty}))");
            let importer = Module::new(&other_engine, text).unwrap();
            refused("Instance::new", || {
                Instance::new(&mut other, &importer, std::slice::from_ref(item))
            });
        }
    }
    // All of it still works where it belongs.
    assert_eq!(typed.call(&mut store, 7).unwrap(), 7);
    assert_eq!(global.get(&mut store).unwrap_i32(), 1);
}

/// 26: modules, linkers and shared memories of another engine.
#[test]
fn engines_are_kept_apart() {
    let (a, b) = (engine(), engine());
    // Give the engines different numbers for the same types.
    let _shift = Module::new(
        &b,
        "(module (type (func (param f64 f64 f64))) (type (func (param v128))))",
    )
    .unwrap();
    let module_a = Module::new(&a, "(module (import \"\" \"f\" (func (param i32))))").unwrap();
    let module_b = Module::new(&b, "(module (import \"\" \"f\" (func (param i32))))").unwrap();
    let mut store_a = Store::new(&a, ());
    let mut store_b = Store::new(&b, ());
    let f = Func::wrap(&mut store_a, |_: i32| {});
    refused("a module in another engine's store", || {
        Instance::new(&mut store_b, &module_a, &[f.into()])
    });
    let mut linker = Linker::<()>::new(&a);
    linker.func_wrap("", "f", |_: i32| {}).unwrap();
    linker.instantiate(&mut store_a, &module_a).unwrap();
    refused("a linker with another engine's module", || {
        linker.instantiate(&mut store_a, &module_b)
    });
    refused("a linker with another engine's module and store", || {
        linker.instantiate(&mut store_b, &module_b)
    });
    refused("a linker with another engine's store", || {
        linker.instantiate(&mut store_b, &module_a)
    });
    refused("instantiate_pre", || {
        linker.instantiate_pre(&module_b).map(drop)
    });
    refused("define_unknown_imports_as_traps", || {
        Linker::<()>::new(&a).define_unknown_imports_as_traps(&module_b)
    });
    refused("Linker::get", || Ok(linker.get(&mut store_b, "", "f")));
    refused("Linker::func_new", || {
        let ty = FuncType::new(&b, [], []);
        Linker::<()>::new(&a)
            .func_new("", "g", ty, |_, _, _| Ok(()))
            .map(drop)
    });
    refused("Func::new", || {
        Ok(Func::new(
            &mut store_a,
            FuncType::new(&b, [], []),
            |_, _, _| Ok(()),
        ))
    });
    let shared = SharedMemory::new(&a, MemoryType::shared(1, 2)).unwrap();
    let importer = Module::new(&b, "(module (import \"\" \"\" (memory 1 2 shared)))").unwrap();
    refused("a shared memory", || {
        Instance::new(&mut store_b, &importer, &[shared.clone().into()])
    });
    refused("a shared memory in Linker::define", || {
        Linker::<()>::new(&b)
            .define(&store_b, "", "", shared.clone())
            .map(drop)
    });
    // Shared memories belong to no store.
    let importer = Module::new(&a, "(module (import \"\" \"\" (memory 1 2 shared)))").unwrap();
    Instance::new(&mut store_a, &importer, &[shared.clone().into()]).unwrap();
    let mut another = Store::new(&a, ());
    Instance::new(&mut another, &importer, &[shared.into()]).unwrap();
}

/// 26, 15: types of another engine, inside of the types of tables, globals and
/// functions. Their numbers mean something else here.
#[test]
fn types_of_another_engine_inside_of_types() {
    let (a, b) = (engine(), engine());
    let mut store = Store::new(&a, ());
    // The first type of each engine: the same number for different types.
    let here = FuncType::new(&a, [ValType::I32], []);
    let there = FuncType::new(&b, [ValType::I64], []);
    assert!(!here.matches(&there));
    let null_there = RefType::new(true, there.clone().into());
    refused("Table::new", || {
        Table::new(
            &mut store,
            TableType::new(null_there.clone(), 1, None),
            Ref::Func(None),
        )
    });
    let func = Func::wrap(&mut store, |_: i32| {});
    refused("Table::new with a function", || {
        Table::new(
            &mut store,
            TableType::new(null_there.clone(), 1, None),
            func.into(),
        )
    });
    for value in [Val::FuncRef(None), Val::FuncRef(Some(func))] {
        let ty = GlobalType::new(ValType::Ref(null_there.clone()), Mutability::Var);
        refused("Global::new", || Global::new(&mut store, ty, value));
    }
    refused("FuncType::new", || {
        Ok(FuncType::new(&a, [ValType::Ref(null_there.clone())], []))
    });
    assert!(FuncType::try_new(&a, [ValType::Ref(null_there.clone())], []).is_err());
    assert!(
        !func.matches_ty(&store, &there),
        "another engine's type matches nothing"
    );
    let value = Val::FuncRef(Some(func));
    assert!(
        !value
            .matches_ty(&store, &ValType::Ref(null_there.clone()))
            .unwrap_or(false)
    );
    let reference = Ref::Func(Some(func));
    assert!(!reference.matches_ty(&store, &null_there).unwrap_or(false));
    assert!(
        !ValType::Ref(null_there.clone()).matches(&ValType::Ref(RefType::new(true, here.into())))
    );
    let ty = ExternType::Table(TableType::new(null_there, 1, None));
    assert!(format!("{ty:?}").len() < 1000);
}

/// 26: an embedder's own lender that lends another store each time.
#[test]
fn a_lender_that_changes_stores() {
    struct Two(Store<()>, Store<()>, std::cell::Cell<usize>);
    impl tepui::AsContext for Two {
        type Data = ();
        fn as_context(&self) -> tepui::StoreContext<'_, ()> {
            self.2.set(self.2.get() + 1);
            if self.2.get().is_multiple_of(2) {
                self.0.as_context()
            } else {
                self.1.as_context()
            }
        }
    }
    impl tepui::AsContextMut for Two {
        fn as_context_mut(&mut self) -> tepui::StoreContextMut<'_, ()> {
            self.2.set(self.2.get() + 1);
            if self.2.get().is_multiple_of(2) {
                self.0.as_context_mut()
            } else {
                self.1.as_context_mut()
            }
        }
    }
    let engine = engine();
    let module = Module::new(&engine, EVERYTHING).unwrap();
    let stores = [Store::new(&engine, ()), Store::new(&engine, ())];
    let [mut first, mut second] = stores;
    let here = Instance::new(&mut first, &module, &[]).unwrap();
    Instance::new(&mut second, &module, &[]).unwrap();
    let func = here.get_func(&mut first, "func").unwrap();
    let memory = here.get_memory(&mut first, "memory").unwrap();
    let mut two = Two(first, second, std::cell::Cell::new(0));
    // Whatever comes of it, it is one of the two, or a refusal.
    let mut outcomes = [0, 0];
    for _ in 0..16 {
        two.2.set(two.2.get() + 1);
        for act in 0..5 {
            let outcome = catch_unwind(AssertUnwindSafe(|| match act {
                0 => {
                    let mut results = [Val::I32(0)];
                    let done = func.call(&mut two, &[Val::I32(9)], &mut results).is_ok();
                    assert!(!done || results[0].unwrap_i32() == 9);
                    done
                }
                1 => memory.read(&two, 0, &mut [0; 8]).is_ok(),
                2 => memory.grow(&mut two, 0).is_ok(),
                3 => here.get_typed_func::<i32, i32>(&mut two, "func").is_ok(),
                _ => Linker::<()>::new(&engine)
                    .instance(&mut two, "", here)
                    .is_ok(),
            }));
            outcomes[usize::from(outcome.unwrap_or(false))] += 1;
        }
        two.2
            .set(two.2.get() + usize::from(two.2.get().is_multiple_of(3)));
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}
