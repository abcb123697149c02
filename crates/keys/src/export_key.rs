//! The key that a password leads to, and the backup key wrapped under it.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::backup_key::BackupKey;
use crate::labels;
use crate::randomness::{RandomnessError, generate_bytes};
use crate::secret::Secret;
use crate::signing_key::SigningKey;
use crate::wrapping_key::WrappingKey;

/// OPAQUE's export key (RFC 9807, section 3): what a registration and each login with the right password end with, on
/// the client alone.
///
/// It is new with each registration, and an output of HKDF already, so keys are expanded from it directly.
#[derive(Debug)]
pub struct ExportKey(Secret);

impl ExportKey {
    /// The 32 bytes that OPAQUE with SHA-256 gives.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The backup key in the form in which the vault keeps it.
    ///
    /// `context` says whose it is (fleet, account, registration; framed by the caller so that no two read the same). It
    /// is not stored: it must be given again to unwrap.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub fn wrap_backup_key(&self, backup: &BackupKey, context: &[u8]) -> Result<WrappedBackupKey, RandomnessError> {
        Ok(self.wrap_with_salt(backup, context, *generate_bytes()?))
    }

    /// A salt must never come twice with the same export key: it is all that makes the wrapping key new.
    pub(crate) fn wrap_with_salt(&self, backup: &BackupKey, context: &[u8], salt: [u8; 16]) -> WrappedBackupKey {
        let EscrowKeys { wrapping, commitment } = EscrowKeys::derive(self, &salt);
        let wrapped = wrapping.wrap(&associated_data(context), backup.expose_bytes());
        WrappedBackupKey { salt, commitment, wrapped }
    }

    /// The backup key, if `wrapped` was made with this export key in this context.
    ///
    /// # Errors
    ///
    /// [`EscrowError::Refused`] otherwise. The commitment is compared before anything is decrypted.
    pub fn unwrap_backup_key(&self, wrapped: &WrappedBackupKey, context: &[u8]) -> Result<BackupKey, EscrowError> {
        let EscrowKeys { wrapping, commitment } = EscrowKeys::derive(self, &wrapped.salt);
        if !bool::from(commitment.ct_eq(&wrapped.commitment)) {
            return Err(EscrowError::Refused);
        }
        let backup = wrapping.unwrap(&associated_data(context), &wrapped.wrapped).ok_or(EscrowError::Refused)?;
        Ok(BackupKey::from_bytes(*backup))
    }

    /// The key whose signature proves to every site of the vault that the password was right: HKDF-SHA256-Expand with
    /// the info [`labels::UNLOCK`], 32 bytes, the seed.
    pub fn derive_unlock_key(&self) -> SigningKey {
        SigningKey::derive(|seed| self.0.derive_expand(&[labels::UNLOCK.as_bytes()], seed))
    }
}

/// A backup key as the vault keeps it. All of it is public: only the export key opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedBackupKey {
    /// Random, new with each wrapping: it makes the wrapping key.
    salt: [u8; 16],
    commitment: [u8; 32],
    wrapped: [u8; WrappingKey::WRAPPED_LEN],
}

impl WrappedBackupKey {
    /// Length in bytes: salt 16, commitment 32, the key under AES-256-GCM 32, its tag 16.
    pub const LEN: usize = 96;

    /// The bytes to keep.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.salt);
        bytes[16..48].copy_from_slice(&self.commitment);
        bytes[48..].copy_from_slice(&self.wrapped);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Whether it is genuine shows when it is unwrapped.
    ///
    /// # Errors
    ///
    /// [`EscrowError::Length`] for any other length.
    pub fn parse(bytes: &[u8]) -> Result<Self, EscrowError> {
        let wrong_length = EscrowError::Length { len: bytes.len() };
        let (salt, rest) = bytes.split_first_chunk().ok_or(wrong_length)?;
        let (commitment, wrapped) = rest.split_first_chunk().ok_or(wrong_length)?;
        let wrapped = wrapped.try_into().map_err(|_| wrong_length)?;
        Ok(Self { salt: *salt, commitment: *commitment, wrapped })
    }
}

/// Why the vault's answer gave no backup key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EscrowError {
    /// It is not a wrapped key. Ask another site.
    #[error("a wrapped backup key has 96 bytes, and this one has {len}")]
    Length {
        /// How many bytes there are.
        len: usize,
    },
    /// It was wrapped under another password or for another registration, or was changed. Ask another site.
    #[error("the wrapped backup key does not belong to this password and registration, or was changed")]
    Refused,
}

/// What an export key and a salt lead to.
struct EscrowKeys {
    wrapping: WrappingKey,
    commitment: [u8; 32],
}

impl EscrowKeys {
    fn derive(export: &ExportKey, salt: &[u8; 16]) -> Self {
        let mut output = Zeroizing::new([[0; 32]; 2]);
        export.0.derive_expand(&[labels::ESCROW.as_bytes(), salt], output.as_flattened_mut());
        Self { wrapping: WrappingKey::from_bytes(output[0]), commitment: output[1] }
    }
}

fn associated_data(context: &[u8]) -> Vec<u8> {
    [labels::ESCROW.as_bytes(), context].concat()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::{EscrowError, ExportKey, WrappedBackupKey};
    use crate::BackupKey;

    const CONTEXT: &[u8] = b"fleet, account, registration";

    fn export() -> ExportKey {
        ExportKey::from_bytes([1; 32])
    }

    fn backup() -> BackupKey {
        BackupKey::from_bytes([2; 32])
    }

    fn wrapped() -> WrappedBackupKey {
        export().wrap_backup_key(&backup(), CONTEXT).unwrap()
    }

    #[test]
    fn gives_back_the_backup_key() {
        let parsed = WrappedBackupKey::parse(&wrapped().to_bytes()).unwrap();
        assert_eq!(export().unwrap_backup_key(&parsed, CONTEXT).unwrap(), backup());
    }

    #[test]
    fn two_wrappings_of_the_same_key_have_nothing_in_common() {
        let (one, other) = (wrapped(), wrapped());
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.commitment, other.commitment);
        assert_ne!(one.wrapped, other.wrapped);
    }

    #[test]
    fn refuses_another_export_key() {
        for byte in 0..32 {
            let mut other = [1; 32];
            other[byte] ^= 1;
            let refused = ExportKey::from_bytes(other).unwrap_backup_key(&wrapped(), CONTEXT);
            assert_eq!(refused.unwrap_err(), EscrowError::Refused, "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_wrapped_key_with_any_byte_changed() {
        let bytes = wrapped().to_bytes();
        for (byte, change) in (0..bytes.len()).flat_map(|byte| [1, 0x80, 0xff].map(|change| (byte, change))) {
            let mut altered = bytes;
            altered[byte] ^= change;
            let refused = export().unwrap_backup_key(&WrappedBackupKey::parse(&altered).unwrap(), CONTEXT);
            assert_eq!(refused.unwrap_err(), EscrowError::Refused, "byte {byte}, {change:#x}");
        }
    }

    #[test]
    fn refuses_another_context() {
        let longer = [CONTEXT, b"s"].concat();
        for context in [b"", &CONTEXT[1..], &CONTEXT[..CONTEXT.len() - 1], longer.as_slice()] {
            let refused = export().unwrap_backup_key(&wrapped(), context);
            assert_eq!(refused.unwrap_err(), EscrowError::Refused);
        }
    }

    #[test]
    fn refuses_the_wrapped_key_of_another_wrapping() {
        let mixed = WrappedBackupKey { wrapped: wrapped().wrapped, ..wrapped() };
        assert_eq!(export().unwrap_backup_key(&mixed, CONTEXT).unwrap_err(), EscrowError::Refused);
    }

    #[test]
    fn refuses_a_wrapped_key_that_is_cut_short_or_too_long() {
        let mut bytes = wrapped().to_bytes().to_vec();
        for len in 0..bytes.len() {
            assert_eq!(WrappedBackupKey::parse(&bytes[..len]), Err(EscrowError::Length { len }));
        }
        bytes.push(0);
        assert_eq!(WrappedBackupKey::parse(&bytes), Err(EscrowError::Length { len: WrappedBackupKey::LEN + 1 }));
    }

    #[test]
    fn the_unlock_key_is_the_same_at_each_login_and_another_with_each_registration() {
        let other = ExportKey::from_bytes([3; 32]);
        assert_eq!(export().derive_unlock_key().public(), export().derive_unlock_key().public());
        assert_ne!(export().derive_unlock_key().public(), other.derive_unlock_key().public());
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", ExportKey::from_bytes([0xa5; 32])), "ExportKey(..)");
    }
}
