//! Five sites under faults: the real programs with real etcd and real SoftHSM, clients that guess, register and recover
//! throughout, and a checker of their history at the end. What it must catch is shown by wrong variants.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::print_stderr, reason = "says how long service took to resume, and what sites logged")]

#[path = "../end_to_end/binary.rs"]
#[expect(dead_code, reason = "not all of it is of use here")]
mod binary;
mod campaign;
mod certificates;
mod checker;
mod device;
mod door;
mod fleet;
mod guess;
mod histories;
mod history;
mod hosts;
mod model;
mod networks;
mod parts;
mod processes;
#[path = "../end_to_end/vault_attacks/request.rs"]
#[expect(dead_code, reason = "not all of it is of use here")]
mod request;

mod wrong_variants;

use std::time::Duration;

/// How long it took until the first of the sites that are there answered a guess, and until the last did.
fn report(what: &str, [first, last]: [Duration; 2]) {
    eprintln!("{what}: service resumed after {} ms, at every site after {} ms", first.as_millis(), last.as_millis());
}
