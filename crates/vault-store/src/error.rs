//! Why a store cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why a store was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two writers would grant the same guess twice.
    #[error("{} is in use: another process, or this one, has the store open", folder.display())]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// Written by a newer release. Reading it by the old rules could give guesses back.
    #[error("{} has format {found}, this release reads up to {known}: run the newer release again", file.display())]
    FutureFormat {
        /// The database file.
        file: PathBuf,
        /// The format that it is in.
        found: u64,
        /// The newest that this release knows.
        known: u64,
    },
    /// Not a database of ours, or not what was written. Restore a copy, or move the file away and begin anew: then
    /// every account has to register again.
    #[error("{} is damaged, or is no store of a vault", file.display())]
    Damaged {
        /// The database file.
        file: PathBuf,
        /// What the database says.
        #[source]
        source: Box<redb::Error>,
    },
    /// The disk does not give it or take it.
    #[error("{} cannot be read or written", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}
