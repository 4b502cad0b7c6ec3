//! Which error condition does a number of the operating system stand for?

use crate::services::ErrorCode;
use rustix::io::Errno;

/// The conditions by the system's numbers. Where two names share a number the
/// first counts.
const CONDITIONS: &[(Errno, ErrorCode)] = &[
    (Errno::TOOBIG, ErrorCode::TooBig),
    (Errno::ACCESS, ErrorCode::Access),
    (Errno::ADDRINUSE, ErrorCode::AddressInUse),
    (Errno::ADDRNOTAVAIL, ErrorCode::AddressNotAvailable),
    (Errno::AFNOSUPPORT, ErrorCode::AddressFamilyNotSupported),
    (Errno::AGAIN, ErrorCode::Again),
    (Errno::WOULDBLOCK, ErrorCode::Again),
    (Errno::ALREADY, ErrorCode::Already),
    (Errno::BADF, ErrorCode::BadDescriptor),
    (Errno::BADMSG, ErrorCode::BadMessage),
    (Errno::BUSY, ErrorCode::Busy),
    (Errno::CANCELED, ErrorCode::Canceled),
    (Errno::CHILD, ErrorCode::NoChild),
    (Errno::CONNABORTED, ErrorCode::ConnectionAborted),
    (Errno::CONNREFUSED, ErrorCode::ConnectionRefused),
    (Errno::CONNRESET, ErrorCode::ConnectionReset),
    (Errno::DEADLK, ErrorCode::Deadlock),
    (Errno::DESTADDRREQ, ErrorCode::DestinationAddressRequired),
    (Errno::DOM, ErrorCode::Domain),
    (Errno::DQUOT, ErrorCode::Quota),
    (Errno::EXIST, ErrorCode::Exists),
    (Errno::FAULT, ErrorCode::Fault),
    (Errno::FBIG, ErrorCode::FileTooLarge),
    (Errno::HOSTUNREACH, ErrorCode::HostUnreachable),
    (Errno::IDRM, ErrorCode::IdentifierRemoved),
    (Errno::ILSEQ, ErrorCode::IllegalSequence),
    (Errno::INPROGRESS, ErrorCode::InProgress),
    (Errno::INTR, ErrorCode::Interrupted),
    (Errno::INVAL, ErrorCode::Invalid),
    (Errno::IO, ErrorCode::Io),
    (Errno::ISCONN, ErrorCode::IsConnected),
    (Errno::ISDIR, ErrorCode::IsDirectory),
    (Errno::LOOP, ErrorCode::Loop),
    (Errno::MFILE, ErrorCode::TooManyDescriptors),
    (Errno::MLINK, ErrorCode::TooManyLinks),
    (Errno::MSGSIZE, ErrorCode::MessageSize),
    (Errno::MULTIHOP, ErrorCode::MultiHop),
    (Errno::NAMETOOLONG, ErrorCode::NameTooLong),
    (Errno::NETDOWN, ErrorCode::NetworkDown),
    (Errno::NETRESET, ErrorCode::NetworkReset),
    (Errno::NETUNREACH, ErrorCode::NetworkUnreachable),
    (Errno::NFILE, ErrorCode::TooManyFiles),
    (Errno::NOBUFS, ErrorCode::NoBufferSpace),
    (Errno::NODEV, ErrorCode::NoDevice),
    (Errno::NOENT, ErrorCode::NoEntry),
    (Errno::NOEXEC, ErrorCode::NotExecutable),
    (Errno::NOLCK, ErrorCode::NoLocks),
    (Errno::NOLINK, ErrorCode::NoLink),
    (Errno::NOMEM, ErrorCode::NoMemory),
    (Errno::NOMSG, ErrorCode::NoMessage),
    (Errno::NOPROTOOPT, ErrorCode::NoProtocolOption),
    (Errno::NOSPC, ErrorCode::NoSpace),
    (Errno::NOSYS, ErrorCode::NoSystemCall),
    (Errno::NOTCONN, ErrorCode::NotConnected),
    (Errno::NOTDIR, ErrorCode::NotDirectory),
    (Errno::NOTEMPTY, ErrorCode::NotEmpty),
    (Errno::NOTRECOVERABLE, ErrorCode::NotRecoverable),
    (Errno::NOTSOCK, ErrorCode::NotSocket),
    (Errno::NOTSUP, ErrorCode::NotSupported),
    (Errno::OPNOTSUPP, ErrorCode::NotSupported),
    (Errno::NOTTY, ErrorCode::NotTerminal),
    (Errno::NXIO, ErrorCode::NoSuchAddress),
    (Errno::OVERFLOW, ErrorCode::Overflow),
    (Errno::OWNERDEAD, ErrorCode::OwnerDied),
    (Errno::PERM, ErrorCode::NotPermitted),
    (Errno::PIPE, ErrorCode::Pipe),
    (Errno::PROTO, ErrorCode::Protocol),
    (Errno::PROTONOSUPPORT, ErrorCode::ProtocolNotSupported),
    (Errno::PROTOTYPE, ErrorCode::ProtocolType),
    (Errno::RANGE, ErrorCode::Range),
    (Errno::ROFS, ErrorCode::ReadOnly),
    (Errno::SPIPE, ErrorCode::SeekPipe),
    (Errno::SRCH, ErrorCode::NoProcess),
    (Errno::STALE, ErrorCode::Stale),
    (Errno::TIMEDOUT, ErrorCode::TimedOut),
    (Errno::TXTBSY, ErrorCode::TextBusy),
    (Errno::XDEV, ErrorCode::CrossDevice),
];

/// The condition that the number `raw` stands for; [`ErrorCode::Io`] for a
/// number that means nothing here.
pub(crate) fn error_from_os(raw: i32) -> ErrorCode {
    CONDITIONS
        .iter()
        .find(|(errno, _)| errno.raw_os_error() == raw)
        .map_or(ErrorCode::Io, |(_, code)| *code)
}

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        error_from_os(errno.raw_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_a_number() {
        for code in ErrorCode::ALL {
            assert!(
                CONDITIONS.iter().any(|(_, mapped)| mapped == code),
                "{code:?} has no number of the system"
            );
        }
        assert_eq!(
            error_from_os(Errno::ROFS.raw_os_error()),
            ErrorCode::ReadOnly
        );
        assert_eq!(error_from_os(123_456), ErrorCode::Io);
    }
}
