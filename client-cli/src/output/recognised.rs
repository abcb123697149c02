//! What a preset found.

use std::path::PathBuf;

use coffer_archive::Recognised;
use indicatif::{DecimalBytes, HumanCount};
use serde::Serialize;

use super::text::{CleanPath, Counted, PathField};
use super::{Output, time};

/// A messenger's files, or an export.
#[derive(Debug, Serialize)]
pub(crate) struct RecognisedRecord {
    what: &'static str,
    source: PathField,
    version: Option<String>,
    messages: Option<u64>,
    /// RFC 3339.
    first: Option<String>,
    last: Option<String>,
    media: u64,
    media_bytes: u64,
    notes: Vec<String>,
    warnings: Vec<String>,
    #[serde(skip)]
    for_people: ForPeople,
}

#[derive(Debug)]
struct ForPeople {
    source: PathBuf,
    /// Dates.
    range: Option<(String, String)>,
}

impl RecognisedRecord {
    pub(crate) fn of(found: &Recognised) -> Self {
        let range = found.counted.range;
        let day = |time| time::local(time).split(' ').next().unwrap_or_default().to_owned();
        Self {
            what: found.what,
            source: PathField::of(&found.source),
            version: found.version.clone(),
            messages: found.counted.messages,
            first: range.map(|(first, _)| time::rfc3339(first)),
            last: range.map(|(_, last)| time::rfc3339(last)),
            media: found.counted.media,
            media_bytes: found.counted.media_bytes,
            notes: found.notes.clone(),
            warnings: found.warnings.clone(),
            for_people: ForPeople {
                source: found.source.clone(),
                range: range.map(|(first, last)| (day(first), day(last))),
            },
        }
    }

    /// Says before the backup what it is going to be of.
    pub(crate) fn say(&self, output: Output) {
        output.note(&format!("{}: {}", CleanPath(&self.for_people.source), self.described()));
        for note in &self.notes {
            output.note(note);
        }
        for warning in &self.warnings {
            output.warning(warning);
        }
    }

    fn described(&self) -> String {
        let mut text = self.what.to_owned();
        if let Some(version) = &self.version {
            text += &format!(" ({version})");
        }
        if let Some(messages) = self.messages {
            text += &format!("; {}", Counted(messages, "message"));
        }
        if let Some((first, last)) = &self.for_people.range {
            text += &format!(" from {first} to {last}");
        }
        if self.media > 0 {
            let (media, bytes) = (HumanCount(self.media), DecimalBytes(self.media_bytes));
            text += &format!("; {media} media files, {bytes}");
        }
        text
    }
}
