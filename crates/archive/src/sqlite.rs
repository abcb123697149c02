//! Live SQLite databases: recognised, and copied consistently while another program writes to them.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long a writer may keep the database locked before it is passed over.
const PATIENCE: Duration = Duration::from_secs(5);
/// The files beside a database that hold what is not in it yet.
const JOURNALS: [&str; 2] = ["-wal", "-journal"];
/// What may lie beside a database; none of it belongs to a consistent copy.
const SIDECARS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// The page size in bytes of the database whose file begins with `head`; `None` if that is no database.
pub(crate) fn page_size(head: &[u8]) -> Option<usize> {
    let rest = head.strip_prefix(MAGIC)?;
    match u16::from_be_bytes([*rest.first()?, *rest.get(1)?]) {
        1 => Some(65536),
        size if size.is_power_of_two() && size >= 512 => Some(size.into()),
        _ => None,
    }
}

/// Whether something lies beside the database that a plain read of its file would miss.
pub(crate) fn has_journal(database: &Path) -> bool {
    JOURNALS.iter().any(|suffix| fs::metadata(beside(database, suffix)).is_ok_and(|metadata| metadata.len() > 0))
}

/// The name of the database that a file of this name would be a sidecar of.
pub(crate) fn sidecar_of(name: &[u8]) -> Option<&[u8]> {
    SIDECARS.iter().find_map(|suffix| name.strip_suffix(suffix.as_bytes()))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().as_bytes().to_vec();
    path.extend_from_slice(suffix.as_bytes());
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

/// A consistent copy of a database, removed when dropped.
#[derive(Debug)]
pub(crate) struct Copy {
    path: PathBuf,
}

impl Copy {
    /// Copies the database page by page through SQLite's backup interface, which takes part in its locking, into
    /// the folder `scratch` (made with mode 0700: the copy is as secret as its source).
    ///
    /// # Errors
    /// What SQLite said: locked for longer than five seconds, corrupt, no permission, disk full.
    pub(crate) fn make(database: &Path, scratch: &Path, number: u64) -> Result<Self, rusqlite::Error> {
        let made = std::os::unix::fs::DirBuilderExt::mode(fs::DirBuilder::new().recursive(true), 0o700).create(scratch);
        made.map_err(io_error)?;
        let copy = Self { path: scratch.join(format!("{}-{number}.db", std::process::id())) };
        let source =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        source.busy_timeout(PATIENCE)?;
        let mut target = Connection::open(&copy.path)?;
        target.pragma_update(None, "synchronous", "off")?;
        let backup = Backup::new(&source, &mut target)?;
        // All pages in one step: under one read transaction, so that a writer cannot make it begin again.
        match backup.step(-1)? {
            StepResult::Done => {}
            _ => return Err(io_error(io::Error::from(io::ErrorKind::ResourceBusy))),
        }
        drop(backup);
        target.close().map_err(|(_, error)| error)?;
        Ok(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // What stays is swept at the next backup.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

fn io_error(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
