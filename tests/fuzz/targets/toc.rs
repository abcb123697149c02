//! A pack's table of contents.
#![no_main]

use coffer_archive::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzzing::toc(bytes));
