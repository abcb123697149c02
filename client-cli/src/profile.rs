//! `profiles.json`: what is backed up under a name, and what is run before and after it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::home::Home;
use crate::what::What;

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// A name is part of the name of a timer.
const LONGEST_NAME: usize = 48;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    version: u32,
    profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) backup: What,
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub(crate) hooks: Hooks,
}

/// Programs that are run as they are: without arguments, and without a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hooks {
    /// Run this program before each backup; if it fails, nothing is backed up
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks (each gets a JSON object on its standard input)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<PathBuf>,

    /// Run this program after each backup that had no problem
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks (each gets a JSON object on its standard input)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after_success: Option<PathBuf>,

    /// Run this program after each backup that failed, or left files out that it could not read
    #[arg(long, value_name = "PROGRAM", help_heading = "Hooks (each gets a JSON object on its standard input)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after_failure: Option<PathBuf>,
}

impl Hooks {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn absolute(mut self) -> Result<Self, Error> {
        for path in [&mut self.before, &mut self.after_success, &mut self.after_failure].into_iter().flatten() {
            let unusable = |source| Error::File { action: "find", path: path.clone(), source };
            *path = std::path::absolute(&*path).map_err(unusable)?;
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Profiles {
    /// All of them; none where there is no such file.
    pub(crate) fn read(home: &Home) -> Result<Self, Error> {
        let path = home.profiles_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, profiles: BTreeMap::new() });
            }
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        let broken = |why: String| Error::ProfilesBroken { path: path.clone(), why };
        // The version first: what a later one looks like cannot be known.
        let Versioned { version } = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        match version {
            VERSION => {}
            0 => return Err(broken("there is no version 0".to_owned())),
            found => return Err(Error::ConfigTooNew { path, found, supported: VERSION }),
        }
        let profiles: Self = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        match profiles.profiles.keys().find_map(|name| parse_name(name).err()) {
            Some(why) => Err(broken(why.to_owned())),
            None => Ok(profiles),
        }
    }

    pub(crate) fn write(&self, home: &Home) -> Result<(), Error> {
        let path = home.profiles_file();
        let unwritable =
            |error: serde_json::Error| Error::ProfilesBroken { path: path.clone(), why: error.to_string() };
        let mut text = serde_json::to_vec_pretty(self).map_err(unwritable)?;
        text.push(b'\n');
        home.write(&path, &text)
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Profile, Error> {
        self.profiles.get(name).ok_or_else(|| self.unknown(name))
    }

    /// # Errors
    /// `ProfileExists` for a name that is taken and not to be replaced.
    pub(crate) fn add(&mut self, name: &str, profile: Profile, replace: bool) -> Result<(), Error> {
        if !replace && self.profiles.contains_key(name) {
            return Err(Error::ProfileExists { name: name.to_owned() });
        }
        self.profiles.insert(name.to_owned(), profile);
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.profiles.remove(name).map(drop).ok_or_else(|| self.unknown(name))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Profile)> {
        self.profiles.iter()
    }

    fn unknown(&self, name: &str) -> Error {
        Error::NoSuchProfile { name: name.to_owned(), known: self.profiles.keys().cloned().collect() }
    }
}

/// A profile's name, as the command line and the file have it.
pub(crate) fn parse_name(name: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(fits) && !name.starts_with('-');
    if is_name { Ok(name.to_owned()) } else { Err("a profile's name is made of a-z, 0-9 and -, at most 48 of them") }
}
