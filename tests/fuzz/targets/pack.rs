//! Packs whose parts are authentic, but say anything.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::pack(bytes));
