//! The databases of a folder: how each was captured, and what that means for the files beside it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sqlite::{self, Fingerprint};

/// How a file was captured.
#[derive(Debug)]
pub(crate) enum Capture {
    /// It is no database, or one with nothing beside it.
    Other,
    /// Copied by SQLite, with all that its journal holds.
    Copied,
    /// Read as it lay; its own file held all of it.
    Complete(Fingerprint),
    /// Read as it lay, beside a journal that nobody had open: they belong together.
    Partial(Fingerprint),
}

/// What becomes of a file that was read just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// A journal that was written to after its database was read, and is not part of what was read.
    LeaveOut,
    /// A journal that may not fit what was read of its database.
    KeepWithProblem,
}

/// What is known of the databases in a folder while it is walked. Sidecars come after their database by name.
#[derive(Debug)]
pub(crate) struct Databases {
    folder: PathBuf,
    /// Files that have a sidecar.
    accompanied: HashSet<OsString>,
    captures: HashMap<OsString, Capture>,
}

/// The names, and those of the sidecars that lie beside them: a database that is named alone brings its journal along.
pub(crate) fn with_sidecars<'n>(folder: &Path, names: impl Iterator<Item = &'n OsString>) -> Vec<OsString> {
    let mut all = BTreeSet::new();
    for name in names {
        if sqlite::is_database(&folder.join(name)) {
            let sidecars = sqlite::SIDECARS.map(|suffix| [name.as_os_str(), OsStr::new(suffix)].join(OsStr::new("")));
            all.extend(sidecars.into_iter().filter(|sidecar| folder.join(sidecar).is_file()));
        }
        all.insert(name.clone());
    }
    all.into_iter().collect()
}

impl Databases {
    pub(crate) fn among(folder: &Path, names: &[OsString]) -> Self {
        let bases = names.iter().filter_map(|name| sqlite::sidecar_of(name.as_bytes())).map(OsStr::from_bytes);
        let accompanied = bases.map(OsStr::to_owned).collect();
        Self { folder: folder.to_owned(), accompanied, captures: HashMap::new() }
    }

    /// Whether the file has something beside it that would be part of it, were it a database.
    pub(crate) fn is_accompanied(&self, name: &OsStr) -> bool {
        self.accompanied.contains(name)
    }

    pub(crate) fn captured(&mut self, name: &OsStr, capture: Capture) {
        if !matches!(capture, Capture::Other) {
            self.captures.insert(name.to_owned(), capture);
        }
    }

    fn capture_of_base<'n>(&self, sidecar: &'n OsStr) -> Option<(&'n OsStr, &Capture)> {
        let base = OsStr::from_bytes(sqlite::sidecar_of(sidecar.as_bytes())?);
        Some((base, self.captures.get(base)?))
    }

    /// Whether the file is a sidecar whose content is in the copy of its database.
    pub(crate) fn leaves_out(&self, name: &OsStr) -> bool {
        matches!(self.capture_of_base(name), Some((_, Capture::Copied)))
    }

    /// What becomes of a file that has been read just now, in view of its database.
    pub(crate) fn verdict(&self, name: &OsStr) -> Verdict {
        let Some((base, capture)) = self.capture_of_base(name) else { return Verdict::Keep };
        let stands_still = |before: &Fingerprint| Fingerprint::of(&self.folder.join(base)) == *before;
        match capture {
            Capture::Complete(before) if !stands_still(before) => Verdict::LeaveOut,
            Capture::Partial(before) if !stands_still(before) => Verdict::KeepWithProblem,
            _ => Verdict::Keep,
        }
    }
}
