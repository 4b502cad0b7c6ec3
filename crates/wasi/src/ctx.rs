//! What was one guest given?

use crate::host::wait::{InterruptHandle, Waiter};
use crate::host::{
    HostClocks, HostDirectory, HostInput, HostListener, HostOutput, HostRandom, MemoryInput,
};
use crate::services::{
    Access, Clocks, Directory, ErrorCode, InputStream, Listener, OutputStream, PollState, Random,
    Readiness, Result, Socket,
};
use crate::table::{Descriptor, Kind, Table};
use std::fmt;
use std::io;
#[cfg(not(windows))]
use std::os::fd::OwnedFd as OwnedDescriptor;
#[cfg(windows)]
use std::os::windows::io::OwnedSocket as OwnedDescriptor;
use std::path::{Path, PathBuf};
use std::task::Waker;

/// How many descriptors a guest may have open at once unless
/// [`WasiCtxBuilder::max_descriptors`] says otherwise.
pub const DEFAULT_MAX_DESCRIPTORS: u32 = 4096;

/// The state of one guest: its arguments, environment, descriptors, and the
/// services that it may use. Put one into the data of each store.
pub struct WasiCtx {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) clocks: Box<dyn Clocks>,
    pub(crate) random: Box<dyn Random>,
    pub(crate) table: Table,
    pub(crate) waiter: Waiter,
}

impl fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtx")
            .field("args", &self.args)
            .field("descriptors", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl WasiCtx {
    /// A builder of a context that grants nothing.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// A handle with which another thread can end this guest's waits.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.waiter.handle()
    }
}

/// Why a context could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument, or a name or value of the environment, holds a NUL; or a
    /// name is empty or holds `=`. The text says which.
    Text(String),
    /// A host folder could not be opened.
    Folder(PathBuf, io::Error),
    /// A standard stream of the process could not be taken over.
    Stream(&'static str, io::Error),
    /// A socket could not be taken over.
    Socket(io::Error),
    /// More was granted than the limit on descriptors allows.
    TooManyDescriptors(u32),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Text(what) => f.write_str(what),
            BuildError::Folder(path, error) => {
                write!(f, "cannot open the folder `{}`: {error}", path.display())
            }
            BuildError::Stream(name, error) => {
                write!(f, "cannot use the process's {name}: {error}")
            }
            BuildError::Socket(error) => write!(f, "cannot use the socket: {error}"),
            BuildError::TooManyDescriptors(limit) => write!(
                f,
                "the streams, folders and sockets granted are more than the limit of {limit} descriptors"
            ),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Folder(_, error)
            | BuildError::Stream(_, error)
            | BuildError::Socket(error) => Some(error),
            _ => None,
        }
    }
}

/// Output that goes nowhere.
struct Sink;

impl OutputStream for Sink {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        Ok(data.len())
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness::default())
    }
}

/// Says what a guest is given. What is not said is not given: without a call
/// there are no arguments, no environment, no folders and no sockets, input is
/// empty and output is dropped. Clocks and random bytes are the host's own
/// unless others are put in their place.
pub struct WasiCtxBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Box<dyn InputStream>,
    stdout: Box<dyn OutputStream>,
    stderr: Box<dyn OutputStream>,
    directories: Vec<(String, Box<dyn Directory>)>,
    sockets: Vec<Kind>,
    clocks: Box<dyn Clocks>,
    random: Box<dyn Random>,
    max_descriptors: u32,
}

impl fmt::Debug for WasiCtxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtxBuilder")
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

impl Default for WasiCtxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl WasiCtxBuilder {
    /// A builder of a context that grants nothing.
    pub fn new() -> Self {
        WasiCtxBuilder {
            args: Vec::new(),
            env: Vec::new(),
            stdin: Box::new(MemoryInput::default()),
            stdout: Box::new(Sink),
            stderr: Box::new(Sink),
            directories: Vec::new(),
            sockets: Vec::new(),
            clocks: Box::new(HostClocks),
            random: Box::new(HostRandom),
            max_descriptors: DEFAULT_MAX_DESCRIPTORS,
        }
    }

    /// Adds an argument. The first is by custom the program's name.
    pub fn arg(&mut self, arg: impl Into<String>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<str>>(&mut self, args: &[S]) -> &mut Self {
        self.args
            .extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds the arguments of this process, the first included. What is not
    /// Unicode has its faulty parts replaced by U+FFFD.
    pub fn inherit_args(&mut self) -> &mut Self {
        self.args
            .extend(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()));
        self
    }

    /// Sets a variable of the environment; a later call for the same name wins.
    pub fn env(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.env.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.env.push((name, value)),
        }
        self
    }

    /// Sets variables of the environment.
    pub fn envs<N: AsRef<str>, V: AsRef<str>>(&mut self, variables: &[(N, V)]) -> &mut Self {
        for (name, value) in variables {
            self.env(name.as_ref(), value.as_ref());
        }
        self
    }

    /// Sets all variables of this process's environment. What is not Unicode
    /// has its faulty parts replaced by U+FFFD.
    pub fn inherit_env(&mut self) -> &mut Self {
        for (name, value) in std::env::vars_os() {
            // Windows keeps entries whose names begin with `=`.
            if !name.as_encoded_bytes().contains(&b'=') && !name.is_empty() {
                self.env(name.to_string_lossy(), value.to_string_lossy());
            }
        }
        self
    }

    /// What the guest reads as its standard input (descriptor 0).
    pub fn stdin(&mut self, stream: impl InputStream + 'static) -> &mut Self {
        self.stdin = Box::new(stream);
        self
    }

    /// Where the guest's standard output goes (descriptor 1).
    pub fn stdout(&mut self, stream: impl OutputStream + 'static) -> &mut Self {
        self.stdout = Box::new(stream);
        self
    }

    /// Where the guest's standard error goes (descriptor 2).
    pub fn stderr(&mut self, stream: impl OutputStream + 'static) -> &mut Self {
        self.stderr = Box::new(stream);
        self
    }

    /// Gives the guest this process's standard input.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn inherit_stdin(&mut self) -> Result<&mut Self, BuildError> {
        let stream =
            HostInput::stdin().map_err(|error| BuildError::Stream("standard input", error))?;
        Ok(self.stdin(stream))
    }

    /// Gives the guest this process's standard output.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn inherit_stdout(&mut self) -> Result<&mut Self, BuildError> {
        let stream =
            HostOutput::stdout().map_err(|error| BuildError::Stream("standard output", error))?;
        Ok(self.stdout(stream))
    }

    /// Gives the guest this process's standard error.
    ///
    /// # Errors
    ///
    /// When the process has none or is out of descriptors.
    pub fn inherit_stderr(&mut self) -> Result<&mut Self, BuildError> {
        let stream =
            HostOutput::stderr().map_err(|error| BuildError::Stream("standard error", error))?;
        Ok(self.stderr(stream))
    }

    /// Gives the guest this process's standard input, output and error.
    ///
    /// # Errors
    ///
    /// When the process lacks one of them or is out of descriptors.
    pub fn inherit_stdio(&mut self) -> Result<&mut Self, BuildError> {
        self.inherit_stdin()?.inherit_stdout()?.inherit_stderr()
    }

    /// Gives the guest the host's folder `host`, and all beneath it, under the
    /// name `guest`. The first folder becomes descriptor 3, the next 4, and so
    /// on.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened.
    pub fn preopened_dir(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl Into<String>,
        access: Access,
    ) -> Result<&mut Self, BuildError> {
        let host = host.as_ref();
        let directory = HostDirectory::open(host, access)
            .map_err(|error| BuildError::Folder(host.to_owned(), error))?;
        Ok(self.preopened_directory(directory, guest))
    }

    /// Gives the guest a directory of any implementation, as
    /// [`WasiCtxBuilder::preopened_dir`] does.
    pub fn preopened_directory(
        &mut self,
        directory: impl Directory + 'static,
        guest: impl Into<String>,
    ) -> &mut Self {
        self.directories.push((guest.into(), Box::new(directory)));
        self
    }

    /// Gives the guest a listening socket of the system, such as a
    /// [`TcpListener`](std::net::TcpListener). Sockets get the descriptors after
    /// the folders, in the order of the calls.
    ///
    /// # Errors
    ///
    /// When the descriptor is no socket.
    pub fn preopened_listener(
        &mut self,
        socket: impl Into<OwnedDescriptor>,
    ) -> Result<&mut Self, BuildError> {
        let listener = HostListener::new(socket).map_err(BuildError::Socket)?;
        Ok(self.listener(listener))
    }

    /// Gives the guest a listener of any implementation, as
    /// [`WasiCtxBuilder::preopened_listener`] does.
    pub fn listener(&mut self, listener: impl Listener + 'static) -> &mut Self {
        self.sockets.push(Kind::Listener(Box::new(listener)));
        self
    }

    /// Gives the guest a connected socket. Sockets get the descriptors after
    /// the folders, in the order of the calls.
    pub fn socket(&mut self, socket: impl Socket + 'static) -> &mut Self {
        self.sockets.push(Kind::Socket(Box::new(socket)));
        self
    }

    /// Puts other clocks in the place of the host's. Waiting itself is done in
    /// the host's time: a wait for a point of a clock lasts as long as that
    /// clock says at its beginning.
    pub fn clocks(&mut self, clocks: impl Clocks + 'static) -> &mut Self {
        self.clocks = Box::new(clocks);
        self
    }

    /// Puts another source of randomness in the place of the host's.
    pub fn random(&mut self, random: impl Random + 'static) -> &mut Self {
        self.random = Box::new(random);
        self
    }

    /// How many descriptors the guest may have open at once, the three standard
    /// streams included. The default is [`DEFAULT_MAX_DESCRIPTORS`].
    pub fn max_descriptors(&mut self, limit: u32) -> &mut Self {
        self.max_descriptors = limit;
        self
    }

    /// The context. The builder is left as [`WasiCtxBuilder::new`] makes it.
    ///
    /// # Errors
    ///
    /// For arguments and variables that cannot be handed over, and when more
    /// was granted than the limit on descriptors allows.
    pub fn build(&mut self) -> Result<WasiCtx, BuildError> {
        let builder = std::mem::take(self);
        for arg in &builder.args {
            if arg.contains('\0') {
                return Err(BuildError::Text(format!("argument {arg:?} holds a NUL")));
            }
        }
        for (name, value) in &builder.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(BuildError::Text(format!(
                    "environment variable {name:?}: names are not empty and hold neither `=` nor NUL, values no NUL"
                )));
            }
        }
        let mut table = Table::new(builder.max_descriptors);
        let mut push = |kind| {
            table
                .push(Descriptor::new(kind))
                .map(|_| ())
                .map_err(|_: ErrorCode| BuildError::TooManyDescriptors(builder.max_descriptors))
        };
        push(Kind::Input(builder.stdin))?;
        push(Kind::Output(builder.stdout))?;
        push(Kind::Output(builder.stderr))?;
        for (name, directory) in builder.directories {
            push(Kind::Directory {
                directory,
                preopen: Some(name),
            })?;
        }
        for socket in builder.sockets {
            push(socket)?;
        }
        Ok(WasiCtx {
            args: builder.args,
            env: builder
                .env
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            clocks: builder.clocks,
            random: builder.random,
            table,
            waiter: Waiter::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_can_move_between_threads() {
        fn check<T: Send>() {}
        check::<WasiCtx>();
        check::<WasiCtxBuilder>();
    }

    #[test]
    fn refuses_what_cannot_be_handed_over() {
        assert!(WasiCtxBuilder::new().arg("a\0b").build().is_err());
        assert!(WasiCtxBuilder::new().env("a=b", "c").build().is_err());
        assert!(WasiCtxBuilder::new().env("", "c").build().is_err());
        assert!(WasiCtxBuilder::new().env("a", "\0").build().is_err());
        assert!(WasiCtxBuilder::new().max_descriptors(2).build().is_err());
        assert!(WasiCtxBuilder::new().max_descriptors(3).build().is_ok());
    }

    #[test]
    fn the_last_value_of_a_variable_wins() {
        let ctx = WasiCtxBuilder::new()
            .env("A", "1")
            .env("B", "2")
            .env("A", "3")
            .build()
            .unwrap();
        assert_eq!(ctx.env, ["A=3", "B=2"]);
    }
}
