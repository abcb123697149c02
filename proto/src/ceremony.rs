//! What goes from an HSM to the ceremony and back: a card of its public keys, and the keys that are sealed to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::{Base64Vec, PointBytes, Signature};
use crate::fleet::{RootSet, RootSignature};
use crate::id::{FleetId, SiteNumber};

/// An HSM, as it introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteCard {
    /// Keys and shares are sealed to this one.
    pub share_import: PointBytes,
    /// This one certifies the site's daily keys.
    pub site_identity: PointBytes,
    /// ES256 by `site_identity`.
    pub signature: Signature,
}

/// A key that the ceremony makes. What an HSM makes for itself never leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyName {
    /// OPAQUE's server key, the fleet's.
    Ake,
    /// Wraps the site's shares.
    ShareKek,
    /// Authenticates the rows of the site's ledger.
    LedgerMac,
}

impl KeyName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ake, Self::ShareKek, Self::LedgerMac];

    /// As HSMs know the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ake => "ake",
            Self::ShareKek => "share-kek",
            Self::LedgerMac => "ledger-mac",
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key that one HSM alone can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    /// Which.
    pub key: KeyName,
    /// E = e·G.
    pub ephemeral: PointBytes,
    /// The key itself, or its PKCS#8, wrapped (RFC 5649).
    pub wrapped: Base64Vec<256>,
}

/// The keys of one site, for one HSM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteKeys {
    /// Which fleet.
    pub fleet: FleetId,
    /// Which site.
    pub site: SiteNumber,
    /// Whose HSM: the site's own, or its spare.
    pub card: SiteCard,
    /// The public half of the fleet's `ake`.
    pub ake: PointBytes,
    /// Each [`KeyName`] once.
    pub keys: Vec<SealedKey>,
}

/// Keys of a site as they are carried there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedSiteKeys {
    /// The JSON text of [`SiteKeys`], exactly as it was signed.
    pub site_keys: Base64Vec<16384>,
    /// Who may sign.
    pub roots: RootSet,
    /// Who did.
    pub signatures: Vec<RootSignature>,
}
