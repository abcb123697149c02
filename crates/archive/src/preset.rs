//! Message stores that are known: which of their files count, what of them can be made again, and what else it takes
//! to read them one day.

mod chat_export;
mod signal;
mod telegram;
mod whatsapp;
mod zip;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::Error;
use crate::rules::Pattern;
use crate::sqlite;
use crate::tree::Time;

/// A messenger's files, or an export out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// WhatsApp's folder on a phone's storage, the app's own data, or those of an iPhone.
    WhatsApp,
    /// Signal Desktop's folder, or one with backups made by Signal on Android.
    Signal,
    /// What "Export chat history" or "Export Telegram data" made.
    TelegramExport,
    /// What "Export chat" made: a text file, a ZIP file, or a folder.
    WhatsAppExport,
}

/// What was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// What it is, for people: "WhatsApp on Android, the folder on its storage".
    pub what: &'static str,
    /// What is to be backed up.
    pub source: PathBuf,
    /// What of it can be made again, and is left out.
    pub leave_out: Vec<Pattern>,
    /// What tells of the version: "schema version 1".
    pub version: Option<String>,
    /// What could be counted.
    pub counted: Counted,
    /// What a reader may want to know.
    pub notes: Vec<String>,
    /// What it takes besides the backup to read the messages one day.
    pub warnings: Vec<String>,
}

/// How much there is of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Messages; None where they are sealed.
    pub messages: Option<u64>,
    /// The first and the last message's time.
    pub range: Option<(Time, Time)>,
    /// Files of media.
    pub media: u64,
    /// Their bytes.
    pub media_bytes: u64,
}

impl Preset {
    /// Looks at a file or folder, without changing anything in it.
    ///
    /// # Errors
    /// `Source` when it cannot be read; `NotRecognised` when it is none of the preset's.
    pub fn recognise(self, path: &Path) -> Result<Recognised, Error> {
        let path = fs::canonicalize(path).map_err(|source| Error::Source { path: path.to_owned(), source })?;
        let found = match self {
            Self::WhatsApp => whatsapp::recognise(&path),
            Self::Signal => signal::recognise(&path),
            Self::TelegramExport => telegram::recognise(&path),
            Self::WhatsAppExport => chat_export::recognise(&path),
        };
        found.map_err(|why| Error::NotRecognised { path, preset: self.name(), why })
    }

    /// What its files are called in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WhatsApp => "WhatsApp's files",
            Self::Signal => "Signal's files",
            Self::TelegramExport => "an export from Telegram",
            Self::WhatsAppExport => "a chat exported from WhatsApp",
        }
    }
}

impl Recognised {
    fn new(what: &'static str, source: &Path, leave_out: &[&str]) -> Self {
        Self {
            what,
            source: source.to_owned(),
            leave_out: leave_out.iter().map(|line| Pattern::line(line).only_in(source)).collect(),
            version: None,
            counted: Counted::default(),
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Counts what lies in the folders of media.
    fn count_media(&mut self, folders: &[&str]) {
        for folder in folders {
            self.counted.add_media(&self.source.join(folder), 0);
        }
    }
}

/// No messenger nests its media deeper.
const DEEPEST: u32 = 16;

impl Counted {
    fn add_media(&mut self, folder: &Path, depth: u32) {
        // What cannot be read is not counted here; the backup itself will say so.
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_hidden && depth < DEEPEST => self.add_media(&entry.path(), depth + 1),
                Ok(kind) if kind.is_file() && !is_hidden => {
                    self.media += 1;
                    self.media_bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                }
                _ => {}
            }
        }
    }
}

/// Asks a database: how many messages, and the first and last time, in milliseconds since 1970.
fn count_messages(database: &Connection, query: &str) -> Option<(u64, Option<(Time, Time)>)> {
    let read = database.query_row(query, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<f64>>(1)?, row.get::<_, Option<f64>>(2)?))
    });
    let (count, first, last) = read.ok()?;
    let time = |milliseconds: f64| {
        let seconds = (milliseconds / 1000.0).floor();
        Time { seconds: seconds as i64, nanoseconds: ((milliseconds - seconds * 1000.0) * 1e6) as u32 }
    };
    Some((count.try_into().ok()?, first.zip(last).map(|(first, last)| (time(first), time(last)))))
}

fn schema_version(database: &Connection) -> Option<String> {
    let version = database.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    version.ok().filter(|version| *version > 0).map(|version| format!("schema version {version}"))
}

/// The names in a folder, sorted; none where it cannot be read.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// A database to be looked at, if it is one that SQLite opens.
fn look_into(path: &Path) -> Option<Connection> {
    sqlite::is_database(path).then(|| sqlite::open_to_look(path).ok()).flatten()
}
