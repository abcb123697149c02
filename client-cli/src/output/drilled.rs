//! What a drill proved, and what not.

use std::fmt;
use std::time::Duration;

use coffer_archive::{DrillReport, Snapshot};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::archived::ProblemRecord;
use super::text::Counted;

/// `coffer drill`.
#[derive(Debug, Serialize)]
pub(crate) struct Drilled {
    snapshot: u64,
    /// What was read whole and is what was backed up.
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    /// A restore takes at least so long.
    seconds: f64,
    proved: Vec<&'static str>,
    not_proved: Vec<&'static str>,
    problems: Vec<ProblemRecord>,
}

const PROVED: &str = "every byte came back, opened under the archive's key, and is the one that was backed up";
const BY_DEVICE: &str =
    "that you could open the archive without this device (`coffer --recovery-key-file - drill` does)";
const BY_OTHER: &str = "the key that you gave opens it without this device's";
const TARGET: &str = "that the place you restore to has room, and takes these names, owners and attributes";
const HAD_PROBLEMS: &str =
    "that nothing is missing: the backup named problems, and what it named may lack, or not be whole";
const PROGRAMS: &str = "that a program can still open what these files hold";

impl Drilled {
    pub(crate) fn of(report: &DrillReport, snapshot: &Snapshot, took: Duration, by_device: bool) -> Self {
        let is_whole = report.problems.is_empty();
        let mut proved = if is_whole { vec![PROVED] } else { Vec::new() };
        let mut not_proved = vec![TARGET, PROGRAMS];
        if snapshot.problems > 0 {
            not_proved.insert(0, HAD_PROBLEMS);
        }
        if by_device {
            not_proved.insert(0, BY_DEVICE);
        } else {
            proved.push(BY_OTHER);
        }
        Self {
            snapshot: snapshot.head.number,
            files: report.proved.files,
            directories: report.proved.directories,
            others: report.proved.others,
            bytes: report.proved.bytes,
            seconds: took.as_secs_f64(),
            proved,
            not_proved,
            problems: ProblemRecord::all(&report.problems),
        }
    }
}

impl fmt::Display for Drilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, folders) = (Counted(self.files, "file"), Counted(self.directories, "folder"));
        let (bytes, seconds) = (DecimalBytes(self.bytes), self.seconds);
        writeln!(f, "restored snapshot {} into nothing: {files}, {folders}, {bytes}", self.snapshot)?;
        writeln!(f, "a restore from here takes at least {seconds:.1} s")?;
        for text in &self.proved {
            writeln!(f, "proved: {text}")?;
        }
        for text in &self.not_proved {
            writeln!(f, "not proved: {text}")?;
        }
        if !self.problems.is_empty() {
            writeln!(f, "not all of it came back: {}", Counted(self.problems.len() as u64, "problem"))?;
        }
        Ok(())
    }
}
