//! Plaintexts of the same length, so that a problem and a success look alike.

use zeroize::Zeroizing;

use crate::ChannelError;

/// Plaintexts are padded to a multiple of this.
const STEP: usize = 1024;
const PREFIX: usize = 4;

/// The content's length (four bytes, big-endian), the content, and zeros.
pub(crate) fn pad(pieces: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let prefix = u32::try_from(length).map_err(|_| ChannelError::TooLong)?.to_be_bytes();
    let padded = (PREFIX + length).next_multiple_of(STEP);
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded));
    plaintext.extend_from_slice(&prefix);
    pieces.iter().for_each(|piece| plaintext.extend_from_slice(piece));
    plaintext.resize(padded, 0);
    Ok(plaintext)
}

/// The content of what [`pad`] wrote, and of nothing else.
pub(crate) fn unpad(plaintext: &[u8]) -> Result<&[u8], ChannelError> {
    let (prefix, rest) = plaintext.split_first_chunk::<PREFIX>().ok_or(ChannelError::Seal)?;
    let length = usize::try_from(u32::from_be_bytes(*prefix)).map_err(|_| ChannelError::Seal)?;
    let (content, zeros) = rest.split_at_checked(length).ok_or(ChannelError::Seal)?;
    let is_padded = plaintext.len().is_multiple_of(STEP) && zeros.len() < STEP && zeros.iter().all(|byte| *byte == 0);
    is_padded.then_some(content).ok_or(ChannelError::Seal)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{STEP, pad, unpad};
    use crate::ChannelError;

    #[test]
    fn what_is_padded_is_found_again() {
        for length in [0, 1, STEP - 5, STEP - 4, STEP - 3, 5 * STEP] {
            let content = vec![7; length];
            let padded = pad(&[&content[..length / 2], &content[length / 2..]]).unwrap();
            assert!(padded.len().is_multiple_of(STEP), "{length}");
            assert_eq!(unpad(&padded).unwrap(), content, "{length}");
        }
    }

    #[test]
    fn everything_short_has_the_same_length() {
        let lengths = [0, 1, 500, STEP - 4].map(|length| pad(&[&vec![1; length]]).unwrap().len());
        assert_eq!(lengths, [STEP; 4]);
        assert_eq!(pad(&[&[1; STEP - 3]]).unwrap().len(), 2 * STEP);
    }

    #[test]
    fn refuses_padding_that_is_not_this() {
        let good = pad(&[b"content"]).unwrap().to_vec();
        let longer = [good.as_slice(), &[0; STEP]].concat();
        let mut wrong_length = good.clone();
        wrong_length[..4].copy_from_slice(&[0xff; 4]);
        let mut not_zero = good.clone();
        not_zero[STEP - 1] = 1;
        for plaintext in [&[][..], &[0; 3], &good[..STEP - 1], &longer, &wrong_length, &not_zero] {
            assert_eq!(unpad(plaintext), Err(ChannelError::Seal), "{} bytes", plaintext.len());
        }
    }
}
