//! Is there a module that does not do the same in every tier?

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tepui_fuzz::{Case, Engines, check};

thread_local! {
    static ENGINES: RefCell<Engines> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    let Some(case) = Case::from_bytes(bytes) else {
        return;
    };
    let outcome = ENGINES.with_borrow_mut(|engines| check(engines, &case));
    if let Some(difference) = outcome.difference {
        panic!("{difference}");
    }
});
