//! How does a guest's exit reach the host?

use std::fmt;

/// The error with which a call into a guest ends when the guest called
/// `proc_exit`: not a fault but the regular way of ending. Find it with
/// `error.downcast_ref::<I32Exit>()`.
///
/// The code is carried as the guest gave it, whatever it is.
/// [`I32Exit::process_exit_code`] says which code to end the host process with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct I32Exit(pub i32);

impl I32Exit {
    /// The code for the host's own process: the low eight bits, as an operating
    /// system keeps of a native program's code (so -1 becomes 255, and codes of
    /// 126 and more, which shells use, pass as they are), except that a failure
    /// never becomes a success: a multiple of 256 other than 0 becomes 1.
    pub fn process_exit_code(self) -> u8 {
        match self.0 as u8 {
            0 if self.0 != 0 => 1,
            code => code,
        }
    }
}

impl fmt::Display for I32Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest exited with code {}", self.0)
    }
}

impl std::error::Error for I32Exit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_process() {
        for (code, process) in [
            (0, 0),
            (1, 1),
            (125, 125),
            (126, 126),
            (255, 255),
            (256, 1),
            (257, 1),
            (-1, 255),
            (i32::MIN, 1),
        ] {
            assert_eq!(I32Exit(code).process_exit_code(), process, "{code}");
        }
    }
}
