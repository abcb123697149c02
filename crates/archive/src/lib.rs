//! The backup engine: chunk, compress, seal, pack, snapshot; restore, verify.
//!
//! An archive is a set of sealed objects with a storage provider, who learns their sizes and times and nothing else.
//! `docs/format.md` describes every byte of it. The way of a file:
//!
//! ```text
//! walk ─► read ─► chunk ─► known? ─► segment ─► compress ─► seal ─► pack ─► destination
//! (backup)       (chunker)  (index)   (pipeline: one thread each, compress on all cores)
//!                               then: index object ─► snapshot object ─► the device's memory
//! ```
//!
//! and back: snapshot → tree → extents → index → ranged read of a segment → open → write, verify, rename.
//!
//! The crate owns the format and knows nothing of the vault but that it keeps what [`Archive::seal_head`] gives it.

mod aead;
mod archive;
mod backup;
mod backup_file;
mod browse;
mod carried;
mod chunker;
mod codec;
mod commit;
mod content;
mod copy;
mod databases;
mod deep;
mod destination;
mod device;
mod diff;
mod doomed;
mod drill;
mod emptied;
mod envelope;
mod error;
#[cfg(test)]
mod faults;
mod folder;
mod forget;
mod forgotten;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod header;
mod header_place;
mod id;
mod index;
mod inspect;
mod keyring;
mod list;
mod lock;
mod needed;
mod older_keys;
mod pack;
mod packing;
mod pipeline;
mod preset;
mod prune;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod prune_tests;
mod read_data;
mod repair;
mod report;
mod restore;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod restore_tests;
mod roots;
mod rotate;
mod rules;
#[cfg(test)]
mod samples;
mod snapshot;
mod snapshots;
mod source;
mod sqlite;
mod store;
mod sweep;
mod target;
mod tree;
mod vault_head;
#[cfg(test)]
mod vectors;
mod verify;

pub use archive::{Archive, OpenOptions};
pub use backup::BackupOptions;
pub use browse::Browser;
pub use codec::CodecError;
pub use copy::CopyReport;
pub use destination::{Access, Address, CheckReport, Credential, Credentials, Destination, Service, redacted};
pub use device::{DeviceMemory, Head, Receipt};
pub use diff::Difference;
pub use drill::DrillReport;
pub use error::{Damage, DestinationErrorKind, Error};
pub use id::ObjectName;
pub use lock::Lock;
pub use preset::{Counted, Preset, Recognised};
pub use prune::PruneOptions;
pub use read_data::ReadData;
pub use report::{
    BackupReport, IndexReport, Problem, Progress, PruneReport, RestoreReport, SnapshotsReport, VerifyReport, Wait,
};
pub use restore::RestoreOptions;
pub use rotate::{RotateOptions, RotateReport};
pub use rules::{Excluded, Pattern, Rules};
pub use snapshot::{Snapshot, Totals};
pub use tree::{Node, NodeKind, Time};
