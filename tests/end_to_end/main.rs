//! The whole program from outside: the real `coffer` on real exports, killed at any moment, with a destination that
//! fails, beside another run, under the eyes of its storage provider, and read by a second program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::print_stderr, reason = "says why a test is skipped, and with which seed it ran")]

mod binary;
mod ceremony;
mod concurrency;
mod days;
mod destination;
mod device;
mod exports;
mod gateway;
mod interop;
mod kill;
mod material;
mod noise;
mod pruning;
mod rotating;
mod secrecy;
mod server;
mod terminal;
mod tls;
mod tree;
mod vault;
mod vault_attacks;
