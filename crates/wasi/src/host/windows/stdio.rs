//! Streams over handles that the process shares with others, as its standard input
//! and output.
//!
//! What comes through a pipe or from a console is read ahead by a thread, from the
//! first time that the guest reads or waits. Writes may wait for room: the system
//! does not say when there is some.

use super::console::{Console, is_console};
use crate::host::{PipeReader, pipe};
use crate::services::{InputStream, OutputStream, PollState, Readiness, Result};
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::task::Waker;

/// The most bytes that are read ahead.
const AHEAD: usize = 64 << 10;

/// A file of the handle, if the process has one.
fn file(handle: OwnedHandle) -> io::Result<File> {
    let file = File::from(handle);
    // Says so when there is none.
    file_type(&file)?;
    Ok(file)
}

/// What the system calls the type of a file.
fn file_type(file: &File) -> io::Result<u32> {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Foundation::{ERROR_SUCCESS, GetLastError, SetLastError};
    use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_UNKNOWN, GetFileType};
    // SAFETY: the handle is the file's.
    unsafe {
        SetLastError(ERROR_SUCCESS);
        match GetFileType(file.as_raw_handle()) {
            FILE_TYPE_UNKNOWN if GetLastError() != ERROR_SUCCESS => Err(io::Error::last_os_error()),
            known => Ok(known),
        }
    }
}

/// Whether reads of a file end without anybody's doing.
fn is_disk(file: &File) -> io::Result<bool> {
    use windows_sys::Win32::Storage::FileSystem::FILE_TYPE_DISK;
    Ok(file_type(file)? == FILE_TYPE_DISK)
}

/// A reader whose reads may block, and what was read from it ahead.
struct Ahead {
    /// Until it is read from.
    source: Cell<Option<Box<dyn Read + Send>>>,
    buffer: OnceCell<PipeReader>,
}

impl Ahead {
    fn new(source: impl Read + Send + 'static) -> Ahead {
        Ahead {
            source: Cell::new(Some(Box::new(source))),
            buffer: OnceCell::new(),
        }
    }

    /// Begins to read if nobody has. Without a thread, or when the source fails,
    /// the guest sees the end.
    fn begin(&self) -> &PipeReader {
        self.buffer.get_or_init(|| {
            let (mut writer, reader) = pipe(AHEAD);
            if let Some(mut source) = self.source.take() {
                let copy = move || {
                    let mut buffer = vec![0; AHEAD];
                    loop {
                        match source.read(&mut buffer) {
                            Ok(0) => break,
                            // The guest may be gone.
                            Ok(count) => {
                                if writer.write_all(&buffer[..count]).is_err() {
                                    break;
                                }
                            }
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            Err(_) => break,
                        }
                    }
                };
                let _ = std::thread::Builder::new()
                    .name("input".to_owned())
                    .spawn(copy);
            }
            reader
        })
    }
}

enum Input {
    /// Never blocks.
    Disk(File),
    Ahead(Ahead),
}

/// Input from a handle of the system.
pub struct HostInput {
    input: Input,
    terminal: bool,
}

impl fmt::Debug for HostInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostInput").finish_non_exhaustive()
    }
}

impl HostInput {
    /// Input from `handle`: a pipe, a console, a file. What a thread has read ahead
    /// from a pipe or a console, at most 64 KiB or a line, is lost when this is
    /// dropped.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the handle is.
    pub fn new(handle: impl Into<OwnedHandle>) -> io::Result<Self> {
        let file = file(handle.into())?;
        let terminal = file.is_terminal();
        let input = if is_disk(&file)? {
            Input::Disk(file)
        } else {
            Input::Ahead(Ahead::new(file))
        };
        Ok(HostInput { input, terminal })
    }

    /// The process's standard input. What [`std::io::stdin`] has buffered is not
    /// seen, unless it is a console: that is read through it, as UTF-8.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stdin() -> io::Result<Self> {
        let stdin = io::stdin();
        let file = file(stdin.as_handle().try_clone_to_owned()?)?;
        if is_console(&file) {
            return Ok(HostInput {
                input: Input::Ahead(Ahead::new(stdin)),
                terminal: true,
            });
        }
        Self::new(file)
    }
}

impl InputStream for HostInput {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.input {
            Input::Disk(file) => Ok(file.read(buffer)?),
            Input::Ahead(ahead) => {
                ahead.begin();
                match ahead.buffer.get_mut() {
                    Some(reader) => InputStream::read(reader, buffer),
                    None => Ok(0),
                }
            }
        }
    }

    fn poll(&self, waker: &Waker) -> PollState<'_> {
        match &self.input {
            Input::Disk(_) => PollState::Ready(Readiness::default()),
            Input::Ahead(ahead) => InputStream::poll(ahead.begin(), waker),
        }
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

#[derive(Debug)]
enum Output {
    Bytes(File),
    Text(Console),
}

/// Output to a handle of the system, unbuffered.
#[derive(Debug)]
pub struct HostOutput {
    output: Output,
    terminal: bool,
}

impl HostOutput {
    /// Output to `handle`: a pipe, a console, a file. A console gets text; what is
    /// not UTF-8 shows as U+FFFD.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what the handle is.
    pub fn new(handle: impl Into<OwnedHandle>) -> io::Result<Self> {
        let file = file(handle.into())?;
        let terminal = file.is_terminal();
        let output = if is_console(&file) {
            Output::Text(Console::new(file))
        } else {
            Output::Bytes(file)
        };
        Ok(HostOutput { output, terminal })
    }

    /// The process's standard output. What [`std::io::stdout`] has buffered
    /// comes whenever that is flushed.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stdout() -> io::Result<Self> {
        Self::new(io::stdout().as_handle().try_clone_to_owned()?)
    }

    /// The process's standard error.
    ///
    /// # Errors
    ///
    /// When the process has none.
    pub fn stderr() -> io::Result<Self> {
        Self::new(io::stderr().as_handle().try_clone_to_owned()?)
    }
}

impl OutputStream for HostOutput {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        Ok(match &mut self.output {
            Output::Bytes(file) => file.write(data)?,
            Output::Text(console) => console.write(data)?,
        })
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness::default())
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::ErrorCode;
    use std::time::Duration;

    #[test]
    fn reading_a_pipe_never_blocks() {
        let (reader, writer) = io::pipe().unwrap();
        let mut input = HostInput::new(reader).unwrap();
        let mut output = HostOutput::new(writer).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(input.read(&mut buffer), Err(ErrorCode::Again));
        assert_eq!(output.write(b"hello"), Ok(5));
        let mut text = Vec::new();
        let mut read = |text: &mut Vec<u8>| {
            for _ in 0..1000 {
                match input.read(&mut buffer) {
                    Err(ErrorCode::Again) => std::thread::sleep(Duration::from_millis(5)),
                    Ok(count) => {
                        text.extend_from_slice(&buffer[..count]);
                        return count;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("nothing came");
        };
        while text.len() < 5 {
            assert!(read(&mut text) > 0);
        }
        assert_eq!(text, b"hello");
        drop(output);
        assert_eq!(read(&mut text), 0);
    }
}
