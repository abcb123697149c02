//! What to do next.

use std::io;

use coffer_archive::{DestinationErrorKind, Error as ArchiveError, Service};
use coffer_keys::Typo;

use super::Error;

pub(super) fn of(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Archive(error) => return of_archive(error),
        Error::Vault(error) => return error.hint().map(str::to_owned),
        Error::WrongRecoveryKey { typo: Some(typo) } => return Some(of_typo(*typo)),
        Error::WrongRecoveryKey { typo: None } => {
            "more than one digit differs; compare all 16 groups, and that it is the key of this archive: once it was \
             rotated, only the new digits open it"
        }
        Error::NotARecoveryKey { .. } => {
            "it is 64 of the digits 0-9 and a-f; spaces, dashes, line ends and capitals do not matter"
        }
        Error::NoKey { .. } => {
            "name a file that holds the 64 digits, with --recovery-key-file FILE, or run this in a terminal; with a \
             password, `restore` and `init --join` get the key from a vault: --vault ADDRESS --token-file FILE"
        }
        Error::NoDigits => "run this in a terminal, or name a file that holds them, with --recovery-key-file FILE",
        Error::KeyMissing { .. } | Error::KeyBroken { .. } => {
            "open the archive with the 64 digits instead: --recovery-key-file FILE; `coffer init --join URL` puts the \
             key back in its place"
        }
        Error::KeyReadableByOthers { path, .. } => {
            return Some(format!("chmod 600 {}; and if others may have read it, `coffer key rotate`", path.display()));
        }
        Error::KeyLeftBehind { .. } => {
            "it may be the only key of an archive: move it to a safe place, or put config.json back beside it"
        }
        Error::PlatformStore { .. } => {
            "start or unlock it; `coffer init --key-store file` does without it, and --recovery-key-file FILE opens an \
             archive whose key is in it"
        }
        Error::NoArchiveConfigured { .. } => {
            "make one with `coffer init URL`, take part in one with `coffer init --join URL`, or name one with \
             --archive URL"
        }
        Error::AlreadySetUp { home, .. } => {
            return Some(format!(
                "another archive needs another home: `coffer --home DIR init URL`; this one is {}. If its archive \
                 moved, `coffer init --join URL` tells it",
                home.display()
            ));
        }
        Error::OtherArchive { .. } => {
            "is the right disk mounted there? If the archive moved, `coffer init --join URL` and its 64 digits tell \
             this device its new place, and --archive URL names it once"
        }
        Error::ArchiveGone { .. } => {
            "is the disk mounted, and the address right? If the archive moved, name its new place with --archive URL"
        }
        Error::NoAddress => AN_ADDRESS,
        // What was left out of it is not the name of a folder.
        Error::NotAFolder { address, .. } if address.starts_with('…') => AN_ADDRESS,
        Error::NotAFolder { address, .. } => {
            return Some(format!("{AN_ADDRESS}; if a folder of that very name is meant, write ./{address}"));
        }
        Error::ReceiptUnknown { .. } => {
            "the receipt is mistyped, or of another history: compare it with what was written down"
        }
        Error::NoSuchLock { .. } => "`coffer unlock` lists the locks and their names",
        Error::NoSnapshotWhole { .. } => {
            "is there another copy of the archive? `coffer verify --allow-rollback` names everything that is damaged"
        }
        Error::CredentialsReadableByOthers { path, .. } => {
            return Some(format!(
                "chmod 600 {}; and if others may have read it, have the service give you new ones",
                path.display()
            ));
        }
        Error::CredentialsInHalf { .. } => {
            "set the rest too, or take back what is set: where the environment has any, the file credentials is not \
             looked at"
        }
        Error::CredentialsBroken { why, .. } if why.starts_with("there is no file") => {
            "check the path; a ~ in it is not put in the place of a home folder"
        }
        Error::CredentialsBroken { .. } => {
            "write [s3://bucket] and below it lines like access_key_id = …; docs/clouds.md shows every service"
        }
        Error::TargetNotAFolder { .. } => "name a folder, or one that is yet to be made",
        Error::TargetInArchive { .. } => "restore into a folder outside of it: --to DIR",
        Error::ConfigBroken { .. } => {
            "put back what it was; nothing in it is secret. --archive URL with --recovery-key-file FILE opens an \
             archive without it"
        }
        Error::ConfigTooNew { .. } => NEWER_PROGRAM,
        Error::ProfilesBroken { .. } => {
            "put back what it was, or remove it and add the profiles again; nothing in it is secret"
        }
        Error::RotatedElsewhere { .. } => {
            "without --archive; `coffer copy` gives copies the new key. If the archive moved, `coffer init --join URL` \
             first"
        }
        Error::CopyOntoItself { .. } => "name another place, or with --archive URL another archive to copy from",
        Error::NoSuchProfile { known, .. } if known.is_empty() => "make one with `coffer profile add NAME PATH`",
        Error::NoSuchProfile { known, .. } => return Some(format!("there are {}", known.join(", "))),
        Error::ProfileExists { .. } => "`--replace` puts the new one in its place",
        Error::HookFailed { .. } => {
            "run it by hand to see why; a hook is the path of a program, without arguments. `coffer profile show NAME` \
             tells what is run when"
        }
        Error::NoHome => "name a folder with --home DIR or COFFER_HOME",
        Error::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "check its permissions and owner (was coffer run with sudo?)"
        }
        Error::File { action: "mount on", source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "make the folder first"
        }
        Error::File { source, .. } => return of_system(source),
        Error::Output(_) => return None,
    };
    Some(hint.to_owned())
}

const NEWER_PROGRAM: &str = "install a newer version of coffer";

const AN_ADDRESS: &str = "an archive's address is a folder, /mnt/disk/backups, or a place with a service: \
    s3://bucket/folder, webdav://host/folder, sftp://user@host/folder, gdrive:///folder and so on";

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
            "the key on this device is not this archive's: try the 64 digits, with --recovery-key-file FILE; if the \
             key was rotated on another device, `coffer init --join URL` takes the new digits, or the password; if \
             this is a copy from before, `coffer copy` brings it up to date"
        }
        ArchiveError::Damaged { object, .. } if object.starts_with("snapshots") => {
            "`coffer snapshots` lists those that are whole: name one, as in `coffer restore 3 --to DIR`; \
             `coffer repair snapshots` gives up the others"
        }
        ArchiveError::Damaged { object, .. } if object.starts_with("doomed") => {
            "`coffer prune` removes it: it can name packs that nobody may count on"
        }
        ArchiveError::Damaged { object, .. } if object.starts_with("locks") => {
            "if no other run works on the archive, remove it with `coffer unlock` and its name"
        }
        ArchiveError::Damaged { object, .. } if object.starts_with("forgotten") => {
            "it says which snapshots were forgotten: put its copy back, or accept what is missing with `coffer repair \
             snapshots --allow-rollback`"
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
        ArchiveError::NotEmpty { .. } => "name an empty folder, or one that is yet to be made",
        ArchiveError::HeaderMissing { .. } => {
            "put back your copy of coffer.json: it is small and public, and changes only with `coffer key rotate`"
        }
        ArchiveError::FormatTooNew { .. } => NEWER_PROGRAM,
        ArchiveError::Rollback { remembered, newest: Some(newest) } if newest.number >= remembered.number => {
            "another history of the archive was put in its place; if you know why, --allow-rollback accepts it"
        }
        ArchiveError::Rollback { .. } => {
            "an older copy of the archive was put in its place, or a snapshot was taken away; if you know why, \
             --allow-rollback accepts it, and `coffer repair snapshots --allow-rollback` gives up what is missing"
        }
        ArchiveError::VaultHead { .. } => {
            "did the account's last backup go to another archive? --allow-rollback opens this one all the same"
        }
        // What TLS makes of an answer that is none of its own.
        ArchiveError::Destination { reason, .. } if reason.contains("InvalidContentType") => {
            "the server speaks no HTTPS at that port: is the port right? In a network that you trust, plain HTTP goes \
             with `?insecure=true` after the address"
        }
        ArchiveError::Destination { reason, .. } if reason.starts_with("there is no bucket") => {
            "check the address; who has none yet makes one with the service: coffer makes no buckets"
        }
        ArchiveError::Destination { reason, .. } if reason.starts_with("the host's key is not known") => {
            "run `ssh user@host true` once, with its `-p PORT` if it has one, and compare the fingerprint that it asks about"
        }
        ArchiveError::Destination { reason, .. } if reason.starts_with("the host's key has changed") => {
            "somebody may pose as the host: ask who runs it. If it was set up anew, `ssh-keygen -R HOST` (or \
             '[HOST]:PORT') forgets the old key, and `ssh user@host true` learns the new one"
        }
        ArchiveError::Destination { kind: DestinationErrorKind::Refused, reason, .. } if reason.contains("or full") => {
            "make room there, or check the permissions and that it is not mounted read-only"
        }
        ArchiveError::Destination { kind, .. } => return of_destination(*kind),
        ArchiveError::BadUrl { .. } => AN_ADDRESS,
        ArchiveError::SecretInUrl { .. } => {
            "change it: every process could read it, and the shell may have kept it. Credentials go into the file \
             credentials in the home, into the environment or into the key store"
        }
        ArchiveError::NoCredentials { service, .. } => return Some(of_credentials(*service)),
        ArchiveError::Source { source, .. } | ArchiveError::Target { source, .. } => return of_system(source),
        ArchiveError::Incomparable { .. } => "`coffer snapshots` shows which are of the same folders",
        ArchiveError::OtherArchive { .. } => "name an empty place, or an earlier copy of this very archive",
        ArchiveError::CopyKeepsMore { .. } => {
            "copy to an empty place, and keep this copy and the old digits for as long as you need what only it holds"
        }
        ArchiveError::BadRule { .. } => "patterns are written as in a .gitignore: `*.tmp`, `/Downloads`, `**/cache/`",
        ArchiveError::NotRecognised { .. } => {
            "to back it up as it is, name it without the option: `coffer backup PATH`"
        }
        ArchiveError::NoSnapshot => "make one with `coffer backup PATH`",
        ArchiveError::NoSuchSnapshot(_) => {
            "`coffer snapshots` lists them; a path is given to `coffer ls latest PATH` or `coffer restore --path PATH`"
        }
        ArchiveError::NotInSnapshot { .. } => "`coffer ls -r` lists what it holds",
        ArchiveError::Newest { .. } => {
            "make a backup first: the newest snapshot stays, so that an old archive is told from it"
        }
        ArchiveError::Unreadable { .. } => {
            "nothing was removed; `coffer forget` that snapshot if it is not needed, and prune again"
        }
        ArchiveError::Busy(lock) => {
            return Some(format!("try again when it has ended; if it was killed, `coffer unlock {}`", lock.name));
        }
        ArchiveError::Doomed { url } => {
            return Some(format!(
                "`coffer --archive {url} prune` ends it (where listings are late, some days later); then copy again"
            ));
        }
        ArchiveError::Rotating => {
            "run `coffer key rotate` again, on the device where it was begun (if that is lost, on any other); until \
             then nothing is written, and everything can be restored"
        }
        ArchiveError::Rotated => {
            "nothing that was stored is lost; run the same command again, and if the key is another now, \
             `coffer init --join URL` takes the new digits, or the password"
        }
        ArchiveError::OldHeader => {
            "an older copy of coffer.json was put in its place; if this is a copy of the archive, bring it up to date \
             with `coffer copy`; --allow-rollback reads it as it is"
        }
        ArchiveError::Disturbed => "try again: nothing that was stored is lost",
        ArchiveError::Device { source, .. } => return Some(of_device(source).to_owned()),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_credentials(service: Service) -> String {
    let scheme = service.scheme();
    format!("put them into the file credentials in the home, below a line [{scheme}]; docs/clouds.md shows how")
}

fn of_device(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "it belongs to another user (was coffer run with sudo?)",
        io::ErrorKind::NotFound => "the home folder vanished: is the disk that it lies on mounted?",
        _ => "its file `head` protects against an older copy of the archive; if it is beyond repair, remove it",
    }
}

fn of_destination(kind: DestinationErrorKind) -> Option<String> {
    let hint = match kind {
        DestinationErrorKind::Unavailable => {
            "check the connection, or that the disk is mounted, and try again; nothing that was stored is lost"
        }
        DestinationErrorKind::Full => "make room there and run the same command again: it goes on where it stopped",
        DestinationErrorKind::Refused => {
            "check the permissions there, or the credentials (docs/clouds.md says where they are looked for), and that \
             it is not mounted read-only"
        }
        DestinationErrorKind::NotFound => "`coffer verify` names what is missing",
        DestinationErrorKind::Exists => "does another program write there? Give the archive a folder of its own",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "check its permissions and owner",
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::StorageFull => "make room there and try again",
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => "name an empty folder",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use coffer_archive::Error as ArchiveError;

    use super::{DestinationErrorKind, Typo, of_archive, of_typo};

    #[test]
    fn tells_the_causes_of_an_unusable_device_state_apart() {
        for (kind, said) in [
            (io::ErrorKind::PermissionDenied, "another user"),
            (io::ErrorKind::NotFound, "vanished"),
            (io::ErrorKind::InvalidData, "its file `head`"),
        ] {
            let hint = of_archive(&ArchiveError::Device { path: "head".into(), source: kind.into() });
            assert!(hint.is_some_and(|hint| hint.contains(said)), "{kind}");
        }
    }

    #[test]
    fn who_asks_a_server_without_https_for_it_learns_of_plain_http() {
        let hint = of_archive(&ArchiveError::Destination {
            kind: DestinationErrorKind::Unavailable,
            action: "read",
            object: "coffer.json".to_owned(),
            reason: "send http request: received corrupt message of type InvalidContentType".to_owned(),
        });
        assert!(hint.is_some_and(|hint| hint.contains("?insecure=true")));
    }

    #[test]
    fn an_archive_without_its_header_is_not_to_be_made_anew() {
        let hint = of_archive(&ArchiveError::HeaderMissing { url: "fs:///backups".to_owned() });
        assert!(hint.is_some_and(|hint| hint.contains("your copy of coffer.json") && !hint.contains("init")));
    }

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
