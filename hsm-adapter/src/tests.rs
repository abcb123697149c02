//! Against a real SoftHSM: Debian's package `softhsm2`.

#![expect(clippy::unwrap_used, reason = "a test")]

mod attacks;
mod dealt;
mod importing;
mod kryoptic;
mod loss;
mod operations;
mod token;
mod token_states;
