//! The commands: each one its arguments, and what it does with them.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod forget;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod password;
pub(crate) mod protect;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod unlock;
pub(crate) mod vault;
pub(crate) mod verify;
