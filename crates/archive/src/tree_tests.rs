#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::samples::any_node;

fn fifo(name: &[u8]) -> Node {
    let time = Time { seconds: 5, nanoseconds: 6 };
    Node {
        name: name.to_vec(),
        kind: NodeKind::Fifo,
        mode: 0o644,
        uid: 1,
        gid: 2,
        modified: time,
        changed: time,
        inode: 9,
        linked_on: None,
        xattrs: Vec::new(),
    }
}

fn encoded(nodes: &[Node]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    nodes.iter().for_each(|node| node.encode(&mut encoder));
    encoder.finish()
}

fn refusal(nodes: &[Node]) -> &'static str {
    reason(decode_entries(&encoded(nodes)))
}

fn reason(refused: Result<Vec<Node>, CodecError>) -> &'static str {
    match refused {
        Err(CodecError::Invalid(reason)) => reason,
        Err(CodecError::Truncated) => "truncated",
        Err(CodecError::NotCanonical) => "not canonical",
        Err(CodecError::Trailing) => "trailing",
        Ok(_) => "accepted",
    }
}

/// A node without attributes, whose count of them (the last byte) is replaced by `attributes`.
fn with_attributes(attributes: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = encoded(&[fifo(b"pipe")]);
    assert_eq!(bytes.pop(), Some(0));
    let mut encoder = Encoder::new();
    encoder.raw(&bytes);
    encoder.varint(attributes.len() as u64);
    for (number, value) in attributes {
        encoder.varint(*number);
        encoder.bytes(value);
    }
    encoder.finish()
}

proptest! {
    #[test]
    fn nodes_survive(node in any_node()) {
        prop_assert_eq!(decode_entries(&encoded(std::slice::from_ref(&node))).unwrap(), [node]);
    }

    #[test]
    fn folders_survive(mut nodes in proptest::collection::vec(any_node(), 0..6)) {
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes.dedup_by(|one, other| one.name == other.name);
        prop_assert_eq!(decode_entries(&encoded(&nodes)).unwrap(), nodes);
    }

    #[test]
    fn refuses_any_truncation(node in any_node()) {
        let bytes = encoded(&[node]);
        for len in 1..bytes.len() {
            prop_assert_eq!(decode_entries(&bytes[..len]), Err(CodecError::Truncated));
        }
    }

    #[test]
    fn a_changed_node_is_refused_or_another_in_its_one_form(
        node in any_node(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encoded(&[node]);
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = decode_entries(&bytes) {
            let again = encoded(&changed);
            // Shorter if an attribute that may be skipped was.
            prop_assert!(again == bytes || again.len() < bytes.len());
            prop_assert_eq!(decode_entries(&again).unwrap(), changed);
        }
    }
}

#[test]
fn refuses_names_that_lead_out_of_the_folder() {
    for name in ["", ".", "..", "/", "a/b", "/etc", "../x", "a/", "nul\0", "\0"] {
        let refused = refusal(&[fifo(name.as_bytes())]);
        assert_eq!(refused, "the name of an entry would lead out of its folder", "{name:?}");
    }
}

#[test]
fn accepts_names_that_only_look_dangerous() {
    for name in ["...", "..a", ".hidden", " ", "-rf", "~", "C:\\x", "\u{fffd}"] {
        assert_eq!(refusal(&[fifo(name.as_bytes())]), "accepted", "{name:?}");
    }
    assert_eq!(refusal(&[fifo(b"not UTF-8: \xff\xfe")]), "accepted");
}

#[test]
fn refuses_entries_out_of_order() {
    assert_eq!(refusal(&[fifo(b"b"), fifo(b"a")]), "the entries of a folder are not in order");
    assert_eq!(refusal(&[fifo(b"ab"), fifo(b"a")]), "the entries of a folder are not in order");
}

#[test]
fn refuses_two_entries_of_one_name() {
    assert_eq!(refusal(&[fifo(b"a"), fifo(b"a")]), "the entries of a folder are not in order");
}

#[test]
fn names_are_ordered_by_their_bytes() {
    assert_eq!(refusal(&[fifo(b"B"), fifo(b"a"), fifo(b"a!"), fifo("é".as_bytes()), fifo(b"\xff")]), "accepted");
}

#[test]
fn refuses_permissions_of_more_than_twelve_bits() {
    assert_eq!(refusal(&[Node { mode: 0o7777, ..fifo(b"a") }]), "accepted");
    assert_eq!(refusal(&[Node { mode: 0o10000, ..fifo(b"a") }]), "permissions have 12 bits");
    assert_eq!(refusal(&[Node { mode: u32::MAX, ..fifo(b"a") }]), "permissions have 12 bits");
}

#[test]
fn refuses_a_thousand_million_nanoseconds() {
    let time = |nanoseconds| Time { seconds: -1, nanoseconds };
    assert_eq!(refusal(&[Node { modified: time(999_999_999), ..fifo(b"a") }]), "accepted");
    for nanoseconds in [1_000_000_000, u32::MAX] {
        let wrong = time(nanoseconds);
        let expected = "a second has 1 000 000 000 nanoseconds";
        assert_eq!(refusal(&[Node { modified: wrong, ..fifo(b"a") }]), expected);
        assert_eq!(refusal(&[Node { changed: wrong, ..fifo(b"a") }]), expected);
    }
}

#[test]
fn refuses_an_unknown_kind() {
    let mut bytes = encoded(&[fifo(b"a")]);
    assert_eq!(bytes[2], 3);
    for kind in [6, 7, 255] {
        bytes[2] = kind;
        assert_eq!(reason(decode_entries(&bytes)), "the kind of an entry is unknown");
    }
}

#[test]
fn refuses_a_number_of_more_than_32_bits() {
    let mut encoder = Encoder::new();
    encoder.bytes(b"a");
    encoder.u8(3);
    encoder.varint(1 << 32);
    encoder.raw(&[0; 20]);
    assert_eq!(reason(decode_entries(&encoder.finish())), "a number is too large");
}

#[test]
fn refuses_a_link_without_a_target_or_with_a_nul_in_it() {
    for target in [&b""[..], b"\0", b"a\0b"] {
        let kind = NodeKind::Symlink { target: target.to_vec() };
        assert_eq!(refusal(&[Node { kind, ..fifo(b"a") }]), "the target of a link is none");
    }
}

#[test]
fn refuses_extended_attributes_out_of_order_or_doubled_or_without_a_name() {
    let wrong: [&[&[u8]]; 4] = [&[b"user.b", b"user.a"], &[b"user.a", b"user.a"], &[b""], &[b"user.\0"]];
    for names in wrong {
        let xattrs = names.iter().map(|name| (name.to_vec(), b"value".to_vec())).collect();
        assert_eq!(refusal(&[Node { xattrs, ..fifo(b"a") }]), "extended attributes are not in order", "{names:?}");
    }
}

#[test]
fn skips_an_unknown_attribute_with_an_odd_number() {
    let nodes = decode_entries(&with_attributes(&[(1, &[8]), (5, b"from a later version"), (1001, b"")])).unwrap();
    assert_eq!(nodes, [Node { linked_on: Some(8), ..fifo(b"pipe") }]);
}

#[test]
fn refuses_an_unknown_attribute_with_an_even_number() {
    for number in [2, 4, 1000] {
        let refused = reason(decode_entries(&with_attributes(&[(number, b"")])));
        assert_eq!(refused, "an attribute of an entry is unknown and must not be skipped", "{number}");
    }
}

#[test]
fn refuses_attributes_out_of_order_or_doubled_or_with_number_0() {
    for numbers in [&[0][..], &[1, 1], &[5, 1], &[5, 5]] {
        let attributes: Vec<(u64, &[u8])> = numbers.iter().map(|number| (*number, &[8][..])).collect();
        let refused = reason(decode_entries(&with_attributes(&attributes)));
        assert_eq!(refused, "an entry's attributes are not in order", "{numbers:?}");
    }
}

#[test]
fn refuses_bytes_after_the_value_of_an_attribute() {
    assert_eq!(reason(decode_entries(&with_attributes(&[(1, &[8, 0])]))), "trailing");
    assert_eq!(reason(decode_entries(&with_attributes(&[(3, &[1, 1, b'a', 0, 0])]))), "trailing");
}

#[test]
fn refuses_more_attributes_than_the_rest_can_hold() {
    let mut bytes = encoded(&[fifo(b"a")]);
    bytes.pop();
    bytes.extend([0xff; 9]);
    bytes.push(1);
    assert_eq!(reason(decode_entries(&bytes)), "truncated");
}
