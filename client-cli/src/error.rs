//! Everything that can end a command, and what the person can do about it.

mod archive;
mod hint;
mod vault;

pub(crate) use vault::VaultError;

use std::io;
use std::path::PathBuf;

use coffer_archive::{Error as ArchiveError, Receipt};
use coffer_keys::{ArchiveId, RecoveryKeyError, Typo};

use crate::exit::Exit;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("this recovery key does not open the archive")]
    WrongRecoveryKey { typo: Option<Typo> },
    #[error("{origin} is not a recovery key: {why}")]
    NotARecoveryKey { origin: String, why: RecoveryKeyError },
    #[error("this device holds no key for the archive at {url}")]
    NoKey { url: String },
    #[error("the 64 digits are needed, and none came")]
    NoDigits,
    #[error("this device's key is missing from {place}")]
    KeyMissing { place: String },
    #[error("{place} does not hold a key: {why}")]
    KeyBroken { place: String, why: RecoveryKeyError },
    #[error("others on this machine may read the key in {} (mode {mode:03o})", path.display())]
    KeyReadableByOthers { path: PathBuf, mode: u32 },
    #[error("{} holds a key, and no configuration says of which archive", path.display())]
    KeyLeftBehind { path: PathBuf },
    #[error("the platform's key store cannot be used: {reason}")]
    PlatformStore { reason: String },
    #[error("no archive is set up in {}", home.display())]
    NoArchiveConfigured { home: PathBuf },
    #[error("this device has an archive already: {url}")]
    AlreadySetUp { url: String, home: PathBuf },
    #[error("another archive lies at {url}: {found} instead of {expected}")]
    OtherArchive { url: String, found: ArchiveId, expected: ArchiveId },
    #[error("there is no archive at {url}")]
    ArchiveGone { url: String },
    #[error("the archive's address is empty")]
    NoAddress,
    #[error("{address} cannot be used as a destination: {why}")]
    NotAFolder { address: String, why: &'static str },
    #[error("the archive holds no snapshot with the receipt {receipt}; its newest is {newest}")]
    ReceiptUnknown { receipt: Receipt, newest: Receipt },
    #[error("no snapshot of the archive is whole: {first}")]
    NoSnapshotWhole { first: ArchiveError },
    #[error("there is no lock {which}, or there are several")]
    NoSuchLock { which: String },
    #[error("others on this machine may read the credentials in {} (mode {mode:03o})", path.display())]
    CredentialsReadableByOthers { path: PathBuf, mode: u32 },
    #[error("cannot use the credentials in {place}: {why}")]
    CredentialsBroken { place: String, why: String },
    #[error("the environment has {given}, but {missing} is missing there")]
    CredentialsInHalf { given: String, missing: String },
    #[error("{} is not a folder", path.display())]
    TargetNotAFolder { path: PathBuf },
    #[error("{} lies in the archive itself", path.display())]
    TargetInArchive { path: PathBuf },
    #[error("cannot use {}: {why}", path.display())]
    ConfigBroken { path: PathBuf, why: String },
    #[error("{} has version {found}; this program reads up to version {supported}", path.display())]
    ConfigTooNew { path: PathBuf, found: u32, supported: u32 },
    #[error("cannot use {}: {why}", path.display())]
    ProfilesBroken { path: PathBuf, why: String },
    #[error("{url} is the archive itself")]
    CopyOntoItself { url: String },
    #[error("the key is rotated where this device's archive is, at {own}, and not at {url}")]
    RotatedElsewhere { url: String, own: String },
    #[error("there is no profile {name}")]
    NoSuchProfile { name: String, known: Vec<String> },
    #[error("there is a profile {name} already")]
    ProfileExists { name: String },
    #[error("the hook {hook} ({}) {how}", path.display())]
    HookFailed { hook: &'static str, path: PathBuf, how: String },
    #[error("cannot tell where this platform keeps a program's data")]
    NoHome,
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
}

impl Error {
    /// The same error on a device that has an archive: if that one is not found, making another is no remedy.
    pub(crate) fn of_known_archive(self) -> Self {
        match self {
            Self::Archive(ArchiveError::NoArchive { url }) => Self::ArchiveGone { url },
            other => other,
        }
    }

    /// The name of this error for programs. Like the exit code, it stays what it is.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Archive(error) => archive::kind(error),
            Self::Vault(error) => error.kind(),
            Self::WrongRecoveryKey { .. } => "wrong-key",
            Self::NotARecoveryKey { .. } => "not-a-recovery-key",
            Self::NoKey { .. } => "no-key",
            Self::NoDigits => "no-recovery-key",
            Self::KeyMissing { .. } => "key-missing",
            Self::KeyBroken { .. } => "key-broken",
            Self::KeyReadableByOthers { .. } => "key-readable-by-others",
            Self::KeyLeftBehind { .. } => "key-left-behind",
            Self::PlatformStore { .. } => "platform-key-store",
            Self::NoArchiveConfigured { .. } => "not-set-up",
            Self::AlreadySetUp { .. } => "already-set-up",
            Self::OtherArchive { .. } => "other-archive",
            Self::ArchiveGone { .. } => "no-archive",
            Self::NoAddress | Self::NotAFolder { .. } => "bad-url",
            Self::ReceiptUnknown { .. } => "rolled-back",
            Self::NoSuchLock { .. } => "no-such-lock",
            Self::NoSnapshotWhole { .. } => "damaged",
            Self::CredentialsReadableByOthers { .. } => "credentials-readable-by-others",
            Self::CredentialsBroken { .. } => "credentials",
            Self::CredentialsInHalf { .. } => "no-credentials",
            Self::TargetNotAFolder { .. } => "target",
            Self::TargetInArchive { .. } => "target-in-archive",
            Self::ConfigBroken { .. } => "configuration",
            Self::ConfigTooNew { .. } => "configuration-too-new",
            Self::ProfilesBroken { .. } => "profiles",
            Self::CopyOntoItself { .. } => "copy-onto-itself",
            Self::RotatedElsewhere { .. } => "rotated-elsewhere",
            Self::NoSuchProfile { .. } => "no-such-profile",
            Self::ProfileExists { .. } => "profile-exists",
            Self::HookFailed { .. } => "hook-failed",
            Self::NoHome => "no-home",
            Self::File { .. } => "file",
            Self::Output(_) => "output",
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Archive(error) => archive::exit(error),
            Self::Vault(error) => error.exit(),
            Self::WrongRecoveryKey { .. }
            | Self::NotARecoveryKey { .. }
            | Self::NoKey { .. }
            | Self::KeyMissing { .. }
            | Self::KeyBroken { .. } => Exit::WrongKey,
            Self::NoArchiveConfigured { .. } | Self::OtherArchive { .. } | Self::ArchiveGone { .. } => Exit::NoArchive,
            Self::NoAddress
            | Self::NoDigits
            | Self::NotAFolder { .. }
            | Self::TargetInArchive { .. }
            | Self::CopyOntoItself { .. }
            | Self::RotatedElsewhere { .. }
            | Self::NoSuchProfile { .. }
            | Self::ProfileExists { .. } => Exit::Usage,
            Self::HookFailed { .. } => Exit::HookFailed,
            Self::ReceiptUnknown { .. } => Exit::RolledBack,
            Self::NoSuchLock { .. } => Exit::NotFound,
            Self::NoSnapshotWhole { .. } => Exit::Damaged,
            Self::AlreadySetUp { .. } => Exit::ArchiveExists,
            Self::ConfigTooNew { .. } => Exit::TooNew,
            // `coffer ls | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::CredentialsReadableByOthers { .. }
            | Self::CredentialsBroken { .. }
            | Self::CredentialsInHalf { .. } => Exit::NoCredentials,
            Self::KeyReadableByOthers { .. }
            | Self::KeyLeftBehind { .. }
            | Self::PlatformStore { .. }
            | Self::ConfigBroken { .. }
            | Self::ProfilesBroken { .. }
            | Self::NoHome
            | Self::TargetNotAFolder { .. }
            | Self::File { .. }
            | Self::Output(_) => Exit::Failed,
        }
    }

    /// Whether a person at a prompt may try again at once.
    pub(crate) const fn is_slip_of_password(&self) -> bool {
        matches!(self, Self::Vault(VaultError::Password(_) | VaultError::PasswordsDiffer | VaultError::Hopeless { .. }))
    }

    /// Whether nobody is to hear of it: who closed the pipe knows.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next, in one sentence, if there is anything to be said.
    pub(crate) fn hint(&self) -> Option<String> {
        hint::of(self)
    }
}
