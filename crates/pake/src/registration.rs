//! A registration, which the dealer computes alone.

use std::fmt;

use opaque_ke::{ClientRegistration, ClientRegistrationFinishParameters, RegistrationResponse};
use p256::{NonZeroScalar, ProjectivePoint};
use rand::rngs::OsRng;
use rand::{CryptoRng, RngCore};

use crate::dealing::deal;
use crate::identities::check_length;
use crate::stretching::Stretch;
use crate::suite::{Suite, UPLOAD_LEN, message};
use crate::{Argon2Parameters, ExportKey, Identities, PakeError, Point, Share};

/// A new registration: what the vault stores, what goes to each site, and what stays with the client.
pub struct Dealt {
    /// RFC 9807's `RegistrationRecord`, for the vault.
    pub upload: [u8; UPLOAD_LEN],
    /// Stays with the client. Every login of this registration gives it again.
    pub export_key: ExportKey,
    /// C_0 to C_(t−1), Feldman's commitments. Public.
    pub commitments: Vec<Point>,
    /// k_1 to k_n, each for its own site.
    pub shares: Vec<Share>,
}

/// Registers `password` without asking anyone: draws the OPRF key k, deals it to `n` sites of which `t` are needed,
/// computes Z = k·B itself, finishes with its own opaque-ke, and forgets k. `ake_public` is the manifest's.
///
/// A server that evaluated here could use a key of its own and test passwords against the upload; nothing in OPAQUE
/// would tell the client.
///
/// Takes the time and memory of one Argon2. Panics if the operating system has no randomness.
pub fn deal_registration(
    password: &[u8],
    identities: &Identities<'_>,
    argon2: &Argon2Parameters,
    ake_public: &Point,
    n: u8,
    t: u8,
) -> Result<Dealt, PakeError> {
    let stretch = Stretch::new(argon2)?;
    let k = NonZeroScalar::random(&mut OsRng);
    let (commitments, shares) = deal(&mut OsRng, k, n, t)?;
    let (upload, export_key) = register(&mut OsRng, password, identities, &stretch, ake_public, &k)?;
    Ok(Dealt { upload, export_key, commitments, shares })
}

pub(crate) fn register<R: RngCore + CryptoRng>(
    rng: &mut R,
    password: &[u8],
    identities: &Identities<'_>,
    stretch: &Stretch,
    ake_public: &Point,
    k: &NonZeroScalar,
) -> Result<([u8; UPLOAD_LEN], ExportKey), PakeError> {
    check_length(password)?;
    identities.check()?;
    let malformed = |_| PakeError::Malformed;
    let started = ClientRegistration::<Suite>::start(rng, password).map_err(malformed)?;
    let blinded = Point::parse(&started.message.serialize()).map_err(|_| PakeError::Malformed)?;
    let evaluated: ProjectivePoint = blinded.to_projective() * **k;
    let evaluated = Point::from_projective(evaluated).ok_or(PakeError::Malformed)?;
    let response = [evaluated.encode(), ake_public.encode()].concat();
    let response = RegistrationResponse::deserialize(&response).map_err(malformed)?;
    let parameters = ClientRegistrationFinishParameters::new(identities.identifiers(), Some(stretch));
    let mut finished = started.state.finish(rng, password, response, parameters).map_err(malformed)?;
    Ok((message(&finished.message.serialize()), ExportKey::take(&mut finished.export_key)))
}

impl fmt::Debug for Dealt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dealt")
            .field("commitments", &self.commitments)
            .field("shares", &self.shares)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::deal_registration;
    use crate::fleet::{CHEAP, Fleet, IDENTITIES, PASSWORD, random_point};
    use crate::{Argon2Error, Argon2Parameters, ClientLogin, PakeError, check_upload};

    fn log_in(fleet: &Fleet) {
        let (login, ke1) = ClientLogin::start(PASSWORD).unwrap();
        let (ke2, server) = fleet.answer(&ke1);
        let finished = fleet.finish(&login, PASSWORD, &ke2).unwrap();
        assert_eq!(server.finish(&finished.ke3), Ok(()));
        assert_eq!(finished.export_key.expose_bytes(), fleet.dealt.export_key.expose_bytes());
    }

    #[test]
    fn a_registration_with_one_site_leads_to_the_same_export_key_at_every_login() {
        let fleet = Fleet::new(1, 1);
        (0..3).for_each(|_| log_in(&fleet));
    }

    #[test]
    fn a_registration_with_five_sites_leads_to_the_same_export_key_at_every_login() {
        let fleet = Fleet::new(5, 3);
        (0..3).for_each(|_| log_in(&fleet));
    }

    #[test]
    fn a_hundred_registrations_with_as_many_keys_log_in() {
        for _ in 0..100 {
            log_in(&Fleet::new(5, 3));
        }
    }

    #[test]
    fn two_registrations_of_one_password_have_nothing_in_common() {
        let [one, other] = [(), ()].map(|()| Fleet::new(5, 3).dealt);
        assert_ne!(one.export_key.expose_bytes(), other.export_key.expose_bytes());
        assert_ne!(one.upload[..33], other.upload[..33]);
        assert_ne!(one.upload[33..65], other.upload[33..65]);
        assert_ne!(one.commitments, other.commitments);
    }

    #[test]
    fn its_upload_is_well_formed() {
        assert_eq!(check_upload(&Fleet::new(1, 1).dealt.upload), Ok(()));
    }

    #[test]
    fn refuses_what_no_fleet_and_no_client_works_with() {
        let deal = |password: &[u8], argon2, n, t| {
            deal_registration(password, &IDENTITIES, argon2, &random_point(), n, t).map(drop).unwrap_err()
        };
        let cheap = CHEAP;
        assert_eq!(deal(&[0; 65536], &cheap, 1, 1), PakeError::TooLong);
        assert_eq!(deal(PASSWORD, &cheap, 3, 4), PakeError::Threshold { n: 3, t: 4 });
        let argon2 = Argon2Parameters { memory_kib: 1024, ..cheap };
        assert_eq!(deal(PASSWORD, &argon2, 1, 1), PakeError::Argon2(Argon2Error::Memory(1024)));
    }

    #[test]
    fn debug_prints_what_is_public() {
        let dealt = Fleet::new(1, 1).dealt;
        let printed = format!("{dealt:?}");
        assert_eq!(
            printed,
            format!("Dealt {{ commitments: {:?}, shares: [Share {{ index: 1, .. }}], .. }}", dealt.commitments)
        );
    }
}
