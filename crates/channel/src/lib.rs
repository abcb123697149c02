//! The sealed channel: a request from a client to one site, and its answer, past a gateway that can read neither
//! (docs/protocol.md, "The sealed channel").
//!
//! ```text
//!  client                                          site
//!  seal(destination, key, sender, request) ──────► TransportKey::open(destination, sender, envelope, now)
//!  Opener::open(status, answer)            ◄────── Answerer::seal(status, body)
//! ```
//!
//! HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM. Fleet, manifest, site and
//! transport key stand in HPKE's `info`; method, route, account, id, token and time in the additional data: whatever of
//! that the gateway changes, nothing opens. Every answer has a key of its own, which is exported from the request's
//! context and a nonce, so that a request that is sent twice does not have two answers under one key.
//!
//! The channel hides what is said and, to the next 1024 bytes, how long it is. It does not hide who asks, when, and which
//! route; nor does it keep a request from being sent again: every request of the API may be.
//!
//! # What wiping covers
//!
//! [`TransportKey`], [`Opener`] and [`Answerer`] hold keys that are wiped when they are dropped, and print nothing in
//! `Debug`. Bodies are wiped where they are padded; what was opened is the caller's.

mod answer;
mod binding;
mod client;
mod error;
mod padding;
mod server;
mod suite;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use answer::{Answerer, OpenedAnswer, Opener};
pub use binding::{Destination, Sender};
pub use client::{PlainRequest, seal};
pub use error::ChannelError;
pub use server::{OpenedRequest, TIME_MAY_DIFFER_BY, TransportKey};
