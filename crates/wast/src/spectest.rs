//! What does the `spectest` module offer? Scripts import it as given; the
//! reference interpreter defines it (`interpreter/host/spectest.ml`).

use std::sync::Arc;
use tepui::{
    Caller, Engine, Global, GlobalType, Linker, Memory, MemoryType, Mutability, Ref, RefType,
    Result, SharedMemory, Store, Table, TableType, Val, ValType,
};

/// Where the `print…` functions write a line to.
pub(crate) type Printer = Arc<dyn Fn(&str) + Send + Sync>;

/// The part of `spectest` that all threads of a script share.
#[derive(Clone)]
pub(crate) struct Spectest {
    printer: Printer,
    /// `None` when the engine refuses shared memories.
    shared_memory: Option<SharedMemory>,
}

/// 666.6 as the reference interpreter defines it.
const FLOAT: f64 = 666.6;

impl Spectest {
    pub(crate) fn new(engine: &Engine, printer: Printer) -> Spectest {
        Spectest {
            printer,
            shared_memory: SharedMemory::new(engine, MemoryType::shared(1, 2)).ok(),
        }
    }

    /// Defines the module in `linker`, with new globals, tables and memories.
    /// Items that need a proposal which the engine has switched off are left
    /// out; a module that imports one of them fails to link and says so.
    pub(crate) fn define(&self, linker: &mut Linker<()>, store: &mut Store<()>) -> Result<()> {
        const NAME: &str = "spectest";
        macro_rules! print {
            ($name:literal $(, $arg:ident: $ty:ty)*) => {{
                let printer = Arc::clone(&self.printer);
                linker.func_wrap(NAME, $name, move |_: Caller<'_, ()> $(, $arg: $ty)*| {
                    let values: &[String] = &[$(format!("{} : {}", $arg, stringify!($ty))),*];
                    printer(&format!("{}: {}", $name, values.join(", ")));
                })?;
            }};
        }
        print!("print");
        print!("print_i32", a: i32);
        print!("print_i64", a: i64);
        print!("print_f32", a: f32);
        print!("print_f64", a: f64);
        print!("print_i32_f32", a: i32, b: f32);
        print!("print_f64_f64", a: f64, b: f64);

        for (name, ty, value) in [
            ("global_i32", ValType::I32, Val::I32(666)),
            ("global_i64", ValType::I64, Val::I64(666)),
            (
                "global_f32",
                ValType::F32,
                Val::F32((FLOAT as f32).to_bits()),
            ),
            ("global_f64", ValType::F64, Val::F64(FLOAT.to_bits())),
        ] {
            let ty = GlobalType::new(ty, Mutability::Const);
            let global = Global::new(&mut *store, ty, value)?;
            linker.define(&mut *store, NAME, name, global)?;
        }

        let ty = TableType::new(RefType::FUNCREF, 10, Some(20));
        let table = Table::new(&mut *store, ty, Ref::Func(None))?;
        linker.define(&mut *store, NAME, "table", table)?;
        let ty = TableType::new64(RefType::FUNCREF, 10, Some(20));
        if let Ok(table) = Table::new(&mut *store, ty, Ref::Func(None)) {
            linker.define(&mut *store, NAME, "table64", table)?;
        }

        let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
        linker.define(&mut *store, NAME, "memory", memory)?;
        if let Some(memory) = &self.shared_memory {
            linker.define(&mut *store, NAME, "shared_memory", memory.clone())?;
        }
        Ok(())
    }
}
