//! An HSM that is none: its keys lie in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aes_kw::KekAes256;
use coffer_pake::Point;
use coffer_vault_core::{Hsm, HsmError, HsmPublicKeys, ImportedShare, LedgerSpend, SealedShareIn, WrappedShare};
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use p256::{AffinePoint, EncodedPoint, NonZeroScalar, ProjectivePoint, SecretKey};
use rand::RngCore as _;
use rand::rngs::OsRng;
use sha2::Sha256;

/// Does what a site's HSM does, and counts what it evaluates. Its keys live as long as its last clone.
#[derive(Clone)]
pub struct SoftwareHsm(Arc<Inner>);

struct Inner {
    share_import: SecretKey,
    ake: SecretKey,
    site_identity: SigningKey,
    share_kek: KekAes256,
    ledger_mac: [u8; 32],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failure: Option<HsmError>,
    evaluated: BTreeSet<[u8; Point::LEN]>,
}

impl SoftwareHsm {
    /// The HSMs of a fleet of so many sites: they share `ake`, and nothing else.
    pub fn fleet(sites: usize) -> Vec<Self> {
        let ake = SecretKey::random(&mut OsRng);
        (0..sites).map(|_| Self::with_ake(ake.clone())).collect()
    }

    /// The HSM of a fleet of one.
    pub fn single() -> Self {
        Self::with_ake(SecretKey::random(&mut OsRng))
    }

    fn with_ake(ake: SecretKey) -> Self {
        let [mut share_kek, mut ledger_mac] = [[0; 32]; 2];
        OsRng.fill_bytes(&mut share_kek);
        OsRng.fill_bytes(&mut ledger_mac);
        Self(Arc::new(Inner {
            share_import: SecretKey::random(&mut OsRng),
            ake,
            site_identity: SigningKey::random(&mut OsRng),
            share_kek: KekAes256::from(share_kek),
            ledger_mac,
            state: Mutex::default(),
        }))
    }

    /// Every call fails so from now on; with `None`, no more.
    pub fn fail(&self, failure: Option<HsmError>) {
        self.change(|state| state.failure = failure);
    }

    /// Whether any share was ever multiplied by this element.
    pub fn has_evaluated(&self, element: &Point) -> bool {
        self.change(|state| state.evaluated.contains(&element.encode()))
    }

    /// How many elements were evaluated: the same one again tells nothing new, and is not counted.
    pub fn evaluations(&self) -> usize {
        self.change(|state| state.evaluated.len())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().expect("nothing panics while it holds the lock"))
    }

    fn works(&self) -> Result<(), HsmError> {
        self.change(|state| state.failure.map_or(Ok(()), Err))
    }
}

impl Hsm for SoftwareHsm {
    fn public_keys(&self) -> HsmPublicKeys {
        HsmPublicKeys {
            share_import: public(&self.0.share_import.to_nonzero_scalar()),
            ake: public(&self.0.ake.to_nonzero_scalar()),
            site_identity: public(self.0.site_identity.as_nonzero_scalar()),
        }
    }

    async fn import_share(&self, share: SealedShareIn<'_>) -> Result<ImportedShare, HsmError> {
        self.works()?;
        let transported = multiply(&self.0.share_import.to_nonzero_scalar(), &share.transport);
        let transport_key = KekAes256::from(<[u8; 32]>::from(affine(&transported).x()));
        let key = unwrap(&transport_key, share.sealed)?;
        let signed = signed(&key, &share.expected).ok_or(HsmError::Refused)?;
        let pkcs8 = key.to_pkcs8_der().map_err(|_| HsmError::Fault)?;
        let wrapped = self.0.share_kek.wrap_with_padding_vec(pkcs8.as_bytes()).map_err(|_| HsmError::Fault)?;
        Ok(ImportedShare { wrapped, receipt: multiply(&signed, &share.receipt_base) })
    }

    async fn evaluate(&self, _: LedgerSpend, share: &WrappedShare, element: &Point) -> Result<Point, HsmError> {
        self.works()?;
        let key = unwrap(&self.0.share_kek, &share.wrapped)?;
        let signed = signed(&key, &share.public).ok_or(HsmError::Fault)?;
        self.change(|state| state.evaluated.insert(element.encode()));
        Ok(multiply(&signed, element))
    }

    async fn agree(&self, ephemeral: &Point) -> Result<Point, HsmError> {
        self.works()?;
        Ok(multiply(&self.0.ake.to_nonzero_scalar(), ephemeral))
    }

    async fn mac(&self, message: &[u8]) -> Result<[u8; 32], HsmError> {
        self.works()?;
        let mac = Hmac::<Sha256>::new_from_slice(&self.0.ledger_mac).map_err(|_| HsmError::Fault)?;
        Ok(mac.chain_update(message).finalize().into_bytes().into())
    }

    async fn certify(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        self.works()?;
        let signature: Signature = self.0.site_identity.sign(message);
        Ok(signature.to_bytes().into())
    }
}

fn unwrap(kek: &KekAes256, wrapped: &[u8]) -> Result<SecretKey, HsmError> {
    let pkcs8 = kek.unwrap_with_padding_vec(wrapped).map_err(|_| HsmError::Refused)?;
    SecretKey::from_pkcs8_der(&pkcs8).map_err(|_| HsmError::Refused)
}

/// The key, or its negation, whichever belongs to `expected`: an HSM tells x-coordinates only.
fn signed(key: &SecretKey, expected: &Point) -> Option<NonZeroScalar> {
    let key = key.to_nonzero_scalar();
    [key, -key].into_iter().find(|key| public(key) == *expected)
}

fn public(key: &NonZeroScalar) -> Point {
    multiply(key, &Point::generator())
}

fn multiply(key: &NonZeroScalar, point: &Point) -> Point {
    let product = (ProjectivePoint::from(affine(point)) * **key).to_affine();
    Point::parse(product.to_encoded_point(true).as_bytes()).expect("neither factor is zero")
}

fn affine(point: &Point) -> AffinePoint {
    let encoded = EncodedPoint::from_bytes(point.encode()).expect("a point is encoded");
    Option::from(AffinePoint::from_encoded_point(&encoded)).expect("a point is on the curve")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_pake::{
        Argon2Parameters, Dealt, Identities, Point, Share, deal_registration, import_point, receipt_base, verify_es256,
    };
    use coffer_vault_core::{Hsm as _, HsmError, ImportedShare, LedgerSpend, SealedShareIn, WrappedShare};

    use super::SoftwareHsm;

    const CONTEXT: &[u8] = b"whose share it is";

    fn dealt() -> Dealt {
        let identities = Identities { client: b"ada", server: b"fleet", context: b"test" };
        let argon2 = Argon2Parameters { memory_kib: 8192, passes: 1, lanes: 1 };
        let ake = SoftwareHsm::single().public_keys().ake;
        deal_registration(b"secret", &identities, &argon2, &ake, 1, 1).unwrap()
    }

    fn share() -> Share {
        dealt().shares.remove(0)
    }

    async fn import(
        hsm: &SoftwareHsm,
        share: &Share,
        context: &[u8],
        expected: Point,
    ) -> Result<ImportedShare, HsmError> {
        let sealed = share.seal(&hsm.public_keys().share_import, CONTEXT).unwrap();
        hsm.import_share(SealedShareIn {
            transport: import_point(context, &sealed.ephemeral),
            sealed: &sealed.wrapped,
            expected,
            receipt_base: receipt_base(context),
        })
        .await
    }

    fn negated(point: &Point) -> Point {
        let mut bytes = point.encode();
        bytes[0] ^= 1;
        Point::parse(&bytes).unwrap()
    }

    #[tokio::test]
    async fn imports_a_share_that_a_client_has_sealed_and_evaluates_with_it() {
        let (hsm, share) = (SoftwareHsm::single(), share());
        let imported = import(&hsm, &share, CONTEXT, share.public()).await.unwrap();
        assert_eq!(imported.receipt, share.receipt(CONTEXT));

        let wrapped = WrappedShare { wrapped: imported.wrapped, public: share.public() };
        let element = receipt_base(CONTEXT);
        let spend = LedgerSpend::insecure_without_a_spend();
        assert_eq!(hsm.evaluate(spend, &wrapped, &element).await, Ok(share.receipt(CONTEXT)));
        assert_eq!((hsm.has_evaluated(&element), hsm.evaluations()), (true, 1));
        assert!(!hsm.has_evaluated(&Point::generator()));
    }

    #[tokio::test]
    async fn answers_with_the_sign_that_the_expected_point_has() {
        let (hsm, share) = (SoftwareHsm::single(), share());
        let imported = import(&hsm, &share, CONTEXT, negated(&share.public())).await.unwrap();
        assert_eq!(imported.receipt, negated(&share.receipt(CONTEXT)));
    }

    #[tokio::test]
    async fn refuses_a_share_that_was_sealed_under_another_context() {
        let (hsm, share) = (SoftwareHsm::single(), share());
        assert_eq!(import(&hsm, &share, b"another", share.public()).await, Err(HsmError::Refused));
    }

    #[tokio::test]
    async fn refuses_a_share_that_is_not_the_expected_one() {
        let (hsm, share) = (SoftwareHsm::single(), share());
        assert_eq!(import(&hsm, &share, CONTEXT, Point::generator()).await, Err(HsmError::Refused));
    }

    #[tokio::test]
    async fn refuses_a_share_that_another_hsm_has_wrapped() {
        let (hsm, share) = (SoftwareHsm::single(), share());
        let imported = import(&hsm, &share, CONTEXT, share.public()).await.unwrap();
        let wrapped = WrappedShare { wrapped: imported.wrapped, public: share.public() };
        let (other, spend) = (SoftwareHsm::single(), LedgerSpend::insecure_without_a_spend());
        assert_eq!(other.evaluate(spend, &wrapped, &Point::generator()).await, Err(HsmError::Refused));
        assert_eq!(other.evaluations(), 0);
    }

    #[tokio::test]
    async fn fails_when_it_is_told_to_and_works_again_afterwards() {
        let hsm = SoftwareHsm::single();
        hsm.fail(Some(HsmError::Unavailable));
        assert_eq!(hsm.mac(b"message").await, Err(HsmError::Unavailable));
        assert_eq!(hsm.agree(&Point::generator()).await, Err(HsmError::Unavailable));
        hsm.fail(None);
        assert!(hsm.mac(b"message").await.is_ok());
    }

    #[tokio::test]
    async fn a_fleet_shares_ake_and_nothing_else() {
        let fleet = SoftwareHsm::fleet(2);
        let [one, other] = [fleet[0].public_keys(), fleet[1].public_keys()];
        assert_eq!(one.ake, other.ake);
        assert_ne!(one.share_import, other.share_import);
        assert_ne!(one.site_identity, other.site_identity);
        assert_ne!(fleet[0].mac(b"message").await, fleet[1].mac(b"message").await);
        assert_eq!(fleet[0].agree(&Point::generator()).await, Ok(one.ake));
    }

    #[tokio::test]
    async fn certifies_with_its_identity() {
        let hsm = SoftwareHsm::single();
        let signature = hsm.certify(b"message").await.unwrap();
        let identity = hsm.public_keys().site_identity;
        assert!(verify_es256(&identity, b"message", &signature));
        assert!(!verify_es256(&identity, b"another", &signature));
    }
}
