//! What both a registration and a login give the client.

use std::fmt;

use generic_array::GenericArray;
use generic_array::typenum::U32;
use zeroize::{Zeroize, Zeroizing};

/// RFC 9807's `export_key`: 32 bytes that only the password and t sites together lead to. The same at every login of
/// one registration, and never sent.
pub struct ExportKey(Zeroizing<[u8; 32]>);

impl ExportKey {
    /// Takes the bytes and wipes where they stood.
    pub(crate) fn take(bytes: &mut GenericArray<u8, U32>) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(bytes);
        bytes.as_mut_slice().zeroize();
        Self(key)
    }

    /// The key itself, to derive others from. A copy made of it is the caller's to wipe.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use generic_array::GenericArray;

    use super::ExportKey;

    #[test]
    fn takes_the_bytes_and_wipes_where_they_stood() {
        let mut bytes = GenericArray::from([0xa5; 32]);
        let key = ExportKey::take(&mut bytes);
        assert_eq!(key.expose_bytes(), &[0xa5; 32]);
        assert_eq!(bytes.as_slice(), [0; 32]);
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", ExportKey::take(&mut GenericArray::from([0xa5; 32]))), "ExportKey(..)");
    }
}
