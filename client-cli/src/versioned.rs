//! The home's JSON files: each has a version, and what that version holds.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::home::Home;

/// The version that this program writes, and the newest that it reads; of every such file.
pub(crate) const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Why a text is not what a file should hold.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    TooNew(u32),
    Broken(String),
}

impl Refused {
    /// The error for the file at `path`; `broken` makes that for a file of its kind.
    pub(crate) fn of(self, path: PathBuf, broken: impl FnOnce(PathBuf, String) -> Error) -> Error {
        match self {
            Self::TooNew(found) => Error::ConfigTooNew { path, found, supported: VERSION },
            Self::Broken(why) => broken(path, why),
        }
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A file's text, and whose it is; None where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<(Vec<u8>, Metadata)>, Error> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.read_to_end(&mut text)?;
        file.metadata()
    });
    match read {
        Ok(metadata) => Ok(Some((text, metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "read", path: path.to_owned(), source }),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refused> {
    // The version first: what a later one looks like cannot be known.
    match serde_json::from_slice(text)? {
        Versioned { version: VERSION } => Ok(serde_json::from_slice(text)?),
        Versioned { version: 0 } => Err(Refused::Broken("there is no version 0".to_owned())),
        Versioned { version } => Err(Refused::TooNew(version)),
    }
}

pub(crate) fn write(home: &Home, path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let unwritable =
        |error: serde_json::Error| Error::File { action: "write", path: path.to_owned(), source: error.into() };
    let mut text = serde_json::to_vec_pretty(content).map_err(unwritable)?;
    text.push(b'\n');
    home.write(path, &text)
}
