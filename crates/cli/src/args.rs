//! What can be written on the command line? The tables of commands and options,
//! and what becomes of their values.

use crate::engine::{Switch, Tier, parse_enable};
use crate::failure::Failure;
#[cfg(feature = "compiler")]
use crate::grammar::Times::Needed;
use crate::grammar::{Arguments, Command, Group, Number, OPTIONS, Opt, Times::Many, Values};
use crate::help;
use crate::line::{self, Line, Mistake, Words};
use crate::terminal::{self, Style};
use crate::units;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tepui::{Proposal, Strategy};
use tepui_wasi::Access;

const ABOUT: &str = "A WebAssembly runtime: runs modules in the binary (.wasm) and the text (.wat) \
                     format, and images that it compiled before";

const AFTER: &str = "\
`tepui FILE` is short for `tepui run FILE`. `tepui help COMMAND` tells more.

Exit codes:
  the guest's own    when it ends by itself
  1                  a file cannot be read, is not valid, or cannot be linked
  2                  the command line is wrong
  134                the guest trapped, timed out or ran out of fuel
  141                nobody reads stdout any more";

/// The command that is meant when none is named: the first one.
const RUN: usize = 0;

/// What decides how code is compiled, for all commands that compile.
const ENGINE: Group = Group {
    heading: "Engine",
    options: &[
        Opt::new(
            "tier",
            "TIER",
            "The tier that runs the code: interpreter, baseline, optimizing or auto, as far as \
             this build has them (see `tepui settings`). For tests, `mixed:SEED` runs each \
             function in a tier that the number SEED decides",
        )
        .values(Values::Words(|| {
            Strategy::AVAILABLE.iter().map(|tier| tier.name()).collect()
        })),
        Opt::new(
            "enable",
            "P,...",
            "Switch proposals on, by name, separated by commas; `all` stands for every one that \
             is implemented. `tepui settings` lists the names",
        )
        .times(Many)
        .values(Values::Words(proposals)),
        Opt::new(
            "disable",
            "P,...",
            "Switch proposals off. Together with `--enable`, `all` counts before single names: \
             `--disable all --enable simd` leaves only simd",
        )
        .times(Many)
        .values(Values::Words(proposals)),
        Opt::new(
            "max-stack",
            "N",
            "The stack that the guest's frames may fill before the call stack is exhausted, as \
             512KiB or 8MiB",
        ),
        Opt::new(
            "jobs",
            "N",
            "Validate and compile on at most N threads; as many as there are processors when \
             absent",
        ),
    ],
};

/// Everything that the command can do.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "run",
        summary: "Run a module: a WASI command, or one function of a library",
        details: &[
            "A command (a module that exports `_start`) is run with ARGS. Of a library, name a \
             function with `--invoke`; its ARGS are read by the types of its parameters and its \
             results are printed, one to a line. A module that exports `_initialize` is \
             initialized first.",
            "Guests get nothing of the machine but stdin, stdout, stderr, clocks, random numbers \
             and what the options below give them. An image, however, is native code: run only \
             images that you or someone you trust compiled.",
        ],
        usage: &["tepui run [OPTIONS] FILE [ARGS]...", "tepui FILE [ARGS]..."],
        arguments: Some(Arguments {
            shown: "<FILE> [ARGS]...",
            help: "The module or image to run, `-` for stdin, and what it gets as its arguments. \
                   Options for tepui stand before FILE",
            number: Number::OneAndTheGuests,
            values: Values::Files,
        }),
        groups: &[
            Group {
                heading: OPTIONS,
                options: &[
                    Opt::new(
                        "dir",
                        "HOST[::GUEST[::ro]]",
                        "Give the guest a directory of the host, under its own name or under \
                         GUEST; with `::ro` the guest can only read in it. May be repeated",
                    )
                    .times(Many)
                    .values(Values::Directories),
                    Opt::new(
                        "env",
                        "K[=V]",
                        "Set an environment variable of the guest; without `=V` it gets the \
                         host's value, or none if the host has none. May be repeated",
                    )
                    .times(Many),
                    Opt::new(
                        "argv0",
                        "NAME",
                        "What the guest gets as the name of the program, in place of FILE's name",
                    ),
                    Opt::new(
                        "invoke",
                        "F",
                        "Call the exported function F instead of `_start`",
                    ),
                    Opt::new(
                        "preload",
                        "NAME=FILE",
                        "Instantiate FILE first, and let later modules import from it under \
                         NAME. May be repeated",
                    )
                    .times(Many),
                    #[cfg(feature = "compiler")]
                    Opt::flag(
                        "trust-image",
                        "Run images even if you did not compile them on this machine. An image \
                         is native code that can do whatever a program of yours can",
                    ),
                ],
            },
            Group {
                heading: "Limits",
                options: &[
                    Opt::new("fuel", "N", "Stop with a trap after about N instructions"),
                    Opt::new(
                        "timeout",
                        "D",
                        "Stop with a trap after the time D, as 500ms, 2s or 1m, counted from the \
                         start of the guest",
                    ),
                    Opt::new(
                        "max-memory",
                        "N",
                        "Let the guest's memories grow to N bytes in all, as 64MiB or 1g; beyond \
                         that `memory.grow` fails",
                    ),
                ],
            },
            ENGINE,
        ],
    },
    #[cfg(feature = "compiler")]
    Command {
        name: "compile",
        summary: "Compile a module ahead of time to an image that starts at once",
        details: &[
            "`tepui run` runs an image as it runs the module, without compiling. An image fits \
             the version of tepui and the options (tier, proposals, fuel, timeout) that it was \
             made with. It is tagged as yours, so that `tepui run` knows it from images that \
             others made, which it runs with --trust-image only.",
            "With --tier interpreter the image holds bytecode, for machines without a system too. \
             Such an image has no tag.",
        ],
        usage: &["tepui compile [OPTIONS] --output <OUT> <IN>"],
        arguments: Some(Arguments {
            shown: "<IN>",
            help: "The module to compile, or `-` for stdin",
            number: Number::One,
            values: Values::Files,
        }),
        groups: &[
            Group {
                heading: OPTIONS,
                options: &[
                    Opt::new(
                        "output",
                        "OUT",
                        "Where to write the image, or `-` for stdout",
                    )
                    .short('o')
                    .times(Needed)
                    .values(Values::Files),
                    Opt::new(
                        "target",
                        "TRIPLE",
                        "The machine to compile for, as aarch64-unknown-linux-gnu; this one when \
                         absent",
                    ),
                    Opt::flag("fuel", "Make an image for `tepui run --fuel`"),
                    Opt::flag("timeout", "Make an image for `tepui run --timeout`"),
                ],
            },
            ENGINE,
        ],
    },
    Command {
        name: "validate",
        summary: "Check that files are valid modules",
        details: &[
            "Prints nothing and ends with code 0 when all are; otherwise says what is wrong, and \
             where, for each that is not, and ends with code 1.",
        ],
        usage: &["tepui validate [OPTIONS] <FILE>..."],
        arguments: Some(Arguments {
            shown: "<FILE>...",
            help: "Modules in the binary or the text format, or `-` for stdin",
            number: Number::OneAtLeast,
            values: Values::Files,
        }),
        groups: &[
            Group {
                heading: OPTIONS,
                options: &[],
            },
            ENGINE,
        ],
    },
    #[cfg(feature = "wast")]
    Command {
        name: "wast",
        summary: "Run scripts of the WebAssembly specification's test suite",
        details: &[
            "Every implemented proposal is on. Each directive that does not hold is reported as \
             FILE:LINE:COLUMN with the reason, on stdout, and does not stop the rest; counts come \
             last. Ends with code 1 if anything failed.",
        ],
        usage: &["tepui wast [OPTIONS] <FILE>..."],
        arguments: Some(Arguments {
            shown: "<FILE>...",
            help: "Scripts, `-` for stdin, or directories, of which every .wast file is run",
            number: Number::OneAtLeast,
            values: Values::Files,
        }),
        groups: &[
            Group {
                heading: OPTIONS,
                options: &[Opt::flag(
                    "print",
                    "Show what the scripts print through `spectest`",
                )],
            },
            ENGINE,
        ],
    },
    Command {
        name: "settings",
        summary: "Show what this build can do on this machine",
        details: &[
            "The host with the processor's features, the tiers, the proposals with their \
             defaults, and the limits.",
        ],
        usage: &["tepui settings"],
        arguments: None,
        groups: &[],
    },
    #[cfg(feature = "completion")]
    Command {
        name: "completion",
        summary: "Print the script that completes `tepui` in a shell",
        details: &["For example: `tepui completion bash > \
             ~/.local/share/bash-completion/completions/tepui`."],
        usage: &["tepui completion <SHELL>"],
        arguments: Some(Arguments {
            shown: "<SHELL>",
            help: "The shell",
            number: Number::One,
            values: Values::Words(crate::completion::shells),
        }),
        groups: &[],
    },
    Command {
        name: line::HELP,
        summary: "Print this message or the help of the given subcommand",
        details: &[],
        usage: &["tepui help [COMMAND]"],
        arguments: Some(Arguments {
            shown: "[COMMAND]",
            help: "The subcommand",
            number: Number::OneAtMost,
            values: Values::Words(|| COMMANDS.iter().map(|command| command.name).collect()),
        }),
        groups: &[],
    },
];

fn proposals() -> Vec<&'static str> {
    let implemented = Proposal::ALL.iter().filter(|p| p.is_implemented());
    std::iter::once("all")
        .chain(implemented.map(|proposal| proposal.name()))
        .collect()
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    Run(RunArgs),
    #[cfg(feature = "compiler")]
    Compile(CompileArgs),
    Validate(ValidateArgs),
    #[cfg(feature = "wast")]
    Wast(WastArgs),
    Settings,
    #[cfg(feature = "completion")]
    Completion(crate::completion::Shell),
    /// To print this.
    Print(String),
}

/// The values of [`ENGINE`].
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineArgs {
    pub(crate) tier: Option<Tier>,
    pub(crate) enable: Vec<Switch>,
    pub(crate) disable: Vec<Switch>,
    pub(crate) max_stack: Option<usize>,
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// What `run` is given.
#[derive(Debug, Default)]
pub(crate) struct RunArgs {
    pub(crate) file_and_args: Vec<OsString>,
    pub(crate) dirs: Vec<Dir>,
    pub(crate) env: Vec<(String, Option<String>)>,
    pub(crate) argv0: Option<String>,
    pub(crate) invoke: Option<String>,
    pub(crate) preload: Vec<(String, PathBuf)>,
    #[cfg(feature = "compiler")]
    pub(crate) trust_image: bool,
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_memory: Option<u64>,
    pub(crate) engine: EngineArgs,
}

/// What `compile` is given.
#[cfg(feature = "compiler")]
#[derive(Debug, Default)]
pub(crate) struct CompileArgs {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) target: Option<String>,
    pub(crate) fuel: bool,
    pub(crate) timeout: bool,
    pub(crate) engine: EngineArgs,
}

/// What `validate` is given.
#[derive(Debug, Default)]
pub(crate) struct ValidateArgs {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) engine: EngineArgs,
}

/// What `wast` is given.
#[cfg(feature = "wast")]
#[derive(Debug, Default)]
pub(crate) struct WastArgs {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) print: bool,
    pub(crate) engine: EngineArgs,
}

/// Reads the command line, without the name of the program.
pub(crate) fn read(words: impl ExactSizeIterator<Item = OsString>) -> Result<Request, Failure> {
    if words.len() == 0 {
        return Err(Failure::Help(program_help(Style::stderr())));
    }
    let (command, words) = match line::read(words, COMMANDS, &COMMANDS[RUN])? {
        Line::Do(command, words) => (command, words),
        Line::Help(command, detail) => {
            let style = Style::stdout();
            return Ok(Request::Print(match command {
                Some(command) => help::of_command(command, detail, terminal::width(), style),
                None => program_help(style),
            }));
        }
        Line::Version => {
            return Ok(Request::Print(format!(
                "tepui {}\n",
                env!("CARGO_PKG_VERSION")
            )));
        }
    };
    Ok(match command.name {
        "run" => Request::Run(fill(words)?),
        #[cfg(feature = "compiler")]
        "compile" => Request::Compile(fill(words)?),
        "validate" => Request::Validate(fill(words)?),
        #[cfg(feature = "wast")]
        "wast" => Request::Wast(fill(words)?),
        #[cfg(feature = "completion")]
        "completion" => Request::Completion(crate::completion::Shell::of(&words.arguments)?),
        name => {
            debug_assert_eq!(name, "settings");
            Request::Settings
        }
    })
}

fn program_help(style: Style) -> String {
    help::of_program(ABOUT, AFTER, COMMANDS, terminal::width(), style)
}

/// What a command is given, as a struct of its own.
trait Given: Default {
    /// Takes note of an option; `value` is empty for a flag.
    ///
    /// # Errors
    ///
    /// Why the value is none that the option can have.
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String>;

    /// Takes note of what stands beside the options.
    fn arguments(&mut self, words: Vec<OsString>);
}

fn fill<T: Given>(words: Words) -> Result<T, Mistake> {
    let mut given = T::default();
    for (option, value) in words.options {
        given
            .set(option.long, &value)
            .map_err(|why| Mistake::value(&option.shown(), &value, &why))?;
    }
    given.arguments(words.arguments);
    Ok(given)
}

impl EngineArgs {
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String> {
        match option {
            "tier" => self.tier = Some(text(value)?.parse()?),
            "enable" => {
                for name in text(value)?.split(',') {
                    self.enable.push(parse_enable(name)?);
                }
            }
            "disable" => {
                for name in text(value)?.split(',') {
                    self.disable.push(name.parse()?);
                }
            }
            "max-stack" => self.max_stack = Some(parse_stack(text(value)?)?),
            "jobs" => self.jobs = Some(number(value)?),
            _ => unreachable!("--{option} is in the tables and nothing knows it"),
        }
        Ok(())
    }
}

impl Given for RunArgs {
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String> {
        match option {
            "dir" => self.dirs.push(parse_dir(text(value)?)?),
            "env" => self.env.push(parse_env(text(value)?)?),
            "argv0" => self.argv0 = Some(text(value)?.to_string()),
            "invoke" => self.invoke = Some(text(value)?.to_string()),
            "preload" => self.preload.push(parse_preload(text(value)?)?),
            #[cfg(feature = "compiler")]
            "trust-image" => self.trust_image = true,
            "fuel" => self.fuel = Some(number(value)?),
            "timeout" => self.timeout = Some(units::duration(text(value)?)?),
            "max-memory" => self.max_memory = Some(units::size(text(value)?)?),
            _ => self.engine.set(option, value)?,
        }
        Ok(())
    }

    fn arguments(&mut self, words: Vec<OsString>) {
        self.file_and_args = words;
    }
}

#[cfg(feature = "compiler")]
impl Given for CompileArgs {
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String> {
        match option {
            "output" => self.output = value.into(),
            "target" => self.target = Some(text(value)?.to_string()),
            "fuel" => self.fuel = true,
            "timeout" => self.timeout = true,
            _ => self.engine.set(option, value)?,
        }
        Ok(())
    }

    fn arguments(&mut self, words: Vec<OsString>) {
        self.input = words.into_iter().map(PathBuf::from).collect();
    }
}

impl Given for ValidateArgs {
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String> {
        self.engine.set(option, value)
    }

    fn arguments(&mut self, words: Vec<OsString>) {
        self.files = words.into_iter().map(PathBuf::from).collect();
    }
}

#[cfg(feature = "wast")]
impl Given for WastArgs {
    fn set(&mut self, option: &str, value: &OsStr) -> Result<(), String> {
        match option {
            "print" => self.print = true,
            _ => self.engine.set(option, value)?,
        }
        Ok(())
    }

    fn arguments(&mut self, words: Vec<OsString>) {
        self.files = words.into_iter().map(PathBuf::from).collect();
    }
}

fn text(value: &OsStr) -> Result<&str, String> {
    value
        .to_str()
        .ok_or_else(|| "it is not Unicode".to_string())
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(value: &OsStr) -> Result<T, String> {
    text(value)?
        .parse()
        .map_err(|why: std::num::ParseIntError| why.to_string())
}

/// A directory given to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
}

fn parse_dir(text: &str) -> Result<Dir, String> {
    let parts: Vec<&str> = text.split("::").collect();
    let (host, guest, access) = match parts[..] {
        [host] => (host, host, Access::ReadWrite),
        [host, guest] => (host, guest, Access::ReadWrite),
        [host, guest, "ro"] => (host, guest, Access::ReadOnly),
        _ => {
            return Err(
                "expected HOST, HOST::GUEST or HOST::GUEST::ro, as data::/data::ro".to_string(),
            );
        }
    };
    if host.is_empty() || guest.is_empty() {
        return Err("a directory needs a name on both sides of `::`".to_string());
    }
    Ok(Dir {
        host: host.into(),
        guest: guest.to_string(),
        access,
    })
}

fn parse_env(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_string())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("a variable needs a name".to_string());
    }
    Ok((name.to_string(), value))
}

fn parse_preload(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok((name.to_string(), file.into())),
        _ => Err("expected NAME=FILE, as env=helpers.wasm".to_string()),
    }
}

fn parse_stack(text: &str) -> Result<usize, String> {
    let bytes = units::size(text)?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if (crate::run::MIN_STACK..=crate::run::MAX_STACK).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!(
            "a stack has between {} and {}",
            units::show_size(crate::run::MIN_STACK as u64),
            units::show_size(crate::run::MAX_STACK as u64)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Times;

    #[test]
    fn the_tables_are_consistent() {
        line::check(COMMANDS);
        assert_eq!(COMMANDS[RUN].name, "run");
    }

    /// A value that is right for the option.
    fn right_value(option: &Opt) -> &'static str {
        match option.long {
            "argv0" | "invoke" | "output" | "target" => "x",
            "dir" => ".",
            "disable" | "enable" => "all",
            "env" | "preload" => "A=b",
            "fuel" | "jobs" => "7",
            "max-memory" | "max-stack" => "1MiB",
            "tier" => Strategy::AVAILABLE[0].name(),
            "timeout" => "2s",
            name => panic!("no value of --{name} is known to be right"),
        }
    }

    /// The words of a command line that are needed in any case: options first.
    fn needed(command: &Command, besides: Option<&Opt>) -> Vec<String> {
        let mut words = vec![command.name.to_string()];
        for option in command.options() {
            let is_needed = !matches!(option.times, Times::Once | Many);
            if is_needed && besides.is_none_or(|other| other.long != option.long) {
                words.push(format!("--{}={}", option.long, right_value(option)));
            }
        }
        words
    }

    /// The words that stand beside the options.
    fn arguments(command: &Command) -> Vec<String> {
        let first = match &command.arguments {
            Some(Arguments {
                values: Values::Words(words),
                ..
            }) => words()[0],
            Some(_) => "file",
            None => return Vec::new(),
        };
        vec![first.to_string()]
    }

    /// Each option of the tables, by each of its names, is known to the command that it
    /// is in, and changes what is asked for.
    #[test]
    fn every_option_of_every_command_is_filled_in() {
        for command in COMMANDS {
            let ask = |options: Vec<String>| {
                let line = [options, arguments(command)].concat();
                let request = read(line.iter().map(OsString::from));
                let request = request.unwrap_or_else(|failure| panic!("{line:?}: {failure:?}"));
                // `Run(RunArgs { … })` of `run`.
                let shown = format!("{request:?}");
                let variant = shown.split('(').next().unwrap_or_default().to_lowercase();
                let expected = match command.name {
                    line::HELP => "print",
                    name => name,
                };
                assert_eq!(variant, expected, "{line:?}");
                shown
            };
            let without = ask(needed(command, None));
            for option in command.options() {
                let value = option.value.map(|_| right_value(option));
                let mut written = vec![match value {
                    Some(value) => vec![format!("--{}={value}", option.long)],
                    None => vec![format!("--{}", option.long)],
                }];
                if let Some(short) = option.short {
                    let value = value.map(str::to_string);
                    written.push(std::iter::once(format!("-{short}")).chain(value).collect());
                }
                for words in written {
                    let line = [needed(command, Some(option)), words].concat();
                    let with = ask(line.clone());
                    // What is needed is in both.
                    let is_needed = needed(command, Some(option)) != needed(command, None);
                    assert_eq!(with == without, is_needed, "{line:?}");
                }
            }
        }
    }

    fn words(line: &[&str]) -> Result<Request, Failure> {
        let words: Vec<_> = line.iter().map(OsString::from).collect();
        read(words.into_iter())
    }

    #[test]
    fn values_are_filled_in() {
        let line = "--enable all,simd --enable threads --fuel=7 --tier interpreter --dir a --dir b \
                    --jobs 2 --timeout 2s --max-memory 1k --env A=b --invoke f x.wasm --jobs";
        let line: Vec<_> = line.split_whitespace().collect();
        let Ok(Request::Run(args)) = words(&line) else {
            panic!("`run` is meant")
        };
        assert_eq!(args.engine.enable.len(), 3);
        assert_eq!((args.fuel, args.max_memory), (Some(7), Some(1024)));
        assert_eq!(args.dirs.len(), 2);
        assert_eq!(args.engine.jobs.map(usize::from), Some(2));
        assert_eq!(args.timeout, Some(Duration::from_secs(2)));
        assert_eq!(args.invoke.as_deref(), Some("f"));
        assert_eq!(args.env, [("A".into(), Some("b".into()))]);
        assert_eq!(args.file_and_args, ["x.wasm", "--jobs"]);
        assert!(args.engine.tier.is_some());
    }

    #[test]
    fn wrong_values_are_explained() {
        for (line, text) in [
            (
                &["--fuel", "x", "f"][..],
                "invalid value 'x' for '--fuel <N>': invalid digit",
            ),
            (&["--jobs", "0", "f"], "'--jobs <N>': number would be zero"),
            (
                &["--enable", "simd,", "f"],
                "'simd,' for '--enable <P,...>': there is no such",
            ),
        ] {
            match words(line) {
                Err(Failure::Usage(message)) => assert!(message.contains(text), "{message}"),
                other => panic!("{line:?}: {other:?}"),
            }
        }
        assert!(matches!(words(&[]), Err(Failure::Help(text)) if text.contains("Usage:")));
    }

    #[test]
    fn directories() {
        let dir = |host: &str, guest: &str, access| {
            Ok(Dir {
                host: host.into(),
                guest: guest.to_string(),
                access,
            })
        };
        assert_eq!(parse_dir("a"), dir("a", "a", Access::ReadWrite));
        assert_eq!(parse_dir("a::/b"), dir("a", "/b", Access::ReadWrite));
        assert_eq!(parse_dir("a::/b::ro"), dir("a", "/b", Access::ReadOnly));
        assert_eq!(
            parse_dir("C:\\x::/b"),
            dir("C:\\x", "/b", Access::ReadWrite)
        );
        for bad in ["", "::", "a::", "::b", "a::b::rw", "a::b::", "a::b::ro::x"] {
            assert!(parse_dir(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_and_preloads() {
        assert_eq!(parse_env("A"), Ok(("A".into(), None)));
        assert_eq!(parse_env("A="), Ok(("A".into(), Some("".into()))));
        assert_eq!(parse_env("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert!(parse_env("=b").is_err());
        assert_eq!(parse_preload("m=f.wat"), Ok(("m".into(), "f.wat".into())));
        assert_eq!(parse_preload("=f.wat"), Ok(("".into(), "f.wat".into())));
        assert!(parse_preload("f.wat").is_err());
        assert!(parse_preload("m=").is_err());
    }
}
