//! The password protocol, and nothing else: OPAQUE (RFC 9807) over an OPRF key that no one holds whole. No network, no
//! storage, no clock, and no HSM: a site's multiplications come in and go out as [`Point`]s.
//!
//! The suite is P-256, SHA-256, 3DH and Argon2id, by `opaque-ke`. Its types, `voprf`'s and `p256`'s stay in here.
//!
//! # Registration: the dealer computes all of it
//!
//! ```text
//!  client: deal_registration                               site i and its HSM
//!     k, shares k_1 … k_n, commitments C_j = a_j·G
//!     B from the password, Z = k·B
//!     opaque-ke finishes with Z ‖ ake_public ──► export key, upload
//!     Share::seal: E = e·G, wrapped under x(c·e·P_i)
//!        └── upload, C_j, E, wrapped ─────────────────────► import_point: c·E
//!                                                           the HSM: x(s_i·(c·E)) unwraps k_i; k_i·G, k_i·P
//!     Share::receipt: k_i·P ◄────────────────────────────── expected_share: Σ iʲ·C_j = k_i·G ?
//!     forgets k and the k_i                                 receipt_base: P
//! ```
//!
//! No server evaluates anything, so none can slip in a key of its own and test passwords against the upload.
//!
//! # Login: t sites multiply, one of them answers
//!
//! ```text
//!  client: ClientLogin                       coordinating site                 t + 1 sites and their HSMs
//!     start(password) ─────── KE1 ─────────► Ke1::parse ──────── B ──────────► k_i·B
//!                                            combine: Q = Σ λ_i·k_i·B ◄──────────┘
//!                                            its HSM: ake · client_ephemeral
//!     finish(password) ◄───── KE2 ────────── answer_login
//!        └─► export key ───── KE3 ─────────► ServerLogin::finish
//! ```
//!
//! The client's side is `opaque-ke` as it is. The server's is fed an element that was multiplied elsewhere: how, and why
//! the bytes are still RFC 9807's own, is written in `server_suite.rs`. The RFC's vectors run through both halves.
//!
//! # Points from outside
//!
//! A [`Point`] is parsed once, in its one encoding, and is never the identity. Whatever comes from outside is parsed as
//! one before anything uses it; `opaque-ke` alone would take trailing bytes, and points in a second form.
//!
//! # What wiping covers
//!
//! [`Share`], [`SiteKey`], [`KeyPair`], [`ExportKey`], [`ClientLogin`] and [`ServerLogin`] are wiped when they are dropped, print nothing in `Debug`
//! and cannot be cloned. Not reached are copies that the compiler makes when a value moves, the state of ciphers and
//! hashes inside other crates, and what an `expose_*` or `encode` handed out.

mod client_login;
mod combining;
mod dealing;
mod error;
mod export_key;
#[cfg(test)]
mod fleet;
mod hashing;
mod identities;
mod key_pair;
mod point;
mod registration;
mod server_login;
mod server_suite;
mod share;
mod signature;
mod site_key;
mod stretching;
mod suite;
#[cfg(test)]
mod vectors;

pub use client_login::{ClientLogin, LoginError, LoginFinished};
pub use combining::{Agreement, combine, dissenting};
pub use dealing::{MAX_SITES, expected_share};
pub use error::PakeError;
pub use export_key::ExportKey;
pub use identities::Identities;
pub use key_pair::KeyPair;
pub use point::{Point, PointError};
pub use registration::{Dealt, deal_registration};
pub use server_login::{Ke1, ServerLogin, WrongKe3, answer_login, check_upload};
pub use share::{MAX_WRAPPED_LEN, SealedShare, Share, import_point, receipt_base};
pub use signature::{verify_es256, verify_es256_by};
pub use site_key::SiteKey;
pub use stretching::{Argon2Error, Argon2Parameters};
pub use suite::{KE1_LEN, KE2_LEN, KE3_LEN, UPLOAD_LEN};
