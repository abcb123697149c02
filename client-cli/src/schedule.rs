//! Backups at their time: a timer of systemd's for this user, or an agent of launchd's on a Mac.

mod launchd;
mod systemd;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;

/// When, in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Hourly,
    Daily(TimeOfDay),
}

/// `03:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl FromStr for TimeOfDay {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a time looks like 03:00";
        let number = |digits: &str, below: u8| {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| is_number && *number < below).ok_or(WRONG)
        };
        let (hour, minute) = text.split_once(':').ok_or(WRONG)?;
        Ok(Self { hour: number(hour, 24)?, minute: number(minute, 60)? })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hourly => f.write_str("every hour"),
            Self::Daily(TimeOfDay { hour, minute }) => write!(f, "every day at {hour:02}:{minute:02}"),
        }
    }
}

/// What is to be run: this program, with this home, for a profile; into another archive than the device's own, if one
/// was named.
pub(crate) struct Job<'j> {
    pub(crate) program: &'j Path,
    pub(crate) home: &'j Path,
    pub(crate) archive: Option<&'j str>,
    pub(crate) profile: &'j str,
}

/// A profile that has its time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scheduled {
    pub(crate) profile: String,
    /// As the timer says it.
    pub(crate) when: String,
    /// When it runs next and ran last, and how that ended, as the system tells it; None where it does not run there
    /// now.
    pub(crate) state: Option<State>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) next: String,
    pub(crate) last: String,
    pub(crate) result: String,
}

/// Puts a profile on the clock. Returns what keeps the clock from running now, if anything does.
pub(crate) fn enable(job: &Job<'_>, when: When) -> Result<Option<String>, Error> {
    if cfg!(target_os = "macos") { launchd::enable(job, when) } else { systemd::enable(job, when) }
}

/// Takes a profile off it. Returns whether it was there.
pub(crate) fn disable(profile: &str) -> Result<bool, Error> {
    if cfg!(target_os = "macos") { launchd::disable(profile) } else { systemd::disable(profile) }
}

/// All that are on it.
pub(crate) fn all() -> Result<Vec<Scheduled>, Error> {
    if cfg!(target_os = "macos") { launchd::all() } else { systemd::all() }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}

/// Removes a file; whether it was there.
fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { action: "remove", path: path.to_owned(), source }),
    }
}

/// The files in a folder whose names have this beginning and end, and what is between.
fn named(folder: &Path, begin: &str, end: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let profile = |name: String| Some(name.strip_prefix(begin)?.strip_suffix(end)?.to_owned());
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some((profile(entry.file_name().into_string().ok()?)?, entry.path()))).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::TimeOfDay;

    #[test]
    fn a_time_of_day_has_two_digits_twice() {
        assert_eq!("03:59".parse(), Ok(TimeOfDay { hour: 3, minute: 59 }));
        for wrong in ["", "3:00", "03:0", "24:00", "03:60", "03:00:00", "+3:00", "aa:bb", "03"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
    }
}
