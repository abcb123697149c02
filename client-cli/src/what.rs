//! What is backed up, and what of it is left out: the same words on the command line and in a profile.

use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{Pattern, Preset, Recognised, Rules};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::size::Size;

/// Sources and rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct What {
    /// What to back up
    #[arg(value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<PathBuf>,

    /// Back up WhatsApp: its folder on a phone's storage, the app's own data, or those of an iPhone
    #[arg(long, value_name = "DIR", help_heading = MESSENGERS)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) whatsapp: Vec<PathBuf>,

    /// Back up a chat exported from WhatsApp: a text file, a ZIP file, or a folder
    #[arg(long, value_name = "PATH", help_heading = MESSENGERS)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) whatsapp_export: Vec<PathBuf>,

    /// Back up Signal: the desktop app's folder (such as ~/.config/Signal), or Android's backups
    #[arg(long, value_name = "DIR", help_heading = MESSENGERS)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) signal: Vec<PathBuf>,

    /// Back up an export of Telegram Desktop
    #[arg(long, value_name = "DIR", help_heading = MESSENGERS)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) telegram_export: Vec<PathBuf>,

    /// Leave out what matches this pattern, as in a .gitignore at the top of each path
    #[arg(long, value_name = "PATTERN", help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,

    /// Leave out what matches the patterns in this file, one on each line; `!` before one takes it back
    #[arg(long, value_name = "FILE", help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude_file: Vec<PathBuf>,

    /// Take what matches this pattern, whatever else would leave it out
    #[arg(long, value_name = "PATTERN", help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) include: Vec<String>,

    /// Leave out folders that a CACHEDIR.TAG calls a cache
    #[arg(long, help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) exclude_caches: bool,

    /// Leave out files larger than this, as in 100M or 2GiB
    #[arg(long, value_name = "SIZE", help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exclude_larger_than: Option<Size>,

    /// Leave out what lies on another file system than the path that was named
    #[arg(long, help_heading = LEAVING_OUT)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) one_file_system: bool,

    /// The name of this device in the snapshot [default: its host name]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

const MESSENGERS: &str = "Messengers (their files that count; what can be made again is left out)";
const LEAVING_OUT: &str = "Leaving out";

/// What a backup is to be given.
pub(crate) struct Taken {
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) rules: Rules,
    pub(crate) recognised: Vec<Recognised>,
}

impl What {
    /// Looks at the messengers' files, and reads the files of rules.
    pub(crate) fn take(&self) -> Result<Taken, Error> {
        let (mut sources, mut rules) = (self.paths.clone(), self.rules()?);
        let mut recognised = Vec::new();
        for (preset, path) in self.presets() {
            let found = preset.recognise(path)?;
            sources.push(found.source.clone());
            // A person's own rules come later, and win.
            rules.patterns.splice(0..0, found.leave_out.iter().cloned());
            recognised.push(found);
        }
        Ok(Taken { sources, rules, recognised })
    }

    fn presets(&self) -> impl Iterator<Item = (Preset, &Path)> {
        let all = [
            (Preset::WhatsApp, &self.whatsapp),
            (Preset::WhatsAppExport, &self.whatsapp_export),
            (Preset::Signal, &self.signal),
            (Preset::TelegramExport, &self.telegram_export),
        ];
        all.into_iter().flat_map(|(preset, paths)| paths.iter().map(move |path| (preset, path.as_path())))
    }

    fn rules(&self) -> Result<Rules, Error> {
        let mut patterns = Vec::new();
        for path in &self.exclude_file {
            let unreadable = |source| Error::File { action: "read", path: path.clone(), source };
            let text = fs::read_to_string(path).map_err(unreadable)?;
            let is_rule = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
            patterns.extend(text.lines().filter(is_rule).map(Pattern::line));
        }
        patterns.extend(self.exclude.iter().map(|glob| Pattern::exclude(glob)));
        patterns.extend(self.include.iter().map(|glob| Pattern::include(glob)));
        Ok(Rules {
            patterns,
            exclude_caches: self.exclude_caches,
            exclude_larger_than: self.exclude_larger_than.as_ref().map(Size::bytes),
            one_file_system: self.one_file_system,
        })
    }

    pub(crate) fn host(&self) -> String {
        self.host.clone().unwrap_or_else(host_name)
    }

    /// The same with paths that mean the same wherever it is read.
    pub(crate) fn absolute(mut self) -> Result<Self, Error> {
        let all = [
            &mut self.paths,
            &mut self.whatsapp,
            &mut self.whatsapp_export,
            &mut self.signal,
            &mut self.telegram_export,
            &mut self.exclude_file,
        ];
        for path in all.into_iter().flatten() {
            let unusable = |source| Error::File { action: "find", path: path.clone(), source };
            *path = std::path::absolute(&*path).map_err(unusable)?;
        }
        Ok(self)
    }
}

/// The name of this device.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
