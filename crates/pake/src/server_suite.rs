//! opaque-ke's server, for an element that was evaluated elsewhere.
//!
//! opaque-ke multiplies the blinded element itself, by a scalar that it derives from key material; there is no way
//! around that. So it is given constant key material, and what comes of it is thrown away: [`ServerTripleDh`] puts the
//! evaluation Q into the transcript, and [`crate::answer_login`] into the answer. Q comes behind the KE1 in the bytes that
//! the server parses, and never over a wire. All else is `TripleDh`'s own.

use std::convert::Infallible;

use generic_array::GenericArray;
use generic_array::typenum::{U0, U33, Unsigned};
use opaque_ke::errors::ProtocolError;
use opaque_ke::key_exchange::{
    Deserialize, GenerateKe1Result, GenerateKe2Result, GenerateKe3Result, KeyExchange, SerializedContext,
    SerializedCredentialRequest, SerializedCredentialResponse, SerializedIdentifiers,
};
use opaque_ke::keypair::{KeyPair, OprfSeedSerialization, PrivateKey, PrivateKeySerialization, PublicKey};
use opaque_ke::{CipherSuite, Identifiers, ServerSetup, TripleDh};
use p256::NistP256;
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

/// What opaque-ke's server parses: the KE1, and Q behind it.
pub(crate) fn feed(ke1: &Ke1, evaluation: &Point) -> [u8; KE1_LEN + Point::LEN] {
    let mut bytes = [0; KE1_LEN + Point::LEN];
    bytes[..KE1_LEN].copy_from_slice(ke1.as_bytes());
    bytes[KE1_LEN..].copy_from_slice(&evaluation.encode());
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

/// A KE1's part of the key exchange, and the evaluation. All of it public.
#[derive(Clone)]
pub(crate) struct Ke1WithEvaluation {
    ke1: <Inner as KeyExchange>::KE1Message,
    evaluation: [u8; Point::LEN],
}

impl ZeroizeOnDrop for Ke1WithEvaluation {}

impl Deserialize for Ke1WithEvaluation {
    fn deserialize_take(bytes: &mut &[u8]) -> Result<Self, ProtocolError> {
        let ke1 = Deserialize::deserialize_take(bytes)?;
        let evaluation = take(bytes, Point::LEN)?.try_into().map_err(|_| ProtocolError::SerializationError)?;
        Ok(Self { ke1, evaluation })
    }
}

/// `TripleDh`, with the evaluation of the sites in the transcript.
pub(crate) struct ServerTripleDh;

impl KeyExchange for ServerTripleDh {
    type Group = NistP256;
    type Hash = Sha256;
    type KE1State = <Inner as KeyExchange>::KE1State;
    type KE2State<CS: CipherSuite> = <Inner as KeyExchange>::KE2State<CS>;
    type KE1Message = Ke1WithEvaluation;
    type KE2Builder<'a, CS: CipherSuite<KeyExchange = Self>> = <Inner as KeyExchange>::KE2Builder<'a, Suite>;
    type KE2BuilderData<'a, CS: 'static + CipherSuite> = <Inner as KeyExchange>::KE2BuilderData<'a, CS>;
    type KE2BuilderInput<CS: CipherSuite> = <Inner as KeyExchange>::KE2BuilderInput<CS>;
    type KE2Message = <Inner as KeyExchange>::KE2Message;
    type KE3Message = <Inner as KeyExchange>::KE3Message;

    fn ke2_builder<'a, CS: CipherSuite<KeyExchange = Self>, R: RngCore + CryptoRng>(
        rng: &mut R,
        request: SerializedCredentialRequest<CS>,
        ke1: Ke1WithEvaluation,
        response: SerializedCredentialResponse<CS>,
        client_public: PublicKey<NistP256>,
        identifiers: SerializedIdentifiers<'a, NistP256>,
        context: SerializedContext<'a>,
    ) -> Result<Self::KE2Builder<'a, CS>, ProtocolError> {
        let request = request.iter().collect::<Vec<_>>().concat();
        let request = SerializedCredentialRequest::<Suite>::deserialize_take(&mut request.as_slice())?;
        let mut response = response.iter().collect::<Vec<_>>().concat();
        // An answer begins with its element (RFC 9807, section 6.3).
        response[..Point::LEN].copy_from_slice(&ke1.evaluation);
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
        _: Ke1WithEvaluation,
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
