//! What every store owes, whatever is behind it.
//!
//! Each check wants a store that is empty and works, and panics at the first thing that is not as
//! `coffer_vault_core` promises.

mod ledger;
mod records;

pub use ledger::check_ledger;
pub use records::check_records;

/// Bytes of a value at most.
const MAX_VALUE_LEN: usize = 64 << 10;
/// Tasks that write the same entry at once.
const TASKS: u64 = 16;
/// Writes of each.
const ROUNDS: u64 = 20;

/// A key with every kind of byte.
fn binary_key() -> Vec<u8> {
    [b"binary".as_slice(), &[0, 255, 7, 0, b'/', 128]].concat()
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes were written"))
}
