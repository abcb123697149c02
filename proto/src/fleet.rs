//! The fleet manifest: which sites there are, with which keys. Clients trust the roots that sign it, and nobody else.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::bytes::{Base64Vec, PointBytes, Signature, VerifyingKey};
use crate::framing::frame;
use crate::id::{FleetId, SiteNumber};
use crate::time::Time;

/// What the roots sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetManifest {
    /// Which fleet.
    pub fleet: FleetId,
    /// Grows with every change. A client never goes back.
    pub version: u64,
    /// How many sites an honest retrieval needs.
    pub threshold: u8,
    /// Guesses of a registration.
    pub max_attempts: u8,
    /// OPAQUE's server public key, the same at every site.
    pub ake: PointBytes,
    /// The sites, numbered from 1 in this order.
    pub sites: Vec<SiteEntry>,
    /// Where the records lie. A fleet of one has no cells: its embedded store holds everything.
    pub cells: Vec<Cell>,
    /// When it was signed.
    pub issued_at: Time,
    /// When clients stop to believe it.
    pub not_after: Time,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteEntry {
    /// Its number.
    pub site: SiteNumber,
    /// The HSM's key that shares are sealed to.
    pub share_import: PointBytes,
    /// The HSM's key that certifies the site's daily keys.
    pub site_identity: PointBytes,
}

/// How many slots the records are spread over.
pub const SLOTS: u16 = 4096;

/// One cluster of the record store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its number.
    pub cell: u16,
    /// What stands under the cell's fence key. It changes with each restore and each move of a slot, and every write
    /// compares it.
    pub fence: u64,
    /// What it holds.
    pub slots: Vec<SlotRange>,
}

/// Slots from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRange {
    /// The first.
    pub first: u16,
    /// The last, below [`SLOTS`].
    pub last: u16,
}

/// Who may sign manifests: any `threshold` of these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootSet {
    /// Signatures that are needed.
    pub threshold: u8,
    /// ES256 keys.
    pub keys: Vec<PointBytes>,
}

impl RootSet {
    /// What a client pins.
    pub fn fingerprint(&self) -> Fingerprint {
        let keys: Vec<u8> = self.keys.iter().flat_map(|key| key.0).collect();
        Fingerprint(Sha256::digest(frame([b"coffer/v1/roots".as_slice(), &[self.threshold], &keys])).into())
    }
}

/// SHA-256 of a [`RootSet`], 64 hexadecimal digits: whoever knows it needs no other introduction to a vault.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Fingerprint {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// A manifest as it is handed round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedManifest {
    /// The JSON text of a [`FleetManifest`], exactly as it was signed.
    pub manifest: Base64Vec<65536>,
    /// Who may sign.
    pub roots: RootSet,
    /// Who did.
    pub signatures: Vec<RootSignature>,
    /// Who might sign before, the oldest first: each set has signed for the next, the last one for `roots`.
    pub successions: Vec<RootSuccession>,
}

/// A set of roots that has handed over to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootSuccession {
    /// The earlier set.
    pub roots: RootSet,
    /// Its signatures over the fingerprints of both.
    pub signatures: Vec<RootSignature>,
}

/// One root's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootSignature {
    /// Which of the keys.
    pub key: PointBytes,
    /// ES256.
    pub signature: Signature,
}

/// A site's daily keys, vouched for by its HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteCertificate {
    /// Whose.
    pub site: SiteNumber,
    /// Ed25519: signs receipts.
    pub receipt_key: VerifyingKey,
    /// P-256: requests are sealed to it.
    pub transport_key: PointBytes,
    /// From when.
    pub not_before: Time,
    /// Until when.
    pub not_after: Time,
    /// ES256 by the site's identity key.
    pub signature: Signature,
}

/// How far a site's ledger has got, in its own word. Other sites remember the highest, so that a site that starts from an
/// old copy of its disk finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerHeight {
    /// Whose.
    pub site: SiteNumber,
    /// No row that it had written was numbered higher.
    pub number: u64,
    /// When.
    pub at: Time,
    /// By its receipt key.
    pub signature: Signature,
    /// Who vouches for the receipt key.
    pub certificate: SiteCertificate,
}

/// `GET /v1/fleet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetAnswer {
    /// The manifest and its signatures.
    pub manifest: SignedManifest,
    /// The daily keys of the sites, as far as this one knows them.
    pub certificates: Vec<SiteCertificate>,
    /// Everything but this is taken inside the seal alone, because a gateway stands in front.
    #[serde(default)]
    pub sealed_only: bool,
}
