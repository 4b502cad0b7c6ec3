//! `tepui compile`: how does a module become an image on disk?

use crate::args::CompileArgs;
use crate::engine::{self, Purpose};
use crate::failure::Failure;
use crate::input::{self, Content};
use crate::{Outcome, output, progress, trust};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Compiles the input file and writes the image.
pub(crate) fn compile(args: &CompileArgs) -> Outcome {
    let engine = engine::engine(
        &args.engine,
        Purpose {
            fuel: args.fuel,
            interruption: args.timeout,
            target: args.target.as_deref(),
            ..Purpose::default()
        },
    )?;
    let name = input::show(&args.input);
    let binary = match input::read(&args.input)? {
        Content::Binary(binary) => binary,
        Content::Image(_) => {
            return Err(Failure::Load(format!("{name}: this is an image already")));
        }
    };
    let what = format!("Compiling {name} ({} KiB)", binary.len().div_ceil(1024));
    let mut out = Out {
        path: (args.output.as_os_str() != "-").then_some(&*args.output),
        file: None,
        error: None,
    };
    if out.path.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "an image is not for a terminal; redirect stdout or name a file".to_string(),
        ));
    }
    let interprets = args.engine.tier.is_some_and(|tier| tier.interprets());
    let made = progress::during(&what, || {
        if interprets {
            // Without a tag: there is none in images of bytecode.
            engine.precompile_module_to(binary, None, &mut out)
        } else {
            trust::compile_image(&engine, binary, &mut out)
        }
    });
    let written = out.finish(made.is_ok());
    match (made, written) {
        (Ok(()), written) => written,
        // That nothing could be written is the reason, then.
        (Err(_), Err(failure)) => Err(failure),
        (Err(e), Ok(())) => Err(Failure::load(&name, &e)),
    }
}

/// Where the image goes: a file, of which there is then either all or what was there
/// before, because it is written beside its place and renamed; or stdout.
struct Out<'a> {
    /// `None` for stdout.
    path: Option<&'a Path>,
    /// Made when there is something to be written.
    file: Option<Opened>,
    /// Why nothing more is written.
    error: Option<io::Error>,
}

struct Opened {
    file: File,
    /// Its name until it is whole; `None` when it is at its place: what is not a
    /// regular file (a pipe, /dev/null) cannot be replaced.
    temporary: Option<PathBuf>,
}

impl Opened {
    fn new(path: &Path) -> io::Result<Opened> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("this is not the name of a file"))?;
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::create(path)?;
            let temporary = None;
            return Ok(Opened { file, temporary });
        }
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let file = File::create(&temporary)?;
        let temporary = Some(temporary);
        Ok(Opened { file, temporary })
    }
}

impl Out<'_> {
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = self.path else {
            return io::stdout().lock().write_all(bytes);
        };
        let opened = match &mut self.file {
            Some(opened) => opened,
            None => self.file.insert(Opened::new(path)?),
        };
        opened.file.write_all(bytes)
    }

    /// Puts the file in its place if it is whole, and removes it if it is not.
    fn finish(mut self, whole: bool) -> Outcome {
        if let (Some(path), Some(Opened { temporary, .. })) = (self.path, &self.file)
            && let Some(temporary) = temporary
        {
            if whole && self.error.is_none() {
                self.error = fs::rename(temporary, path).err();
            }
            if !whole || self.error.is_some() {
                // What failed is known; that the rest stays behind is no news.
                let _ = fs::remove_file(temporary);
            }
        }
        match (self.error, self.path) {
            (None, _) => Ok(()),
            (Some(e), None) => Err(output::failure(e)),
            (Some(e), Some(path)) => Err(Failure::Load(format!(
                "cannot write {}: {e}",
                path.display()
            ))),
        }
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes).map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            io::Error::from(kind)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
