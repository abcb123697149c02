//! The commands: each one its arguments, and what it does with them.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod drill;
pub(crate) mod forget;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
#[cfg(all(target_os = "linux", feature = "mount"))]
pub(crate) mod mount;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod protect;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod schedule;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod unlock;
pub(crate) mod vault;
pub(crate) mod verify;
