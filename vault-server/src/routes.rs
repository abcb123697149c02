//! The handlers, one file for each noun. Each does three things: it reads, asks the vault, and answers.

pub(crate) mod archive_head;
pub(crate) mod fleet;
pub(crate) mod registrations;
pub(crate) mod retrievals;
pub(crate) mod sealed;
