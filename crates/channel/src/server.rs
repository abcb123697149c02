//! The site's half.

use std::fmt;
use std::time::Duration;

use coffer_proto::{Base64, PointBytes, SealedRequest, Time, TransportKeyId};
use hpke::{Deserializable as _, OpModeR};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::ChannelError;
use crate::answer::Answerer;
use crate::binding::{Destination, Sender, request_aad, request_hash};
use crate::padding::unpad;
use crate::suite::{Aead, Kdf, Kem};

/// How far the clocks of client and site may be apart.
pub const TIME_MAY_DIFFER_BY: Duration = Duration::from_secs(300);

/// What requests are sealed to: a key of P-256, which a site makes anew each day and never writes down. Wiped when dropped.
pub struct TransportKey {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: PointBytes,
    id: TransportKeyId,
}

/// A request that was sealed for this site, by whoever has the token.
pub struct OpenedRequest {
    /// JSON, or nothing.
    pub body: Vec<u8>,
    /// Seals the answer.
    pub answerer: Answerer,
}

impl TransportKey {
    /// A new one.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn generate() -> Self {
        Self::new(&p256::SecretKey::random(&mut OsRng)).expect("a key of P-256 is one of HPKE's")
    }

    /// The key of these 32 bytes, big-endian.
    ///
    /// # Errors
    /// [`ChannelError::Key`] for zero and for what is not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ChannelError> {
        Self::new(&p256::SecretKey::from_bytes(bytes.into()).map_err(|_| ChannelError::Key)?)
    }

    fn new(key: &p256::SecretKey) -> Result<Self, ChannelError> {
        let compressed = key.public_key().to_encoded_point(true);
        let public = Base64(compressed.as_bytes().try_into().map_err(|_| ChannelError::Key)?);
        let bytes = Zeroizing::new(key.to_bytes());
        let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).map_err(|_| ChannelError::Key)?;
        Ok(Self { private, public, id: TransportKeyId::of(&public) })
    }

    /// The public half, for the site's certificate.
    pub const fn public(&self) -> PointBytes {
        self.public
    }

    /// Its name.
    pub const fn id(&self) -> TransportKeyId {
        self.id
    }

    /// Opens a request. `sender` is whoever it came from: the account and the token that stand beside the envelope, verified
    /// before.
    ///
    /// # Errors
    /// [`ChannelError::OtherKey`], [`ChannelError::Time`], [`ChannelError::Seal`].
    pub fn open(
        &self,
        destination: &Destination,
        sender: &Sender<'_>,
        envelope: &SealedRequest,
        now: Time,
    ) -> Result<OpenedRequest, ChannelError> {
        if envelope.key != self.id {
            return Err(ChannelError::OtherKey);
        }
        if envelope.time.since(now).max(now.since(envelope.time)) > TIME_MAY_DIFFER_BY {
            return Err(ChannelError::Time);
        }
        let aad = request_aad(sender, envelope);
        let hash = request_hash(&aad, envelope);
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&envelope.enc.0).map_err(|_| ChannelError::Seal)?;
        let info = destination.info(&self.id);
        let mut context = hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &self.private, &enc, &info)
            .map_err(|_| ChannelError::Seal)?;
        let plaintext = context.open(envelope.ciphertext.as_bytes(), &aad).map_err(|_| ChannelError::Seal)?;
        let plaintext = Zeroizing::new(plaintext);
        let body = unpad(&plaintext)?.to_vec();
        Ok(OpenedRequest { body, answerer: Answerer::new(context, hash) })
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The body is nobody's to read.
impl fmt::Debug for OpenedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedRequest(..)")
    }
}
