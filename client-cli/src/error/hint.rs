//! What to do next.

use std::io;

use coffer_archive::{DestinationErrorKind, Error as ArchiveError};
use coffer_keys::Typo;

use super::Error;

pub(super) fn of(error: &Error) -> Option<String> {
    Some(match error {
        Error::Archive(error) => return of_archive(error),
        Error::WrongRecoveryKey { typo: Some(typo) } => of_typo(*typo),
        Error::WrongRecoveryKey { typo: None } => {
            "more than one digit differs; compare all 16 groups, and that it is the key of this archive".to_owned()
        }
        Error::NotARecoveryKey { .. } => {
            "it is 64 of the digits 0-9 and a-f; spaces, dashes, line ends and capitals do not matter".to_owned()
        }
        Error::NoKey { .. } => {
            "name a file that holds the 64 digits, with --recovery-key-file FILE, or run this in a terminal".to_owned()
        }
        Error::KeyMissing { .. } | Error::KeyBroken { .. } => {
            "open the archive with the 64 digits instead: --recovery-key-file FILE".to_owned()
        }
        Error::KeyReadableByOthers { path, .. } => {
            format!("chmod 600 {}; and if others may have read it, make a new archive", path.display())
        }
        Error::KeyLeftBehind { .. } => {
            "it may be the only key of an archive: move it to a safe place, or put config.json back beside it"
                .to_owned()
        }
        Error::PlatformStore { .. } => {
            "start or unlock it; `coffer init --key-store file` does without it, and --recovery-key-file FILE opens an \
             archive whose key is in it"
                .to_owned()
        }
        Error::NoArchiveConfigured { .. } => {
            "make one with `coffer init URL`, take part in one with `coffer init --join URL`, or name one with \
             --archive URL"
                .to_owned()
        }
        Error::AlreadySetUp { home, .. } => {
            format!("another archive needs another home: `coffer --home DIR init URL`; this one is {}", home.display())
        }
        Error::OtherArchive { .. } => {
            "is the right disk mounted there? If the archive moved, name its new place with --archive URL".to_owned()
        }
        Error::ConfigBroken { .. } => "put back what it was; nothing in it is secret".to_owned(),
        Error::ConfigTooNew { .. } => NEWER_PROGRAM.to_owned(),
        Error::NoHome => "name a folder with --home DIR or COFFER_HOME".to_owned(),
        Error::File { source, .. } => return of_system(source),
        Error::Output(_) => return None,
    })
}

const NEWER_PROGRAM: &str = "install a newer version of coffer";

fn of_typo(typo: Typo) -> String {
    let (Typo::MistypedDigit { group } | Typo::SwappedDigits { group }) = typo;
    let verb = match typo {
        Typo::MistypedDigit { .. } => "looks mistyped",
        Typo::SwappedDigits { .. } => "look swapped",
    };
    // `key show` prints four groups to a row.
    let (row, column) = ((group - 1) / 4 + 1, (group - 1) % 4 + 1);
    format!("{typo} {verb} (row {row}, column {column} of the four by four groups)")
}

fn of_archive(error: &ArchiveError) -> Option<String> {
    let hint = match error {
        ArchiveError::WrongKey => {
            "the key on this device is not this archive's; try the 64 digits, with --recovery-key-file FILE"
        }
        ArchiveError::Damaged { .. } => {
            "`coffer verify --read-data` names everything that is damaged; what is whole can still be restored"
        }
        ArchiveError::NoArchive { .. } => {
            "check the address, and that the disk is mounted; `coffer init URL` makes a new archive"
        }
        ArchiveError::ArchiveExists { .. } => {
            "to back up this device into it too, use `coffer init --join URL` and its 64 digits"
        }
        ArchiveError::FormatTooNew { .. } => NEWER_PROGRAM,
        ArchiveError::Rollback { .. } => {
            "an older copy of the archive was put in its place; if you know why, --allow-rollback accepts it"
        }
        ArchiveError::Destination { kind, .. } => return of_destination(*kind),
        ArchiveError::BadUrl { .. } => "an archive's address is a folder: /mnt/disk/backups or fs:///mnt/disk/backups",
        ArchiveError::Source { source, .. } | ArchiveError::Target { source, .. } => return of_system(source),
        ArchiveError::NoSnapshot => "make one with `coffer backup PATH`",
        ArchiveError::NoSuchSnapshot(_) => {
            "`coffer snapshots` lists them; a path comes after the snapshot, as in `coffer ls latest PATH`"
        }
        ArchiveError::NotInSnapshot { .. } => "`coffer ls -r` lists what it holds",
        ArchiveError::Device { .. } => {
            "its file `head` protects against an older copy of the archive; if it is beyond repair, remove it"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_destination(kind: DestinationErrorKind) -> Option<String> {
    let hint = match kind {
        DestinationErrorKind::Unavailable => {
            "check the connection, or that the disk is mounted, and try again; nothing that was stored is lost"
        }
        DestinationErrorKind::Full => "make room there and run the same command again: it goes on where it stopped",
        DestinationErrorKind::Refused => "check the permissions there, and that it is not mounted read-only",
        DestinationErrorKind::NotFound => "`coffer verify` names what is missing",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "check its permissions and owner",
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::StorageFull => "make room there and try again",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Typo, of_typo};

    #[test]
    fn says_where_on_the_paper_to_look() {
        assert_eq!(
            of_typo(Typo::MistypedDigit { group: 7 }),
            "one digit of group 7 looks mistyped (row 2, column 3 of the four by four groups)"
        );
        assert_eq!(
            of_typo(Typo::SwappedDigits { group: 16 }),
            "two neighbouring digits in group 16 look swapped (row 4, column 4 of the four by four groups)"
        );
    }
}
