//! What a person types as a receipt.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fuzzing::receipt(text));
