//! Attacks on the policy and faults of its outside world, each with a test that is named after it. The vault here is the
//! real one; its stores, HSMs, clock and sites are in this process, and do what a test says.
#![expect(clippy::unwrap_used, reason = "a test")]

mod collusion;
mod counting;
mod crashes;
mod device;
mod erasing;
mod fleet;
mod guessing;
mod hidden;
mod hostile_stores;
mod lab;
mod numbers;
mod proofs;
mod protected;
mod quorum;
mod registering;
mod replicas;
mod restored;
mod rollback;
mod strangers;
mod takeovers;
