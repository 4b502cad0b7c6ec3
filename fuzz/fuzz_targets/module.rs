//! Do any bytes do more to decoder, validator and compilers than be refused?

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tepui::{Config, Engine, Features, Module, Strategy};

fuzz_target!(|bytes: &[u8]| {
    static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        Strategy::AVAILABLE
            .iter()
            .map(|strategy| {
                let mut config = Config::new();
                config
                    .strategy(*strategy)
                    .features(Features::IMPLEMENTED)
                    .parallel_compilation(false);
                Engine::new(&config).expect("an engine for each tier of the build")
            })
            .collect()
    });
    let valid = Module::validate(&engines[0], bytes).is_ok();
    for engine in engines {
        // What is valid compiles in every tier.
        if let Err(error) = Module::from_binary(engine, bytes) {
            assert!(!valid, "{error:#}");
        }
    }
});
