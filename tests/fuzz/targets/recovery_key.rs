//! What a person types where 64 digits belong.
#![no_main]

use coffer_keys::RecoveryKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(key) = RecoveryKey::parse(text) else {
        return;
    };
    // What was read is what is shown, and what is shown reads the same.
    assert!(RecoveryKey::parse(&key.expose_groups()).is_ok_and(|again| again == key));
});
