//! What a storage provider's failure means to a caller.

use std::error::Error as _;
use std::io;

use opendal::ErrorKind;

use super::credentials::Credentials;
use crate::error::{Damage, DestinationErrorKind, Error};

/// Characters of a provider's own words that are repeated. Some answer with a page of HTML.
const LONGEST_REASON: usize = 300;

pub(super) fn cut_short(path: &str) -> Error {
    Error::damaged(path, Damage::Truncated)
}

pub(super) fn unavailable(action: &'static str, path: &str, reason: &str) -> Error {
    let kind = DestinationErrorKind::Unavailable;
    Error::Destination { kind, action, object: path.to_owned(), reason: reason.to_owned() }
}

/// A folder is not there any more.
pub(super) fn gone(action: &'static str, path: &str) -> Error {
    unavailable(action, path, "the folder is gone (a disk unplugged?)")
}

/// A failure to write into a folder. A write makes what folders it needs: only the place itself can be missing.
pub(super) fn of_writing(path: &str, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound { gone("write", path) } else { of_system("write", path, error) }
}

pub(super) fn of_system(action: &'static str, path: &str, error: &io::Error) -> Error {
    if action == "read" && error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        // A bad sector costs what lies on it, like any other damage.
        return Error::damaged(path, Damage::Unreadable);
    }
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DestinationErrorKind::Full,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => DestinationErrorKind::Refused,
        io::ErrorKind::NotFound => DestinationErrorKind::NotFound,
        io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::StaleNetworkFileHandle => {
            DestinationErrorKind::Unavailable
        }
        _ => DestinationErrorKind::Other,
    };
    Error::Destination { kind, action, object: path.to_owned(), reason: error.to_string() }
}

/// A failure of a service behind a network.
pub(super) fn of_service(action: &'static str, path: &str, error: &opendal::Error, credentials: &Credentials) -> Error {
    if error.kind() == ErrorKind::RangeNotSatisfied {
        return cut_short(path);
    }
    let said = described(error);
    let kind = match error.kind() {
        _ if is_full(error, &said) => DestinationErrorKind::Full,
        ErrorKind::PermissionDenied => DestinationErrorKind::Refused,
        _ if said.contains("Permission denied") => DestinationErrorKind::Refused,
        // What is written to must be there.
        ErrorKind::NotFound if action != "write" => DestinationErrorKind::NotFound,
        // A bucket that is not there is a wrong setting to OpenDAL.
        ErrorKind::NotFound | ErrorKind::ConfigInvalid => DestinationErrorKind::Unavailable,
        _ if is_passing(error) => DestinationErrorKind::Unavailable,
        _ => DestinationErrorKind::Other,
    };
    Error::Destination { kind, action, object: path.to_owned(), reason: credentials.redact(&said) }
}

/// Whether the same request may succeed a moment later.
pub(super) fn is_passing(error: &opendal::Error) -> bool {
    let is_dead_ssh = error.message() == "ssh error" && !described(error).contains("Permission denied");
    error.is_temporary() || error.kind() == ErrorKind::RateLimited || is_dead_ssh
}

fn is_full(error: &opendal::Error, said: &str) -> bool {
    // Google Drive, Dropbox, S3, OneDrive, in this order.
    const WORDS: [&str; 4] = ["storageQuotaExceeded", "insufficient_space", "QuotaExceeded", "quotaLimitReached"];
    system_error(error).is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        || WORDS.iter().any(|word| said.contains(word))
}

/// What went wrong, and at the bottom of it why, on one line.
pub(super) fn described(error: &opendal::Error) -> String {
    let mut text = error.message().to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        source = cause.source();
        if source.is_none() && !text.contains(&cause.to_string()) {
            text = format!("{text}: {cause}");
        }
    }
    let words: Vec<_> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The system's error at the bottom of OpenDAL's.
fn system_error(error: &opendal::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(system) = cause.downcast_ref::<io::Error>() {
            return Some(system);
        }
        source = cause.source();
    }
    None
}
