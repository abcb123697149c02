//! The real binary with a real SoftHSM token, in a data folder of its own. What a client and a vault do with each other
//! is tested in `tests/`; here it is how the service starts, refuses, and ends.
#![expect(clippy::unwrap_used, reason = "tests")]

mod configuration;
mod document;
mod http;
mod life;
mod readiness;
mod requests;
mod sealed;
mod secrecy;
mod token;
mod tokens;
mod vault;
