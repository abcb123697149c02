//! PKCS#11 behind the vault's [`Hsm`](coffer_vault_core::Hsm) port.
//!
//! | key | form | single use | mechanism that it allows |
//! |---|---|---|---|
//! | `share-kek` | AES-256 | wraps and unwraps shares | `CKM_AES_KEY_WRAP_PAD` |
//! | `share-import` | EC P-256 | receives shares | `CKM_ECDH1_DERIVE` |
//! | `ledger-mac` | generic secret, 32 bytes | authenticates rows | `CKM_SHA256_HMAC` |
//! | `site-identity` | EC P-256 | certifies | `CKM_ECDSA` |
//! | `ake` | EC P-256 | OPAQUE's server key | `CKM_ECDH1_DERIVE` |
//! | `fleet-root` | EC P-256 | signs the manifest of an embedded fleet of one | `CKM_ECDSA` |
//!
//! Each is a private, sensitive token object that can be neither extracted nor modified nor copied, and has one use:
//! by default PKCS#11 lets whoever is logged in unwrap a key as extractable, or switch `CKA_DECRYPT` on.
//! [`init`](fn@init) makes the keys, [`check`](fn@check) holds a token against the table, and [`HsmAdapter::open`]
//! takes no token that fails it.
//!
//! # A fleet of several sites
//!
//! There [`init`](fn@init) makes `share-import` and `site-identity` alone, and [`card`](fn@card) introduces the HSM to the
//! key ceremony. That draws `ake`, `share-kek` and `ledger-mac` on an offline machine ([`DrawnKeys`]) and seals them to
//! the HSM and to a spare, as a client seals a share; [`import`](fn@import) unwraps them inside, with the attributes of
//! the table. A [`RootKey`] signs the manifest. None of these keys is ever in the clear outside of that machine's memory.
//!
//! # One evaluation
//!
//! What the token computes for one evaluation: it unwraps the share under `share-kek` as a session object, gives x(k·B)
//! and x(k·(B+G)) by two derivations, and destroys the object. PKCS#11 gives no y; the two x and the public K = k·G
//! leave one point.
//!
//! SoftHSM is the default module: the interface of an HSM, not its boundary. Any other PKCS#11 module may be named.

mod adapter;
mod card;
mod check;
mod config;
mod connection;
mod counters;
mod drawn_keys;
mod embedded;
mod error;
mod import;
mod init;
mod keys;
mod library;
mod multiplication;
mod operator;
mod pin;
mod public_half;
mod queue;
mod root_key;
mod session_object;
mod sign_recovery;
mod unwrap_template;

#[cfg(test)]
mod tests;

pub use adapter::HsmAdapter;
pub use card::{card, card_holds};
pub use check::{Finding, check};
pub use config::{SOFTHSM_MODULE, TokenConfig};
pub use counters::Operations;
pub use drawn_keys::{DrawnKeys, SealError};
pub use embedded::embedded_environment;
pub use error::TokenError;
pub use import::import;
pub use init::init;
pub use pin::Pin;
pub use root_key::{EncryptedRootKey, RootKey, RootKeyError};

/// What roots and site identities sign with.
pub use coffer_pake::verify_es256_by;
