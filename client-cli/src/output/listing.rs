//! What `coffer ls` shows, written as it is found: a snapshot may hold millions of files.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use coffer_archive::{Node, NodeKind, Problem};
use serde::Serialize;

use super::Output;
use super::archived::ProblemRecord;
use super::text::{CleanPath, PathField};
use super::time;
use crate::error::Error;

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    path: PathField,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    /// Octal, as `chmod` takes it.
    mode: String,
    uid: u32,
    gid: u32,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PathField>,
}

pub(crate) struct Listing {
    out: BufWriter<io::Stdout>,
    form: Form,
    snapshot: u64,
    entries: u64,
    /// The first error of writing. The archive goes on listing; what it finds is then dropped.
    failed: Option<io::Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Names,
    Long,
    Json,
}

impl Listing {
    pub(crate) fn new(output: Output, long: bool, snapshot: u64) -> Self {
        let form = match (output.is_json(), long) {
            (true, _) => Form::Json,
            (false, true) => Form::Long,
            (false, false) => Form::Names,
        };
        Self { out: BufWriter::new(io::stdout()), form, snapshot, entries: 0, failed: None }
    }

    pub(crate) fn add(&mut self, path: &Path, node: &Node) {
        if self.failed.is_none() {
            self.failed = self.write(path, node).err();
        }
    }

    pub(crate) fn finish(mut self, problems: &[Problem]) -> Result<(), Error> {
        let written = match self.failed.take() {
            Some(error) => Err(error),
            None => self.write_end(problems),
        };
        written.map_err(Error::Output)
    }

    fn write(&mut self, path: &Path, node: &Node) -> io::Result<()> {
        let slash = if node.is_directory() { "/" } else { "" };
        match self.form {
            Form::Names => writeln!(self.out, "{}{slash}", CleanPath(path)),
            Form::Long => self.write_long(path, node, slash),
            Form::Json => {
                self.begin_json()?;
                serde_json::to_writer(&mut self.out, &entry(path, node))?;
                self.entries += 1;
                Ok(())
            }
        }
    }

    fn write_long(&mut self, path: &Path, node: &Node, slash: &str) -> io::Result<()> {
        let (mode, time) = (permissions(node), time::local(node.modified));
        write!(self.out, "{mode} {:>5} {:>5} {:>12} {time} ", node.uid, node.gid, node.size())?;
        write!(self.out, "{}{slash}", CleanPath(path))?;
        if let NodeKind::Symlink { target } = &node.kind {
            write!(self.out, " -> {}", CleanPath(Path::new(OsStr::from_bytes(target))))?;
        }
        writeln!(self.out)
    }

    fn begin_json(&mut self) -> io::Result<()> {
        if self.entries == 0 {
            write!(self.out, "{{\"snapshot\":{},\"entries\":[", self.snapshot)
        } else {
            self.out.write_all(b",")
        }
    }

    fn write_end(&mut self, problems: &[Problem]) -> io::Result<()> {
        if self.form == Form::Json {
            if self.entries == 0 {
                self.begin_json()?;
            }
            self.out.write_all(b"],\"problems\":")?;
            serde_json::to_writer(&mut self.out, &ProblemRecord::all(problems))?;
            self.out.write_all(b"}\n")?;
        }
        self.out.flush()
    }
}

fn entry(path: &Path, node: &Node) -> Entry {
    let target = match &node.kind {
        NodeKind::Symlink { target } => Some(PathField::of(Path::new(OsStr::from_bytes(target)))),
        _ => None,
    };
    Entry {
        path: PathField::of(path),
        kind: kind(&node.kind).0,
        size: node.size(),
        mode: format!("{:04o}", node.mode),
        uid: node.uid,
        gid: node.gid,
        modified: time::rfc3339(node.modified),
        target,
    }
}

/// The kind's name for programs, and its letter in a long listing.
pub(super) const fn kind(kind: &NodeKind) -> (&'static str, char) {
    match kind {
        NodeKind::File { .. } => ("file", '-'),
        NodeKind::Directory { .. } => ("directory", 'd'),
        NodeKind::Symlink { .. } => ("symlink", 'l'),
        NodeKind::Fifo => ("fifo", 'p'),
        NodeKind::CharDevice { .. } => ("char-device", 'c'),
        NodeKind::BlockDevice { .. } => ("block-device", 'b'),
    }
}

/// Ten characters, as `ls -l` writes them.
fn permissions(node: &Node) -> String {
    let mut shown = String::with_capacity(10);
    shown.push(kind(&node.kind).1);
    shown.extend(permission_letters(node.mode));
    shown
}

fn permission_letters(mode: u32) -> [char; 9] {
    let mut letters = ['-'; 9];
    for (index, letter) in letters.iter_mut().enumerate() {
        if mode & (0o400 >> index) != 0 {
            *letter = ['r', 'w', 'x'][index % 3];
        }
    }
    // Set-user-id, set-group-id and the sticky bit stand in the place of an x, in capitals where there is none.
    for (bit, place, set) in [(0o4000, 2, 's'), (0o2000, 5, 's'), (0o1000, 8, 't')] {
        if mode & bit != 0 {
            letters[place] = if letters[place] == 'x' { set } else { set.to_ascii_uppercase() };
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::permission_letters;

    #[test]
    fn writes_permissions_as_ls_does() {
        let shown = |mode| permission_letters(mode).iter().collect::<String>();
        assert_eq!(shown(0o755), "rwxr-xr-x");
        assert_eq!(shown(0o640), "rw-r-----");
        assert_eq!(shown(0o4755), "rwsr-xr-x");
        assert_eq!(shown(0o2644), "rw-r-Sr--");
        assert_eq!(shown(0o1777), "rwxrwxrwt");
    }
}
