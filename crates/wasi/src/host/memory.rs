//! Streams that live in memory: fixed input, collected output, pipes between a
//! guest and its host, and adapters of blocking readers and writers.
//!
//! All are bounded: what is written to them never grows past a stated capacity.

use crate::services::{ErrorCode, InputStream, OutputStream, PollState, Readiness, Result};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Input of fixed content. The default is empty: the guest sees the end at once.
#[derive(Debug, Clone, Default)]
pub struct MemoryInput {
    bytes: Arc<[u8]>,
    position: usize,
}

impl MemoryInput {
    /// Input that holds `bytes` and then ends.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        MemoryInput {
            bytes: bytes.into().into(),
            position: 0,
        }
    }
}

impl InputStream for MemoryInput {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let rest = &self.bytes[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        let bytes = (self.bytes.len() - self.position) as u64;
        PollState::Ready(Readiness {
            bytes,
            hangup: bytes == 0,
        })
    }
}

/// Output that is kept, up to a capacity. Clones share the content, so one
/// stays with the host while another goes to the guest.
#[derive(Debug, Clone)]
pub struct MemoryOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
    capacity: usize,
}

impl MemoryOutput {
    /// Output that keeps at most `capacity` bytes; a write past it fails with
    /// [`ErrorCode::NoSpace`].
    pub fn new(capacity: usize) -> Self {
        MemoryOutput {
            bytes: Arc::default(),
            capacity,
        }
    }

    /// A copy of what was written so far.
    pub fn contents(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }
}

impl OutputStream for MemoryOutput {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        let mut bytes = lock(&self.bytes);
        let count = data.len().min(self.capacity - bytes.len());
        if count == 0 && !data.is_empty() {
            return Err(ErrorCode::NoSpace);
        }
        bytes.extend_from_slice(&data[..count]);
        Ok(count)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness {
            bytes: (self.capacity - lock(&self.bytes).len()) as u64,
            hangup: false,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing done under these locks leaves the data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    writer_gone: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Pipe {
    state: Mutex<PipeState>,
    changed: Condvar,
    capacity: usize,
}

impl Pipe {
    fn read(&self, state: &mut PipeState, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if state.bytes.is_empty() {
            return if state.writer_gone {
                Ok(0)
            } else {
                Err(ErrorCode::Again)
            };
        }
        let count = state.bytes.read(buffer).unwrap_or(0);
        self.announce(state.writer.take());
        Ok(count)
    }

    fn write(&self, state: &mut PipeState, data: &[u8]) -> Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        if state.reader_gone {
            return Err(ErrorCode::Pipe);
        }
        let count = data.len().min(self.capacity - state.bytes.len());
        if count == 0 {
            return Err(ErrorCode::Again);
        }
        state.bytes.extend(&data[..count]);
        self.announce(state.reader.take());
        Ok(count)
    }

    fn announce(&self, waker: Option<Waker>) {
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A pipe that holds at most `capacity` bytes (at least one). Either end can go
/// to a guest as a stream; the host uses the other through [`Read`] and
/// [`Write`], which block.
pub fn pipe(capacity: usize) -> (PipeWriter, PipeReader) {
    let pipe = Arc::new(Pipe {
        state: Mutex::default(),
        changed: Condvar::new(),
        capacity: capacity.max(1),
    });
    (PipeWriter(pipe.clone()), PipeReader(pipe))
}

/// The end of a [`pipe`] that is read. Dropping it makes writes fail.
#[derive(Debug)]
pub struct PipeReader(Arc<Pipe>);

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.reader_gone = true;
        let waker = state.writer.take();
        self.0.announce(waker);
    }
}

impl InputStream for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(&mut lock(&self.0.state), buffer)
    }

    fn poll(&self, waker: &Waker) -> PollState<'_> {
        let mut state = lock(&self.0.state);
        if state.bytes.is_empty() && !state.writer_gone {
            state.reader = Some(waker.clone());
            return PollState::Waker;
        }
        PollState::Ready(Readiness {
            bytes: state.bytes.len() as u64,
            hangup: state.writer_gone,
        })
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.0.state);
        loop {
            match self.0.read(&mut state, buffer) {
                Err(_) => {
                    state = self
                        .0
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Ok(count) => return Ok(count),
            }
        }
    }
}

/// The end of a [`pipe`] that is written. Dropping it ends what the reader sees.
#[derive(Debug)]
pub struct PipeWriter(Arc<Pipe>);

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.writer_gone = true;
        let waker = state.reader.take();
        self.0.announce(waker);
    }
}

impl OutputStream for PipeWriter {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        self.0.write(&mut lock(&self.0.state), data)
    }

    fn poll(&self, waker: &Waker) -> PollState<'_> {
        let mut state = lock(&self.0.state);
        let room = self.0.capacity - state.bytes.len();
        if room == 0 && !state.reader_gone {
            state.writer = Some(waker.clone());
            return PollState::Waker;
        }
        PollState::Ready(Readiness {
            bytes: room as u64,
            hangup: state.reader_gone,
        })
    }
}

impl Write for PipeWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0.state);
        loop {
            match self.0.write(&mut state, data) {
                Err(ErrorCode::Again) => {
                    state = self
                        .0
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(count) => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Input from any reader. Its reads may block, and then cannot be interrupted
/// nor waited for together with other things: `poll` always says ready.
#[derive(Debug)]
pub struct BlockingReader<R>(pub R);

impl<R: Read + Send> InputStream for BlockingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.0.read(buffer)?.min(buffer.len()))
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness::default())
    }
}

/// Output to any writer. Its writes may block, and then cannot be interrupted
/// nor waited for together with other things: `poll` always says ready.
#[derive(Debug)]
pub struct BlockingWriter<W>(pub W);

impl<W: Write + Send> OutputStream for BlockingWriter<W> {
    fn write(&mut self, data: &[u8]) -> Result<usize> {
        let count = self.0.write(data)?.min(data.len());
        if count == 0 && !data.is_empty() {
            // A writer that takes nothing would be asked for ever.
            return Err(ErrorCode::Io);
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }

    fn poll(&self, _waker: &Waker) -> PollState<'_> {
        PollState::Ready(Readiness::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_stops_at_its_capacity() {
        let output = MemoryOutput::new(5);
        let mut guest = output.clone();
        assert_eq!(guest.write(b"abc"), Ok(3));
        assert_eq!(guest.write(b"defg"), Ok(2));
        assert_eq!(guest.write(b"h"), Err(ErrorCode::NoSpace));
        assert_eq!(guest.write(b""), Ok(0));
        assert_eq!(output.contents(), b"abcde");
    }

    #[test]
    fn pipe_carries_bytes_and_ends() {
        let (mut writer, mut reader) = pipe(4);
        let mut buffer = [0; 8];
        assert_eq!(
            InputStream::read(&mut reader, &mut buffer),
            Err(ErrorCode::Again)
        );
        assert_eq!(OutputStream::write(&mut writer, b"abcdef"), Ok(4));
        assert_eq!(
            OutputStream::write(&mut writer, b"ef"),
            Err(ErrorCode::Again)
        );
        assert_eq!(InputStream::read(&mut reader, &mut buffer), Ok(4));
        assert_eq!(&buffer[..4], b"abcd");
        drop(writer);
        assert_eq!(InputStream::read(&mut reader, &mut buffer), Ok(0));

        let (mut writer, reader) = pipe(4);
        drop(reader);
        assert_eq!(OutputStream::write(&mut writer, b"x"), Err(ErrorCode::Pipe));
    }

    #[test]
    fn pipe_blocks_its_host_end_until_there_is_room() {
        let (mut writer, mut reader) = pipe(3);
        let thread = std::thread::spawn(move || {
            writer.write_all(b"hello, world").unwrap();
        });
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        thread.join().unwrap();
        assert_eq!(text, "hello, world");
    }
}
