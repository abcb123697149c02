//! What `coffer diff` shows, written as it is found.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use coffer_archive::{Difference, Node, Problem};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::Output;
use super::archived::ProblemRecord;
use super::listing::kind;
use super::text::{CleanPath, Counted, PathField};
use crate::error::Error;

#[derive(Debug, Serialize)]
struct Change {
    #[serde(flatten)]
    path: PathField,
    change: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    added: u64,
    removed: u64,
    changed: u64,
    metadata: u64,
    /// Bytes of the files that are new or changed, and of those that are gone or were changed.
    bytes_added: u64,
    bytes_removed: u64,
}

pub(crate) struct Differences {
    out: BufWriter<io::Stdout>,
    output: Output,
    snapshots: (u64, u64),
    totals: Totals,
    is_first: bool,
    /// The first error of writing; what is found after it is dropped.
    failed: Option<io::Error>,
}

impl Differences {
    pub(crate) fn new(output: Output, before: u64, after: u64) -> Self {
        let out = BufWriter::new(io::stdout());
        Self { out, output, snapshots: (before, after), totals: Totals::default(), is_first: true, failed: None }
    }

    pub(crate) fn add(&mut self, path: &Path, difference: Difference<'_>) {
        let (sign, change, before, after) = match difference {
            Difference::Added(node) => ('+', "added", None, Some(node)),
            Difference::Removed(node) => ('-', "removed", Some(node), None),
            Difference::Changed(before, after) => ('M', "changed", Some(before), Some(after)),
            Difference::Metadata(before, after) => ('m', "metadata", Some(before), Some(after)),
        };
        self.count(sign, before, after);
        if self.failed.is_none() {
            self.failed = self.write(path, (sign, change), before, after).err();
        }
    }

    fn count(&mut self, sign: char, before: Option<&Node>, after: Option<&Node>) {
        let totals = &mut self.totals;
        match sign {
            '+' => totals.added += 1,
            '-' => totals.removed += 1,
            'M' => totals.changed += 1,
            _ => {
                totals.metadata += 1;
                return;
            }
        }
        totals.bytes_removed += before.map_or(0, Node::size);
        totals.bytes_added += after.map_or(0, Node::size);
    }

    fn write(
        &mut self,
        path: &Path,
        (sign, change): (char, &'static str),
        before: Option<&Node>,
        after: Option<&Node>,
    ) -> io::Result<()> {
        let Some(node) = after.or(before) else { return Ok(()) };
        if !self.output.is_json() {
            let slash = if node.is_directory() { "/" } else { "" };
            return writeln!(self.out, "{sign} {}{slash}", CleanPath(path));
        }
        self.begin_json()?;
        let (size_before, size) = (before.map(Node::size), after.map(Node::size));
        let change = Change { path: PathField::of(path), change, kind: kind(&node.kind).0, size_before, size };
        Ok(serde_json::to_writer(&mut self.out, &change)?)
    }

    fn begin_json(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            return self.out.write_all(b",");
        }
        let (before, after) = self.snapshots;
        write!(self.out, "{{\"before\":{before},\"after\":{after},\"changes\":[")
    }

    pub(crate) fn finish(mut self, problems: &[Problem]) -> Result<(), Error> {
        let written = match self.failed.take() {
            Some(error) => Err(error),
            None => self.write_end(problems),
        };
        written.map_err(Error::Output)
    }

    fn write_end(&mut self, problems: &[Problem]) -> io::Result<()> {
        if self.output.is_json() {
            if self.is_first {
                self.begin_json()?;
            }
            self.out.write_all(b"],\"totals\":")?;
            serde_json::to_writer(&mut self.out, &self.totals)?;
            self.out.write_all(b",\"problems\":")?;
            serde_json::to_writer(&mut self.out, &ProblemRecord::all(problems))?;
            self.out.write_all(b"}\n")?;
        } else if self.output.is_for_people() {
            let Totals { added, removed, changed, metadata, bytes_added, bytes_removed } = self.totals;
            let (before, after) = self.snapshots;
            writeln!(
                self.out,
                "from snapshot {before} to {after}: {added} added, {removed} removed, {changed} changed, {} of metadata; \
                 {} more, {} less",
                Counted(metadata, "change"),
                DecimalBytes(bytes_added),
                DecimalBytes(bytes_removed),
            )?;
        }
        self.out.flush()
    }
}
