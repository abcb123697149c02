//! How fields become one string of bytes that can be read in one way only.

/// Each field with its length before it, two bytes, big-endian. Without the lengths `bob` with `17` and `bob1` with `7`
/// would be the same (docs/protocol.md, A5).
///
/// # Panics
/// When a field is longer than 65 535 bytes: what is framed is bounded where it is parsed.
pub fn frame<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut framed = Vec::new();
    for field in fields {
        let length = u16::try_from(field.len()).expect("a framed field is bounded where it is parsed");
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(field);
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_field_cannot_lend_bytes_to_its_neighbour() {
        assert_ne!(frame([b"bob".as_slice(), b"17"]), frame([b"bob1".as_slice(), b"7"]));
        assert_eq!(frame([b"ab".as_slice(), b""]), [0, 2, b'a', b'b', 0, 0]);
    }
}
