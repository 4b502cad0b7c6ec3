//! Does any text do more to the readers of text and scripts than be refused?

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tepui::{Config, Engine, Features, Module, Strategy};
use tepui_wast::WastRunner;

fuzz_target!(|text: &str| {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config
            .strategy(Strategy::Interpreter)
            .features(Features::IMPLEMENTED);
        Engine::new(&config).expect("every build has the interpreter")
    });
    let _ = Module::new(engine, text);
    // A script that runs may run for ever; one with errors is not run.
    if !text.contains("loop") && !text.contains("call") && !text.contains("wait") {
        let _ = WastRunner::new(engine).run_source("script", text);
    }
});
