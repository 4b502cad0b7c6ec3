//! Which errors can a service answer with?

use std::fmt;
use std::io;

/// The result of a service call.
pub type Result<T, E = ErrorCode> = std::result::Result<T, E>;

macro_rules! error_codes {
    ($($name:ident = $text:literal,)*) => {
        /// Why a service call failed: the error conditions of POSIX, without
        /// numbers, which differ between hosts and between WASI versions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = concat!("The condition: ", $text, ".")] $name,)*
        }

        impl ErrorCode {
            /// Every error code, in the order of declaration.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// What the code means, in a few words.
            pub fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $text,)*
                }
            }
        }
    };
}

error_codes! {
    TooBig = "argument list too long",
    Access = "permission denied",
    AddressInUse = "address in use",
    AddressNotAvailable = "address not available",
    AddressFamilyNotSupported = "address family not supported",
    Again = "resource unavailable, or operation would block",
    Already = "connection already in progress",
    BadDescriptor = "bad file descriptor",
    BadMessage = "bad message",
    Busy = "device or resource busy",
    Canceled = "operation canceled",
    NoChild = "no child processes",
    ConnectionAborted = "connection aborted",
    ConnectionRefused = "connection refused",
    ConnectionReset = "connection reset",
    Deadlock = "resource deadlock would occur",
    DestinationAddressRequired = "destination address required",
    Domain = "argument out of the domain of the function",
    Quota = "disk quota exceeded",
    Exists = "file exists",
    Fault = "bad address",
    FileTooLarge = "file too large",
    HostUnreachable = "host is unreachable",
    IdentifierRemoved = "identifier removed",
    IllegalSequence = "illegal byte sequence",
    InProgress = "operation in progress",
    Interrupted = "interrupted function",
    Invalid = "invalid argument",
    Io = "input or output error",
    IsConnected = "socket is connected",
    IsDirectory = "is a directory",
    Loop = "too many levels of symbolic links",
    TooManyDescriptors = "too many open descriptors",
    TooManyLinks = "too many links",
    MessageSize = "message too large",
    MultiHop = "multihop attempted",
    NameTooLong = "file name too long",
    NetworkDown = "network is down",
    NetworkReset = "connection aborted by network",
    NetworkUnreachable = "network unreachable",
    TooManyFiles = "too many files open in system",
    NoBufferSpace = "no buffer space available",
    NoDevice = "no such device",
    NoEntry = "no such file or directory",
    NotExecutable = "executable file format error",
    NoLocks = "no locks available",
    NoLink = "link has been severed",
    NoMemory = "not enough memory",
    NoMessage = "no message of the desired type",
    NoProtocolOption = "protocol not available",
    NoSpace = "no space left on device",
    NoSystemCall = "function not supported",
    NotConnected = "the socket is not connected",
    NotDirectory = "not a directory",
    NotEmpty = "directory not empty",
    NotRecoverable = "state not recoverable",
    NotSocket = "not a socket",
    NotSupported = "operation not supported",
    NotTerminal = "inappropriate I/O control operation",
    NoSuchAddress = "no such device or address",
    Overflow = "value too large to be stored in data type",
    OwnerDied = "previous owner died",
    NotPermitted = "operation not permitted",
    Pipe = "broken pipe",
    Protocol = "protocol error",
    ProtocolNotSupported = "protocol not supported",
    ProtocolType = "protocol wrong type for socket",
    Range = "result too large",
    ReadOnly = "read-only file system",
    SeekPipe = "invalid seek",
    NoProcess = "no such process",
    Stale = "stale file handle",
    TimedOut = "connection timed out",
    TextBusy = "text file busy",
    CrossDevice = "cross-device link",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ErrorCode {}

impl From<io::Error> for ErrorCode {
    /// The same condition, where the operating system's number or the kind
    /// tells it; [`ErrorCode::Io`] where neither does.
    fn from(error: io::Error) -> Self {
        if let Some(raw) = error.raw_os_error() {
            return crate::host::error_from_os(raw);
        }
        match error.kind() {
            io::ErrorKind::NotFound => ErrorCode::NoEntry,
            // Sandboxed resolution reports an attempt to leave the folder so.
            io::ErrorKind::PermissionDenied => ErrorCode::NotPermitted,
            io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            io::ErrorKind::ConnectionReset => ErrorCode::ConnectionReset,
            io::ErrorKind::ConnectionAborted => ErrorCode::ConnectionAborted,
            io::ErrorKind::HostUnreachable => ErrorCode::HostUnreachable,
            io::ErrorKind::NetworkUnreachable => ErrorCode::NetworkUnreachable,
            io::ErrorKind::NotConnected => ErrorCode::NotConnected,
            io::ErrorKind::AddrInUse => ErrorCode::AddressInUse,
            io::ErrorKind::AddrNotAvailable => ErrorCode::AddressNotAvailable,
            io::ErrorKind::NetworkDown => ErrorCode::NetworkDown,
            io::ErrorKind::BrokenPipe => ErrorCode::Pipe,
            io::ErrorKind::AlreadyExists => ErrorCode::Exists,
            io::ErrorKind::WouldBlock => ErrorCode::Again,
            io::ErrorKind::NotADirectory => ErrorCode::NotDirectory,
            io::ErrorKind::IsADirectory => ErrorCode::IsDirectory,
            io::ErrorKind::DirectoryNotEmpty => ErrorCode::NotEmpty,
            io::ErrorKind::ReadOnlyFilesystem => ErrorCode::ReadOnly,
            io::ErrorKind::StaleNetworkFileHandle => ErrorCode::Stale,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => ErrorCode::Invalid,
            io::ErrorKind::TimedOut => ErrorCode::TimedOut,
            io::ErrorKind::StorageFull => ErrorCode::NoSpace,
            io::ErrorKind::NotSeekable => ErrorCode::SeekPipe,
            io::ErrorKind::QuotaExceeded => ErrorCode::Quota,
            io::ErrorKind::FileTooLarge => ErrorCode::FileTooLarge,
            io::ErrorKind::ResourceBusy => ErrorCode::Busy,
            io::ErrorKind::ExecutableFileBusy => ErrorCode::TextBusy,
            io::ErrorKind::Deadlock => ErrorCode::Deadlock,
            io::ErrorKind::CrossesDevices => ErrorCode::CrossDevice,
            io::ErrorKind::TooManyLinks => ErrorCode::TooManyLinks,
            io::ErrorKind::ArgumentListTooLong => ErrorCode::TooBig,
            io::ErrorKind::Interrupted => ErrorCode::Interrupted,
            io::ErrorKind::Unsupported => ErrorCode::NotSupported,
            io::ErrorKind::OutOfMemory => ErrorCode::NoMemory,
            _ => ErrorCode::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_keep_their_meaning() {
        let from = |kind| ErrorCode::from(io::Error::from(kind));
        assert_eq!(from(io::ErrorKind::NotFound), ErrorCode::NoEntry);
        assert_eq!(from(io::ErrorKind::StorageFull), ErrorCode::NoSpace);
        assert_eq!(from(io::ErrorKind::Other), ErrorCode::Io);
        assert_eq!(
            ErrorCode::from(io::Error::new(io::ErrorKind::PermissionDenied, "escape")),
            ErrorCode::NotPermitted
        );
    }

    #[test]
    fn messages_are_distinct() {
        let mut messages: Vec<_> = ErrorCode::ALL.iter().map(|code| code.to_string()).collect();
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), ErrorCode::ALL.len());
    }
}
