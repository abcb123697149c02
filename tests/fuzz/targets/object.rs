//! What a provider serves as an index, a snapshot, a lock or a pack.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::object(bytes));
