//! Trying a place out before an archive is made there: what works, how fast, and what the service cannot do.

use std::time::{Duration, Instant, SystemTime};

use super::{Destination, Place};
use crate::error::{Damage, DestinationErrorKind, Error};
use crate::id::ObjectName;

/// Bytes of the object that the rates are measured with.
const LEN: usize = 4 << 20;
/// Requests that the latency is the median of.
const ASKED: usize = 5;
/// Seconds that no clock is set right to.
const SLACK: i64 = 2;

/// What came of trying a place out. What was written there is gone again.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// What worked, in the order in which it was tried.
    pub passed: Vec<&'static str>,
    /// What did not; nothing was tried after it.
    pub failed: Option<(&'static str, Error)>,
    /// How long a small request takes.
    pub latency: Option<Duration>,
    /// Bytes a second, of one request.
    pub upload: Option<u64>,
    /// Bytes a second, of one request.
    pub download: Option<u64>,
    /// Whether an object that was just written is listed.
    pub lists_at_once: Option<bool>,
    /// Whether the service refuses to overwrite an object where it is asked to.
    pub writes_once: Option<bool>,
    /// Seconds by which the service's clock is ahead of this one's, as far as that can be seen.
    pub clock_ahead: Option<i64>,
}

impl CheckReport {
    fn note<T>(&mut self, what: &'static str, tried: Result<T, Error>) -> Option<T> {
        match tried {
            Ok(done) => {
                self.passed.push(what);
                Some(done)
            }
            Err(error) => {
                self.failed = Some((what, error));
                None
            }
        }
    }
}

impl Destination {
    /// Tries out what an archive needs, with an object of its own, which it removes.
    ///
    /// # Errors
    /// `Randomness`. Everything else is in the report.
    pub fn check(&self) -> Result<CheckReport, Error> {
        // A folder that nobody else has: some services delete folders with all that is in them.
        let folder = format!("coffer-check-{}/", ObjectName::generate()?);
        let path = format!("{folder}object");
        let mut bytes = vec![0; LEN];
        getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
        let mut report = CheckReport::default();
        let was_there = self.is_there();
        let missing = match &*self.place {
            Place::Folder(_) => Vec::new(),
            Place::Cloud(cloud) => cloud.missing_folders(),
        };
        if self.try_out(&path, &bytes, &mut report).is_none() {
            // It may be there all the same, or nothing can be removed.
            let _ = self.delete(&path);
        }
        match &*self.place {
            Place::Folder(local) => local.remove_empty(&folder, !was_there),
            Place::Cloud(cloud) => {
                cloud.remove_folder(&folder);
                cloud.remove_folders(&missing);
            }
        }
        Ok(report)
    }

    fn try_out(&self, path: &str, bytes: &[u8], report: &mut CheckReport) -> Option<()> {
        let folder = path.trim_end_matches("object");
        // Only a listing tells a bucket that is not there from an object that is not.
        let reached = self.prepare().and_then(|()| self.exists(path)).and_then(|_| self.list(folder));
        report.note("reach", reached)?;
        let begun = Instant::now();
        report.note("write", self.write(path, bytes.to_vec()))?;
        report.upload = Some(rate(begun));
        let begun = Instant::now();
        let read = self.read(path, LEN as u64);
        report.download = Some(rate(begun));
        report.note("read", read.and_then(|found| same(path, &found, bytes)))?;
        let part = self.read_range(path, 1000, 2000);
        report.note("read-part", part.and_then(|found| same(path, &found, &bytes[1000..3000])))?;
        let listed = report.note("list", self.list(folder))?;
        report.lists_at_once = Some(listed.iter().any(|one| one == path));
        (report.latency, report.clock_ahead) = self.times(path);
        report.writes_once = Some(report.note("overwrite", self.refuses_to_overwrite(path, bytes))?);
        report.note("delete", self.delete(path))?;
        let is_there = self.exists(path);
        report.note("see-deleted", is_there.and_then(|is_there| if is_there { Err(still_there(path)) } else { Ok(()) }))
    }

    /// The latency, and by how much the service's clock is ahead.
    fn times(&self, path: &str) -> (Option<Duration>, Option<i64>) {
        let mut took = Vec::new();
        let mut modified = None;
        for _ in 0..ASKED {
            let begun = Instant::now();
            if let Ok(Some(found)) = self.found(path) {
                took.push(begun.elapsed());
                modified = found.modified;
            }
        }
        took.sort();
        let seconds =
            |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let ahead = modified.map(|modified| seconds(modified) - seconds(SystemTime::now()));
        (took.get(took.len() / 2).copied(), ahead.map(|ahead| if ahead.abs() <= SLACK { 0 } else { ahead }))
    }

    /// Whether a write of other bytes under the same name is refused; if it is not tried, that is no.
    fn refuses_to_overwrite(&self, path: &str, bytes: &[u8]) -> Result<bool, Error> {
        let Place::Cloud(cloud) = &*self.place else { return Ok(false) };
        if !cloud.writes_once() {
            return Ok(false);
        }
        match cloud.write(path, vec![bytes[..1000].to_vec()]) {
            Ok(()) => Ok(false),
            Err(Error::Destination { kind: DestinationErrorKind::Exists, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn rate(begun: Instant) -> u64 {
    (LEN as f64 / begun.elapsed().as_secs_f64().max(1e-6)) as u64
}

fn same(path: &str, found: &[u8], written: &[u8]) -> Result<(), Error> {
    if found == written { Ok(()) } else { Err(Error::damaged(path, Damage::Contradiction)) }
}

fn still_there(path: &str) -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Other,
        action: "delete",
        object: path.to_owned(),
        reason: "it is still there".to_owned(),
    }
}
