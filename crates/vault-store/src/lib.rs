//! Where the vault keeps its records and a site its ledger.
//!
//! [`EmbeddedStore`] is for a vault of one site: one database file, nothing to install. `docs/adr/0011` says why it is
//! redb. Every store passes `coffer_testkit::conformance`.

mod database;
mod embedded;
mod error;
mod ledger;
mod records;
mod writer;

pub use embedded::EmbeddedStore;
pub use error::OpenError;
pub use ledger::EmbeddedLedger;
pub use records::EmbeddedRecords;
