#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::samples::any_time;

fn any_doomed() -> impl Strategy<Value = Doomed> {
    let packs = prop::collection::btree_set(any::<[u8; 16]>().prop_map(ObjectName::from_bytes), 0..9);
    (any::<bool>(), any_time(), packs).prop_map(|(is_removed, since, packs)| Doomed { is_removed, since, packs })
}

proptest! {
    #[test]
    fn doom_survives(doomed in any_doomed()) {
        prop_assert_eq!(Doomed::decode(&doomed.encode()).unwrap(), doomed);
    }

    #[test]
    fn changed_doom_is_refused_or_another_in_its_one_form(
        doomed in any_doomed(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = doomed.encode();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = Doomed::decode(&bytes) {
            prop_assert_eq!(changed.encode(), bytes);
        }
    }

    #[test]
    fn refuses_any_truncation_and_any_byte_more(doomed in any_doomed()) {
        let mut bytes = doomed.encode();
        for len in 0..bytes.len() {
            prop_assert_eq!(Doomed::decode(&bytes[..len]), Err(CodecError::Truncated));
        }
        bytes.push(0);
        prop_assert_eq!(Doomed::decode(&bytes), Err(CodecError::Trailing));
    }
}

#[test]
fn refuses_a_state_that_it_does_not_know() {
    let mut bytes = Doomed { is_removed: true, since: Time::default(), packs: BTreeSet::new() }.encode();
    bytes[0] = 2;
    assert_eq!(Doomed::decode(&bytes), Err(CodecError::Invalid("the state of doomed packs is unknown")));
}

#[test]
fn refuses_names_that_do_not_rise() {
    let packs = [1, 2].map(|n| ObjectName::from_bytes([n; 16])).into();
    let mut bytes = Doomed { is_removed: false, since: Time::default(), packs }.encode();
    let len = bytes.len();
    bytes[len - 16..].fill(1);
    assert_eq!(Doomed::decode(&bytes), Err(CodecError::Invalid("the names of doomed packs do not rise")));
}
