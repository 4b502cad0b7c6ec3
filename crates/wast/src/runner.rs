//! How are the directives of a script carried out, one after the other?
//!
//! A script runs on a thread of its own, whose stack size is known, because
//! `assert_exhaustion` overflows it on purpose. Each directive runs under
//! `catch_unwind`, so that a panic costs that directive and not the script.
//! A `thread` directive gets a store and a linker of its own; all that crosses
//! over are the shared memories that the module named by `(shared …)` exports.

use crate::engine;
use crate::report::{DirectiveKind, Failure, FailureKind, Report};
use crate::spectest::{Printer, Spectest};
use crate::traps::kinds_of_message;
use crate::values;
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use tepui::{Engine, Error, Extern, Instance, Linker, Module, SharedMemory, Store, Trap, Val};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, WastExecute, WastInvoke, WastThread, Wat};

/// Runs scripts on one engine. Each script gets stores, linkers and a
/// `spectest` module of its own.
#[derive(Clone)]
pub struct WastRunner {
    engine: Engine,
    stack_size: usize,
    printer: Printer,
    compile: fn(&Engine, &[u8]) -> tepui::Result<Module>,
}

impl std::fmt::Debug for WastRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WastRunner")
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

impl WastRunner {
    /// The size of a script's stack, in bytes, unless
    /// [`stack_size`](Self::stack_size) says otherwise.
    pub const DEFAULT_STACK_SIZE: usize = 16 << 20;

    /// A runner for `engine`, whose configuration decides which proposals the
    /// scripts may use. What scripts print is dropped.
    pub fn new(engine: &Engine) -> WastRunner {
        WastRunner {
            engine: engine.clone(),
            stack_size: Self::DEFAULT_STACK_SIZE,
            printer: Arc::new(|_| {}),
            compile: engine::compile,
        }
    }

    /// Runs no module but by way of an image, written and loaded again.
    #[cfg(feature = "images")]
    pub fn through_images(mut self) -> WastRunner {
        self.compile = engine::compile_to_image;
        self
    }

    /// Sets the size in bytes of the native stack that scripts and their
    /// threads run on. It has to hold the engine's limit for Wasm frames with
    /// about 2 MiB to spare for the host's.
    pub fn stack_size(mut self, bytes: usize) -> WastRunner {
        self.stack_size = bytes;
        self
    }

    /// Gives each line that a script prints through `spectest` to `print`.
    pub fn on_print(mut self, print: impl Fn(&str) + Send + Sync + 'static) -> WastRunner {
        self.printer = Arc::new(print);
        self
    }

    /// Runs the script `text` to its end and reports what happened; `name`
    /// only goes into the report.
    ///
    /// Nothing bounds the time that a script takes: one that loops, or waits
    /// for a notification that never comes, does not return.
    pub fn run_source(&self, name: &str, text: &str) -> Report {
        if !HAS_THREADS {
            // The stack is what the host gives, and a panic ends the process.
            let mut report = self.run_here(text);
            report.name = name.to_string();
            return report;
        }
        let mut report = std::thread::scope(|scope| {
            let worker = Builder::new()
                .name("wast".to_string())
                .stack_size(self.stack_size)
                .spawn_scoped(scope, || self.run_here(text));
            match worker.map(ScopedJoinHandle::join) {
                Ok(Ok(report)) => report,
                Ok(Err(panic)) => failed_script(FailureKind::Panic, (1, 1), panic_message(&*panic)),
                Err(e) => failed_script(
                    FailureKind::Unsupported,
                    (1, 1),
                    format!("a thread with a stack of {} bytes: {e}", self.stack_size),
                ),
            }
        });
        report.name = name.to_string();
        report
    }

    /// Parses and runs on the current thread's stack.
    fn run_here(&self, text: &str) -> Report {
        let parse_failure = |e: wast::Error| {
            let (line, column) = e.span().linecol_in(text);
            failed_script(FailureKind::Parse, (line + 1, column + 1), e.message())
        };
        let buffer = match parse_buffer(text) {
            Ok(buffer) => buffer,
            Err(e) => return parse_failure(e),
        };
        let script = match parser::parse::<Wast<'_>>(&buffer) {
            Ok(script) => script,
            Err(e) => return parse_failure(e),
        };
        let environment = Environment {
            runner: self,
            spectest: Spectest::new(&self.engine, Arc::clone(&self.printer)),
            text,
        };
        std::thread::scope(|scope| {
            run_directives(scope, &environment, script.directives, HashMap::new())
        })
    }
}

/// Whether the system starts threads. Without, a script runs on the one that
/// there is, and its `thread` directives fail.
const HAS_THREADS: bool = !cfg!(target_os = "wasi");

/// Tokenizes text in which, as in the official scripts, any character that the
/// specification allows may occur, also those that look like others.
fn parse_buffer(text: &str) -> Result<ParseBuffer<'_>, wast::Error> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    ParseBuffer::new_with_lexer(lexer)
}

/// The report of a script that did not come to its first directive.
fn failed_script(kind: FailureKind, (line, column): (usize, usize), message: String) -> Report {
    let mut report = Report::default();
    report.fail(Failure {
        line,
        column,
        directive: None,
        kind,
        message,
    });
    report
}

/// Why a directive did not pass, before its place is known.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: FailureKind,
    message: String,
}

impl Fault {
    pub(crate) fn failed(message: impl Into<String>) -> Fault {
        Fault {
            kind: FailureKind::Mismatch,
            message: message.into(),
        }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Fault {
        Fault {
            kind: FailureKind::Unsupported,
            message: message.into(),
        }
    }
}

/// What all threads of a script share.
struct Environment<'a> {
    runner: &'a WastRunner,
    spectest: Spectest,
    text: &'a str,
}

/// The shared memories that a module exports, by export name.
type SharedExports = Vec<(String, SharedMemory)>;

/// The state of one thread of a script.
struct State<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    environment: &'env Environment<'a>,
    store: Store<()>,
    linker: Linker<()>,
    /// Modules by name, instantiated or not.
    definitions: HashMap<String, Module>,
    last_definition: Option<Module>,
    instances: HashMap<String, Instance>,
    /// The instance that directives without a name mean: the latest, or none
    /// when making the latest failed.
    current: Option<Instance>,
    /// Modules of the thread that started this one.
    shared: HashMap<String, SharedExports>,
    threads: HashMap<String, ScopedJoinHandle<'scope, Report>>,
}

/// What became of something that was executed.
enum Outcome {
    Values(Vec<Val>),
    Error(Error),
}

/// Runs `directives` in a new store; joins the threads they start.
fn run_directives<'scope, 'env, 'a>(
    scope: &'scope Scope<'scope, 'env>,
    environment: &'env Environment<'a>,
    directives: Vec<WastDirective<'a>>,
    shared: HashMap<String, SharedExports>,
) -> Report
where
    'a: 'env,
{
    let engine = &environment.runner.engine;
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    if let Err(e) = environment.spectest.define(&mut linker, &mut store) {
        return failed_script(
            FailureKind::Mismatch,
            (1, 1),
            format!("the spectest module cannot be made: {e:?}"),
        );
    }
    let mut state = State {
        scope,
        environment,
        store,
        linker,
        definitions: HashMap::new(),
        last_definition: None,
        instances: HashMap::new(),
        current: None,
        shared,
        threads: HashMap::new(),
    };

    let mut report = Report::default();
    for directive in directives {
        let kind = directive_kind(&directive);
        let span = directive.span();
        let result = catch_unwind(AssertUnwindSafe(|| state.run(directive, &mut report)));
        let fault = match result {
            Ok(Ok(())) => {
                report.pass(kind);
                continue;
            }
            Ok(Err(fault)) => fault,
            Err(panic) => Fault {
                kind: FailureKind::Panic,
                message: panic_message(&*panic),
            },
        };
        let (line, column) = span.linecol_in(environment.text);
        report.fail(Failure {
            line: line + 1,
            column: column + 1,
            directive: Some(kind),
            kind: fault.kind,
            message: fault.message,
        });
    }
    // Threads that nobody waited for count as well.
    for (_, thread) in std::mem::take(&mut state.threads) {
        report.merge(joined(thread));
    }
    report
}

/// The report of a thread of the script, once it has ended.
fn joined(thread: ScopedJoinHandle<'_, Report>) -> Report {
    thread
        .join()
        .unwrap_or_else(|panic| failed_script(FailureKind::Panic, (1, 1), panic_message(&*panic)))
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "with a payload that is not text".to_string()
    }
}

fn directive_kind(directive: &WastDirective<'_>) -> DirectiveKind {
    match directive {
        WastDirective::Module(_)
        | WastDirective::ModuleDefinition(_)
        | WastDirective::ModuleInstance { .. } => DirectiveKind::Module,
        WastDirective::Register { .. } => DirectiveKind::Register,
        WastDirective::Invoke(_) => DirectiveKind::Invoke,
        WastDirective::Thread(_) => DirectiveKind::Thread,
        WastDirective::Wait { .. } => DirectiveKind::Wait,
        WastDirective::AssertReturn { .. } => DirectiveKind::AssertReturn,
        WastDirective::AssertTrap { .. } => DirectiveKind::AssertTrap,
        WastDirective::AssertExhaustion { .. } => DirectiveKind::AssertExhaustion,
        WastDirective::AssertInvalid { .. } => DirectiveKind::AssertInvalid,
        WastDirective::AssertMalformed { .. } => DirectiveKind::AssertMalformed,
        WastDirective::AssertUnlinkable { .. } => DirectiveKind::AssertUnlinkable,
        WastDirective::AssertException { .. } => DirectiveKind::AssertException,
        WastDirective::AssertSuspension { .. } => DirectiveKind::AssertSuspension,
        WastDirective::AssertInvalidCustom { .. } => DirectiveKind::AssertInvalidCustom,
        WastDirective::AssertMalformedCustom { .. } => DirectiveKind::AssertMalformedCustom,
    }
}

/// The binary format of a module, or why its text is refused.
fn encode(module: &mut QuoteWat<'_>) -> Result<Result<Vec<u8>, String>, Fault> {
    if matches!(
        module,
        QuoteWat::QuoteComponent(..) | QuoteWat::Wat(Wat::Component(_))
    ) {
        return Err(Fault::unsupported("components"));
    }
    let text = match module.to_test() {
        Ok(QuoteWatTest::Binary(bytes)) => return Ok(Ok(bytes)),
        Ok(QuoteWatTest::Text(text)) => text,
        Err(e) => return Ok(Err(e.message())),
    };
    let Ok(text) = std::str::from_utf8(&text) else {
        return Ok(Err("malformed UTF-8 encoding".to_string()));
    };
    let encoded = parse_buffer(text)
        .and_then(|buffer| parser::parse::<Wat<'_>>(&buffer).and_then(|mut wat| wat.encode()))
        .map_err(|e| e.message());
    Ok(encoded)
}

impl<'scope, 'env, 'a> State<'scope, 'env, 'a>
where
    'a: 'env,
{
    /// Carries out one directive. What threads that end meanwhile have to
    /// report goes to `report`.
    fn run(&mut self, directive: WastDirective<'a>, report: &mut Report) -> Result<(), Fault> {
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name();
                self.current = None;
                if let Some(name) = name {
                    self.instances.remove(name.name());
                }
                let module = self.define(name, &mut module)?;
                self.instantiate(name, &module)
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name();
                self.define(name, &mut module).map(drop)
            }
            WastDirective::ModuleInstance {
                instance, module, ..
            } => {
                let found = match module {
                    Some(id) => self.definitions.get(id.name()),
                    None => self.last_definition.as_ref(),
                };
                let module = found.cloned().ok_or_else(|| match module {
                    Some(id) => Fault::failed(format!("no module ${} is defined", id.name())),
                    None => Fault::failed("no module is defined"),
                })?;
                self.current = None;
                self.instantiate(instance, &module)
            }
            WastDirective::Register { name, module, .. } => self.register(name, module),
            WastDirective::Invoke(invoke) => match self.invoke(&invoke)? {
                Outcome::Values(_) => Ok(()),
                Outcome::Error(e) => Err(Fault::failed(format!("{e:?}"))),
            },
            WastDirective::AssertReturn { exec, results, .. } => match self.execute(exec)? {
                Outcome::Values(values) => {
                    values::check_results(&mut self.store, &values, &results)
                }
                Outcome::Error(e) => Err(Fault::failed(format!("expected to return, got {e:?}"))),
            },
            WastDirective::AssertTrap { exec, message, .. } => {
                let outcome = self.execute(exec)?;
                self.check_trap(outcome, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let outcome = self.invoke(&call)?;
                self.check_trap(outcome, message)
            }
            WastDirective::AssertInvalid {
                module, message, ..
            }
            | WastDirective::AssertMalformed {
                module, message, ..
            } => self.check_refused(module, message),
            WastDirective::AssertInvalidCustom {
                module, message, ..
            }
            | WastDirective::AssertMalformedCustom {
                module, message, ..
            } => self.check_refused(module, message),
            WastDirective::AssertUnlinkable {
                module, message, ..
            } => self.check_unlinkable(QuoteWat::Wat(module), message),
            WastDirective::AssertException { exec, .. } => {
                let outcome = self.execute(exec)?;
                match outcome {
                    Outcome::Values(_) => Err(Fault::failed("expected an exception, got a return")),
                    Outcome::Error(_) => Err(Fault::unsupported("exceptions")),
                }
            }
            WastDirective::AssertSuspension { .. } => Err(Fault::unsupported("stack switching")),
            WastDirective::Thread(thread) => self.start_thread(thread),
            WastDirective::Wait { thread, .. } => {
                let handle = self.threads.remove(thread.name()).ok_or_else(|| {
                    Fault::failed(format!("no thread ${} is running", thread.name()))
                })?;
                report.merge(joined(handle));
                Ok(())
            }
        }
    }

    fn compile(&self, module: &mut QuoteWat<'_>) -> Result<Result<Module, String>, Fault> {
        Ok(encode(module)?.and_then(|binary| {
            let runner = self.environment.runner;
            (runner.compile)(&runner.engine, &binary).map_err(|e| format!("{e:?}"))
        }))
    }

    fn define(&mut self, name: Option<Id<'_>>, module: &mut QuoteWat<'_>) -> Result<Module, Fault> {
        self.last_definition = None;
        if let Some(name) = name {
            self.definitions.remove(name.name());
        }
        let module = self
            .compile(module)?
            .map_err(|refusal| Fault::failed(format!("the module is refused: {refusal}")))?;
        if let Some(name) = name {
            self.definitions
                .insert(name.name().to_string(), module.clone());
        }
        self.last_definition = Some(module.clone());
        Ok(module)
    }

    fn instantiate(&mut self, name: Option<Id<'_>>, module: &Module) -> Result<(), Fault> {
        let instance = self
            .linker
            .instantiate(&mut self.store, module)
            .map_err(|e| Fault::failed(format!("the module is not instantiated: {e:?}")))?;
        self.current = Some(instance);
        if let Some(name) = name {
            self.instances.insert(name.name().to_string(), instance);
        }
        Ok(())
    }

    fn instance(&self, name: Option<Id<'_>>) -> Result<Instance, Fault> {
        match name {
            Some(id) => self.instances.get(id.name()).copied().ok_or_else(|| {
                Fault::failed(format!("there is no instance of module ${}", id.name()))
            }),
            None => self.current.ok_or_else(|| {
                Fault::failed("there is no current instance: none was made, or the last one failed")
            }),
        }
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Result<(), Fault> {
        if let Some(exports) = module.and_then(|id| self.shared.get(id.name())) {
            for (export, memory) in exports {
                self.linker
                    .define(&mut self.store, name, export, memory.clone())
                    .map_err(|e| Fault::failed(format!("{e:?}")))?;
            }
            return Ok(());
        }
        let instance = self.instance(module)?;
        self.linker
            .instance(&mut self.store, name, instance)
            .map_err(|e| Fault::failed(format!("{e:?}")))?;
        Ok(())
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Outcome, Fault> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(module) => {
                let module = self
                    .compile(&mut QuoteWat::Wat(module))?
                    .map_err(|e| Fault::failed(format!("the module is refused: {e}")))?;
                Ok(match self.linker.instantiate(&mut self.store, &module) {
                    Ok(_) => Outcome::Values(Vec::new()),
                    Err(e) => Outcome::Error(e),
                })
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module)?;
                let export = instance
                    .get_export(&mut self.store, global)
                    .and_then(Extern::into_global)
                    .ok_or_else(|| Fault::failed(format!("no global {global:?} is exported")))?;
                Ok(Outcome::Values(vec![export.get(&mut self.store)]))
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Outcome, Fault> {
        let instance = self.instance(invoke.module)?;
        let func = instance
            .get_export(&mut self.store, invoke.name)
            .and_then(Extern::into_func)
            .ok_or_else(|| Fault::failed(format!("no function {:?} is exported", invoke.name)))?;
        let args = invoke
            .args
            .iter()
            .map(|arg| values::argument(&mut self.store, arg))
            .collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        Ok(match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => Outcome::Values(results),
            Err(e) => Outcome::Error(e),
        })
    }

    fn check_trap(&mut self, outcome: Outcome, message: &str) -> Result<(), Fault> {
        let error = match outcome {
            Outcome::Error(error) => error,
            Outcome::Values(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|value| values::show(&mut self.store, value))
                    .collect();
                return Err(Fault::failed(format!(
                    "expected trap \"{message}\", got a return with ({})",
                    values.join(" ")
                )));
            }
        };
        let Some(trap) = error.downcast_ref::<Trap>() else {
            return Err(Fault::failed(format!(
                "expected trap \"{message}\", got another error: {error:?}"
            )));
        };
        let kinds = kinds_of_message(message);
        if kinds.is_empty() {
            return Err(Fault::unsupported(format!(
                "the message \"{message}\", which names no trap; got {trap:?}"
            )));
        }
        if kinds.contains(trap) {
            Ok(())
        } else {
            Err(Fault::failed(format!(
                "expected trap \"{message}\", got {trap:?}: {error:?}"
            )))
        }
    }

    fn check_refused(&self, mut module: QuoteWat<'_>, message: &str) -> Result<(), Fault> {
        match self.compile(&mut module)? {
            Ok(_) => Err(Fault::failed(format!(
                "the module is accepted; expected \"{message}\""
            ))),
            Err(_) => Ok(()),
        }
    }

    fn check_unlinkable(&mut self, mut module: QuoteWat<'_>, message: &str) -> Result<(), Fault> {
        let module = self
            .compile(&mut module)?
            .map_err(|e| Fault::failed(format!("the module is refused before linking: {e}")))?;
        match self.linker.instantiate(&mut self.store, &module) {
            Ok(_) => Err(Fault::failed(format!(
                "the module is linked; expected \"{message}\""
            ))),
            Err(e) if e.downcast_ref::<Trap>().is_some() => Err(Fault::failed(format!(
                "the module is linked and traps; expected \"{message}\": {e:?}"
            ))),
            Err(_) => Ok(()),
        }
    }

    fn start_thread(&mut self, thread: WastThread<'a>) -> Result<(), Fault> {
        let name = thread.name.name().to_string();
        if self.threads.contains_key(&name) {
            return Err(Fault::failed(format!("thread ${name} is running already")));
        }
        let mut shared = HashMap::new();
        if let Some(id) = thread.shared_module {
            let exports = match self.shared.get(id.name()) {
                Some(exports) => exports.clone(),
                None => {
                    let instance = self.instance(Some(id))?;
                    instance
                        .exports(&mut self.store)
                        .filter_map(|export| {
                            let name = export.name().to_string();
                            Some((name, export.into_extern().into_shared_memory()?))
                        })
                        .collect()
                }
            };
            shared.insert(id.name().to_string(), exports);
        }
        let (scope, environment) = (self.scope, self.environment);
        let handle = Builder::new()
            .name(format!("wast ${name}"))
            .stack_size(environment.runner.stack_size)
            .spawn_scoped(scope, move || {
                run_directives(scope, environment, thread.directives, shared)
            })
            .map_err(|e| Fault::failed(format!("thread ${name} cannot be started: {e}")))?;
        self.threads.insert(name, handle);
        Ok(())
    }
}
