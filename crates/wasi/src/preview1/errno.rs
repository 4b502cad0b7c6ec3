//! Which number tells a guest of an error?

use crate::services::ErrorCode;

/// `errno` of preview 1, the same in snapshot 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) u16);

macro_rules! numbers {
    ($($code:ident = $number:literal,)*) => {
        impl From<ErrorCode> for Errno {
            fn from(code: ErrorCode) -> Self {
                // Without a catch-all: a new condition has to be given a number.
                match code {
                    $(ErrorCode::$code => Errno($number),)*
                }
            }
        }
    };
}

numbers! {
    TooBig = 1,
    Access = 2,
    AddressInUse = 3,
    AddressNotAvailable = 4,
    AddressFamilyNotSupported = 5,
    Again = 6,
    Already = 7,
    BadDescriptor = 8,
    BadMessage = 9,
    Busy = 10,
    Canceled = 11,
    NoChild = 12,
    ConnectionAborted = 13,
    ConnectionRefused = 14,
    ConnectionReset = 15,
    Deadlock = 16,
    DestinationAddressRequired = 17,
    Domain = 18,
    Quota = 19,
    Exists = 20,
    Fault = 21,
    FileTooLarge = 22,
    HostUnreachable = 23,
    IdentifierRemoved = 24,
    IllegalSequence = 25,
    InProgress = 26,
    Interrupted = 27,
    Invalid = 28,
    Io = 29,
    IsConnected = 30,
    IsDirectory = 31,
    Loop = 32,
    TooManyDescriptors = 33,
    TooManyLinks = 34,
    MessageSize = 35,
    MultiHop = 36,
    NameTooLong = 37,
    NetworkDown = 38,
    NetworkReset = 39,
    NetworkUnreachable = 40,
    TooManyFiles = 41,
    NoBufferSpace = 42,
    NoDevice = 43,
    NoEntry = 44,
    NotExecutable = 45,
    NoLocks = 46,
    NoLink = 47,
    NoMemory = 48,
    NoMessage = 49,
    NoProtocolOption = 50,
    NoSpace = 51,
    NoSystemCall = 52,
    NotConnected = 53,
    NotDirectory = 54,
    NotEmpty = 55,
    NotRecoverable = 56,
    NotSocket = 57,
    NotSupported = 58,
    NotTerminal = 59,
    NoSuchAddress = 60,
    Overflow = 61,
    OwnerDied = 62,
    NotPermitted = 63,
    Pipe = 64,
    Protocol = 65,
    ProtocolNotSupported = 66,
    ProtocolType = 67,
    Range = 68,
    ReadOnly = 69,
    SeekPipe = 70,
    NoProcess = 71,
    Stale = 72,
    TimedOut = 73,
    TextBusy = 74,
    CrossDevice = 75,
}

impl Errno {
    /// `notcapable`: a right is missing. No host has it.
    pub(crate) const NOTCAPABLE: Errno = Errno(76);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_to_seventy_five() {
        let numbers: Vec<u16> = ErrorCode::ALL
            .iter()
            .map(|&code| Errno::from(code).0)
            .collect();
        assert_eq!(numbers, (1..=75).collect::<Vec<u16>>());
    }
}
