//! What can go wrong, in terms of what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::codec::CodecError;
use crate::destination::Service;
use crate::device::Receipt;
use crate::lock::Lock;

/// An operation on an archive failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key opens none of the archive's key slots.
    #[error("this key does not open the archive")]
    WrongKey,
    /// A stored object is not what was written: flipped, cut, moved or replaced.
    #[error("{object} is damaged: {why}")]
    Damaged {
        /// Its path below the archive's root.
        object: String,
        /// What gave it away.
        why: Damage,
    },
    /// There is no archive at that address.
    #[error("there is no archive at {url}")]
    NoArchive {
        /// The address, without credentials.
        url: String,
    },
    /// There is an archive at that address already.
    #[error("there is already an archive at {url}")]
    ArchiveExists {
        /// The address, without credentials.
        url: String,
    },
    /// A new archive was to be made in a folder that holds something else.
    #[error("{url} is not empty")]
    NotEmpty {
        /// The address, without credentials.
        url: String,
    },
    /// The rest of an archive is there, but not the header that opens it.
    #[error("coffer.json is missing from the archive at {url}")]
    HeaderMissing {
        /// The address, without credentials.
        url: String,
    },
    /// A later version of the program wrote this.
    #[error("{object} has format version {found}; this program reads up to version {supported}")]
    FormatTooNew {
        /// Its path below the archive's root.
        object: String,
        /// The version it names.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// The archive lacks the newest snapshot that this device (or the vault, or the receipt) remembers.
    #[error("the archive has been rolled back: it lacks snapshot {remembered}{}", shown_newest(.newest))]
    Rollback {
        /// The newest snapshot that is known to have existed.
        remembered: Receipt,
        /// The newest one that is there now.
        newest: Option<Receipt>,
    },
    /// The head that the vault keeps was not sealed for this archive, or was changed. Ask another site of the vault; if
    /// the account's last backup went to another archive, the head is that one's.
    #[error("what the vault keeps of the newest snapshots does not belong to this archive: {why}")]
    VaultHead {
        /// What gave it away.
        why: Damage,
    },
    /// The storage provider failed.
    #[error("cannot {action} {object}: {reason}")]
    Destination {
        /// What a caller can do about it.
        kind: DestinationErrorKind,
        /// "read", "write", "list" …
        action: &'static str,
        /// The object or folder concerned.
        object: String,
        /// What the provider said.
        reason: String,
    },
    /// An address that names no destination this build can use.
    #[error("{url} cannot be used as a destination: {why}")]
    BadUrl {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A password or a key stands in an address, where every process could read it.
    #[error("{url} has a secret in it; an address must have none")]
    SecretInUrl {
        /// The address without it.
        url: String,
    },
    /// The service asks for credentials that were not given.
    #[error("{url} cannot be used without credentials: {missing}")]
    NoCredentials {
        /// The address.
        url: String,
        /// The kind of storage.
        service: Service,
        /// The names of what is missing.
        missing: String,
    },
    /// A path to back up cannot be read at all.
    #[error("cannot read {}: {source}", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The paths given to back up do not make sense.
    #[error("{0}")]
    BadSource(String),
    /// Two snapshots have nothing to be compared.
    #[error("the snapshots are of different folders: {} and {}", one.display(), other.display())]
    Incomparable {
        /// The folder that the sources of one lie in.
        one: PathBuf,
        /// And of the other.
        other: PathBuf,
    },
    /// A copy of before the key was rotated holds snapshots that are not where it is to be copied from.
    #[error("the copy at {url} is of before the key was rotated, and keeps snapshots that were forgotten here")]
    CopyKeepsMore {
        /// The address, without credentials.
        url: String,
    },
    /// Another archive lies where one was to be copied to, or another copy of it with other key slots.
    #[error("another archive lies at {url}")]
    OtherArchive {
        /// The address, without credentials.
        url: String,
    },
    /// Packs that a copy would count on are about to be removed where it goes.
    #[error("a prune of {url} has not come to its end")]
    Doomed {
        /// The address, without credentials.
        url: String,
    },
    /// What a preset was asked to take is none of its files.
    #[error("{} is not {preset}: {why}", path.display())]
    NotRecognised {
        /// The path that was named.
        path: PathBuf,
        /// What was expected there.
        preset: &'static str,
        /// What is missing.
        why: String,
    },
    /// A rule about what to leave out makes no sense.
    #[error("{rule} is no rule: {why}")]
    BadRule {
        /// The rule as it was given.
        rule: String,
        /// What is wrong with it.
        why: String,
    },
    /// The folder to restore into cannot be used.
    #[error("cannot write {}: {source}", path.display())]
    Target {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The archive holds no snapshot yet.
    #[error("the archive holds no snapshot yet")]
    NoSnapshot,
    /// No snapshot, or more than one, goes by that name.
    #[error("{0}")]
    NoSuchSnapshot(String),
    /// The snapshot holds no such path.
    #[error("the snapshot holds no {}", path.display())]
    NotInSnapshot {
        /// The path asked for.
        path: PathBuf,
    },
    /// A snapshot that is not to be forgotten, as none follows it: without it an older archive could be served.
    #[error("snapshot {number} cannot be forgotten: no other follows it")]
    Newest {
        /// Its sequence number.
        number: u64,
    },
    /// A part of a snapshot's tree cannot be read, so that nobody can tell what it needs.
    #[error("what snapshot {number} needs cannot be told: {why}")]
    Unreadable {
        /// Its sequence number.
        number: u64,
        /// What cannot be read.
        why: String,
    },
    /// Another run works on the archive, or was interrupted while it did.
    #[error("{} on {} (process {}) works on the archive, or was interrupted", .0.operation, .0.host, .0.pid)]
    Busy(Box<Lock>),
    /// Others kept removing what this run counted on, or took its lock away.
    #[error("the archive was pruned while this ran, again and again")]
    Disturbed,
    /// The archive's key is being rotated: until that has come to its end nothing else is written.
    #[error("the archive's key is being rotated, and that has not come to its end")]
    Rotating,
    /// The archive's key was rotated while this ran: what it wrote is not to be counted on.
    #[error("the archive's key was rotated while this ran")]
    Rotated,
    /// The header is one of before a rotation that this device has seen.
    #[error("the archive's header has been rolled back: it is one of before the key was rotated")]
    OldHeader,
    /// The device's own memory cannot be read or written.
    #[error("cannot use the device's state at {}: {source}", path.display())]
    Device {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Randomness,
}

fn shown_newest(newest: &Option<Receipt>) -> String {
    newest.as_ref().map_or_else(|| ", and every other".to_owned(), |newest| format!("; its newest is {newest}"))
}

/// What a caller can do about a storage provider's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationErrorKind {
    /// It went away, or refuses for now: try again.
    Unavailable,
    /// No space, or the quota is used up.
    Full,
    /// Read-only, or not permitted.
    Refused,
    /// The object is not there.
    NotFound,
    /// Another object is there under this name.
    Exists,
    /// Anything else.
    Other,
}

/// How an object was found to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It ends too early.
    #[error("it is cut short")]
    Truncated,
    /// The disk it lies on cannot read it.
    #[error("the disk cannot read it")]
    Unreadable,
    /// It is longer than any object of its kind.
    #[error("it is longer than any such object")]
    TooLarge,
    /// Its clear prefix is not Coffer's, or of another kind of object.
    #[error("its beginning is not that of such an object")]
    NotOfThisKind,
    /// Its key commitment is not the one that this archive's keys and its name give.
    #[error("its key commitment does not fit: it is of another archive, or was changed")]
    Commitment,
    /// An authentication tag does not fit.
    #[error("its authentication tag does not fit: it was changed, moved or replaced")]
    Tag,
    /// It decompresses to something other than what was written.
    #[error("its compressed data are broken")]
    Compression,
    /// A chunk's content does not have the chunk's id.
    #[error("a chunk's content does not fit its id")]
    ChunkId,
    /// No index and no pack names a chunk that is needed.
    #[error("a chunk of it is in no pack")]
    ChunkMissing,
    /// The predecessor that it names is not in the archive.
    #[error("the snapshot before it is missing")]
    PreviousMissing,
    /// Its checksum does not fit its content.
    #[error("its checksum does not fit its content")]
    Checksum,
    /// It was sealed in an epoch whose key was given up.
    #[error("it is sealed under a key that was given up")]
    OlderEpoch,
    /// It was sealed in an epoch that the archive's header does not speak of yet.
    #[error("it is sealed under a newer key")]
    NewerEpoch,
    /// It contradicts another object that is whole.
    #[error("it contradicts the rest of the archive")]
    Contradiction,
    /// Authentic, but not in the encoding that the format prescribes.
    #[error("its encoding is wrong: {0}")]
    Encoding(CodecError),
}

impl Error {
    pub(crate) fn damaged(object: impl Into<String>, why: impl Into<Damage>) -> Self {
        Self::Damaged { object: object.into(), why: why.into() }
    }

    /// Whether an object is of an epoch that the key does not lead to: none that counts.
    pub(crate) const fn is_of_other_epoch(&self) -> bool {
        matches!(self, Self::Damaged { why: Damage::OlderEpoch | Damage::NewerEpoch, .. })
    }

    /// Whether an object is simply not there.
    pub(crate) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Destination { kind: DestinationErrorKind::NotFound, .. })
    }

    /// Whether one stored object cannot be used: damaged, missing, or of a later version; as opposed to out of reach.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::FormatTooNew { .. }
                | Self::Destination { kind: DestinationErrorKind::NotFound, .. }
        )
    }
}

impl From<CodecError> for Damage {
    fn from(error: CodecError) -> Self {
        Self::Encoding(error)
    }
}

impl From<coffer_keys::RandomnessError> for Error {
    fn from(_: coffer_keys::RandomnessError) -> Self {
        Self::Randomness
    }
}
