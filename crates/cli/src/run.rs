//! `tepui run`: how does a guest come to run, and what becomes of it?

use crate::Outcome;
use crate::args::RunArgs;
use crate::engine::{self, Purpose, Trust};
use crate::failure::{Failure, backtrace_lines, complain};
use crate::host::{self, Host};
use crate::input;
use crate::invoke;
use crate::output::{self, out};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tepui::{Engine, Error, ExternType, Func, Instance, Linker, Module, Store, Trap, Val};

/// The smallest stack for Wasm frames that can be asked for, in bytes.
pub(crate) const MIN_STACK: usize = 64 << 10;
/// The largest stack for Wasm frames that can be asked for, in bytes.
pub(crate) const MAX_STACK: usize = if usize::BITS > 32 {
    (16_u64 << 30) as usize
} else {
    1 << 30
};

/// What the host's own frames need beside the guest's, in bytes.
const HOST_FRAMES: usize = 4 << 20;

/// How long a guest may stay in a host call after its time is over.
const GRACE: Duration = Duration::from_millis(500);

/// The native stack, in bytes, under which `max_stack` bytes of Wasm frames
/// fit.
pub(crate) fn host_stack(max_stack: usize) -> usize {
    max_stack.saturating_add(HOST_FRAMES)
}

/// Runs the guest, on a thread of its own when its stack has to be larger than
/// this one may be.
pub(crate) fn run(args: RunArgs) -> Outcome {
    let bytes = match args.engine.max_stack {
        Some(max_stack) => host_stack(max_stack),
        // The stack that a process begins with is smaller than on other systems.
        None if cfg!(windows) => 2 * HOST_FRAMES,
        None => return run_here(&args),
    };
    std::thread::Builder::new()
        .name("guest".to_string())
        .stack_size(bytes)
        .spawn(move || run_here(&args))
        .map_err(|e| Failure::Load(format!("cannot make a stack of {bytes} bytes: {e}")))?
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_here(args: &RunArgs) -> Outcome {
    let (file, guest_args) = split_args(args)?;
    let name = input::show(&file);
    #[cfg(feature = "compiler")]
    let trust = if args.trust_image {
        Trust::Given
    } else {
        Trust::Tagged
    };
    #[cfg(not(feature = "compiler"))]
    let trust = Trust::Tagged;
    let engine = engine::engine(
        &args.engine,
        Purpose {
            fuel: args.fuel.is_some(),
            interruption: args.timeout.is_some(),
            ..Purpose::default()
        },
    )?;
    let module = input::load(&engine, &file, trust)?;

    let mut argv = Vec::new();
    if args.invoke.is_none() {
        argv.push(match (&args.argv0, file.file_name()) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name.to_string_lossy().into_owned(),
            (None, None) => name.clone(),
        });
        argv.extend_from_slice(guest_args.as_slice());
    } else {
        argv.extend(args.argv0.clone());
    }
    let mut preloads = Vec::new();
    for (import, file) in &args.preload {
        preloads.push((import, file, input::load(&engine, file, trust)?));
    }
    let modules = preloads.iter().map(|(_, _, module)| module);
    let (mut store, mut linker) = Host::new(args, &argv)?
        .into_store(&engine, modules.chain([&module]))
        .map_err(|e| Failure::load("WASI", &e))?;
    if let Some(fuel) = args.fuel {
        store
            .set_fuel(fuel)
            .map_err(|e| Failure::Usage(format!("--fuel {fuel}: {e:#}")))?;
    }

    let watchdog = args
        .timeout
        .map(|limit| Watchdog::start(&engine, &mut store, &name, limit))
        .transpose()?;
    let limits = Limits {
        fuel: args.fuel,
        timeout: args.timeout,
    };
    for (import, file, module) in &preloads {
        let name = input::show(file);
        let instance = instantiate(&mut store, &linker, module, &name, &limits)?;
        linker
            .instance(&mut store, import, instance)
            .map_err(|e| Failure::load(&name, &e))?;
    }
    let instance = instantiate(&mut store, &linker, &module, &name, &limits)?;
    let result = match &args.invoke {
        Some(function) => {
            let func = find_function(&mut store, instance, &module, &name, function)?;
            let values = invoke::arguments(&func.ty(&store), &guest_args)
                .map_err(|why| Failure::Usage(format!("--invoke {function}: {why}")))?;
            call(&mut store, func, &values).map_err(|e| limits.failure(&name, e))
        }
        None => match instance.get_func(&mut store, "_start") {
            Some(start) => call(&mut store, start, &[]).map_err(|e| limits.failure(&name, e)),
            None => {
                note_what_was_not_run(&module, &name);
                Ok(Vec::new())
            }
        },
    };
    drop(watchdog);
    for value in result? {
        out!("{}", invoke::show(&value))?;
    }
    output::flush()
}

/// The file, and the arguments after it.
fn split_args(args: &RunArgs) -> Result<(PathBuf, Vec<String>), Failure> {
    let mut words = args.file_and_args.iter();
    let Some(file) = words.next() else {
        return Err(Failure::Usage("a FILE is needed".to_string()));
    };
    let guest_args = words
        .map(|word| {
            word.to_str().map(str::to_string).ok_or_else(|| {
                Failure::Usage(format!(
                    "the argument `{}` is not UTF-8, which WASI needs",
                    word.display()
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((PathBuf::from(file), guest_args))
}

/// The limits that the guest runs under, to explain its end.
struct Limits {
    fuel: Option<u64>,
    timeout: Option<Duration>,
}

impl Limits {
    /// What an error means that came out of the guest.
    fn failure(&self, name: &str, error: Error) -> Failure {
        if let Some(code) = host::exit_code(&error) {
            return Failure::Exit(code);
        }
        let what = match (error.downcast_ref::<Trap>(), self.fuel, self.timeout) {
            (_, _, Some(limit)) if host::is_interruption(&error) => timed_out(name, limit),
            (Some(Trap::OutOfFuel), Some(fuel), _) => {
                format!("{name} used up its fuel of {fuel} (--fuel)")
            }
            (Some(trap), _, _) => format!("{name} trapped: {trap}"),
            (None, _, _) => format!("{name} failed in a host call: {}", messages(&error)),
        };
        Failure::Trap(what + &backtrace_lines(&error))
    }
}

/// The error's messages, outermost first, without the backtrace.
fn messages(error: &Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    let backtrace = error
        .downcast_ref::<tepui::WasmBacktrace>()
        .map(ToString::to_string);
    for cause in error.chain() {
        let message = cause.to_string();
        if backtrace.as_ref() != Some(&message) {
            messages.push(message);
        }
    }
    messages.join(": ")
}

fn timed_out(name: &str, limit: Duration) -> String {
    format!("{name} was interrupted: its time of {limit:?} is over (--timeout)")
}

/// Instantiates a module, and initializes it if it is a reactor.
fn instantiate(
    store: &mut Store<Host>,
    linker: &Linker<Host>,
    module: &Module,
    name: &str,
    limits: &Limits,
) -> Result<Instance, Failure> {
    check_imports(store, linker, module, name)?;
    let instance = linker.instantiate(&mut *store, module).map_err(|e| {
        let ran = e.downcast_ref::<Trap>().is_some()
            || e.downcast_ref::<tepui::WasmBacktrace>().is_some()
            || host::exit_code(&e).is_some();
        if ran {
            limits.failure(name, e)
        } else {
            Failure::load(name, &e)
        }
    })?;
    if let Some(initialize) = instance.get_func(&mut *store, "_initialize") {
        call(store, initialize, &[]).map_err(|e| limits.failure(name, e))?;
    }
    Ok(instance)
}

/// Complains about all imports that nothing defines, at once.
fn check_imports(
    store: &mut Store<Host>,
    linker: &Linker<Host>,
    module: &Module,
    name: &str,
) -> Outcome {
    let mut missing = Vec::new();
    let mut from = Vec::new();
    for import in module.imports() {
        if linker.get_by_import(&mut *store, &import).is_some() {
            continue;
        }
        let item = match import.ty() {
            ExternType::Func(ty) => format!("function {}", invoke::signature(&ty)),
            ExternType::Global(_) => "global".to_string(),
            ExternType::Table(_) => "table".to_string(),
            ExternType::Memory(_) => "memory".to_string(),
            _ => "item".to_string(),
        };
        missing.push(format!("{:?} {:?}: {item}", import.module(), import.name()));
        if !from.contains(&import.module()) {
            from.push(import.module());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 50;
    let mut text = format!("{name}: {} imports are not defined:", missing.len());
    for line in missing.iter().take(SHOWN) {
        let _ = write!(text, "\n  {line}");
    }
    if missing.len() > SHOWN {
        let _ = write!(text, "\n  … and {} more", missing.len() - SHOWN);
    }
    for module in from.iter().take(SHOWN) {
        let _ = match *module {
            "wasi_snapshot_preview1" | "wasi_unstable" => write!(
                text,
                "\nhint: WASI preview 1 has no such function in {module:?}"
            ),
            module => write!(
                text,
                "\nhint: `--preload {module}=FILE` takes what is imported from {module:?} from a file"
            ),
        };
    }
    Err(Failure::Load(text))
}

fn call(store: &mut Store<Host>, func: Func, args: &[Val]) -> Result<Vec<Val>, Error> {
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    func.call(store, args, &mut results)?;
    Ok(results)
}

fn find_function(
    store: &mut Store<Host>,
    instance: Instance,
    module: &Module,
    name: &str,
    function: &str,
) -> Result<Func, Failure> {
    instance.get_func(store, function).ok_or_else(|| {
        let functions = exported_functions(module);
        let known = match functions.len() {
            0 => "it exports none".to_string(),
            _ => format!("it exports: {}", functions.join(", ")),
        };
        Failure::Load(format!("{name} exports no function {function:?}; {known}"))
    })
}

/// The names of the exported functions, as far as a message can hold them.
fn exported_functions(module: &Module) -> Vec<String> {
    const SHOWN: usize = 20;
    let mut names: Vec<String> = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        // A name may hold what a terminal would obey.
        .map(|export| export.name().escape_debug().to_string())
        .collect();
    if names.len() > SHOWN {
        let rest = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("and {rest} more"));
    }
    names
}

/// Says on stderr that a library was loaded and that nothing of it was called.
fn note_what_was_not_run(module: &Module, name: &str) {
    let functions: Vec<_> = exported_functions(module)
        .into_iter()
        .filter(|name| name != "_initialize")
        .collect();
    if !functions.is_empty() {
        complain(format_args!(
            "note: {name} exports no `_start`, so nothing was called; \
             `--invoke F` calls one of: {}",
            functions.join(", ")
        ));
    }
}

/// Ends the guest when its time is over. Dropped, it does nothing any more.
struct Watchdog {
    _guest_runs: Sender<()>,
}

impl Watchdog {
    /// Starts to count. After `limit` the guest traps at its next check, and
    /// its waits end. If it is in a host call that cannot be ended, such as a
    /// write to a file system that hangs, the process ends a little later.
    ///
    /// Fails where the system starts no thread that could count.
    fn start(
        engine: &Engine,
        store: &mut Store<Host>,
        name: &str,
        limit: Duration,
    ) -> Result<Watchdog, Failure> {
        store.set_epoch_deadline(1);
        let waits = store.data().interrupt_handle();
        let (engine, name) = (engine.clone(), name.to_string());
        let (guest_runs, ended) = channel::<()>();
        let counts = move || {
            let runs_after =
                |wait: Duration| ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            if !runs_after(limit) {
                return;
            }
            engine.increment_epoch();
            waits.interrupt();
            if runs_after(GRACE) {
                complain(format_args!(
                    "error: {}, in a call of the host",
                    timed_out(&name, limit)
                ));
                std::process::exit(Failure::TRAP.into());
            }
        };
        std::thread::Builder::new()
            .name("watchdog".to_string())
            .spawn(counts)
            .map_err(|e| {
                Failure::Load(format!(
                    "cannot limit the time: no thread to watch it can be started: {e}"
                ))
            })?;
        Ok(Watchdog {
            _guest_runs: guest_runs,
        })
    }
}
