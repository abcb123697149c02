//! opaque-ke's server, for an element that was evaluated elsewhere.
//!
//! opaque-ke multiplies the blinded element itself, by a scalar d that it derives from key material; there is no way
//! around that. So it is given constant key material and, in B's place, d⁻¹·Q: what it computes is Q. That puts the
//! wrong blinded element into its transcript, so [`ServerTripleDh`] puts B back, which comes behind the KE1 in the bytes
//! that the server parses, and never over a wire. All else is `TripleDh`'s own.

use std::convert::Infallible;
use std::sync::LazyLock;

use generic_array::GenericArray;
use generic_array::typenum::{U0, U33, Unsigned};
use opaque_ke::errors::ProtocolError;
use opaque_ke::key_exchange::{
    Deserialize, GenerateKe1Result, GenerateKe2Result, GenerateKe3Result, KeyExchange, SerializedContext,
    SerializedCredentialRequest, SerializedCredentialResponse, SerializedIdentifiers,
};
use opaque_ke::keypair::{KeyPair, OprfSeedSerialization, PrivateKey, PrivateKeySerialization, PublicKey};
use opaque_ke::{CipherSuite, Identifiers, ServerSetup, TripleDh};
use p256::{NistP256, Scalar};
use rand::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

use crate::stretching::Stretch;
use crate::suite::{KE1_LEN, Suite};
use crate::{Ke1, Point};

type Inner = TripleDh<NistP256, Sha256>;

/// [`Suite`] for a server whose elements are evaluated elsewhere. The messages on the wire are the same.
pub(crate) struct ServerSuite;

impl CipherSuite for ServerSuite {
    type OprfCs = NistP256;
    type KeyExchange = ServerTripleDh;
    type Ksf = Stretch;
}

/// The constant that stands for a server's OPRF key. Public, and of no influence on what comes out.
pub(crate) const KEY_MATERIAL: [u8; 32] = [0; 32];

/// d⁻¹, where d is what opaque-ke derives from [`KEY_MATERIAL`] (RFC 9807, section 5.2: `DeriveKeyPair`).
static INVERSE: LazyLock<Scalar> = LazyLock::new(|| {
    let d = voprf::derive_key::<NistP256>(&KEY_MATERIAL, b"OPAQUE-DeriveKeyPair", voprf::Mode::Oprf);
    let d = d.expect("the constant key material leads to a key");
    d.invert().expect("a derived key is not zero")
});

/// What opaque-ke's server parses in the place of `ke1`: d⁻¹·Q, the rest of the KE1, and B behind it.
pub(crate) fn feed(ke1: &Ke1, evaluation: &Point) -> [u8; KE1_LEN + Point::LEN] {
    let element = Point::from_projective(evaluation.to_projective() * *INVERSE);
    let element = element.expect("the group's order is prime, and neither factor is zero");
    let (b, rest) = ke1.as_bytes().split_at(Point::LEN);
    let mut bytes = [0; KE1_LEN + Point::LEN];
    bytes[..Point::LEN].copy_from_slice(&element.encode());
    bytes[Point::LEN..KE1_LEN].copy_from_slice(rest);
    bytes[KE1_LEN..].copy_from_slice(b);
    bytes
}

/// The server's public key, and no secret: those are in HSMs.
pub(crate) fn server_setup(ake_public: &Point) -> Result<ServerSetup<ServerSuite, InHsm, NoSeed>, ProtocolError> {
    // Parsed rather than generated, which would draw a key pair for accounts that do not exist. There are none here:
    // an answer always has its upload. The public key fills the place.
    ServerSetup::deserialize(&[ake_public.encode(), ake_public.encode()].concat())
}

/// In the place of the server's private key, which opaque-ke never asks for here.
#[derive(Clone)]
pub(crate) struct InHsm;

impl PrivateKeySerialization<NistP256> for InHsm {
    type Error = Infallible;
    type Len = U33;

    fn serialize_key_pair(pair: &KeyPair<NistP256, Self>) -> GenericArray<u8, U33> {
        pair.public().serialize()
    }

    fn deserialize_take_key_pair(bytes: &mut &[u8]) -> Result<KeyPair<NistP256, Self>, ProtocolError> {
        Ok(KeyPair::new(Self, PublicKey::deserialize(take(bytes, U33::USIZE)?)?))
    }
}

/// In the place of the seed of all OPRF keys, of which there is none.
#[derive(Clone)]
pub(crate) struct NoSeed;

impl OprfSeedSerialization<Sha256, Infallible> for NoSeed {
    type Len = U0;

    fn serialize(&self) -> GenericArray<u8, U0> {
        GenericArray::default()
    }

    fn deserialize_take(_: &mut &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self)
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], ProtocolError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(ProtocolError::SerializationError)?;
    *bytes = rest;
    Ok(taken)
}

/// A KE1's part of the key exchange, and the element that the client really sent. All of it public.
#[derive(Clone)]
pub(crate) struct Ke1WithElement {
    ke1: <Inner as KeyExchange>::KE1Message,
    blinded: [u8; Point::LEN],
}

impl ZeroizeOnDrop for Ke1WithElement {}

impl Deserialize for Ke1WithElement {
    fn deserialize_take(bytes: &mut &[u8]) -> Result<Self, ProtocolError> {
        let ke1 = Deserialize::deserialize_take(bytes)?;
        let blinded = take(bytes, Point::LEN)?.try_into().map_err(|_| ProtocolError::SerializationError)?;
        Ok(Self { ke1, blinded })
    }
}

/// `TripleDh`, with the client's own element in the transcript.
pub(crate) struct ServerTripleDh;

impl KeyExchange for ServerTripleDh {
    type Group = NistP256;
    type Hash = Sha256;
    type KE1State = <Inner as KeyExchange>::KE1State;
    type KE2State<CS: CipherSuite> = <Inner as KeyExchange>::KE2State<CS>;
    type KE1Message = Ke1WithElement;
    type KE2Builder<'a, CS: CipherSuite<KeyExchange = Self>> = <Inner as KeyExchange>::KE2Builder<'a, Suite>;
    type KE2BuilderData<'a, CS: 'static + CipherSuite> = <Inner as KeyExchange>::KE2BuilderData<'a, CS>;
    type KE2BuilderInput<CS: CipherSuite> = <Inner as KeyExchange>::KE2BuilderInput<CS>;
    type KE2Message = <Inner as KeyExchange>::KE2Message;
    type KE3Message = <Inner as KeyExchange>::KE3Message;

    fn ke2_builder<'a, CS: CipherSuite<KeyExchange = Self>, R: RngCore + CryptoRng>(
        rng: &mut R,
        _: SerializedCredentialRequest<CS>,
        ke1: Ke1WithElement,
        response: SerializedCredentialResponse<CS>,
        client_public: PublicKey<NistP256>,
        identifiers: SerializedIdentifiers<'a, NistP256>,
        context: SerializedContext<'a>,
    ) -> Result<Self::KE2Builder<'a, CS>, ProtocolError> {
        let request = SerializedCredentialRequest::<Suite>::deserialize_take(&mut ke1.blinded.as_slice())?;
        let response = response.iter().collect::<Vec<_>>().concat();
        let response = SerializedCredentialResponse::<Suite>::deserialize_take(&mut response.as_slice())?;
        Inner::ke2_builder::<Suite, R>(rng, request, ke1.ke1.clone(), response, client_public, identifiers, context)
    }

    fn ke2_builder_data<'a, CS: 'static + CipherSuite<KeyExchange = Self>>(
        builder: &'a Self::KE2Builder<'_, CS>,
    ) -> Self::KE2BuilderData<'a, CS> {
        Inner::ke2_builder_data::<Suite>(builder)
    }

    fn generate_ke2_input<CS: CipherSuite<KeyExchange = Self>, R: CryptoRng + RngCore>(
        builder: &Self::KE2Builder<'_, CS>,
        rng: &mut R,
        private: &PrivateKey<NistP256>,
    ) -> Self::KE2BuilderInput<CS> {
        Inner::generate_ke2_input::<Suite, R>(builder, rng, private)
    }

    fn build_ke2<CS: CipherSuite<KeyExchange = Self>>(
        builder: Self::KE2Builder<'_, CS>,
        ake_product: Self::KE2BuilderInput<CS>,
    ) -> Result<GenerateKe2Result<CS>, ProtocolError> {
        let built = Inner::build_ke2::<Suite>(builder, ake_product)?;
        Ok(GenerateKe2Result { state: built.state, message: built.message })
    }

    fn finish_ke<CS: CipherSuite<KeyExchange = Self>>(
        state: &Self::KE2State<CS>,
        ke3: Self::KE3Message,
        identifiers: Identifiers<'_>,
        context: SerializedContext<'_>,
    ) -> Result<GenericArray<u8, generic_array::typenum::U32>, ProtocolError> {
        Inner::finish_ke::<Suite>(state, ke3, identifiers, context)
    }

    fn generate_ke1<R: RngCore + CryptoRng>(_: &mut R) -> Result<GenerateKe1Result<Self>, ProtocolError> {
        unreachable!("clients use the suite itself")
    }

    fn generate_ke3<CS: CipherSuite<KeyExchange = Self>, R: CryptoRng + RngCore>(
        _: &mut R,
        _: SerializedCredentialRequest<CS>,
        _: Ke1WithElement,
        _: SerializedCredentialResponse<CS>,
        _: &Self::KE1State,
        _: Self::KE2Message,
        _: PublicKey<NistP256>,
        _: PrivateKey<NistP256>,
        _: SerializedIdentifiers<'_, NistP256>,
        _: SerializedContext<'_>,
    ) -> Result<GenerateKe3Result<Self>, ProtocolError> {
        unreachable!("clients use the suite itself")
    }
}

#[cfg(test)]
mod tests {
    use super::{INVERSE, KEY_MATERIAL};

    /// Computed by another implementation of RFC 9497's `DeriveKeyPair`, in Python: what opaque-ke derives must not change.
    #[test]
    fn the_scalar_behind_the_inverse_is_the_known_one() {
        let d = INVERSE.invert().expect("not zero");
        assert_eq!(KEY_MATERIAL, [0; 32]);
        assert_eq!(hex::encode(d.to_bytes()), "13b1d4f93dcd9fb90ee7879415bccf2ca54edf415bda0b938dab420cb2493692");
    }
}
