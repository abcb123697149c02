//! The words that the vault and its clients both speak: ids, requests, answers, problems, and the exact bytes that are
//! signed. No I/O and no cryptography but SHA-256: whoever signs or verifies takes its messages from here, so that both
//! sides mean the same bytes.
//!
//! On the wire everything is JSON: bytes as base64url without padding, ids as 32 hexadecimal digits, times as RFC 3339
//! in UTC. `docs/api-design.md` states the conventions; `openapi.json` beside this crate is generated from the types.

mod account;
mod bytes;
mod ceremony;
mod fleet;
mod framing;
mod head;
mod id;
mod manifest;
mod problem;
mod registration;
mod retrieval;
mod schema;
mod sealed;
mod signed;
mod status;
mod time;
mod trust;

pub use account::{AccountError, AccountId};
pub use bytes::{Base64, Base64Error, Base64Vec, Hash, Nonce, PointBytes, Signature, VerifyingKey};
pub use ceremony::{KeyName, SealedKey, SignedSiteKeys, SiteCard, SiteKeys};
pub use fleet::{
    Cell, Fingerprint, FleetAnswer, FleetManifest, LedgerHeight, RootSet, RootSignature, RootSuccession, SLOTS,
    SignedManifest, SiteCertificate, SiteEntry, SlotRange,
};
pub use framing::frame;
pub use head::ArchiveHead;
pub use id::{AttemptId, DeletionId, FleetId, IdError, RegistrationId, RouteId, SiteNumber, TransportKeyId};
pub use manifest::{ManifestFault, VALID_FOR};
pub use problem::{Problem, ProblemType};
pub use registration::{
    Activated, ActivationRequest, Argon2, Authorization, Change, DeletionAnswer, DeletionRequest, KeepRequest, KeyRole,
    Receipt, Registration, RegistrationRequest, SealedShare,
};
pub use retrieval::{
    KE1_LEN, KE2_LEN, KE3_LEN, ProofAnswer, ProofRequest, RetrievalAnswer, RetrievalRequest, SiteNonce, UPLOAD_LEN,
};
pub use sealed::{
    MAX_SEALED_ANSWER, MAX_SEALED_REQUEST, RouteError, RouteTemplate, SealedAnswer, SealedMethod, SealedRequest,
};
pub use signed::{
    ShareContext, activation_message, attempt_message, certificate_message, client_identity, deletion_message,
    escrow_context, head_message, height_message, keep_message, manifest_message, oprf_context, proof_message,
    receipt_message, registration_message, root_succession_message, site_card_message, site_key_context,
    site_keys_message, transcript_message,
};
pub use status::{DeletionStatus, FailedAttempt, LiveStatus, LockedStatus, RegistrationsAnswer, WaitingStatus};
pub use time::{Time, TimeError};
pub use trust::{Es256, ROOTS_AT_MOST, SUCCESSIONS_AT_MOST, TrustError};
