//! What of its sources a backup leaves out.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::Error;
use crate::report::Problem;
use crate::roots::Roots;
use crate::{source, sqlite};

/// What a backup leaves out; nothing by default. The sources themselves are always taken.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Of those that match, the last one decides.
    pub patterns: Vec<Pattern>,
    /// Whether folders that say by a `CACHEDIR.TAG` that they can be made again are left out.
    pub exclude_caches: bool,
    /// Files of more bytes are left out.
    pub exclude_larger_than: Option<u64>,
    /// Whether what lies on another file system than its source is left out.
    pub one_file_system: bool,
}

/// A line of a .gitignore that lies in each source, or in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    line: String,
    only_in: Option<PathBuf>,
}

impl Pattern {
    /// Leaves out what matches.
    pub fn exclude(glob: &str) -> Self {
        // At the beginning of a line these two have a meaning that they do not have here.
        let escape = if glob.starts_with(['#', '!']) { "\\" } else { "" };
        Self::line(&format!("{escape}{glob}"))
    }

    /// Takes what matches, though another rule leaves it out.
    pub fn include(glob: &str) -> Self {
        Self::line(&format!("!{glob}"))
    }

    /// A line as it stands in a file of such rules.
    pub fn line(line: &str) -> Self {
        Self { line: line.to_owned(), only_in: None }
    }

    /// The same for one source alone: the folder of this path.
    pub fn only_in(self, source: &Path) -> Self {
        Self { only_in: Some(source.to_owned()), ..self }
    }

    /// The line for one source. A path that leads into it from the root is meant from its top.
    fn line_for(&self, source: &Path) -> Option<String> {
        if self.only_in.as_ref().is_some_and(|only| only != source) {
            return None;
        }
        let (negation, glob) = match self.line.strip_prefix('!') {
            Some(glob) => ("!", glob),
            None => ("", self.line.as_str()),
        };
        let below = source.to_str().and_then(|source| glob.strip_prefix(source.trim_end_matches('/')));
        match below.filter(|below| below.starts_with('/')) {
            Some(below) => Some(format!("{negation}{below}")),
            None => Some(self.line.clone()),
        }
    }
}

/// What rules left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Excluded {
    /// Files, links and the like outside of the folders left out.
    pub files: u64,
    /// Folders, each with all that it holds: they were not entered.
    pub folders: u64,
}

/// What a folder that can be made again holds in the file `CACHEDIR.TAG`: <https://bford.info/cachedir/>.
const CACHE_TAG: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The rules as they hold below each source.
#[derive(Debug)]
pub(crate) struct Matcher {
    rules: Rules,
    sources: Vec<Source>,
    used: BTreeSet<usize>,
    excluded: Excluded,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    globs: Gitignore,
    /// Which pattern a line is of.
    patterns: HashMap<String, usize>,
    device: Option<u64>,
}

/// Whether an entry is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Take,
    LeaveOut,
    /// It is left out, and a reader should know why.
    LeaveOutWith(&'static str),
}

impl Matcher {
    /// # Errors
    /// `BadRule` for a pattern that is none.
    pub(crate) fn new(rules: &Rules, roots: &Roots) -> Result<Self, Error> {
        let paths = roots.sources.iter().map(|source| roots.base.join(source));
        let sources =
            if rules.is_empty() { Ok(Vec::new()) } else { paths.map(|path| Source::new(path, rules)).collect() };
        Ok(Self { rules: rules.clone(), sources: sources?, used: BTreeSet::new(), excluded: Excluded::default() })
    }

    /// What becomes of the entry `name` of a folder: `at` leads to the folder now, `folder` is its path as the user knows
    /// it.
    pub(crate) fn judge(&mut self, at: &Path, folder: &Path, name: &OsStr) -> Fate {
        let Some(number) = self.sources.iter().position(|source| folder.starts_with(&source.path)) else {
            return Fate::Take;
        };
        // What cannot be looked at is dealt with where it is to be read.
        let Ok(metadata) = fs::symlink_metadata(at.join(name)) else { return Fate::Take };
        let database = database_of(at, name, &metadata);
        let (judged, judged_metadata) = match &database {
            Some((base, metadata)) => (base.as_os_str(), metadata),
            None => (name, &metadata),
        };
        let fate = self.fate(number, (at, folder), judged, judged_metadata);
        match (&fate, metadata.is_dir()) {
            (Fate::Take, _) => {}
            (_, true) => self.excluded.folders += 1,
            (_, false) => self.excluded.files += 1,
        }
        fate
    }

    fn fate(&mut self, source: usize, (at, folder): (&Path, &Path), name: &OsStr, metadata: &Metadata) -> Fate {
        let source = &self.sources[source];
        if self.rules.one_file_system && source.device.is_some_and(|device| device != metadata.dev()) {
            return Fate::LeaveOutWith("left out: it is on another file system");
        }
        let (decided, by) = match source.globs.matched(folder.join(name), metadata.is_dir()) {
            Match::None => (None, None),
            Match::Ignore(glob) => (Some(Fate::LeaveOut), source.patterns.get(glob.original())),
            Match::Whitelist(glob) => (Some(Fate::Take), source.patterns.get(glob.original())),
        };
        self.used.extend(by);
        if let Some(fate) = decided {
            return fate;
        }
        let is_too_large = self.rules.exclude_larger_than.is_some_and(|limit| metadata.len() > limit);
        let is_excluded = (metadata.is_file() && is_too_large)
            || (metadata.is_dir() && self.rules.exclude_caches && is_tagged(&at.join(name)));
        if is_excluded { Fate::LeaveOut } else { Fate::Take }
    }

    pub(crate) const fn excluded(&self) -> Excluded {
        self.excluded
    }

    /// The patterns that decided nothing: mistyped, perhaps.
    pub(crate) fn unused(&self) -> impl Iterator<Item = Problem> {
        let unused = self.rules.patterns.iter().enumerate().filter(|(number, _)| !self.used.contains(number));
        // What a preset brings along need not be there.
        unused.filter(|(_, pattern)| pattern.only_in.is_none()).map(|(_, Pattern { line, .. })| {
            match line.strip_prefix('!') {
                Some(glob) => {
                    Problem { path: glob.into(), what: "this rule took nothing that was left out".to_owned() }
                }
                None => Problem { path: line.into(), what: "this rule left nothing out".to_owned() },
            }
        })
    }
}

impl Rules {
    const fn is_empty(&self) -> bool {
        self.patterns.is_empty() && !self.exclude_caches && self.exclude_larger_than.is_none() && !self.one_file_system
    }
}

impl Source {
    fn new(path: PathBuf, rules: &Rules) -> Result<Self, Error> {
        let mut builder = GitignoreBuilder::new(&path);
        let mut patterns = HashMap::new();
        for (number, pattern) in rules.patterns.iter().enumerate() {
            let Some(line) = pattern.line_for(&path) else { continue };
            let bad = |error: ignore::Error| Error::BadRule { rule: pattern.line.clone(), why: error.to_string() };
            builder.add_line(None, &line).map_err(bad)?;
            patterns.insert(line, number);
        }
        let bad =
            |error: ignore::Error| Error::BadRule { rule: "the rules together".to_owned(), why: error.to_string() };
        let device = fs::metadata(&path).ok().map(|metadata| metadata.dev());
        Ok(Self { globs: builder.build().map_err(bad)?, path, patterns, device })
    }
}

/// The file that a sidecar belongs to, if it is there: a journal is left out with its database, and never alone.
fn database_of(at: &Path, name: &OsStr, metadata: &Metadata) -> Option<(PathBuf, Metadata)> {
    let base = OsStr::from_bytes(sqlite::sidecar_of(name.as_bytes()).filter(|base| !base.is_empty())?);
    let found = fs::symlink_metadata(at.join(base)).ok()?;
    (metadata.is_file() && found.is_file()).then(|| (base.into(), found))
}

fn is_tagged(folder: &Path) -> bool {
    let mut head = Vec::with_capacity(CACHE_TAG.len());
    let tag = source::open(&folder.join("CACHEDIR.TAG"));
    let read = tag.and_then(|file| file.take(CACHE_TAG.len() as u64).read_to_end(&mut head));
    read.is_ok() && head == CACHE_TAG
}
