//! What a provider serves as an archive's header.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::header(bytes));
