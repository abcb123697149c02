//! The archive head: the newest snapshot, as its owner last knew it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bytes::{Base64Vec, Signature};

/// What the vault keeps of an archive for its owner's next device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveHead {
    /// Counts the heads of an account, from 1.
    pub number: u64,
    /// Sealed under the archive's own key: the vault cannot read it.
    pub sealed: Base64Vec<1024>,
    /// By the owner key.
    pub signature: Signature,
}
