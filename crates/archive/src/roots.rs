//! Which paths a backup takes, and the folder that they all lie in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// The sources of a backup: a folder, and what is taken below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Roots {
    /// The nearest folder that all sources lie in.
    pub(crate) base: PathBuf,
    /// The sources relative to it, sorted; one empty path when the base itself (the root folder) is the source.
    pub(crate) sources: Vec<PathBuf>,
}

/// What of a folder is taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it.
    #[default]
    Whole,
    /// The entries named, each with what of it is taken.
    Some(BTreeMap<OsString, Selection>),
}

impl Roots {
    /// Resolves what a user named: links followed, paths made absolute, those inside others dropped.
    ///
    /// # Errors
    /// `BadSource` for no path at all, `Source` for one that does not exist.
    pub(crate) fn resolve(named: &[PathBuf]) -> Result<Self, Error> {
        let mut paths = Vec::with_capacity(named.len());
        for path in named {
            let source = |source| Error::Source { path: path.clone(), source };
            paths.push(std::fs::canonicalize(path).map_err(source)?);
        }
        paths.sort();
        paths.dedup_by(|later, earlier| later.starts_with(earlier));
        let nothing = || Error::BadSource("nothing to back up was named".to_owned());
        let base = paths.iter().map(|path| path.parent().unwrap_or(path)).fold(None, |base, parent| {
            Some(base.map_or_else(|| parent.to_owned(), |base: PathBuf| common(&base, parent)))
        });
        let base = base.ok_or_else(nothing)?;
        let relative = |path: &PathBuf| path.strip_prefix(&base).unwrap_or(path).to_owned();
        let sources = paths.iter().map(relative).collect();
        Ok(Self { base, sources })
    }

    /// The same as a tree of names below the base.
    pub(crate) fn selection(&self) -> Selection {
        let mut root = Selection::nothing();
        for source in &self.sources {
            root.add(source.components().filter_map(normal));
        }
        root
    }
}

impl Selection {
    /// Nothing of a folder: what is taken is yet to be added.
    pub(crate) const fn nothing() -> Self {
        Self::Some(BTreeMap::new())
    }

    /// Adds the whole of what lies at the end of `names`.
    pub(crate) fn add<'n>(&mut self, names: impl Iterator<Item = &'n OsStr>) {
        let mut level = self;
        for name in names {
            // What is taken whole already stays so.
            let Self::Some(below) = level else { return };
            level = below.entry(name.to_owned()).or_insert_with(Self::nothing);
        }
        *level = Self::Whole;
    }
}

fn normal(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

fn common(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test")]
mod tests {
    use super::*;

    fn roots(paths: &[&str]) -> (PathBuf, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for path in ["a/x", "b/x", "b/y/z"] {
            std::fs::create_dir_all(top.join(path)).unwrap();
        }
        let named: Vec<_> = paths.iter().map(|path| top.join(path)).collect();
        let roots = Roots::resolve(&named).unwrap();
        (top, roots)
    }

    #[test]
    fn one_source_lies_in_its_parent() {
        let (top, roots) = roots(&["a"]);
        assert_eq!((roots.base, roots.sources), (top, vec![PathBuf::from("a")]));
    }

    #[test]
    fn sources_of_one_name_stay_apart() {
        let (top, roots) = roots(&["b/x", "a/x"]);
        assert_eq!(roots.base, top);
        assert_eq!(roots.sources, ["a/x", "b/x"].map(PathBuf::from));
        let Selection::Some(root) = roots.selection() else { panic!("not the whole") };
        assert_eq!(root.keys().collect::<Vec<_>>(), ["a", "b"]);
        let Selection::Some(a) = &root[OsStr::new("a")] else { panic!("not the whole") };
        assert_eq!(a[OsStr::new("x")], Selection::Whole);
    }

    #[test]
    fn a_source_inside_another_is_taken_once() {
        let (top, roots) = roots(&["b", "b/y/z", "b"]);
        assert_eq!((roots.base, roots.sources), (top, vec![PathBuf::from("b")]));
    }

    #[test]
    fn the_root_folder_is_taken_whole() {
        let roots = Roots::resolve(&[PathBuf::from("/")]).unwrap();
        assert_eq!(roots.base, Path::new("/"));
        assert_eq!(roots.selection(), Selection::Whole);
    }

    #[test]
    fn refuses_no_source_and_one_that_does_not_exist() {
        assert!(matches!(Roots::resolve(&[]), Err(Error::BadSource(_))));
        let missing = PathBuf::from("/nonexistent/source");
        assert!(matches!(Roots::resolve(&[missing]), Err(Error::Source { .. })));
    }
}
