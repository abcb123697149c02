//! The keys of an archive and of its owner, and nothing else: no files, no network, no clock.
//!
//! Everything that a backup's secrecy rests on is derived here, so that a reviewer reads one small crate. A function
//! named `derive_*` is deterministic, one named `generate` draws from the operating system, and one named `expose_*`
//! hands out secret bytes: search for that word to see who does.
//!
//! # The key tree
//!
//! ```text
//!  BackupKey (random, 256 bits)  ◄──►  RecoveryKey (the same, as 64 digits for paper)
//!      │
//!      ├──► owner key      HKDF(no salt, info = "coffer/v1/owner"): one for an account, whatever its archives
//!      │
//!      │ HKDF(salt = archive id, info = "coffer/v1/slot" ‖ slot id ‖ epoch)
//!      ├──► check          stored in the slot: a wrong key is refused by name
//!      └──► wrapping key   used once
//!               │ AES-256-GCM unwraps
//!               ▼
//!  DataKey (random, 256 bits, one for each epoch of an archive)
//!      │
//!      │ HKDF(salt = archive id, info = "coffer/v1/<purpose>")
//!      ├──► chunk-id   ChunkIdKey    keyed BLAKE3 over a chunk's plaintext
//!      ├──► chunker    ChunkerKey ─ HKDF-Expand("coffer/v1/gear") ─► 256 words that place the cut points
//!      ├──► commit     CommitKey     HMAC-SHA256 over what stands in the clear
//!      ├──► pack       ObjectKey ┐
//!      ├──► index      ObjectKey │
//!      ├──► snapshot   ObjectKey │  HKDF-Expand("coffer/v1/object" ‖ the object's salt ‖ its type ‖ archive id)
//!      ├──► lock       ObjectKey ├─────► SealingKey: the AES-256-GCM key of one object, and its commitment
//!      ├──► head       ObjectKey │
//!      └──► carried    ObjectKey ┘
//!
//!  ExportKey (what OPAQUE makes of the right password; new with each registration)
//!      ├──► unlock key     HKDF-Expand("coffer/v1/unlock")
//!      │
//!      │ HKDF-Expand("coffer/v1/escrow" ‖ random salt)
//!      ├──► commitment     stored with the vault, beside the salt
//!      └──► wrapping key   used once; AES-256-GCM wraps the BackupKey: with the vault, a WrappedBackupKey
//!
//!  device key (random, one for each device)
//! ```
//!
//! The owner, unlock and device keys are Ed25519 ([`SigningKey`]): what the tree shows is the seed. HKDF is RFC 5869 with
//! SHA-256 throughout. No key serves two uses, and every derivation has its own label in [`labels`]. Each one has a known
//! answer in `tests/vectors/keys.json`, computed by another implementation.
//!
//! # Why a slot between the two random keys
//!
//! An archive may have several backup keys (a recovery key, an escrowed one, a second device's), each with a
//! [`KeySlot`] of its own around the same data key. Adding or retiring one rewrites a slot and re-uploads nothing.
//!
//! # Commitments
//!
//! AES-GCM does not commit to its key: a ciphertext can be made that opens under two. So a slot carries a check, and a
//! sealed object and an escrowed key a commitment, each out of the same HKDF call as the key, and whoever opens one of
//! them compares it first.
//!
//! # What wiping covers
//!
//! Every key is wiped when it is dropped, prints nothing in `Debug`, cannot be cloned, and is compared in constant
//! time if it can be compared at all. Not reached are copies that the compiler makes when a value moves, the hash
//! states inside the `hkdf`, `hmac` and `ed25519-dalek` crates, and what an `expose_*` or [`ChunkerKey::derive_gear`]
//! handed out. Wiping shortens the time a key lies in memory; it is no defence against who can read that memory.

mod archive_id;
mod archive_keys;
mod backup_key;
mod data_key;
mod export_key;
mod key_slot;
pub mod labels;
mod near_misses;
mod object_key;
mod randomness;
mod recovery_key;
mod secret;
mod signing_key;
#[cfg(test)]
mod vectors;
mod wrapping_key;

pub use archive_id::ArchiveId;
pub use archive_keys::{ArchiveKeys, ChunkIdKey, ChunkerKey, CommitKey};
pub use backup_key::BackupKey;
pub use data_key::DataKey;
pub use export_key::{EscrowError, ExportKey, WrappedBackupKey};
pub use key_slot::{KeySlot, UnwrapError};
pub use near_misses::Typo;
pub use object_key::{ObjectKey, SealingKey};
pub use randomness::RandomnessError;
pub use recovery_key::{RecoveryKey, RecoveryKeyError};
pub use signing_key::SigningKey;
