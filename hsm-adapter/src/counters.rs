//! What the token was asked to do.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often the token did what, since the adapter was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    /// Shares that were unwrapped from their dealer's seal, whether they were then the expected ones or not.
    pub imports: u64,
    /// Products of a share and a client's element: each is a guess.
    pub evaluations: u64,
    /// Products of `ake` and a client's ephemeral key.
    pub agreements: u64,
    /// MACs of the ledger.
    pub macs: u64,
    /// Signatures by `site-identity` and `fleet-root`.
    pub signatures: u64,
    /// Connections to the token: one at the start, and one for each time that it had to be found again.
    pub connections: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) imports: Counter,
    pub(crate) evaluations: Counter,
    pub(crate) agreements: Counter,
    pub(crate) macs: Counter,
    pub(crate) signatures: Counter,
    pub(crate) connections: Counter,
}

impl Counters {
    pub(crate) fn read(&self) -> Operations {
        Operations {
            imports: self.imports.read(),
            evaluations: self.evaluations.read(),
            agreements: self.agreements.read(),
            macs: self.macs.read(),
            signatures: self.signatures.read(),
            connections: self.connections.read(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
