//! What the shell learns: one number for each thing that a caller can do something about.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a run of the program ended. The numbers are part of the interface: none is ever given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Incomplete = 3,
    WrongKey = 10,
    Damaged = 11,
    RolledBack = 12,
    NoArchive = 13,
    ArchiveExists = 14,
    Unavailable = 15,
    Full = 16,
    Refused = 17,
    TooNew = 18,
    NotFound = 19,
    WrongPassword = 20,
    Locked = 21,
    Wait = 22,
    NotRegistered = 23,
    VaultUnavailable = 24,
    Unauthorized = 25,
    VaultRefused = 26,
    Unconfirmed = 27,
    Busy = 28,
    HookFailed = 29,
    NoCredentials = 30,
}

const TABLE: &[(Exit, &str)] = &[
    (Exit::Done, "done"),
    (Exit::Failed, "an error that has no number of its own"),
    (Exit::Usage, "the command line makes no sense"),
    (Exit::Incomplete, "done, but some files could not be backed up or restored"),
    (Exit::WrongKey, "the key is wrong, mistyped or missing"),
    (Exit::Damaged, "the archive is damaged"),
    (Exit::RolledBack, "the archive is older than what is known of it"),
    (Exit::NoArchive, "there is no archive, or not the expected one"),
    (Exit::ArchiveExists, "there is an archive already, or something else"),
    (Exit::Unavailable, "the archive's storage is unavailable: try again"),
    (Exit::Full, "the archive's storage is full"),
    (Exit::Refused, "the archive's storage refused: read-only, or not permitted"),
    (Exit::TooNew, "a later version of coffer wrote this"),
    (Exit::NotFound, "there is no such snapshot or path"),
    (Exit::WrongPassword, "the password is wrong"),
    (Exit::Locked, "no attempt is left: the vault has erased the key"),
    (Exit::Wait, "the vault does it later, at the time that is named"),
    (Exit::NotRegistered, "the vault keeps nothing for this account"),
    (Exit::VaultUnavailable, "the vault cannot be reached, or cannot do it just now: try again"),
    (Exit::Unauthorized, "the vault does not accept the account token"),
    (Exit::VaultRefused, "the vault refuses, or is not to be trusted"),
    (Exit::Unconfirmed, "a question was not answered with yes"),
    (Exit::Busy, "another run works on the archive, or was interrupted"),
    (Exit::HookFailed, "a hook failed; if it was the one before a backup, nothing was backed up"),
    (Exit::NoCredentials, "the credentials for the archive's storage are missing or cannot be used"),
];

/// What is not this program's to choose.
const INTERRUPTED: &str = "
 130  interrupted by Ctrl-C; the same command goes on where it stopped
 143  ended by another program; the same command goes on where it stopped

Errors in the command line itself (2) are plain text, even with --json.";

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// The table, as `coffer --help` ends with it.
pub(crate) fn help() -> String {
    let mut help = String::from("Exit codes:");
    for (exit, meaning) in TABLE {
        // Writing to a string cannot fail.
        let _ = write!(help, "\n  {:>2}  {meaning}", exit.code());
    }
    help.push_str(INTERRUPTED);
    help
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn no_number_has_two_meanings() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0.code() < pair[1].0.code(), "{pair:?}");
        }
    }
}
