//! Escrowing a key: a registration, its sealed shares, receipts, activation, and its end.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::bytes::{Base64, Base64Vec, Hash, PointBytes, Signature, VerifyingKey};
use crate::fleet::SiteCertificate;
use crate::framing::frame;
use crate::id::{DeletionId, RegistrationId, SiteNumber};
use crate::retrieval::UPLOAD_LEN;
use crate::time::Time;

/// Argon2id (RFC 9106) as the client ran it when it registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Argon2 {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// All that the vault keeps of an escrowed key but the shares themselves. Immutable, and signed by its own unlock key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Its name.
    pub id: RegistrationId,
    /// The fleet manifest that the shares were dealt under.
    pub manifest_version: u64,
    /// How the password was stretched.
    pub argon2: Argon2,
    /// Feldman's commitments to the dealer's polynomial: one for each site that a retrieval needs.
    pub commitments: Vec<PointBytes>,
    /// SHA-256 of each site's sealed share, in the order of their numbers.
    pub sealed_share_hashes: Vec<Hash>,
    /// Proves a right password.
    pub unlock_key: VerifyingKey,
    /// Belongs to whoever has the backup key.
    pub owner_key: VerifyingKey,
    /// OPAQUE's RegistrationUpload (RFC 9807, section 5.1).
    pub upload: Base64<{ UPLOAD_LEN }>,
    /// The backup key, wrapped under OPAQUE's export key.
    pub wrapped_backup_key: Base64Vec<128>,
}

impl Registration {
    /// Names every field. What is signed and certified is this hash.
    pub fn hash(&self) -> Hash {
        let argon2 = [self.argon2.memory_kib, self.argon2.passes, self.argon2.lanes].map(u32::to_be_bytes);
        let commitments = concat(&self.commitments);
        let shares = concat(&self.sealed_share_hashes);
        let fields: [&[u8]; 10] = [
            b"coffer/v1/registration",
            self.id.as_bytes(),
            &self.manifest_version.to_be_bytes(),
            argon2.as_flattened(),
            &commitments,
            &shares,
            &self.unlock_key.0,
            &self.owner_key.0,
            &self.upload.0,
            self.wrapped_backup_key.as_bytes(),
        ];
        Base64(Sha256::digest(frame(fields)).into())
    }

    /// Names the commitments alone, for the context of a share.
    pub fn commitments_hash(&self) -> Hash {
        Base64(Sha256::digest(concat(&self.commitments)).into())
    }
}

fn concat<const N: usize>(items: &[Base64<N>]) -> Vec<u8> {
    items.iter().flat_map(|item| item.0).collect()
}

/// One site's share, for its HSM alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedShare {
    /// E, the client's ephemeral point.
    pub ephemeral: PointBytes,
    /// PKCS#8 of the share under AES key wrap with padding.
    pub wrapped: Base64Vec<256>,
}

impl SealedShare {
    /// What the registration names of it.
    pub fn hash(&self) -> Hash {
        Base64(Sha256::digest(frame([self.ephemeral.0.as_slice(), self.wrapped.as_bytes()])).into())
    }
}

/// `PUT /v1/registrations/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRequest {
    /// What is registered; its id is that of the path.
    pub registration: Registration,
    /// This site's share.
    pub sealed_share: SealedShare,
    /// By the registration's own unlock key.
    pub unlock_signature: Signature,
    /// By the device key that the token names.
    pub device_signature: Signature,
}

/// A site's word that its HSM holds a share, and the proof of it: `point` can be computed only with the share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Who says so.
    pub site: SiteNumber,
    /// `k_i · P`, where P is the context hashed to the curve.
    pub point: PointBytes,
    /// The site's ledger stood here when it stored the share.
    pub ledger_number: u64,
    /// When.
    pub at: Time,
    /// By the receipt key.
    pub signature: Signature,
    /// Who vouches for the receipt key.
    pub certificate: SiteCertificate,
}

/// Which of the live registration's keys signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Whoever knows the password.
    Unlock,
    /// Whoever has the backup key.
    Owner,
}

/// A signature by one of the live registration's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Which key.
    pub role: KeyRole,
    /// Its signature.
    pub signature: Signature,
}

/// `PUT /v1/registrations/{id}/activation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivationRequest {
    /// The registration that is live now and is to be replaced, if there is one.
    pub replaces: Option<RegistrationId>,
    /// At least one more than a retrieval needs, where the fleet has that many sites.
    pub receipts: Vec<Receipt>,
    /// By the device key that the token names.
    pub device_signature: Signature,
    /// By a key of the registration that is replaced: it is then replaced at once.
    pub authorization: Option<Authorization>,
}

/// What became of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Activated {
    /// It is live.
    Live,
    /// Another one is live, and none of its keys signed: it takes over at `live_at`, unless the other's owner objects.
    Waiting {
        /// When it takes over.
        live_at: Time,
    },
}

/// What ends a registration without one of its keys, if nobody who has them objects in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Another registration is to take its place.
    Successor(RegistrationId),
    /// It is to be deleted.
    Deletion(DeletionId),
}

/// `PUT /v1/registrations/{id}/keep`: the id is that of the live registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRequest {
    /// What is refused, for ever.
    pub against: Change,
    /// By a key of the live one.
    pub authorization: Authorization,
}

/// `DELETE /v1/registrations/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionRequest {
    /// Its own name, chosen at random.
    pub deletion: DeletionId,
    /// By the device key that the token names.
    pub device_signature: Signature,
    /// By a key of the registration: it is then deleted at once, otherwise after the waiting time.
    pub authorization: Option<Authorization>,
}

/// The answer to a [`DeletionRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionAnswer {
    /// When it is, or was, due: with a signature by one of its keys, at once.
    pub due_at: Time,
}
