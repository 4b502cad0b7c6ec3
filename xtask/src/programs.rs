//! The pinned list of programs, `bench/programs.toml`: what is built, what it is run on, and the hashes of both.
//! The head of that file describes its form; this one reads it, checks it, and rewrites its last table.

use crate::error::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Everything that the list says.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) guests: Vec<Guest>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) programs: Vec<Program>,
    /// BLAKE3, by `wasm/NAME` and `input/NAME`.
    pub(crate) hashes: BTreeMap<String, String>,
}

/// A program to build.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// Where a guest comes from and how it is built.
#[derive(Debug)]
pub(crate) enum Source {
    /// C files, with flags for both builds and for each.
    C {
        sources: Vec<String>,
        flags: Vec<String>,
        wasm_flags: Vec<String>,
        native_flags: Vec<String>,
    },
    /// A binary of a published crate.
    Crate {
        krate: String,
        bin: String,
        default_features: bool,
        patch: Option<String>,
    },
    /// A binary of `bench/guests/rust`.
    Rust,
}

/// A file, or a folder of files, that programs read.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

/// How an input comes to be.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A file under `bench/guests/inputs`.
    Copy(String),
    /// A generator of `inputs` and its size.
    Generate(String, u64),
    /// What a guest prints when it runs natively.
    Output { guest: String, args: Vec<String> },
}

/// A guest at work.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) guest: String,
    pub(crate) args: Vec<String>,
    /// A file among the inputs.
    pub(crate) stdin: Option<String>,
    /// Files that it writes, compared as its output is.
    pub(crate) produces: Vec<String>,
    /// Lines of the output that contain one of these are not compared.
    pub(crate) ignore_lines: Vec<String>,
    pub(crate) check: bool,
    pub(crate) bench: bool,
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

fn list_path() -> PathBuf {
    root().join("bench/programs.toml")
}

/// A table of the list, with readers that say which key is wrong.
struct Entry<'a> {
    table: &'a Table,
    what: String,
}

impl Entry<'_> {
    fn maybe(&self, key: &str) -> Result<Option<String>> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{}: `{key}` is not a string", self.what).into()),
        }
    }

    fn text(&self, key: &str) -> Result<String> {
        self.maybe(key)?
            .ok_or_else(|| format!("{}: `{key}` is missing", self.what).into())
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let wrong = || format!("{}: `{key}` is not a list of strings", self.what);
        match self.table.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| Ok(item.as_str().ok_or_else(wrong)?.to_owned()))
                .collect(),
            Some(_) => Err(wrong().into()),
        }
    }
}

impl Programs {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not TOML, or an entry lacks something or names what is not there.
    pub(crate) fn read() -> Result<Self> {
        let path = list_path();
        Self::parse(&fs::read_to_string(&path).at("cannot read", &path)?)
            .at("wrong list of programs", &path)
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse().doing("not TOML")?;
        let list = Self {
            guests: entries(&table, "guest", guest)?,
            inputs: entries(&table, "input", input)?,
            programs: entries(&table, "program", program)?,
            hashes: match table.get("hashes") {
                Some(Value::Table(hashes)) => hashes
                    .iter()
                    .map(|(key, value)| {
                        (key.clone(), value.as_str().unwrap_or_default().to_owned())
                    })
                    .collect(),
                _ => return Err("the table `hashes` is missing".into()),
            },
        };
        for program in &list.programs {
            list.guest(&program.guest)?;
            if let Some(stdin) = &program.stdin
                && !list.inputs.iter().any(|input| input.name == *stdin)
            {
                return Err(format!("program {}: no input is called {stdin}", program.name).into());
            }
        }
        Ok(list)
    }

    /// The guest with this name.
    pub(crate) fn guest(&self, name: &str) -> Result<&Guest> {
        self.guests
            .iter()
            .find(|guest| guest.name == name)
            .ok_or_else(|| format!("no guest is called {name}").into())
    }

    /// A sentence on what differs from the pinned hashes; nothing when nothing does.
    pub(crate) fn differences<'a>(
        &self,
        found: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Option<String> {
        let different: Vec<String> = found
            .into_iter()
            .filter_map(|(key, hash)| match self.hashes.get(key) {
                Some(pinned) if pinned == hash => None,
                Some(pinned) => Some(format!("{key} ({hash:.8}…, not {pinned:.8}…)")),
                None => Some(format!("{key} ({hash:.8}…, nothing pinned)")),
            })
            .collect();
        (!different.is_empty()).then(|| {
            let keys = different.join(", ");
            format!("not what is pinned (another compiler builds other bytes): {keys}")
        })
    }

    /// Writes `hashes` over the last table of the list.
    pub(crate) fn bless(hashes: &BTreeMap<String, String>) -> Result<()> {
        let path = list_path();
        let text = fs::read_to_string(&path).at("cannot read", &path)?;
        let (head, _) = text
            .split_once("\n[hashes]\n")
            .ok_or("the table `hashes` is missing")?;
        let mut fresh = format!("{head}\n[hashes]\n");
        for (key, hash) in hashes {
            fresh.push_str(&format!("\"{key}\" = \"{hash}\"\n"));
        }
        fs::write(&path, fresh).at("cannot write", &path)
    }
}

fn entries<T>(table: &Table, key: &str, read: fn(&Entry<'_>) -> Result<T>) -> Result<Vec<T>> {
    let Some(Value::Array(items)) = table.get(key) else {
        return Err(format!("no `[[{key}]]`").into());
    };
    let mut names = Vec::new();
    items
        .iter()
        .map(|item| {
            let table = item
                .as_table()
                .ok_or_else(|| format!("`{key}` is not a list of tables"))?;
            let name = table
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if name.is_empty() || names.contains(&name) {
                return Err(format!("{key} `{name}`: the name is missing or stands twice").into());
            }
            names.push(name);
            read(&Entry {
                table,
                what: format!("{key} {name}"),
            })
        })
        .collect()
}

fn guest(entry: &Entry<'_>) -> Result<Guest> {
    let source = match entry.text("language")?.as_str() {
        "c" => Source::C {
            sources: entry.texts("sources")?,
            flags: entry.texts("flags")?,
            wasm_flags: entry.texts("wasm-flags")?,
            native_flags: entry.texts("native-flags")?,
        },
        "crate" => Source::Crate {
            krate: entry.text("crate")?,
            bin: entry.text("bin")?,
            default_features: entry
                .table
                .get("default-features")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            patch: entry.maybe("patch")?,
        },
        "rust" => Source::Rust,
        other => return Err(format!("{}: no guest is built from `{other}`", entry.what).into()),
    };
    Ok(Guest {
        name: entry.text("name")?,
        source,
    })
}

fn input(entry: &Entry<'_>) -> Result<Input> {
    let origin = if let Some(file) = entry.maybe("copy")? {
        Origin::Copy(file)
    } else if let Some(generator) = entry.maybe("generate")? {
        let size = entry
            .table
            .get("size")
            .and_then(Value::as_integer)
            .and_then(|size| u64::try_from(size).ok());
        Origin::Generate(
            generator,
            size.ok_or_else(|| format!("{}: `size` is missing", entry.what))?,
        )
    } else {
        Origin::Output {
            guest: entry.text("guest")?,
            args: entry.texts("args")?,
        }
    };
    Ok(Input {
        name: entry.text("name")?,
        origin,
    })
}

fn program(entry: &Entry<'_>) -> Result<Program> {
    let uses = entry.texts("use")?;
    if let Some(odd) = uses
        .iter()
        .find(|u| !["check", "bench"].contains(&u.as_str()))
    {
        return Err(format!("{}: no use is called `{odd}`", entry.what).into());
    }
    Ok(Program {
        name: entry.text("name")?,
        guest: entry.text("guest")?,
        args: entry.texts("args")?,
        stdin: entry.maybe("stdin")?,
        produces: entry.texts("produces")?,
        ignore_lines: entry.texts("ignore-lines")?,
        check: uses.iter().any(|u| u == "check"),
        bench: uses.iter().any(|u| u == "bench"),
    })
}

/// BLAKE3 of a file, or of the names and contents of a folder's files, in hexadecimal.
pub(crate) fn hash(path: &Path) -> Result<String> {
    fn feed(hasher: &mut blake3::Hasher, path: &Path) -> Result<()> {
        if path.is_dir() {
            let mut names: Vec<_> = fs::read_dir(path)
                .and_then(|entries| {
                    entries
                        .map(|entry| entry.map(|entry| entry.file_name()))
                        .collect()
                })
                .at("cannot list", path)?;
            names.sort();
            for name in names {
                hasher.update(name.as_encoded_bytes()).update(&[0]);
                feed(hasher, &path.join(name))?;
            }
            Ok(())
        } else {
            let bytes = fs::read(path).at("cannot read", path)?;
            hasher
                .update(&(bytes.len() as u64).to_le_bytes())
                .update(&bytes);
            Ok(())
        }
    }
    let mut hasher = blake3::Hasher::new();
    feed(&mut hasher, path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::Programs;

    #[test]
    fn the_list_of_the_project_is_right() {
        let list = Programs::read().expect("a right list");
        assert!(list.programs.iter().filter(|program| program.check).count() >= 5);
        assert!(list.programs.iter().filter(|program| program.bench).count() >= 20);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| Programs::parse(text).expect_err("a wrong list").to_string();
        let base = "[[guest]]\nname='g'\nlanguage='rust'\n[[input]]\nname='i'\ncopy='f'\n";
        assert!(error("[[guest]]\nname='g'\nlanguage='cobol'").contains("cobol"));
        assert!(
            error(&format!(
                "{base}[[program]]\nname='p'\nguest='h'\n[hashes]\n"
            ))
            .contains("called h")
        );
        assert!(
            error(&format!(
                "{base}[[program]]\nname='p'\nguest='g'\nuse=['sing']\n"
            ))
            .contains("sing")
        );
        assert!(
            error(&format!(
                "{base}[[program]]\nname='p'\nguest='g'\nargs=[1]\n"
            ))
            .contains("args")
        );
        assert!(error(&format!("{base}{base}")).contains("twice"));
    }
}
