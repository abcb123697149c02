//! A key of a site, from the key ceremony into the site's HSM: sealed as a share is.

use std::fmt;

use p256::SecretKey;
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::share::{multiply, pkcs8, seal};
use crate::{PakeError, Point, SealedShare};

/// A key as the ceremony draws it. Wiped when dropped. It leaves only sealed.
pub struct SiteKey(Form);

enum Form {
    Pair(SecretKey),
    Secret(Zeroizing<[u8; 32]>),
}

impl SiteKey {
    /// A new P-256 key.
    pub fn generate_pair() -> Self {
        Self(Form::Pair(SecretKey::random(&mut OsRng)))
    }

    /// 32 new random bytes.
    pub fn generate_secret() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(bytes.as_mut_slice());
        Self(Form::Secret(bytes))
    }

    /// The public half, if it is a pair.
    pub fn public(&self) -> Option<Point> {
        match &self.0 {
            Form::Pair(key) => Some(multiply(key, &Point::generator())),
            Form::Secret(_) => None,
        }
    }

    /// Seals it to an HSM's import key, bound to `context`: as [`Share::seal`](crate::Share::seal), and opened alike. A
    /// pair is wrapped as PKCS#8, a secret as its 32 bytes. No context of a share may be one of a key.
    ///
    /// # Errors
    /// If `context` is longer than 65535 bytes.
    pub fn seal(&self, import_public: &Point, context: &[u8]) -> Result<SealedShare, PakeError> {
        match &self.0 {
            Form::Pair(key) => seal(pkcs8(key).as_slice(), import_public, context),
            Form::Secret(bytes) => seal(bytes.as_slice(), import_public, context),
        }
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use aes_kw::KekAes256;
    use p256::SecretKey;
    use p256::pkcs8::DecodePrivateKey as _;

    use super::{Form, SiteKey};
    use crate::fleet::{public, random_key};
    use crate::share::multiply;
    use crate::{SealedShare, import_point};

    fn open(import: &SecretKey, context: &[u8], sealed: &SealedShare) -> Option<Vec<u8>> {
        let x = multiply(import, &import_point(context, &sealed.ephemeral)).encode();
        KekAes256::try_from(&x[1..]).unwrap().unwrap_with_padding_vec(&sealed.wrapped).ok()
    }

    #[test]
    fn an_hsm_opens_a_secret_that_was_sealed_to_it_and_no_other_does() {
        let (key, import) = (SiteKey::generate_secret(), random_key());
        let sealed = key.seal(&public(&import), b"context").unwrap();
        let Form::Secret(bytes) = &key.0 else { return assert!(key.public().is_none(), "it is a secret") };
        assert_eq!(open(&import, b"context", &sealed), Some(bytes.to_vec()));
        assert_eq!(open(&import, b"another", &sealed), None);
        assert_eq!(open(&random_key(), b"context", &sealed), None);
    }

    #[test]
    fn an_hsm_opens_a_pair_as_pkcs8() {
        let (key, import) = (SiteKey::generate_pair(), random_key());
        let sealed = key.seal(&public(&import), b"context").unwrap();
        let opened = SecretKey::from_pkcs8_der(&open(&import, b"context", &sealed).unwrap()).unwrap();
        assert_eq!(Some(public(&opened)), key.public());
    }

    #[test]
    fn no_two_keys_are_alike() {
        assert_ne!(SiteKey::generate_pair().public(), SiteKey::generate_pair().public());
        let [one, other] = [(); 2].map(|()| match SiteKey::generate_secret().0 {
            Form::Secret(bytes) => bytes,
            Form::Pair(_) => [0; 32].into(),
        });
        assert_ne!(one, other);
        assert_ne!(*one, [0; 32]);
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", SiteKey::generate_secret()), "SiteKey(..)");
    }
}
