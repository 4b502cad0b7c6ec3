//! Which error condition does a number of the operating system stand for?

use crate::services::ErrorCode;
use std::io;
use windows_sys::Win32::Foundation as os;
use windows_sys::Win32::Networking::WinSock as sock;

/// The conditions by the system's numbers, where the kind that the standard library
/// knows does not tell.
const CONDITIONS: &[(u32, ErrorCode)] = &[
    // An attempt to leave a folder has no number, but this kind.
    (os::ERROR_ACCESS_DENIED, ErrorCode::Access),
    (os::ERROR_ALREADY_EXISTS, ErrorCode::Exists),
    (os::ERROR_BAD_NETPATH, ErrorCode::NoEntry),
    (os::ERROR_BUSY, ErrorCode::Busy),
    (os::ERROR_CANT_RESOLVE_FILENAME, ErrorCode::Loop),
    (os::ERROR_COMMITMENT_LIMIT, ErrorCode::NoMemory),
    (os::ERROR_DELETE_PENDING, ErrorCode::Busy),
    (os::ERROR_DIRECTORY, ErrorCode::NotDirectory),
    (os::ERROR_DIRECTORY_NOT_SUPPORTED, ErrorCode::IsDirectory),
    (os::ERROR_DISK_FULL, ErrorCode::NoSpace),
    (os::ERROR_FILE_TOO_LARGE, ErrorCode::FileTooLarge),
    (os::ERROR_FILENAME_EXCED_RANGE, ErrorCode::NameTooLong),
    (os::ERROR_HANDLE_DISK_FULL, ErrorCode::NoSpace),
    (os::ERROR_INVALID_FUNCTION, ErrorCode::NotSupported),
    (os::ERROR_INVALID_HANDLE, ErrorCode::BadDescriptor),
    (os::ERROR_INVALID_NAME, ErrorCode::Invalid),
    (os::ERROR_LOCK_VIOLATION, ErrorCode::Busy),
    (os::ERROR_NEGATIVE_SEEK, ErrorCode::Invalid),
    (os::ERROR_NO_DATA, ErrorCode::Pipe),
    (os::ERROR_NOT_A_REPARSE_POINT, ErrorCode::Invalid),
    (os::ERROR_PRIVILEGE_NOT_HELD, ErrorCode::NotPermitted),
    (os::ERROR_SHARING_VIOLATION, ErrorCode::Busy),
    (os::ERROR_STOPPED_ON_SYMLINK, ErrorCode::Loop),
    (os::ERROR_TOO_MANY_LINKS, ErrorCode::Loop),
    (os::ERROR_TOO_MANY_OPEN_FILES, ErrorCode::TooManyDescriptors),
    (os::ERROR_WRITE_PROTECT, ErrorCode::ReadOnly),
    (sock::WSAEISCONN as u32, ErrorCode::IsConnected),
    (sock::WSAEMFILE as u32, ErrorCode::TooManyDescriptors),
    (sock::WSAEMSGSIZE as u32, ErrorCode::MessageSize),
    (sock::WSAENOBUFS as u32, ErrorCode::NoBufferSpace),
    (sock::WSAENOPROTOOPT as u32, ErrorCode::NoProtocolOption),
    (sock::WSAENOTSOCK as u32, ErrorCode::NotSocket),
    (sock::WSAEOPNOTSUPP as u32, ErrorCode::NotSupported),
    (sock::WSAESHUTDOWN as u32, ErrorCode::Pipe),
];

/// The condition that the number `raw` stands for; [`ErrorCode::Io`] for a
/// number that means nothing here.
pub(crate) fn error_from_os(raw: i32) -> ErrorCode {
    CONDITIONS
        .iter()
        .find(|(number, _)| *number == raw as u32)
        .map_or_else(
            || ErrorCode::from(io::Error::from(io::Error::from_raw_os_error(raw).kind())),
            |(_, code)| *code,
        )
}

/// What the last call of the sockets' library says.
pub(super) fn socket_error() -> ErrorCode {
    // SAFETY: asks about this thread.
    error_from_os(unsafe { sock::WSAGetLastError() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_conditions() {
        for (number, code) in [
            (os::ERROR_FILE_NOT_FOUND, ErrorCode::NoEntry),
            (os::ERROR_PATH_NOT_FOUND, ErrorCode::NoEntry),
            (os::ERROR_FILE_EXISTS, ErrorCode::Exists),
            (os::ERROR_DIR_NOT_EMPTY, ErrorCode::NotEmpty),
            (os::ERROR_NOT_SAME_DEVICE, ErrorCode::CrossDevice),
            (os::ERROR_BROKEN_PIPE, ErrorCode::Pipe),
            (os::ERROR_ACCESS_DENIED, ErrorCode::Access),
            (sock::WSAEWOULDBLOCK as u32, ErrorCode::Again),
            (sock::WSAECONNRESET as u32, ErrorCode::ConnectionReset),
            (sock::WSAENOTCONN as u32, ErrorCode::NotConnected),
            (123_456, ErrorCode::Io),
        ] {
            assert_eq!(error_from_os(number as i32), code, "{number}");
        }
    }
}
