//! The archive's errors: their names and exit codes.

use coffer_archive::{DestinationErrorKind, Error};

use crate::exit::Exit;

pub(super) const fn kind(error: &Error) -> &'static str {
    match error {
        Error::WrongKey => "wrong-key",
        Error::Damaged { .. } => "damaged",
        Error::NoArchive { .. } => "no-archive",
        Error::ArchiveExists { .. } => "archive-exists",
        Error::FormatTooNew { .. } => "format-too-new",
        Error::Rollback { .. } => "rolled-back",
        Error::Destination { kind, .. } => match kind {
            DestinationErrorKind::Unavailable => "destination-unavailable",
            DestinationErrorKind::Full => "destination-full",
            DestinationErrorKind::Refused => "destination-refused",
            DestinationErrorKind::NotFound => "object-missing",
            _ => "destination",
        },
        Error::BadUrl { .. } => "bad-url",
        Error::Source { .. } => "source",
        Error::BadSource(_) => "bad-source",
        Error::Target { .. } => "target",
        Error::NoSnapshot => "no-snapshot",
        Error::NoSuchSnapshot(_) => "no-such-snapshot",
        Error::NotInSnapshot { .. } => "not-in-snapshot",
        Error::Device { .. } => "device-memory",
        Error::Randomness => "randomness",
        _ => "other",
    }
}

pub(super) const fn exit(error: &Error) -> Exit {
    match error {
        Error::WrongKey => Exit::WrongKey,
        Error::Damaged { .. } => Exit::Damaged,
        Error::NoArchive { .. } => Exit::NoArchive,
        Error::ArchiveExists { .. } => Exit::ArchiveExists,
        Error::FormatTooNew { .. } => Exit::TooNew,
        Error::Rollback { .. } => Exit::RolledBack,
        Error::Destination { kind, .. } => match kind {
            DestinationErrorKind::Unavailable => Exit::Unavailable,
            DestinationErrorKind::Full => Exit::Full,
            DestinationErrorKind::Refused => Exit::Refused,
            DestinationErrorKind::NotFound => Exit::Damaged,
            _ => Exit::Failed,
        },
        Error::BadUrl { .. } | Error::BadSource(_) => Exit::Usage,
        Error::NoSnapshot | Error::NoSuchSnapshot(_) | Error::NotInSnapshot { .. } => Exit::NotFound,
        _ => Exit::Failed,
    }
}
