//! What `coffer init --check` found.

use std::fmt;

use coffer_archive::CheckReport;
use indicatif::DecimalBytes;
use serde::Serialize;

use super::text::Clean;

#[derive(Debug, Serialize)]
pub(crate) struct TriedOut {
    archive_url: String,
    passed: Vec<&'static str>,
    failed: Option<&'static str>,
    latency_ms: Option<u64>,
    upload_bytes_per_second: Option<u64>,
    download_bytes_per_second: Option<u64>,
    lists_at_once: Option<bool>,
    refuses_to_overwrite: Option<bool>,
    clock_ahead_seconds: Option<i64>,
}

impl TriedOut {
    pub(crate) fn of(report: &CheckReport, url: &str) -> Self {
        Self {
            archive_url: url.to_owned(),
            passed: report.passed.clone(),
            failed: report.failed.as_ref().map(|(what, _)| *what),
            latency_ms: report.latency.map(|latency| latency.as_millis() as u64),
            upload_bytes_per_second: report.upload,
            download_bytes_per_second: report.download,
            lists_at_once: report.lists_at_once,
            refuses_to_overwrite: report.writes_once,
            clock_ahead_seconds: report.clock_ahead,
        }
    }
}

/// What was tried, in words.
fn described(what: &str) -> &str {
    match what {
        "reach" => "reach it, with these credentials",
        "write" => "write an object",
        "read" => "read it",
        "read-part" => "read a part of it",
        "list" => "list it",
        "overwrite" => "write again under its name",
        "delete" => "delete it",
        "see-deleted" => "see that it is gone",
        other => other,
    }
}

impl fmt::Display for TriedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Clean(&self.archive_url))?;
        for what in &self.passed {
            writeln!(f, "  ok      {}", described(what))?;
        }
        if let Some(what) = self.failed {
            return writeln!(f, "  failed  {}", described(what));
        }
        if let Some(latency) = self.latency_ms {
            writeln!(f, "a request takes {latency} ms")?;
        }
        if let (Some(up), Some(down)) = (self.upload_bytes_per_second, self.download_bytes_per_second) {
            writeln!(f, "{}/s there, {}/s back, one request at a time", DecimalBytes(up), DecimalBytes(down))?;
        }
        if self.lists_at_once == Some(false) {
            writeln!(f, "its listings are late: they did not show what had just been written")?;
        }
        if self.refuses_to_overwrite == Some(false) {
            writeln!(f, "it cannot be asked to overwrite nothing: let two devices not make an archive there at once")?;
        }
        if let Some(ahead) = self.clock_ahead_seconds.filter(|ahead| *ahead != 0) {
            let (by, way) = (ahead.unsigned_abs(), if ahead > 0 { "ahead of" } else { "behind" });
            writeln!(f, "its clock is {by} s {way} this device's")?;
        }
        writeln!(f, "an archive can lie there; nothing was left behind")
    }
}
