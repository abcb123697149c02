//! The archive's errors: their names and exit codes.

use coffer_archive::{DestinationErrorKind, Error};

use crate::exit::Exit;

pub(super) const fn kind(error: &Error) -> &'static str {
    match error {
        Error::WrongKey => "wrong-key",
        Error::Damaged { .. } => "damaged",
        Error::NoArchive { .. } => "no-archive",
        Error::ArchiveExists { .. } => "archive-exists",
        Error::NotEmpty { .. } => "not-empty",
        Error::HeaderMissing { .. } => "header-missing",
        Error::FormatTooNew { .. } => "format-too-new",
        Error::Rollback { .. } => "rolled-back",
        Error::VaultHead { .. } => "foreign-head",
        Error::Destination { kind, .. } => match kind {
            DestinationErrorKind::Unavailable => "destination-unavailable",
            DestinationErrorKind::Full => "destination-full",
            DestinationErrorKind::Refused => "destination-refused",
            DestinationErrorKind::NotFound => "object-missing",
            DestinationErrorKind::Exists => "object-exists",
            _ => "destination",
        },
        Error::BadUrl { .. } => "bad-url",
        Error::SecretInUrl { .. } => "secret-in-url",
        Error::NoCredentials { .. } => "no-credentials",
        Error::Source { .. } => "source",
        Error::BadSource(_) => "bad-source",
        Error::BadRule { .. } => "bad-rule",
        Error::Incomparable { .. } => "incomparable",
        Error::CopyKeepsMore { .. } => "copy-keeps-more",
        Error::OtherArchive { .. } => "other-archive",
        Error::NotRecognised { .. } => "not-recognised",
        Error::Target { .. } => "target",
        Error::NoSnapshot => "no-snapshot",
        Error::NoSuchSnapshot(_) => "no-such-snapshot",
        Error::NotInSnapshot { .. } => "not-in-snapshot",
        Error::Newest { .. } => "newest-snapshot",
        Error::Unreadable { .. } => "unreadable-snapshot",
        Error::Busy(_) => "busy",
        Error::Disturbed => "disturbed",
        Error::Doomed { .. } => "doomed",
        Error::Rotating => "rotating",
        Error::Rotated => "rotated",
        Error::OldHeader => "old-header",
        Error::Device { .. } => "device-memory",
        Error::Randomness => "randomness",
        _ => "other",
    }
}

pub(super) const fn exit(error: &Error) -> Exit {
    match error {
        Error::WrongKey => Exit::WrongKey,
        Error::Damaged { .. } | Error::HeaderMissing { .. } | Error::Unreadable { .. } => Exit::Damaged,
        Error::NoArchive { .. } => Exit::NoArchive,
        Error::ArchiveExists { .. }
        | Error::NotEmpty { .. }
        | Error::OtherArchive { .. }
        | Error::CopyKeepsMore { .. } => Exit::ArchiveExists,
        Error::FormatTooNew { .. } => Exit::TooNew,
        Error::Rollback { .. } | Error::OldHeader => Exit::RolledBack,
        Error::VaultHead { .. } => Exit::VaultRefused,
        Error::Destination { kind, .. } => match kind {
            DestinationErrorKind::Unavailable => Exit::Unavailable,
            DestinationErrorKind::Full => Exit::Full,
            DestinationErrorKind::Refused => Exit::Refused,
            DestinationErrorKind::NotFound => Exit::Damaged,
            _ => Exit::Failed,
        },
        Error::BadUrl { .. }
        | Error::SecretInUrl { .. }
        | Error::BadSource(_)
        | Error::BadRule { .. }
        | Error::NotRecognised { .. }
        | Error::Incomparable { .. } => Exit::Usage,
        Error::Busy(_) | Error::Disturbed | Error::Doomed { .. } | Error::Rotating | Error::Rotated => Exit::Busy,
        Error::NoCredentials { .. } => Exit::NoCredentials,
        Error::NoSnapshot | Error::NoSuchSnapshot(_) | Error::NotInSnapshot { .. } => Exit::NotFound,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use coffer_archive::{Damage, DestinationErrorKind as Kind, Error, Head, Service};

    use super::{exit, kind};

    fn destination(kind: Kind) -> Error {
        Error::Destination { kind, action: "write", object: "packs/00/00".to_owned(), reason: "it failed".to_owned() }
    }

    #[test]
    fn each_error_has_the_number_that_the_manual_gives_it() {
        let url = || "fs:///backups".to_owned();
        let object = || "coffer.json".to_owned();
        let remembered = Head { number: 2, hash: [0; 32] }.receipt();
        for (error, name, code) in [
            (Error::WrongKey, "wrong-key", 10),
            (Error::Damaged { object: object(), why: Damage::Tag }, "damaged", 11),
            (destination(Kind::NotFound), "object-missing", 11),
            (Error::Rollback { remembered, newest: None }, "rolled-back", 12),
            (Error::VaultHead { why: Damage::Tag }, "foreign-head", 26),
            (Error::NoArchive { url: url() }, "no-archive", 13),
            (Error::ArchiveExists { url: url() }, "archive-exists", 14),
            (Error::NotEmpty { url: url() }, "not-empty", 14),
            (Error::CopyKeepsMore { url: url() }, "copy-keeps-more", 14),
            (Error::HeaderMissing { url: url() }, "header-missing", 11),
            (destination(Kind::Unavailable), "destination-unavailable", 15),
            (destination(Kind::Full), "destination-full", 16),
            (destination(Kind::Refused), "destination-refused", 17),
            (Error::FormatTooNew { object: object(), found: 2, supported: 1 }, "format-too-new", 18),
            (Error::NoSnapshot, "no-snapshot", 19),
            (Error::NoSuchSnapshot("there is no snapshot 9".to_owned()), "no-such-snapshot", 19),
            (Error::NotInSnapshot { path: "a".into() }, "not-in-snapshot", 19),
            (Error::Newest { number: 4 }, "newest-snapshot", 1),
            (Error::Unreadable { number: 4, why: "it is lost".to_owned() }, "unreadable-snapshot", 11),
            (Error::Disturbed, "disturbed", 28),
            (Error::Doomed { url: url() }, "doomed", 28),
            (Error::Rotating, "rotating", 28),
            (Error::Rotated, "rotated", 28),
            (Error::OldHeader, "old-header", 12),
            (Error::BadUrl { url: url(), why: "it is empty".to_owned() }, "bad-url", 2),
            (Error::SecretInUrl { url: url() }, "secret-in-url", 2),
            (
                Error::NoCredentials { url: url(), service: Service::S3, missing: "access_key_id".to_owned() },
                "no-credentials",
                30,
            ),
            (destination(Kind::Exists), "object-exists", 1),
            (destination(Kind::Other), "destination", 1),
            (Error::Randomness, "randomness", 1),
        ] {
            assert_eq!((kind(&error), exit(&error).code()), (name, code), "{error}");
        }
    }
}
