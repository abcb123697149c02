//! Where the vault keeps its records and a site its ledger.
//!
//! [`EmbeddedStore`] is for a vault of one site: one database file, nothing to install. `docs/adr/0011` says why it is
//! redb. [`EtcdRecords`] holds the records of a fleet, replicated over its sites, each of which keeps its ledger in a file
//! of its own; `docs/adr/0015` says how. Every store passes `coffer_testkit::conformance`.

mod database;
mod embedded;
mod error;
mod etcd;
mod ledger;
mod records;
mod writer;

pub use embedded::EmbeddedStore;
pub use error::OpenError;
pub use etcd::{
    CellHealth, EtcdCell, EtcdConfig, EtcdConfigError, EtcdRecords, EtcdTls, EtcdUser, FenceError, SLOTS, slot_of,
};
pub use ledger::EmbeddedLedger;
pub use records::EmbeddedRecords;
