//! The Backup Key Vault from the client's side, as typed steps over a [`Transport`]. No files and no terminals: what is to
//! be kept, the caller keeps.
//!
//! ```text
//!  VaultAddress ─► HttpTransport ─► Fleet::fetch ──► Session::new(transport, fleet, token, device key, clock)
//!                                   (FleetMemory)      ├─ status      what the vault has; spends nothing
//!                                                      ├─ register    protects a backup key, or changes its password
//!                                                      │              (Outbox)
//!                                                      ├─ deliver     sends sites that were away what they missed (Outbox)
//!                                                      ├─ retrieve    password ─► backup key (AttemptStore)
//!                                                      ├─ keep        objects to a change
//!                                                      ├─ delete      ends it
//!                                                      └─ head, put_head
//! ```
//!
//! # Whom it believes
//!
//! The vault only for what proves itself: a manifest signed by the roots of the address's fingerprint, and not older
//! than one seen before; a receipt that only the HSM could compute; at a retrieval, a server key that is the manifest's.
//! At a registration it asks the vault nothing: it deals the OPRF key itself (see `coffer_pake`). What cannot be proved
//! (that a password is wrong, that an attempt was spent) is reported and never acted upon beyond that. Of several sites, how
//! many have to say a thing is written at [`Session`].
//!
//! # When the network fails
//!
//! Ids are chosen here and every write may be sent twice, so an unknown outcome is met with the identical request. An
//! attempt is kept by an [`AttemptStore`] before it is sent, and goes on under the same id, at whichever site. What sites that
//! are away have still to be sent is kept by an [`Outbox`] before the registration is activated.
//!
//! # What wiping covers
//!
//! [`Password`], [`Token`], the keys and kept attempts are wiped when they are dropped and print nothing in `Debug`. Not
//! reached are the request bodies inside the HTTP library, in which a token stands, and what `coffer_pake` does not reach.

mod address;
mod attempt;
mod delivering;
mod ending;
mod exchange;
mod fleet;
mod head;
mod http;
mod outbox;
mod password;
mod receipts;
mod register;
mod retrieve;
mod sealed;
mod session;
mod token;
mod transport;
mod ways;

pub use address::{AddressError, VaultAddress};
pub use attempt::{AttemptStore, NothingKept};
pub use delivering::Delivery;
pub use ending::owns;
pub use exchange::RequestError;
pub use fleet::{Fleet, FleetError, FleetMemory};
pub use head::{HeadError, KeptHead};
pub use http::{HttpError, HttpTransport};
pub use outbox::Outbox;
pub use password::{Password, PasswordError};
pub use register::{RegisterError, Registered};
pub use retrieve::{RetrieveError, Retrieved};
pub use sealed::{ClockFn, NoCertificate, SealedTransport, SiteTransport};
pub use session::{Session, shown_public_key};
pub use token::{Token, TokenError};
pub use transport::{MAX_ANSWER, Method, Request, Response, Transport, TransportError};

pub use coffer_pake::Argon2Parameters;
pub use coffer_proto::{
    AccountId, Change, DeletionStatus, FailedAttempt, Fingerprint, FleetId, LiveStatus, LockedStatus, ManifestFault,
    ProblemType, RegistrationId, RegistrationsAnswer, SiteNumber, Time, WaitingStatus,
};
