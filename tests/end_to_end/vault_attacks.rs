//! Attacks on the Backup Key Vault, and faults under it: the real `coffer-vault` with SoftHSM, asked by `vault-client`
//! where a client would behave, by hand where it would not.

mod account;
mod api;
mod budget;
mod disk;
mod dump;
mod forged;
mod guess;
mod hsm_away;
mod killed;
mod offline;
mod request;
mod secrets;
