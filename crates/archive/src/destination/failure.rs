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

/// A failure of a service behind a network, where the archive lies in `place`.
pub(super) fn of_service(
    (action, path): (&'static str, &str),
    error: &opendal::Error,
    place: &str,
    credentials: &Credentials,
) -> Error {
    if error.kind() == ErrorKind::RangeNotSatisfied {
        return cut_short(path);
    }
    let changes = matches!(action, "write" | "delete");
    let mut said = described(error);
    let kind = match error.kind() {
        _ if is_full(error, &said) => DestinationErrorKind::Full,
        _ if is_no_bucket(&said) => {
            said = format!("there is no bucket {place}");
            DestinationErrorKind::Unavailable
        }
        ErrorKind::PermissionDenied => {
            // S3 says nothing of why where an object is only asked after.
            if said.is_empty() {
                said.push_str("the service refuses these credentials, or what is asked with them");
            }
            DestinationErrorKind::Refused
        }
        _ if is_refused_by_ssh(error) => DestinationErrorKind::Refused,
        _ if changes && says_only_failure(error) => {
            said.push_str(": often its disk is read-only or full");
            DestinationErrorKind::Refused
        }
        // What is written to must be there.
        ErrorKind::NotFound if action != "write" => DestinationErrorKind::NotFound,
        // A container that is not there is a wrong setting to OpenDAL.
        ErrorKind::NotFound | ErrorKind::ConfigInvalid => DestinationErrorKind::Unavailable,
        _ if is_passing(error) => DestinationErrorKind::Unavailable,
        _ => DestinationErrorKind::Other,
    };
    Error::Destination { kind, action, object: path.to_owned(), reason: credentials.redact(&said) }
}

/// Whether the same request may succeed a moment later.
pub(super) fn is_passing(error: &opendal::Error) -> bool {
    let is_dead_ssh = error.message() == SSH && !is_refused_by_ssh(error);
    error.is_temporary() || error.kind() == ErrorKind::RateLimited || is_dead_ssh
}

/// Whether an SFTP server says that it failed, and nothing of why: it has no word for a full disk, nor for a read-only
/// one.
pub(super) fn says_only_failure(error: &opendal::Error) -> bool {
    last_cause(error).is_some_and(|cause| cause.starts_with("Sftp server reported error kind Failure"))
}

/// What OpenDAL says where the program `ssh` fails.
const SSH: &str = "ssh error";
/// What `ssh` says where it does not trust the host.
const UNTRUSTED: &str = "Host key verification failed";

/// Whether one side does not let the other in. That does not pass.
fn is_refused_by_ssh(error: &opendal::Error) -> bool {
    let refuses = |cause: String| cause.contains("Permission denied") || cause.contains(UNTRUSTED);
    error.message() == SSH && last_cause(error).is_some_and(refuses)
}

/// What `ssh` says at length of a host that it does not trust, in short.
fn of_host_key(said: &str) -> Option<String> {
    let after = |words: &str| said.split_once(words).and_then(|(_, rest)| rest.split_whitespace().next());
    if !said.contains(UNTRUSTED) {
        return None;
    }
    if said.contains("HAS CHANGED") {
        let shown = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap_or("another");
        let kept = said.split_once("Offending").and_then(|(_, rest)| rest.split_once(" in "));
        let kept = kept.and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or("known_hosts");
        let shown = shown.trim_end_matches('.');
        return Some(format!("the host's key has changed: it is {shown}, and another is known from {kept}"));
    }
    after("host key is known for ").map(|host| format!("the host's key is not known to ssh: of {host}"))
}

/// S3 and Azure, in this order.
fn is_no_bucket(said: &str) -> bool {
    said.contains("NoSuchBucket") || said.contains("ContainerNotFound")
}

fn is_full(error: &opendal::Error, said: &str) -> bool {
    // Google Drive, Dropbox, S3, OneDrive, in this order.
    const WORDS: [&str; 4] = ["storageQuotaExceeded", "insufficient_space", "QuotaExceeded", "quotaLimitReached"];
    system_error(error).is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        || WORDS.iter().any(|word| said.contains(word))
}

/// What went wrong, and at the bottom of it why, on one line.
pub(super) fn described(error: &opendal::Error) -> String {
    if says_only_failure(error) {
        return "the server says no more than \"Failure\"".to_owned();
    }
    let mut text = error.message().to_owned();
    if let Some(cause) = last_cause(error).filter(|cause| !text.contains(cause)) {
        if let Some(said) = of_host_key(&cause) {
            return said;
        }
        text = format!("{text}: {cause}");
    }
    text = of_s3(&text).unwrap_or(text);
    let words: Vec<_> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The code and the words in what OpenDAL shows of an answer of S3.
fn of_s3(text: &str) -> Option<String> {
    let rest = text.strip_prefix("S3Error { code: \"")?;
    let (code, rest) = rest.split_once("\", message: \"")?;
    let (message, _) = rest.split_once("\", ")?;
    Some(if message.is_empty() { code.to_owned() } else { format!("{code}: {message}") })
}

/// What lies at the bottom of it.
fn last_cause(error: &opendal::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
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

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
