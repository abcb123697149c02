//! The client's half.

use coffer_proto::{
    Base64, Base64Vec, PointBytes, RouteId, RouteTemplate, SealedMethod, SealedRequest, Time, TransportKeyId,
};
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand::rngs::OsRng;

use crate::answer::Opener;
use crate::binding::{Destination, Sender, request_aad, request_hash};
use crate::padding::pad;
use crate::suite::{Aead, Kdf, Kem};
use crate::{ChannelError, suite};

/// A request as it is meant.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "its body is nobody's to read")]
pub struct PlainRequest<'a> {
    /// What is asked for.
    pub method: SealedMethod,
    /// Where.
    pub route: &'a RouteTemplate,
    /// What stands for `{id}` in the route.
    pub id: Option<RouteId>,
    /// JSON, or nothing.
    pub body: &'a [u8],
    /// Now.
    pub time: Time,
}

/// Seals a request to a site's transport key, which the site's identity key has certified: see there that it has. The
/// [`Opener`] opens the answer.
///
/// # Errors
/// [`ChannelError::Key`], [`ChannelError::TooLong`].
///
/// # Panics
/// If the operating system has no randomness.
pub fn seal(
    destination: &Destination,
    transport_key: &PointBytes,
    sender: &Sender<'_>,
    request: &PlainRequest<'_>,
) -> Result<(SealedRequest, Opener), ChannelError> {
    let key = TransportKeyId::of(transport_key);
    let public = parse_public(transport_key)?;
    let info = destination.info(&key);
    let (enc, mut context) = hpke::setup_sender::<Aead, Kdf, Kem, _>(&OpModeS::Base, &public, &info, &mut OsRng)
        .map_err(|_| ChannelError::Key)?;
    let mut envelope = SealedRequest {
        method: request.method,
        route: request.route.clone(),
        id: request.id,
        time: request.time,
        key,
        enc: Base64(enc.to_bytes().as_slice().try_into().map_err(|_| ChannelError::Key)?),
        ciphertext: Base64Vec::new(vec![0]).map_err(|_| ChannelError::TooLong)?,
    };
    let aad = request_aad(sender, &envelope);
    let ciphertext = context.seal(&pad(&[request.body])?, &aad).map_err(|_| ChannelError::Seal)?;
    envelope.ciphertext = Base64Vec::new(ciphertext).map_err(|_| ChannelError::TooLong)?;
    let hash = request_hash(&aad, &envelope);
    Ok((envelope, Opener::new(context, hash)))
}

/// Our points are compressed, HPKE's are not.
fn parse_public(key: &PointBytes) -> Result<<Kem as hpke::Kem>::PublicKey, ChannelError> {
    let point = p256::PublicKey::from_sec1_bytes(&key.0).map_err(|_| ChannelError::Key)?;
    let uncompressed = point.to_encoded_point(false);
    <suite::Kem as hpke::Kem>::PublicKey::from_bytes(uncompressed.as_bytes()).map_err(|_| ChannelError::Key)
}
