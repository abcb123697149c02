//! The key ceremony of a fleet: files in, files out, on a machine that has no network. The keys themselves are
//! `coffer_hsm_adapter`'s; here is what is written down about them.
//!
//! ```text
//! hsm init --fleet ─► card ─┐
//! root new ─► root key ─────┴─► fleet ─► manifest, sealed keys, transcript ─► sign, by each root ─► verify
//!                                           └─► hsm import, at each site
//! ```

pub(crate) mod draw;
pub(crate) mod examine;
pub(crate) mod folder;
pub(crate) mod next;
pub(crate) mod root;
pub(crate) mod sign;
pub(crate) mod transcript;
pub(crate) mod verify;

#[cfg(test)]
mod tests;
