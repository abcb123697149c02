//! The attempt that is under way, in a file of the home.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io::Read as _;

use coffer_vault_client::AttemptStore;
use zeroize::Zeroizing;

use crate::home::Home;

/// More bytes than an attempt has.
const LONGEST: u64 = 1024;

/// Readable by its owner only, like the key.
#[derive(Debug)]
pub(super) struct AttemptFile<'a>(pub(super) &'a Home);

impl AttemptStore for AttemptFile<'_> {
    fn load(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let mut attempt = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
        File::open(self.0.attempt_file()).ok()?.take(LONGEST).read_to_end(&mut attempt).ok()?;
        Some(attempt)
    }

    fn keep(&mut self, attempt: &[u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.write(&self.0.attempt_file(), attempt).map_err(|error| error.to_string().into())
    }

    fn forget(&mut self) {
        // One that stays behind is of no use to anybody: it is closed.
        let _ = fs::remove_file(self.0.attempt_file());
    }
}
