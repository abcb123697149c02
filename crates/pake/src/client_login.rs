//! The client's half of a login: opaque-ke, unmodified.

use std::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::{ClientLogin as OpaqueLogin, ClientLoginFinishParameters, CredentialResponse};
use p256::{NistP256, NonZeroScalar};
use rand::rngs::OsRng;
use rand::{CryptoRng, RngCore};
use subtle::ConstantTimeEq;
use thiserror::Error;
use voprf::OprfClient;
use zeroize::{Zeroize, Zeroizing};

use crate::identities::check_length;
use crate::stretching::Stretch;
use crate::suite::{KE1_LEN, KE2_LEN, KE3_LEN, SERVER_SHARE_AT, Suite, message};
use crate::{Argon2Error, Argon2Parameters, ExportKey, Identities, Ke1, PakeError, Point};

/// Bytes of the blind, a scalar, with which the state begins.
const BLIND_LEN: usize = 32;

/// An attempt under way: the blind and the key share's secret behind one KE1. Secret; wiped when dropped.
///
/// A client keeps it on the device until the attempt is proved or has expired, so that a crash costs no second attempt.
pub struct ClientLogin(OpaqueLogin<Suite>);

/// What a right password leads to.
#[derive(Debug)]
pub struct LoginFinished {
    /// For the site whose KE2 was answered.
    pub ke3: [u8; KE3_LEN],
    /// The registration's export key.
    pub export_key: ExportKey,
}

/// Why a KE2 led to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The envelope did not open, or the MAC was wrong. Where the answer was marked unchecked, a faulty site is the
    /// other explanation.
    #[error("the password is wrong")]
    WrongPassword,
    /// The registration was made for another fleet's key than the manifest's. Its answers are not to be trusted.
    #[error("the registration belongs to another server key than the manifest's")]
    WrongServerKey,
    /// The answer is none, or reflects what was asked. Ask another site.
    #[error("the vault's answer is malformed")]
    Malformed,
    /// A password, an identity or the context is longer than any registration's can be.
    #[error("a password, identity or context is longer than 65535 bytes")]
    TooLong,
    /// Parameters that the client does not work with.
    #[error(transparent)]
    Argon2(#[from] Argon2Error),
}

impl ClientLogin {
    /// Bytes of a stored attempt.
    pub const LEN: usize = BLIND_LEN + KE1_LEN + 64;

    /// Starts an attempt, with the KE1 to send. Errors if the password is longer than 65535 bytes. Panics if the
    /// operating system has no randomness.
    pub fn start(password: &[u8]) -> Result<(Self, [u8; KE1_LEN]), PakeError> {
        Self::start_with(&mut OsRng, password)
    }

    pub(crate) fn start_with<R: RngCore + CryptoRng>(
        rng: &mut R,
        password: &[u8],
    ) -> Result<(Self, [u8; KE1_LEN]), PakeError> {
        check_length(password)?;
        let started = OpaqueLogin::<Suite>::start(rng, password).map_err(|_| PakeError::Malformed)?;
        Ok((Self(started.state), message(&started.message.serialize())))
    }

    /// The attempt, to be kept as secret as a password: with it, the KE1 can be tested for one.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = self.0.serialize();
        let encoded = Zeroizing::new(bytes.to_vec());
        bytes.as_mut_slice().zeroize();
        encoded
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn parse(bytes: &[u8]) -> Result<Self, PakeError> {
        if bytes.len() != Self::LEN {
            return Err(PakeError::Malformed);
        }
        Ke1::parse(&bytes[BLIND_LEN..BLIND_LEN + KE1_LEN])?;
        OpaqueLogin::deserialize(bytes).map(Self).map_err(|_| PakeError::Malformed)
    }

    /// The KE1 that [`start`](Self::start) gave.
    pub fn ke1(&self) -> [u8; KE1_LEN] {
        let mut ke1 = [0; KE1_LEN];
        ke1.copy_from_slice(&self.encode()[BLIND_LEN..BLIND_LEN + KE1_LEN]);
        ke1
    }

    /// Whether the attempt was started with this password: blinded alike, it gives the element of the KE1. Asks no one,
    /// and takes no Argon2.
    pub fn is_for(&self, password: &[u8]) -> bool {
        let encoded = self.encode();
        let Ok(blind) = NonZeroScalar::try_from(&encoded[..BLIND_LEN]) else { return false };
        let Ok(blinded) = OprfClient::<NistP256>::deterministic_blind_unchecked(password, *blind) else { return false };
        blinded.message.serialize().as_slice().ct_eq(&encoded[BLIND_LEN..BLIND_LEN + Point::LEN]).into()
    }

    /// Opens a KE2. `ake_public` is the manifest's. Takes the time and memory of one Argon2. The attempt may be finished
    /// again with another site's KE2.
    pub fn finish(
        &self,
        password: &[u8],
        ke2: &[u8],
        identities: &Identities<'_>,
        argon2: &Argon2Parameters,
        ake_public: &Point,
    ) -> Result<LoginFinished, LoginError> {
        self.finish_with(password, ke2, identities, &Stretch::new(argon2)?, ake_public)
    }

    pub(crate) fn finish_with(
        &self,
        password: &[u8],
        ke2: &[u8],
        identities: &Identities<'_>,
        stretch: &Stretch,
        ake_public: &Point,
    ) -> Result<LoginFinished, LoginError> {
        check_length(password).and_then(|()| identities.check()).map_err(|_| LoginError::TooLong)?;
        let response = parse_ke2(ke2).ok_or(LoginError::Malformed)?;
        let parameters =
            ClientLoginFinishParameters::new(Some(identities.context), identities.identifiers(), Some(stretch));
        let mut finished =
            self.0.clone().finish(&mut OsRng, password, response, parameters).map_err(|error| match error {
                ProtocolError::InvalidLoginError => LoginError::WrongPassword,
                _ => LoginError::Malformed,
            })?;
        finished.session_key.as_mut_slice().zeroize();
        let export_key = ExportKey::take(&mut finished.export_key);
        if finished.server_s_pk.serialize().as_slice() != ake_public.encode() {
            return Err(LoginError::WrongServerKey);
        }
        Ok(LoginFinished { ke3: message(&finished.message.serialize()), export_key })
    }
}

/// opaque-ke alone would take trailing bytes, and points in a second form.
fn parse_ke2(ke2: &[u8]) -> Option<CredentialResponse<Suite>> {
    if ke2.len() != KE2_LEN {
        return None;
    }
    Point::parse(&ke2[..Point::LEN]).ok()?;
    Point::parse(&ke2[SERVER_SHARE_AT..SERVER_SHARE_AT + Point::LEN]).ok()?;
    CredentialResponse::deserialize(ke2).ok()
}

impl fmt::Debug for ClientLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientLogin(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use proptest::prelude::*;

    use super::{ClientLogin, LoginError, SERVER_SHARE_AT};
    use crate::fleet::{CHEAP, Fleet, IDENTITIES, PASSWORD, random_point};
    use crate::{Argon2Error, Argon2Parameters, Identities, KE1_LEN, KE2_LEN, PakeError, Point};

    fn started() -> (Fleet, ClientLogin, [u8; KE2_LEN]) {
        let fleet = Fleet::new(1, 1);
        let (login, ke1) = ClientLogin::start(PASSWORD).unwrap();
        let (ke2, _) = fleet.answer(&ke1);
        (fleet, login, ke2)
    }

    #[test]
    fn a_wrong_password_is_called_wrong() {
        let (fleet, login, ke2) = started();
        assert_eq!(fleet.finish(&login, b"password", &ke2).unwrap_err(), LoginError::WrongPassword);
        assert_eq!(fleet.finish(&login, b"", &ke2).unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn a_registration_for_another_server_key_than_the_manifest_s_is_refused() {
        let (_, login, ke2) = started();
        let finished = login.finish(PASSWORD, &ke2, &IDENTITIES, &CHEAP, &random_point());
        assert_eq!(finished.unwrap_err(), LoginError::WrongServerKey);
    }

    #[test]
    fn other_identities_or_another_context_do_not_open() {
        let (fleet, login, ke2) = started();
        let Identities { client, server, context } = IDENTITIES;
        let moved = [client, &server[..1]].concat();
        for identities in [
            Identities { client: b"another", ..IDENTITIES },
            Identities { server: b"another", ..IDENTITIES },
            Identities { context: b"another", ..IDENTITIES },
            Identities { client: &moved, server: &server[1..], context },
            Identities { client: &client[..3], ..IDENTITIES },
        ] {
            let finished = login.finish(PASSWORD, &ke2, &identities, &CHEAP, &fleet.ake_public());
            assert_eq!(finished.unwrap_err(), LoginError::WrongPassword, "{identities:?}");
        }
    }

    #[test]
    fn other_argon2_parameters_do_not_open() {
        let (fleet, login, ke2) = started();
        let argon2 = Argon2Parameters { passes: 2, ..CHEAP };
        let finished = login.finish(PASSWORD, &ke2, &IDENTITIES, &argon2, &fleet.ake_public());
        assert_eq!(finished.unwrap_err(), LoginError::WrongPassword);
    }

    #[test]
    fn refuses_absurd_argon2_parameters_before_any_work() {
        let (fleet, login, ke2) = started();
        let argon2 = Argon2Parameters { memory_kib: u32::MAX, passes: u32::MAX, lanes: 1 };
        let finished = login.finish(PASSWORD, &ke2, &IDENTITIES, &argon2, &fleet.ake_public());
        assert_eq!(finished.unwrap_err(), LoginError::Argon2(Argon2Error::Memory(u32::MAX)));
    }

    #[test]
    fn refuses_an_answer_that_reflects_the_blinded_element() {
        let (fleet, login, mut ke2) = started();
        ke2[..Point::LEN].copy_from_slice(&login.ke1()[..Point::LEN]);
        assert_eq!(fleet.finish(&login, PASSWORD, &ke2).unwrap_err(), LoginError::Malformed);
    }

    #[test]
    fn refuses_an_answer_with_bytes_that_are_no_point() {
        let (fleet, login, ke2) = started();
        for at in [0, SERVER_SHARE_AT] {
            for tag in [0, 4, 5, 6] {
                let mut changed = ke2;
                changed[at] = tag;
                assert_eq!(fleet.finish(&login, PASSWORD, &changed).unwrap_err(), LoginError::Malformed, "{at} {tag}");
            }
            let mut changed = ke2;
            changed[at..at + Point::LEN].fill(0);
            assert_eq!(fleet.finish(&login, PASSWORD, &changed).unwrap_err(), LoginError::Malformed, "{at}");
        }
    }

    #[test]
    fn refuses_an_answer_with_any_byte_changed() {
        let (fleet, login, ke2) = started();
        for byte in 0..KE2_LEN {
            let mut changed = ke2;
            changed[byte] ^= 1;
            assert!(fleet.finish(&login, PASSWORD, &changed).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn refuses_an_answer_of_every_other_length() {
        let (fleet, login, ke2) = started();
        let long = [ke2.as_slice(), &[0; 40]].concat();
        for length in (0..long.len()).filter(|length| *length != KE2_LEN) {
            let finished = fleet.finish(&login, PASSWORD, &long[..length]);
            assert_eq!(finished.unwrap_err(), LoginError::Malformed, "{length}");
        }
    }

    #[test]
    fn refuses_a_password_or_an_identity_above_65535_bytes() {
        let (fleet, login, ke2) = started();
        let long = [0; 65536];
        assert_eq!(ClientLogin::start(&long).unwrap_err(), PakeError::TooLong);
        assert!(ClientLogin::start(&long[1..]).is_ok());
        assert_eq!(fleet.finish(&login, &long, &ke2).unwrap_err(), LoginError::TooLong);
        let identities = Identities { context: &long, ..IDENTITIES };
        let finished = login.finish(PASSWORD, &ke2, &identities, &CHEAP, &fleet.ake_public());
        assert_eq!(finished.unwrap_err(), LoginError::TooLong);
    }

    #[test]
    fn an_attempt_survives_a_crash() {
        let (fleet, login, ke2) = started();
        let resumed = ClientLogin::parse(&login.encode()).unwrap();
        assert_eq!(resumed.encode(), login.encode());
        assert_eq!(resumed.ke1(), login.ke1());
        let finished = fleet.finish(&resumed, PASSWORD, &ke2).unwrap();
        assert_eq!(finished.export_key.expose_bytes(), fleet.dealt.export_key.expose_bytes());
    }

    #[test]
    fn an_attempt_may_be_finished_with_two_sites_answers() {
        let (fleet, login, ke2) = started();
        let (another, server) = fleet.answer(&login.ke1());
        assert!(fleet.finish(&login, PASSWORD, &ke2).is_ok());
        let finished = fleet.finish(&login, PASSWORD, &another).unwrap();
        assert!(server.finish(&finished.ke3).is_ok());
    }

    #[test]
    fn refuses_a_stored_attempt_of_every_other_length() {
        let (login, _) = ClientLogin::start(PASSWORD).unwrap();
        let long = [login.encode().as_slice(), &[0; 40]].concat();
        for length in (0..long.len()).filter(|length| *length != ClientLogin::LEN) {
            assert_eq!(ClientLogin::parse(&long[..length]).unwrap_err(), PakeError::Malformed, "{length}");
        }
    }

    #[test]
    fn refuses_a_stored_attempt_with_a_scalar_or_a_point_that_is_none() {
        let (login, _) = ClientLogin::start(PASSWORD).unwrap();
        for (from, to) in [(0, 32), (32, 65), (32 + KE1_LEN - Point::LEN, 32 + KE1_LEN), (32 + KE1_LEN, 64 + KE1_LEN)] {
            for byte in [0, 0xff] {
                let mut bytes = login.encode();
                bytes[from..to].fill(byte);
                assert_eq!(ClientLogin::parse(&bytes).unwrap_err(), PakeError::Malformed, "{from} {byte}");
            }
        }
    }

    #[test]
    fn an_attempt_knows_its_password() {
        let (login, _) = ClientLogin::start(PASSWORD).unwrap();
        let resumed = ClientLogin::parse(&login.encode()).unwrap();
        for login in [login, resumed] {
            assert!(login.is_for(PASSWORD));
            assert!(!login.is_for(b"password"));
            assert!(!login.is_for(&PASSWORD[1..]));
            assert!(!login.is_for(&[0; 65536]));
        }
    }

    #[test]
    fn two_attempts_have_nothing_in_common() {
        let [(_, one), (_, other)] = [(), ()].map(|()| ClientLogin::start(PASSWORD).unwrap());
        assert_ne!(one[..Point::LEN], other[..Point::LEN]);
        assert_ne!(one[Point::LEN..65], other[Point::LEN..65]);
        assert_ne!(one[65..], other[65..]);
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", ClientLogin::start(PASSWORD).unwrap().0), "ClientLogin(..)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_stored_attempt_is_written_as_it_was_read(password in any::<Vec<u8>>()) {
            let (login, ke1) = ClientLogin::start(&password).unwrap();
            let resumed = ClientLogin::parse(&login.encode()).unwrap();
            prop_assert_eq!(resumed.ke1(), ke1);
            prop_assert_eq!(resumed.encode(), login.encode());
            prop_assert!(resumed.is_for(&password));
        }

        #[test]
        fn arbitrary_bytes_are_no_answer(bytes in proptest::collection::vec(any::<u8>(), KE2_LEN)) {
            let (login, _) = ClientLogin::start(PASSWORD).unwrap();
            prop_assert!(login.finish(PASSWORD, &bytes, &IDENTITIES, &CHEAP, &Point::generator()).is_err());
        }
    }
}
