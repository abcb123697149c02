//! One key slot of a header.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::key_slot(bytes));
