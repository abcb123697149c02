//! The policy of the Backup Key Vault, and nothing else: no HTTP, no database, no PKCS#11, no clock of its own.
//!
//! ```text
//!  Vault      one method for each route; coordinates the sites
//!    │  commit: transition (pure) ─► compare-and-swap ─► only then
//!    ▼
//!  Site       verifies everything itself; its own count, durable before its HSM evaluates
//!    │
//!    ▼
//!  ports      Hsm · RecordStore · Ledger · Peers · Tokens · Clock
//! ```
//!
//! The guess budget is in [`budget`](VaultRecord::spend) (the fleet's record) and in [`Held`] (each site's ledger): pure
//! functions of a state, with the time as an argument. `tests/model.rs` explores them exhaustively.

mod budget;
mod commit;
mod delivery;
mod error;
mod evaluation;
mod evidence;
mod heights;
mod import;
mod ledger;
mod logins;
mod messages;
mod outside;
mod policy;
mod ports;
mod quorum;
mod receipts;
mod reconcile;
mod record;
mod replicas;
mod retrieval;
mod rows;
mod site;
mod status;
mod succession;
mod sweep;
mod token;
mod vault;
mod world;

pub use budget::{Refill, Refusal, Spend};
pub use error::VaultError;
pub use ledger::{Admission, Evaluation, Held, LedgerRefusal, LedgerSpend, SiteRow, Threat};
pub use messages::{EvaluateRequest, SiteAnswer, SiteKeep, SiteProof, SiteRefusal};
pub use outside::{
    Bearer, Freshness, HsmError, HsmPublicKeys, ImportedShare, LedgerError, LedgerRow, Replaced, SealedShareIn,
    StoreUnavailable, Version, Versioned, WrappedShare,
};
pub use policy::Policy;
pub use ports::{Clock, Hsm, Ledger, Peers, Point, RecordStore, Tokens};
pub use reconcile::{SiteCount, Spent};
pub use record::{
    Activation, Attempt, AttemptState, Carried, Cause, DamagedRecord, Deletion, End, KeptHead, KeptKeep, KeptProof,
    KeptShare, Live, VaultRecord, Waiting,
};
pub use site::Site;
pub use token::AccountToken;
pub use vault::Vault;
pub use world::{Fleet, Ports, World};
