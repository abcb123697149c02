//! Live SQLite databases: recognised, and copied consistently while another program writes to them.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::id::ObjectName;
use crate::lock::is_alive;
use crate::source::Metadata;
use crate::tree::Time;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long a writer may keep the database locked before it is passed over.
const PATIENCE: Duration = Duration::from_secs(5);
/// The files beside a database that hold what is not in it yet.
const JOURNALS: [&str; 2] = ["-wal", "-journal"];
/// What may lie beside a database and belongs to it.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-journal", "-shm"];
/// What a rollback journal begins with while its transaction is open.
const HOT: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The part of a database that every transaction outside a WAL changes, bytes.
const HEAD_LEN: usize = 100;

/// The page size in bytes of the database whose file begins with `head`; `None` if that is no database.
pub(crate) fn page_size(head: &[u8]) -> Option<usize> {
    let rest = head.strip_prefix(MAGIC)?;
    match u16::from_be_bytes([*rest.first()?, *rest.get(1)?]) {
        1 => Some(65536),
        size if size.is_power_of_two() && size >= 512 => Some(size.into()),
        _ => None,
    }
}

/// Whether a regular file begins as a database does.
pub(crate) fn is_database(path: &Path) -> bool {
    path.is_file() && first_bytes(path, HEAD_LEN).is_some_and(|head| page_size(&head).is_some())
}

/// Whether something lies beside the database that is not in it yet.
pub(crate) fn has_journal(database: &Path) -> bool {
    JOURNALS.iter().any(|suffix| fs::metadata(beside(database, suffix)).is_ok_and(|metadata| metadata.len() > 0))
}

/// Whether some program may have the database open, with content that is not in its file yet: then only SQLite reads it
/// consistently. A WAL that nobody has open has no shared memory beside it, and one is not made by a backup.
pub(crate) fn may_be_in_use(database: &Path) -> bool {
    (has_wal(database) && beside(database, "-shm").exists()) || has_hot_journal(database)
}

/// Whether the database's own file holds all of it, whatever lies beside it.
pub(crate) fn is_complete(database: &Path) -> bool {
    !has_wal(database) && !has_hot_journal(database)
}

fn has_wal(database: &Path) -> bool {
    fs::metadata(beside(database, "-wal")).is_ok_and(|metadata| metadata.len() > 0)
}

fn has_hot_journal(database: &Path) -> bool {
    first_bytes(&beside(database, "-journal"), HOT.len()).is_some_and(|bytes| bytes == HOT)
}

/// What tells whether a database or its journals changed between two looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    head: Option<Vec<u8>>,
    files: [Option<(u64, Time, Time)>; 3],
}

impl Fingerprint {
    pub(crate) fn of(database: &Path) -> Self {
        let look = |path: &Path| {
            let metadata = Metadata::behind(path).ok()?;
            Some((metadata.size(), metadata.modified(), metadata.changed()))
        };
        let [wal, journal] = JOURNALS.map(|suffix| look(&beside(database, suffix)));
        Self { head: first_bytes(database, HEAD_LEN), files: [look(database), wal, journal] }
    }
}

fn first_bytes(path: &Path, len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    crate::source::open(path).ok()?.take(len as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
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

/// Opens a database for a look, which leaves nothing beside it. While nobody has it open, that is what lies in its own file.
///
/// # Errors
/// What SQLite said.
pub(crate) fn open_to_look(database: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if may_be_in_use(database) {
        let opened = Connection::open_with_flags(database, flags)?;
        opened.busy_timeout(PATIENCE)?;
        return Ok(opened);
    }
    let escaped = database.as_os_str().as_bytes().iter().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        other => format!("%{other:02x}"),
    });
    let uri = format!("file:{}?immutable=1", escaped.collect::<String>());
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
}

/// Removes copies that processes left in `scratch` which have ended since.
pub(crate) fn sweep(scratch: &Path) {
    let Ok(entries) = fs::read_dir(scratch) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split_once('-')).and_then(|(pid, _)| pid.parse().ok());
        if owner.is_some_and(|pid| !is_alive(pid)) {
            // One that stays is tried again at the next backup.
            let _ = fs::remove_file(entry.path());
        }
    }
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
    pub(crate) fn make(database: &Path, scratch: &Path) -> Result<Self, rusqlite::Error> {
        let made = std::os::unix::fs::DirBuilderExt::mode(fs::DirBuilder::new().recursive(true), 0o700).create(scratch);
        made.map_err(io_error)?;
        let name = ObjectName::generate().map_err(|error| io_error(io::Error::other(error.to_string())))?;
        let copy = Self { path: scratch.join(format!("{}-{name}.db", std::process::id())) };
        let source =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        source.busy_timeout(PATIENCE)?;
        refuse_blown_up(&source, database)?;
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

/// A journal may claim more pages than it holds; a copy would make them all. A database has no more pages than its file
/// and its WAL together.
fn refuse_blown_up(source: &Connection, database: &Path) -> Result<(), rusqlite::Error> {
    let number = |pragma: &str| source.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let claimed = u64::from(number("page_count")?) * u64::from(number("page_size")?);
    let len = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    if claimed > len(database) + len(&beside(database, "-wal")) {
        return Err(io_error(io::Error::other("its journal claims more pages than it holds")));
    }
    Ok(())
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // What stays is swept at the next backup, see [`sweep`].
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

fn io_error(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
