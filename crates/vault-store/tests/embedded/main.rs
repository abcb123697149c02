//! The embedded store, from outside.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stderr, reason = "how much was tried is to be seen")]

mod conformance;
mod full_disk;
mod kill;
mod opening;
mod restart;
