//! The server's half of a login, after the sites have evaluated.

use std::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::{CredentialRequest, ServerLogin as OpaqueLogin, ServerLoginParameters, ServerRegistration};
use rand::rngs::OsRng;
use rand::{CryptoRng, RngCore};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::server_suite::{KEY_MATERIAL, ServerSuite, feed, server_setup};
use crate::suite::{KE1_LEN, KE2_LEN, KE3_LEN, UPLOAD_LEN, message};
use crate::{Identities, PakeError, Point};

/// RFC 9807's KE1, its two points parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ke1 {
    bytes: [u8; KE1_LEN],
    blinded: Point,
    client_ephemeral: Point,
}

impl Ke1 {
    /// Reads exactly [`KE1_LEN`] bytes, both points canonical.
    pub fn parse(bytes: &[u8]) -> Result<Self, PakeError> {
        let bytes: [u8; KE1_LEN] = bytes.try_into().map_err(|_| PakeError::Malformed)?;
        let point = |at: &[u8]| Point::parse(at).map_err(|_| PakeError::Malformed);
        let blinded = point(&bytes[..Point::LEN])?;
        let client_ephemeral = point(&bytes[KE1_LEN - Point::LEN..])?;
        Ok(Self { bytes, blinded, client_ephemeral })
    }

    /// B, the blinded password, which every site multiplies by its share.
    pub const fn blinded(&self) -> Point {
        self.blinded
    }

    /// The client's key share, which an HSM multiplies by the `ake` key.
    pub const fn client_ephemeral(&self) -> Point {
        self.client_ephemeral
    }

    /// The message as it came.
    pub const fn as_bytes(&self) -> &[u8; KE1_LEN] {
        &self.bytes
    }
}

/// What a site keeps until the KE3 comes: the MAC that it must be. Secret; wiped when dropped. The session key is
/// dropped at once, since nothing is sent under it.
pub struct ServerLogin(Zeroizing<[u8; KE3_LEN]>);

/// The KE3 is not the one that a client with the right password sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client did not prove the password")]
pub struct WrongKe3;

/// Whether these bytes are an upload that logins can be answered from: [`UPLOAD_LEN`] bytes that begin with a canonical
/// point. The rest is random to all but the client.
pub fn check_upload(upload: &[u8]) -> Result<(), PakeError> {
    if upload.len() != UPLOAD_LEN {
        return Err(PakeError::Malformed);
    }
    Point::parse(&upload[..Point::LEN]).map(drop).map_err(|_| PakeError::Malformed)
}

/// Answers `ke1` from what was computed elsewhere: `evaluation` is Q = k·B, combined from the sites' answers, and
/// `ake_product` is the `ake` key times the client's key share, from an HSM. Both are believed.
///
/// Costs four multiplications, and neither waits nor asks. Panics if the operating system has no randomness.
pub fn answer_login(
    upload: &[u8],
    ke1: &Ke1,
    evaluation: &Point,
    ake_product: &Point,
    ake_public: &Point,
    identities: &Identities<'_>,
) -> Result<([u8; KE2_LEN], ServerLogin), PakeError> {
    answer_with(&mut OsRng, upload, ke1, evaluation, ake_product, ake_public, identities)
}

pub(crate) fn answer_with<R: RngCore + CryptoRng>(
    rng: &mut R,
    upload: &[u8],
    ke1: &Ke1,
    evaluation: &Point,
    ake_product: &Point,
    ake_public: &Point,
    identities: &Identities<'_>,
) -> Result<([u8; KE2_LEN], ServerLogin), PakeError> {
    check_upload(upload)?;
    identities.check()?;
    let parameters = ServerLoginParameters { context: Some(identities.context), identifiers: identities.identifiers() };
    let answer = || {
        let builder = OpaqueLogin::<ServerSuite>::builder_with_key_material(
            rng,
            &server_setup(ake_public)?,
            KEY_MATERIAL.into(),
            Some(ServerRegistration::deserialize(upload)?),
            CredentialRequest::deserialize(&feed(ke1, evaluation))?,
            parameters,
        )?;
        builder.build(ake_product.encode().into())
    };
    let built = answer().map_err(|_: ProtocolError| PakeError::Malformed)?;
    let mut ke2: [u8; KE2_LEN] = message(&built.message.serialize());
    ke2[..Point::LEN].copy_from_slice(&evaluation.encode());
    // The session key, then the MAC that the KE3 must be.
    let mut state = built.state.serialize();
    let mut expected = Zeroizing::new([0; KE3_LEN]);
    expected.copy_from_slice(&state[state.len() - KE3_LEN..]);
    state.as_mut_slice().zeroize();
    Ok((ke2, ServerLogin(expected)))
}

impl ServerLogin {
    /// Bytes of the stored state.
    pub const LEN: usize = KE3_LEN;

    /// The state, to be kept as secret as what it guards: it is the KE3 that passes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_vec())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn parse(bytes: &[u8]) -> Result<Self, PakeError> {
        let bytes = bytes.try_into().map_err(|_| PakeError::Malformed)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Whether the client has proved the password. The comparison takes constant time.
    pub fn finish(&self, ke3: &[u8]) -> Result<(), WrongKe3> {
        if bool::from(self.0.as_slice().ct_eq(ke3)) { Ok(()) } else { Err(WrongKe3) }
    }
}

impl fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerLogin(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::{Ke1, ServerLogin, WrongKe3, answer_login, check_upload};
    use crate::fleet::{CHEAP, Fleet, IDENTITIES, PASSWORD, random_key, random_point};
    use crate::share::multiply;
    use crate::{
        ClientLogin, Identities, KE1_LEN, KE2_LEN, KE3_LEN, LoginError, PakeError, Point, UPLOAD_LEN, deal_registration,
    };

    fn started() -> (Fleet, ClientLogin, Ke1) {
        let (login, ke1) = ClientLogin::start(PASSWORD).unwrap();
        (Fleet::new(1, 1), login, Ke1::parse(&ke1).unwrap())
    }

    #[test]
    fn the_answer_s_element_is_the_evaluation() {
        let (fleet, _, ke1) = started();
        for _ in 0..10 {
            let evaluation = random_point();
            let (ke2, _) = fleet.answer_with(&ke1, &evaluation);
            assert_eq!(Point::parse(&ke2[..Point::LEN]), Ok(evaluation));
        }
    }

    #[test]
    fn two_answers_to_one_ke1_share_the_evaluation_alone() {
        let (fleet, _, ke1) = started();
        let [(one, one_login), (other, other_login)] = [(), ()].map(|()| fleet.answer(ke1.as_bytes()));
        assert_eq!(one[..Point::LEN], other[..Point::LEN]);
        assert_ne!(one[Point::LEN..65], other[Point::LEN..65]);
        assert_ne!(one_login.encode(), other_login.encode());
    }

    #[test]
    fn an_evaluation_by_another_key_does_not_open() {
        let (fleet, login, ke1) = started();
        let evaluation = multiply(&random_key(), &ke1.blinded());
        let (ke2, _) = fleet.answer_with(&ke1, &evaluation);
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn an_evaluation_spliced_into_a_finished_answer_is_refused() {
        let (fleet, login, ke1) = started();
        let right = fleet.evaluate(&ke1.blinded());
        let (mut ke2, _) = fleet.answer_with(&ke1, &random_point());
        ke2[..Point::LEN].copy_from_slice(&right.encode());
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn an_answer_to_another_ke1_is_refused() {
        let (fleet, login, ke1) = started();
        let mut bytes = *ke1.as_bytes();
        bytes[40] ^= 1;
        let (ke2, _) = fleet.answer(&bytes);
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn a_server_without_the_ake_key_is_refused() {
        let (fleet, login, ke1) = started();
        let evaluation = fleet.evaluate(&ke1.blinded());
        let product = multiply(&random_key(), &ke1.client_ephemeral());
        let upload = &fleet.dealt.upload;
        let (ke2, _) = answer_login(upload, &ke1, &evaluation, &product, &fleet.ake_public(), &IDENTITIES).unwrap();
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::WrongPassword);
        let (ke2, _) = answer_login(upload, &ke1, &evaluation, &product, &random_point(), &IDENTITIES).unwrap();
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn the_client_proves_the_password_once_it_has_opened_the_answer() {
        let (fleet, login, ke1) = started();
        let (ke2, server) = fleet.answer(ke1.as_bytes());
        let ke3 = fleet.finish(&login, PASSWORD, &ke2).unwrap().ke3;
        assert_eq!(server.finish(&ke3), Ok(()));
        let (_, another) = fleet.answer(ke1.as_bytes());
        assert_eq!(another.finish(&ke3), Err(WrongKe3));
    }

    #[test]
    fn refuses_a_ke3_with_any_byte_changed() {
        let server = ServerLogin::parse(&[7; KE3_LEN]).unwrap();
        assert_eq!(server.finish(&[7; KE3_LEN]), Ok(()));
        for byte in 0..KE3_LEN {
            let mut ke3 = [7; KE3_LEN];
            ke3[byte] ^= 0x80;
            assert_eq!(server.finish(&ke3), Err(WrongKe3), "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_ke3_of_every_other_length() {
        let server = ServerLogin::parse(&[7; KE3_LEN]).unwrap();
        for length in (0..2 * KE3_LEN).filter(|length| *length != KE3_LEN) {
            assert_eq!(server.finish(&vec![7; length]), Err(WrongKe3), "{length}");
        }
    }

    #[test]
    fn the_server_s_state_survives_a_restart() {
        let (fleet, login, ke1) = started();
        let (ke2, server) = fleet.answer(ke1.as_bytes());
        let resumed = ServerLogin::parse(&server.encode()).unwrap();
        let ke3 = fleet.finish(&login, PASSWORD, &ke2).unwrap().ke3;
        assert_eq!(resumed.finish(&ke3), Ok(()));
        for length in (0..2 * ServerLogin::LEN).filter(|length| *length != ServerLogin::LEN) {
            assert_eq!(ServerLogin::parse(&vec![7; length]).unwrap_err(), PakeError::Malformed, "{length}");
        }
    }

    #[test]
    fn refuses_a_ke1_of_every_other_length() {
        let (_, _, ke1) = started();
        let long = [ke1.as_bytes().as_slice(), &[0; 40]].concat();
        for length in (0..long.len()).filter(|length| *length != KE1_LEN) {
            assert_eq!(Ke1::parse(&long[..length]), Err(PakeError::Malformed), "{length}");
        }
        assert_eq!(Ke1::parse(&long[..KE1_LEN]), Ok(ke1));
    }

    #[test]
    fn refuses_a_ke1_with_bytes_that_are_no_point() {
        let (_, _, ke1) = started();
        for at in [0, KE1_LEN - Point::LEN] {
            for tag in [0, 1, 4, 5, 6, 7] {
                let mut bytes = *ke1.as_bytes();
                bytes[at] = tag;
                assert_eq!(Ke1::parse(&bytes), Err(PakeError::Malformed), "{at} {tag}");
            }
            for byte in [0, 0xff] {
                let mut bytes = *ke1.as_bytes();
                bytes[at + 1..at + Point::LEN].fill(byte);
                bytes[at] = byte.min(2);
                assert_eq!(Ke1::parse(&bytes), Err(PakeError::Malformed), "{at} {byte}");
            }
        }
    }

    #[test]
    fn refuses_an_upload_of_every_other_length() {
        let (fleet, _, ke1) = started();
        let long = [fleet.dealt.upload.as_slice(), &[0; 40]].concat();
        let ake_public = fleet.ake_public();
        for length in (0..long.len()).filter(|length| *length != UPLOAD_LEN) {
            assert_eq!(check_upload(&long[..length]), Err(PakeError::Malformed), "{length}");
            let answer = answer_login(&long[..length], &ke1, &ake_public, &ake_public, &ake_public, &IDENTITIES);
            assert_eq!(answer.err(), Some(PakeError::Malformed), "{length}");
        }
        assert_eq!(check_upload(&long[..UPLOAD_LEN]), Ok(()));
    }

    #[test]
    fn refuses_an_upload_that_does_not_begin_with_a_point() {
        let (fleet, _, _) = started();
        for tag in [0, 1, 4, 5, 6, 7] {
            let mut upload = fleet.dealt.upload;
            upload[0] = tag;
            assert_eq!(check_upload(&upload), Err(PakeError::Malformed), "{tag}");
        }
        let mut upload = fleet.dealt.upload;
        upload[..Point::LEN].fill(0);
        assert_eq!(check_upload(&upload), Err(PakeError::Malformed));
    }

    #[test]
    fn refuses_identities_above_65535_bytes() {
        let (fleet, _, ke1) = started();
        let (long, point) = ([0; 65536], fleet.ake_public());
        for identities in [
            Identities { client: &long, ..IDENTITIES },
            Identities { server: &long, ..IDENTITIES },
            Identities { context: &long, ..IDENTITIES },
        ] {
            let answer = answer_login(&fleet.dealt.upload, &ke1, &point, &point, &point, &identities);
            assert_eq!(answer.err(), Some(PakeError::TooLong));
            let dealt = deal_registration(PASSWORD, &identities, &CHEAP, &point, 1, 1);
            assert_eq!(dealt.err(), Some(PakeError::TooLong));
        }
    }

    #[test]
    fn an_opaque_ke_client_that_is_not_ours_logs_in() {
        use opaque_ke::{ClientLogin, ClientLoginFinishParameters, CredentialResponse, Identifiers};
        use rand::rngs::OsRng;

        use crate::stretching::Stretch;
        use crate::suite::Suite;

        let fleet = Fleet::new(5, 3);
        let started = ClientLogin::<Suite>::start(&mut OsRng, PASSWORD).unwrap();
        let (ke2, server) = fleet.answer(&started.message.serialize());
        let identifiers = Identifiers { client: Some(IDENTITIES.client), server: Some(IDENTITIES.server) };
        let stretch = Stretch::new(&CHEAP).unwrap();
        let parameters = ClientLoginFinishParameters::new(Some(IDENTITIES.context), identifiers, Some(&stretch));
        let answer = CredentialResponse::deserialize(&ke2).unwrap();
        assert_eq!(ke2.len(), KE2_LEN);
        let finished = started.state.finish(&mut OsRng, PASSWORD, answer, parameters).unwrap();
        assert_eq!(server.finish(&finished.message.serialize()), Ok(()));
        assert_eq!(finished.export_key.as_slice(), fleet.dealt.export_key.expose_bytes());
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", ServerLogin::parse(&[7; KE3_LEN]).unwrap()), "ServerLogin(..)");
    }
}
