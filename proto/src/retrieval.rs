//! Getting a key back: an attempt and its proof.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bytes::{Base64, Base64Vec, Nonce, Signature};
use crate::id::{RegistrationId, SiteNumber};
use crate::time::Time;

/// Bytes of OPAQUE's KE1 in this suite (RFC 9807, section 6.1).
pub const KE1_LEN: usize = 98;
/// Bytes of KE2.
pub const KE2_LEN: usize = 259;
/// Bytes of KE3.
pub const KE3_LEN: usize = 32;
/// Bytes of a RegistrationUpload.
pub const UPLOAD_LEN: usize = 129;

/// `PUT /v1/retrievals/{id}`: spends one attempt, once for each id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrievalRequest {
    /// The live registration.
    pub registration: RegistrationId,
    /// [`next_attempt`](crate::LiveStatus::next_attempt), as it was when the attempt was made.
    pub number: u64,
    /// OPAQUE's first message.
    pub ke1: Base64<{ KE1_LEN }>,
    /// By the device key that the token names.
    pub device_signature: Signature,
}

/// A site's newest mark on an evaluation: a proof that signs it forgives what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteNonce {
    /// Whose.
    pub site: SiteNumber,
    /// The mark.
    pub nonce: Nonce,
}

/// The answer to a [`RetrievalRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrievalAnswer {
    /// OPAQUE's second message.
    pub ke2: Base64<{ KE2_LEN }>,
    /// Attempts that are left if this one is not proved.
    pub attempts_remaining: u8,
    /// What the proof has to sign, one for each site that answered, in the order of their numbers.
    pub nonces: Vec<SiteNonce>,
    /// Only as many sites answered as are needed, so that a faulty one could not be told from a wrong password.
    pub unchecked: bool,
    /// Until when the attempt can be proved.
    pub open_until: Time,
}

/// `PUT /v1/retrievals/{id}/proof`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofRequest {
    /// OPAQUE's third message.
    pub ke3: Base64<{ KE3_LEN }>,
    /// As they came.
    pub nonces: Vec<SiteNonce>,
    /// By the registration's unlock key, over the attempt and the nonces.
    pub unlock_signature: Signature,
}

/// The answer to a [`ProofRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofAnswer {
    /// For the export key to unwrap.
    pub wrapped_backup_key: Base64Vec<128>,
    /// Attempts that are left now.
    pub attempts_remaining: u8,
}
