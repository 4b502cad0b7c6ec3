//! The engines that programs are run in: how each is found and told to run a file, compile one, and run what it
//! compiled. One table; everything else is common to all.
//!
//! An engine is looked for under the variable of its tool (`TEPUI`, `WASMTIME`, `WASMI`, `NODE`, `WASMER`,
//! `WASMPARSER`), then on the path. Code caches are off, by the engine's own switch where it has one, and because each run finds an empty
//! cache folder. Hardening against speculation is what each engine has by default: Wasmtime and Tepui guard accesses
//! to memories, tables and branch tables, so that their numbers can be set against each other; the others are not
//! made equal.

use crate::error::{Context, Result};
use crate::guests::Folder;
use crate::measure::{self, Job};
use crate::programs;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A program that runs Wasm, perhaps in several ways.
#[derive(Debug, PartialEq, Eq)]
struct Tool {
    /// Its name on the path.
    binary: &'static str,
    /// The variable that names it.
    variable: &'static str,
}

const TEPUI: Tool = Tool {
    binary: "tepui",
    variable: "TEPUI",
};
const WASMTIME: Tool = Tool {
    binary: "wasmtime",
    variable: "WASMTIME",
};
const WASMI: Tool = Tool {
    binary: "wasmi",
    variable: "WASMI",
};
const NODE: Tool = Tool {
    binary: "node",
    variable: "NODE",
};
const WASMER: Tool = Tool {
    binary: "wasmer",
    variable: "WASMER",
};

/// Not an engine: what compile times are set against. `cargo build --release --package tepui-baseline --example
/// validate` makes it.
const WASMPARSER: Tool = Tool {
    binary: "validate",
    variable: "WASMPARSER",
};

/// One way to run Wasm.
///
/// Templates are split at spaces. `{wasm}`, `{image}` and `{runner}` stand for files, `{args}` for the arguments of
/// the guest, `{threads}` for what keeps a compilation on one thread. The current folder is the one to open.
#[derive(Debug)]
struct Way {
    name: &'static str,
    about: &'static str,
    /// Nothing: the native build of the guest.
    tool: Option<Tool>,
    /// Empty for what only compiles.
    run: &'static str,
    ahead: Option<Ahead>,
}

/// Compilation ahead of time.
#[derive(Debug)]
struct Ahead {
    compile: &'static str,
    /// What `{threads}` becomes when one thread is asked for. `RAYON_NUM_THREADS=1` is set as well.
    one_thread: &'static str,
    /// Empty for what only compiles.
    run: &'static str,
}

const WAYS: &[Way] = &[
    Way {
        name: "native",
        about: "the native build",
        tool: None,
        run: "{args}",
        ahead: None,
    },
    Way {
        name: "tepui",
        about: "Tepui as a user starts it",
        tool: Some(TEPUI),
        run: "run --dir . {wasm} {args}",
        ahead: None,
    },
    Way {
        name: "tepui-optimizing",
        about: "Tepui, everything compiled by the optimizing tier",
        tool: Some(TEPUI),
        run: "run --tier optimizing --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile {threads} {wasm} -o {image}",
            one_thread: "--jobs 1",
            run: "run --dir . {image} {args}",
        }),
    },
    Way {
        name: "tepui-baseline",
        about: "Tepui, everything compiled by the baseline tier",
        tool: Some(TEPUI),
        run: "run --tier baseline --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile --tier baseline {threads} {wasm} -o {image}",
            one_thread: "--jobs 1",
            run: "run --tier baseline --dir . {image} {args}",
        }),
    },
    Way {
        name: "tepui-interpreter",
        about: "Tepui, everything interpreted",
        tool: Some(TEPUI),
        run: "run --tier interpreter --dir . {wasm} {args}",
        ahead: None,
    },
    Way {
        name: "tepui-mixed",
        about: "Tepui, each function in one of its tiers, for checks",
        tool: Some(TEPUI),
        run: "run --tier mixed:1 --dir . {wasm} {args}",
        ahead: None,
    },
    Way {
        name: "wasmtime",
        about: "Wasmtime, Cranelift",
        tool: Some(WASMTIME),
        run: "run -C cache=n --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile -C cache=n {threads} {wasm} -o {image}",
            one_thread: "-C parallel-compilation=n",
            run: "run -C cache=n --allow-precompiled --dir . {image} {args}",
        }),
    },
    Way {
        name: "wasmtime-inlining",
        about: "Wasmtime, Cranelift with its inlining on",
        tool: Some(WASMTIME),
        run: "run -C cache=n -C inlining=y --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile -C cache=n -C inlining=y {threads} {wasm} -o {image}",
            one_thread: "-C parallel-compilation=n",
            run: "run -C cache=n -C inlining=y --allow-precompiled --dir . {image} {args}",
        }),
    },
    Way {
        name: "winch",
        about: "Wasmtime, its baseline compiler",
        tool: Some(WASMTIME),
        run: "run -C cache=n -C compiler=winch --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile -C cache=n -C compiler=winch {threads} {wasm} -o {image}",
            one_thread: "-C parallel-compilation=n",
            run: "run -C cache=n -C compiler=winch --allow-precompiled --dir . {image} {args}",
        }),
    },
    Way {
        name: "pulley",
        about: "Wasmtime, its portable interpreter",
        tool: Some(WASMTIME),
        run: "run -C cache=n --target pulley64 --dir . {wasm} {args}",
        ahead: Some(Ahead {
            compile: "compile -C cache=n --target pulley64 {threads} {wasm} -o {image}",
            one_thread: "-C parallel-compilation=n",
            run: "run -C cache=n --target pulley64 --allow-precompiled --dir . {image} {args}",
        }),
    },
    Way {
        name: "wasmi",
        about: "wasmi, lazy translation",
        tool: Some(WASMI),
        run: "run --dir . {wasm} {args}",
        ahead: None,
    },
    Way {
        name: "node",
        about: "V8 with its default tiers, node:wasi",
        tool: Some(NODE),
        run: "--no-warnings {runner} {wasm} {args}",
        ahead: None,
    },
    Way {
        name: "wasmer",
        about: "Wasmer, its default compiler",
        tool: Some(WASMER),
        run: "run --disable-cache --volume .:. {wasm} -- {args}",
        ahead: Some(Ahead {
            compile: "compile {threads} {wasm} -o {image}",
            one_thread: "",
            run: "run --disable-cache --volume .:. {image} -- {args}",
        }),
    },
    Way {
        name: "wasmparser",
        about: "no engine: validation alone, on one thread, to set compile times against",
        tool: Some(WASMPARSER),
        run: "",
        ahead: Some(Ahead {
            compile: "{wasm}",
            one_thread: "",
            run: "",
        }),
    },
];

/// A line for each engine.
pub(crate) fn describe() -> String {
    let line = |way: &Way| {
        let variable = way
            .tool
            .as_ref()
            .map(|tool| format!(" ({})", tool.variable))
            .unwrap_or_default();
        format!("  {:<18} {}{variable}\n", way.name, way.about)
    };
    WAYS.iter().map(line).collect()
}

/// Whether compilation may use all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    All,
    One,
}

/// An engine that was found, ready to be asked for commands.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: String,
    /// What it says of its version; empty when it says nothing.
    pub(crate) version: String,
    executable: Option<PathBuf>,
    run: Vec<String>,
    ahead: Option<(Vec<String>, &'static str, Vec<String>)>,
}

impl Engine {
    /// Whether it compiles ahead of time.
    pub(crate) fn has_images(&self) -> bool {
        self.ahead.is_some()
    }

    /// Whether it runs programs, and does not only compile them.
    pub(crate) fn runs(&self) -> bool {
        self.executable.is_none() || !self.run.is_empty()
    }

    /// The command that runs a guest from its Wasm file.
    pub(crate) fn cold(&self, folder: &Folder, guest: &str, args: &[String]) -> Vec<OsString> {
        let program = self
            .executable
            .clone()
            .unwrap_or_else(|| folder.native(guest));
        fill(
            &program,
            &self.run,
            &folder.wasm(guest),
            Path::new(""),
            "",
            args,
        )
    }

    /// The command that compiles `wasm` to `image`; nothing when the engine has no images.
    pub(crate) fn compile(
        &self,
        wasm: &Path,
        image: &Path,
        threads: Threads,
    ) -> Option<Vec<OsString>> {
        let (compile, one_thread, _) = self.ahead.as_ref()?;
        let threads = if threads == Threads::One {
            one_thread
        } else {
            ""
        };
        Some(fill(
            self.executable.as_ref()?,
            compile,
            wasm,
            image,
            threads,
            &[],
        ))
    }

    /// The command that runs `image`; nothing when the engine has no images.
    pub(crate) fn warm(&self, image: &Path, args: &[String]) -> Option<Vec<OsString>> {
        let (_, _, run) = self.ahead.as_ref()?;
        if run.is_empty() {
            return None;
        }
        Some(fill(
            self.executable.as_ref()?,
            run,
            Path::new(""),
            image,
            "",
            args,
        ))
    }
}

fn fill(
    program: &Path,
    template: &[String],
    wasm: &Path,
    image: &Path,
    threads: &str,
    args: &[String],
) -> Vec<OsString> {
    let mut out = vec![program.into()];
    for token in template {
        match token.as_str() {
            "{wasm}" => out.push(wasm.into()),
            "{image}" => out.push(image.into()),
            "{runner}" => out.push(programs::root().join("bench/node-wasi.mjs").into()),
            "{threads}" => out.extend(threads.split_whitespace().map(OsString::from)),
            "{args}" => out.extend(args.iter().map(OsString::from)),
            plain => out.push(plain.into()),
        }
    }
    out
}

fn tokens(template: &str) -> Vec<String> {
    template.split_whitespace().map(str::to_owned).collect()
}

fn on_path(binary: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(format!("{binary}{}", std::env::consts::EXE_SUFFIX)))
        .find(|file| file.is_file())
}

fn find(tool: &Tool) -> std::result::Result<PathBuf, String> {
    match std::env::var_os(tool.variable) {
        Some(path) if Path::new(&path).is_file() => {
            fs::canonicalize(&path).map_err(|error| format!("{}: {error}", tool.variable))
        }
        Some(path) => Err(format!("{}={} is no file", tool.variable, path.display())),
        None => on_path(tool.binary).ok_or_else(|| {
            format!(
                "no `{}` on the path; name it in the variable {}",
                tool.binary, tool.variable
            )
        }),
    }
}

/// Whether a file is a script: its start-up would be measured with the engine's.
fn is_script(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"))
}

fn version(executable: &Path) -> String {
    let output = Command::new(executable).arg("--version").output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// What was looked for: engines that work, and a word on each that does not.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) engines: Vec<Engine>,
    pub(crate) notes: Vec<String>,
}

/// Finds the engines that are `named`, or all when none is, and tries each on a program that does nothing.
///
/// A name with a space in it is a command: `FILE ARGS…` are put behind it.
///
/// # Errors
///
/// When a name is not in the table.
pub(crate) fn find_all(named: &[String], folder: &Folder) -> Result<Found> {
    let mut found = Found {
        engines: Vec::new(),
        notes: Vec::new(),
    };
    let mut ways: Vec<&Way> = Vec::new();
    for name in named {
        if let Some(way) = WAYS.iter().find(|way| way.name == name) {
            ways.push(way);
        } else if name.contains([' ', '/']) {
            let mut run = tokens(name);
            let program = run.remove(0);
            let Some(path) = on_path(&program).or_else(|| fs::canonicalize(&program).ok()) else {
                return Err(format!("no program `{program}`").into());
            };
            run.extend(["{wasm}".to_owned(), "{args}".to_owned()]);
            found.engines.push(Engine {
                name: name.clone(),
                version: version(&path),
                executable: Some(path),
                run,
                ahead: None,
            });
        } else {
            return Err(format!("no engine is called `{name}`; there are:\n{}", describe()).into());
        }
    }
    if named.is_empty() {
        ways = WAYS.iter().collect();
    }

    let mut versions: Vec<(&Tool, Option<(PathBuf, String)>)> = Vec::new();
    for way in ways {
        let mut engine = Engine {
            name: way.name.to_owned(),
            version: String::new(),
            executable: None,
            run: tokens(way.run),
            ahead: way
                .ahead
                .as_ref()
                .map(|ahead| (tokens(ahead.compile), ahead.one_thread, tokens(ahead.run))),
        };
        if let Some(tool) = &way.tool {
            if !versions.iter().any(|(known, _)| *known == tool) {
                let tried = find(tool).map(|path| {
                    if is_script(&path) {
                        found.notes.push(format!(
                            "{} is a script, whose start-up is measured too; name the program itself in {}",
                            path.display(),
                            tool.variable
                        ));
                    }
                    let version = version(&path);
                    (path, version)
                });
                if let Err(why) = &tried {
                    found
                        .notes
                        .push(format!("{} is left out: {why}", tool.binary));
                }
                versions.push((tool, tried.ok()));
            }
            let Some((_, Some((path, version)))) =
                versions.iter().find(|(known, _)| *known == tool)
            else {
                continue;
            };
            engine.executable = Some(path.clone());
            engine.version.clone_from(version);
            if let Err(why) = probe(&engine, folder) {
                found.notes.push(format!("{} is left out: {why}", way.name));
                continue;
            }
            if engine.has_images()
                && let Err(why) = probe_image(&engine, folder)
            {
                found.notes.push(format!(
                    "{} is measured without compiling ahead: {why}",
                    way.name
                ));
                engine.ahead = None;
            }
        }
        found.engines.push(engine);
    }
    Ok(found)
}

/// `(module (memory (export "memory") 1) (func (export "_start")))`, type by type of the binary format.
const NOTHING: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\
    \x03\x02\x01\0\
    \x05\x03\x01\0\x01\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\0\
    \x0a\x04\x01\x02\0\x0b";

fn probe(engine: &Engine, folder: &Folder) -> Result<()> {
    let wasm = folder.at("wasm/do nothing.wasm")?;
    fs::write(&wasm, NOTHING).at("cannot write", &wasm)?;
    if !engine.runs() {
        return Ok(());
    }
    try_run(engine.cold(folder, "do nothing", &[]), folder)
}

fn probe_image(engine: &Engine, folder: &Folder) -> Result<()> {
    let image = folder.at(&format!("images/{}/do nothing", engine.name))?;
    let wasm = folder.wasm("do nothing");
    if let Some(compile) = engine.compile(&wasm, &image, Threads::One) {
        try_run(compile, folder)?;
    }
    engine
        .warm(&image, &[])
        .map_or(Ok(()), |warm| try_run(warm, folder))
}

fn try_run(command: Vec<OsString>, folder: &Folder) -> Result<()> {
    let job = Job {
        command,
        stdin: None,
        one_thread: true,
        timeout: Duration::from_secs(60),
    };
    let run = measure::run(&job, folder)?;
    if run.sample.status == 0 {
        Ok(())
    } else {
        Err(run.complaint().into())
    }
}
