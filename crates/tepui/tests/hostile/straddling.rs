//! Does a store write anything that begins inside of a memory and ends outside?

use std::fmt::Write as _;

use tepui::Trap;

use crate::accesses::{Access, accesses, call_at};
use crate::support::{World, engines, trap_of};

/// The length of the memories.
const LENGTH: u64 = 65536;

/// What lies in them, a byte that no store here writes.
const OLD: u8 = 0x55;

/// How the code of a store finds its address.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// In a local.
    Local,
    /// In a local and a static offset.
    Offset,
    /// As a constant.
    Constant,
    /// In a local, behind other accesses there that do not reach so far.
    Behind,
    /// In a local, in a loop that goes up to it in steps of one byte.
    Loop,
}

const FORMS: [Form; 5] = [
    Form::Local,
    Form::Offset,
    Form::Constant,
    Form::Behind,
    Form::Loop,
];

/// The body of a function with an address as its parameter, which does the access at
/// `at`.
fn body(form: Form, access: &Access, ty: &str, at: u64) -> String {
    match form {
        Form::Local => (access.code)(0, "(local.get 0)"),
        Form::Offset => (access.code)(
            0x1234,
            &format!("({ty}.sub (local.get 0) ({ty}.const 0x1234))"),
        ),
        Form::Constant => (access.code)(0, &format!("({ty}.const {at})")),
        Form::Behind => format!(
            "(drop (i32.load8_u (local.get 0)))
             (i32.store8 (local.get 0) (i32.load8_u (local.get 0)))
             {0} {0}",
            (access.code)(0, "(local.get 0)")
        ),
        Form::Loop => format!(
            "(local $at {ty})
             (local.set $at ({ty}.sub (local.get 0) ({ty}.const 40)))
             (loop $next
               {}
               (local.set $at ({ty}.add (local.get $at) ({ty}.const 1)))
               (br_if $next ({ty}.le_u (local.get $at) (local.get 0))))",
            (access.code)(0, "(local.get $at)")
        ),
    }
}

/// 1: stores of every width, with each number of bytes inside.
#[test]
fn stores_that_end_outside_write_nothing() {
    let stores: Vec<_> = accesses()
        .into_iter()
        .filter(|access| access.writes && !access.atomic && access.bytes > 1)
        .collect();
    assert!(stores.iter().any(|access| access.bytes == 16));
    for (engine_name, engine) in engines() {
        for (declaration, is_64) in [("1 1", false), ("1", false), ("i64 1", true)] {
            let ty = if is_64 { "i64" } else { "i32" };
            let mut functions = String::new();
            for access in &stores {
                for inside in 1..access.bytes {
                    for form in FORMS {
                        writeln!(
                            functions,
                            "(func (export \"{} {inside} {form:?}\") (param {ty}) {})",
                            access.name,
                            body(form, access, ty, LENGTH - inside)
                        )
                        .unwrap();
                    }
                }
            }
            let mut world = World::new(
                &engine,
                format!("(module (memory (export \"m\") {declaration}) {functions})"),
            );
            for access in &stores {
                for inside in 1..access.bytes {
                    for form in FORMS {
                        let memory = world.instance.get_memory(&mut world.store, "m").unwrap();
                        memory.data_mut(&mut world.store).fill(OLD);
                        let what = format!(
                            "{engine_name}: ({declaration}) {}, {form:?}, {inside} bytes inside",
                            access.name
                        );
                        let export = format!("{} {inside} {form:?}", access.name);
                        let error =
                            call_at(&mut world, is_64, &export, LENGTH - inside).expect_err(&what);
                        assert_eq!(trap_of(&error), Trap::MemoryOutOfBounds, "{what}");
                        let first_written = match form {
                            // It wrote up to the last place where all fits.
                            Form::Loop => LENGTH - inside - 40,
                            _ => LENGTH,
                        };
                        let (before, after) =
                            memory.data(&world.store).split_at(first_written as usize);
                        assert!(before == vec![OLD; before.len()], "{what} wrote");
                        assert!(!after.contains(&OLD), "{what} did not write before");
                    }
                }
            }
        }
    }
}
