//! The client against the vault's own policy in one process, with what lies in between under the tests' control.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attempts;
mod device;
mod five_sites;
mod fleet;
mod gateway;
mod heads;
mod hostile;
mod http;
mod liars;
mod registering;
mod resuming;
mod undelivered;
mod wire;
