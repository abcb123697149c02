//! `profiles.json`: what is backed up under a name, and what is run before and after it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::home::Home;
use crate::keep::Rules;
use crate::versioned::{self, Refused, VERSION};
use crate::what::What;

const NOT_OWN: &str = "it belongs to somebody else, or others may write to it";

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
    /// Of the profile's own snapshots; all where there is no rule.
    #[serde(default, skip_serializing_if = "Rules::is_none")]
    pub(crate) keep: Rules,
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

impl Profiles {
    /// All of them; none where there is no such file.
    pub(crate) fn read(home: &Home) -> Result<Self, Error> {
        let path = home.profiles_file();
        let Some((text, metadata)) = versioned::read(&path)? else {
            return Ok(Self { version: VERSION, profiles: BTreeMap::new() });
        };
        let parsed = if is_own(&metadata) { Self::parse(&text) } else { Err(Refused::Broken(NOT_OWN.to_owned())) };
        parsed.map_err(|refused| refused.of(path, |path, why| Error::ProfilesBroken { path, why }))
    }

    fn parse(text: &[u8]) -> Result<Self, Refused> {
        let profiles: Self = versioned::parse(text)?;
        match profiles.profiles.keys().find_map(|name| parse_name(name).err()) {
            Some(why) => Err(Refused::Broken(why.to_owned())),
            None => Ok(profiles),
        }
    }

    pub(crate) fn write(&self, home: &Home) -> Result<(), Error> {
        versioned::write(home, &home.profiles_file(), self)
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

/// Whether nobody else says what is read, and which programs are run, in this user's name. What root says goes.
fn is_own(metadata: &Metadata) -> bool {
    let own = rustix::process::geteuid().as_raw();
    (metadata.uid() == own || metadata.uid() == 0) && metadata.mode() & 0o022 == 0
}

/// A profile's name, as the command line and the file have it.
pub(crate) fn parse_name(name: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(fits) && !name.starts_with('-');
    if is_name { Ok(name.to_owned()) } else { Err("a profile's name is made of a-z, 0-9 and -, at most 48 of them") }
}
