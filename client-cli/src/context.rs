//! What every command is given.

use coffer_archive::{DeviceMemory, OpenOptions};
use coffer_keys::ArchiveId;

use crate::cli::Global;
use crate::error::Error;
use crate::home::Home;
use crate::output::Output;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: Global,
    pub(crate) home: Home,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn new(options: Global, output: Output) -> Result<Self, Error> {
        let home = Home::find(options.home.as_deref())?;
        Ok(Self { options, home, output })
    }

    /// What this device remembers of an archive. It remembers those too that it only restored from: an archive that
    /// was seen once cannot be served older later.
    pub(crate) fn memory(&self, id: ArchiveId) -> Result<DeviceMemory, Error> {
        Ok(DeviceMemory::at(self.home.memory(id))?)
    }

    /// How an archive is to be opened.
    pub(crate) fn open_options(&self, id: ArchiveId) -> Result<OpenOptions, Error> {
        Ok(OpenOptions {
            memory: Some(self.memory(id)?),
            expected: self.options.receipt,
            allow_rollback: self.options.allow_rollback,
            vault_head: None,
        })
    }
}
