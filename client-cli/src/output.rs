//! Everything that the program says. Results go to standard output, all else to standard error, so that a result can
//! be piped on while a person still sees the warnings.

mod archived;
mod check;
mod differences;
mod done;
mod drilled;
mod error;
mod listing;
mod profile;
mod recognised;
mod rotated;
mod schedules;
mod secret;
mod space;
mod status;
mod text;
mod time;
mod vault;

pub(crate) use archived::{LockRecord, ProblemRecord, SnapshotRecord, Snapshots, shown_sources};
pub(crate) use check::TriedOut;
pub(crate) use differences::Differences;
pub(crate) use done::{BackedUp, Copied, Restored, SetUp, Verified};
pub(crate) use drilled::Drilled;
pub(crate) use listing::Listing;
pub(crate) use profile::{ProfileNames, ShownProfile};
pub(crate) use recognised::RecognisedRecord;
pub(crate) use rotated::Rotated;
pub(crate) use schedules::{ScheduleRecord, Schedules};
pub(crate) use secret::ShownKey;
pub(crate) use space::{Forgot, IndexRepaired, Pruned, SnapshotsRepaired, Unlocked};
pub(crate) use status::{ArchiveStatus, DeviceStatus, Status};
pub(crate) use time::local_time;
pub(crate) use vault::{Deleted, DeviceKey, Kept, Protected, Relation, VaultRecord, VerifiedKey, named_sites};

use std::fmt::{self, Display};
use std::io::{self, IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use coffer_archive::{Archive, Problem};
use serde::Serialize;

pub(crate) use error::failure_of;

use self::error::ErrorRecord;
use self::text::Clean;
use crate::error::Error;
use crate::recovery_key;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

/// How many of the damaged snapshots are named.
const NAMED: usize = 3;

/// What may be said, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person reads along and wants to.
    pub(crate) const fn is_for_people(self) -> bool {
        !self.json && !self.quiet
    }

    /// What was asked for: JSON for programs, lines for people.
    pub(crate) fn show<R: Serialize + Display>(self, record: &R) -> Result<(), Error> {
        let mut stdout = anstream::stdout().lock();
        let written = if self.json {
            serde_json::to_writer(&mut stdout, record).map_err(io::Error::from).and_then(|()| writeln!(stdout))
        } else {
            write!(stdout, "{record}")
        };
        written.and_then(|()| stdout.flush()).map_err(Error::Output)
    }

    /// What was done. `--quiet` leaves it out, but not what `--json` promises.
    pub(crate) fn summary<R: Serialize + Display>(self, record: &R) -> Result<(), Error> {
        if self.quiet && !self.json { Ok(()) } else { self.show(record) }
    }

    /// What ended the command, and what to do next.
    pub(crate) fn error(self, error: &Error) {
        if error.is_silent() {
            return;
        }
        if self.json {
            let record = serde_json::to_string(&ErrorRecord::of(error)).unwrap_or_default();
            say(format_args!("{record}"));
            return;
        }
        labelled(ERROR, "error", &error.to_string());
        if let Some(hint) = error.hint() {
            labelled(NOTE, "hint", &hint);
        }
    }

    /// What the person should know, though the command goes on.
    pub(crate) fn warning(self, text: &str) {
        if !self.json {
            labelled(WARNING, "warning", text);
        }
    }

    /// What to do about a warning.
    pub(crate) fn hint(self, text: &str) {
        if !self.json {
            labelled(NOTE, "hint", text);
        }
    }

    /// What a person may like to know.
    pub(crate) fn note(self, text: &str) {
        if self.is_for_people() {
            labelled(NOTE, "note", text);
        }
    }

    /// A note while a progress bar may be shown: it takes the bar's line, and the bar the next.
    pub(crate) fn note_over_progress(self, text: &str) {
        if self.is_for_people() && io::stderr().is_terminal() {
            let _ = write!(anstream::stderr().lock(), "\r\x1b[K");
        }
        self.note(text);
    }

    /// Each of the things that an operation passed over. In JSON they are part of the result.
    pub(crate) fn problems(self, problems: &[Problem]) {
        for problem in problems {
            self.warning(&described(problem));
        }
    }

    /// Says once which snapshots are damaged, and how to do without them.
    pub(crate) fn damaged_snapshots(self, archive: &Archive) {
        let damaged = archive.damaged_snapshots();
        if damaged.is_empty() {
            return;
        }
        let mut named: Vec<String> =
            damaged.iter().take(NAMED).map(|snapshot| snapshot.path.display().to_string()).collect();
        if damaged.len() > NAMED {
            named.push(format!("{} more", damaged.len() - NAMED));
        }
        let count =
            if damaged.len() == 1 { "1 snapshot is".to_owned() } else { format!("{} snapshots are", damaged.len()) };
        let instead = archive.snapshots().last().map_or_else(String::new, |whole| {
            format!("; name an older one (`coffer restore {} --to …`)", whole.head.number)
        });
        self.warning(&format!("{count} damaged: {}{instead}", named.join(", ")));
    }

    /// See [`note`](Self::note).
    pub(crate) fn notes(self, notes: &[Problem]) {
        for note in notes {
            self.note(&described(note));
        }
    }

    /// Explains to a person what stands on standard output.
    pub(crate) fn explain(self, text: &str) {
        if self.is_for_people() {
            say(format_args!("{text}"));
        }
    }

    /// Whether a person answers y. Where there is none to ask, that is no.
    pub(crate) fn ask(self, question: &str) -> Result<bool, Error> {
        if !recovery_key::can_ask() {
            return Ok(false);
        }
        self.prompt(question);
        let mut answer = String::new();
        let unreadable = |source| Error::File { action: "read", path: "the terminal".into(), source };
        io::stdin().read_line(&mut answer).map_err(unreadable)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Asks; the answer is typed on the same line.
    pub(crate) fn prompt(self, text: &str) {
        let mut stderr = anstream::stderr().lock();
        // Where standard error is closed, nobody waits for a prompt.
        let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
    }
}

fn described(problem: &Problem) -> String {
    let path = problem.path.display().to_string();
    // What is said of a stored object begins with its name.
    let says_it = problem.what.strip_prefix(&path).is_some_and(|rest| rest.starts_with(' '));
    if says_it { problem.what.clone() } else { format!("{path}: {}", problem.what) }
}

fn labelled(style: Style, label: &str, text: &str) {
    // File names may hold anything, commands to the terminal included.
    say(format_args!("{style}{label}:{style:#} {}", Clean(text)));
}

fn say(line: fmt::Arguments<'_>) {
    // There is nowhere left to report that standard error cannot be written.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
