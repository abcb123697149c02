//! The records in etcd, with real servers.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stderr, reason = "how much was tried is to be seen")]

mod cells;
mod chaos;
mod conformance;
mod faults;
mod fence;
mod full;
mod sites;
mod tls;
