#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::samples::{NAME, any_lock};

proptest! {
    #[test]
    fn locks_survive(lock in any_lock()) {
        prop_assert_eq!(Lock::decode(NAME, &lock.encode()).unwrap(), lock);
    }

    #[test]
    fn a_changed_lock_is_refused_or_another_in_its_one_form(
        lock in any_lock(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = lock.encode();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = Lock::decode(NAME, &bytes) {
            prop_assert_eq!(changed.encode(), bytes);
        }
    }

    #[test]
    fn refuses_any_truncation_and_any_byte_more(lock in any_lock()) {
        let mut bytes = lock.encode();
        for len in 0..bytes.len() {
            prop_assert_eq!(Lock::decode(NAME, &bytes[..len]), Err(CodecError::Truncated));
        }
        bytes.push(0);
        prop_assert_eq!(Lock::decode(NAME, &bytes), Err(CodecError::Trailing));
    }
}

fn lock() -> Lock {
    let (host, operation) = ("laptop".to_owned(), "backup".to_owned());
    Lock { name: NAME, host, pid: 7, since: Time::default(), operation }
}

#[test]
fn refuses_texts_that_are_not_utf8() {
    let bytes = lock().encode();
    for at in [1, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] = 0xff;
        assert_eq!(Lock::decode(NAME, &changed), Err(CodecError::Invalid("a text is not UTF-8")));
    }
}

#[test]
fn refuses_a_process_number_of_more_than_32_bits() {
    let mut encoder = Encoder::new();
    encoder.bytes(b"laptop");
    encoder.varint(1 << 32);
    encoder.raw(&[0; 8]);
    assert_eq!(Lock::decode(NAME, &encoder.finish()), Err(CodecError::Invalid("a number is too large")));
}

#[test]
fn a_process_that_never_was_is_not_alive() {
    assert!(is_alive(std::process::id()));
    assert!(!is_alive(0));
    assert!(!is_alive(u32::MAX));
    // Beyond the kernel's largest process number, 2²².
    assert!(!is_alive(1 << 30));
}
