//! Site to site: what one site asks another, over mutual TLS. Who may connect is decided by the fleet's own certificate
//! authority; what is done is not, since a site verifies for itself whatever it acts on.
//!
//! | route | asks |
//! |---|---|
//! | `POST /peer/v1/evaluate` | to evaluate an attempt that the record holds |
//! | `POST /peer/v1/mark` | for the newest mark on a registration's evaluations |
//! | `POST /peer/v1/count` | what the site has counted of a registration |
//! | `POST /peer/v1/height` | what the site knows of the height of another one's ledger |
//! | `POST /peer/v1/heard` | to remember how far another one's ledger has got |
//! | `POST /peer/v1/proof` | to take a proof |
//! | `POST /peer/v1/keep` | to take an objection |
//!
//! Bodies are [postcard](wire); every answer but 200 means that the site cannot be reached.

mod client;
mod server;
mod wire;

pub(crate) use client::HttpPeers;
pub(crate) use server::router;
