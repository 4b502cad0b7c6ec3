//! Output to a console, which takes UTF-16: bytes of a guest are UTF-8, wherever it
//! cuts them; what is not becomes U+FFFD.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle;
use windows_sys::Win32::System::Console::{GetConsoleMode, WriteConsoleW};

/// The most bytes taken at once.
const MOST: usize = 8192;

/// Whether a file is a console.
pub(super) fn is_console(file: &File) -> bool {
    let mut mode = 0;
    // SAFETY: writes to our variable; the handle is the file's.
    unsafe { GetConsoleMode(file.as_raw_handle(), &mut mode) != 0 }
}

/// Turns bytes into text, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character: at most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    /// The text that is complete with `data`.
    pub(super) fn decode(&mut self, data: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(data);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            match error.error_len() {
                Some(length) => {
                    text.push('\u{fffd}');
                    rest = &after[length..];
                }
                None => {
                    self.begun = after.to_vec();
                    return text;
                }
            }
        }
    }
}

/// A console that is written to.
#[derive(Debug)]
pub(super) struct Console {
    file: File,
    decoder: Decoder,
}

impl Console {
    /// `file` is a console.
    pub(super) fn new(file: File) -> Console {
        Console {
            file,
            decoder: Decoder::default(),
        }
    }

    /// Writes the first bytes of `data`; how many.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let data = &data[..data.len().min(MOST)];
        let units: Vec<u16> = self.decoder.decode(data).encode_utf16().collect();
        let mut rest = &units[..];
        while !rest.is_empty() {
            let mut written = 0;
            // SAFETY: the units are those of the slice, whose length fits.
            let result = unsafe {
                WriteConsoleW(
                    self.file.as_raw_handle(),
                    rest.as_ptr(),
                    rest.len() as u32,
                    &mut written,
                    std::ptr::null(),
                )
            };
            if result == 0 {
                return Err(io::Error::last_os_error());
            }
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[(written as usize).min(rest.len())..];
        }
        Ok(data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_may_be_cut() {
        let text = "größe €, 𝄞!";
        for step in 1..5 {
            let mut decoder = Decoder::default();
            let decoded: String = text
                .as_bytes()
                .chunks(step)
                .map(|piece| decoder.decode(piece))
                .collect();
            assert_eq!(decoded, text);
        }
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(decoder.decode(b"c"), "\u{fffd}c");
    }
}
