//! A thief with the whole database and the right password, but without the HSM.

use coffer_keys::{BackupKey, ExportKey, SigningKey, WrappedBackupKey};
use coffer_pake::{ClientLogin, Identities, Ke1, Point, answer_login};
use coffer_proto::{AttemptId, RetrievalAnswer, escrow_context};
use coffer_vault_core::{Held, Live};
use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _};
use p256::{AffinePoint, EncodedPoint, ProjectivePoint, Scalar};

use super::account::{ARGON2, Account};
use super::budget::{RIGHT, WRONG};
use super::dump::Dump;
use super::guess::{Guess, names, next_number, random, retrieval};
use crate::server::Server;

/// A password that is being tried, as a login of the thief's own, whose scalars are therefore known.
struct Trial {
    password: &'static str,
    login: ClientLogin,
    /// r: the blinded element is r times the password's point.
    blind: Scalar,
    /// Of the key share in KE1.
    ephemeral: Scalar,
}

impl Trial {
    fn new(password: &'static str) -> Self {
        let (login, ke1) = ClientLogin::start(password.as_bytes()).unwrap();
        let state = login.encode();
        let scalar = |at: usize| {
            let bytes = <[u8; 32]>::try_from(&state[at..at + 32]).unwrap();
            Option::<Scalar>::from(Scalar::from_repr(bytes.into())).unwrap()
        };
        let trial = Self { password, blind: scalar(0), ephemeral: scalar(32 + 98), login };
        let share = times(&Point::generator(), &trial.ephemeral);
        assert_eq!(share, Ke1::parse(&ke1).unwrap().client_ephemeral(), "opaque-ke keeps its state otherwise");
        trial
    }

    /// What the HSM would be for: answers the thief's own KE1 from the stolen upload and a guessed evaluation, with a
    /// key exchange that is right, and opens that. Only the evaluation decides.
    fn open(&self, account: &Account, upload: &[u8], evaluation: &Point) -> Option<ExportKey> {
        let (client, context) = names(account);
        let identities = Identities { client: &client, server: account.manifest.fleet.as_bytes(), context: &context };
        let ke1 = Ke1::parse(&self.login.ke1()).unwrap();
        let (ake, product) = (account.ake(), times(&account.ake(), &self.ephemeral));
        let (ke2, _) = answer_login(upload, &ke1, evaluation, &product, &ake, &identities).unwrap();
        let opened = self.login.finish(self.password.as_bytes(), &ke2, &identities, &ARGON2, &ake).ok()?;
        Some(ExportKey::from_bytes(*opened.export_key.expose_bytes()))
    }

    /// The evaluation as the vault gives it, for an attempt.
    fn evaluated(&self, account: &Account) -> Point {
        let request = retrieval(account, &AttemptId(random()), next_number(), &self.login.ke1(), &account.device);
        let answer: RetrievalAnswer = request.send(account.host()).read();
        Point::parse(&answer.ke2.0[..Point::LEN]).unwrap()
    }
}

fn times(point: &Point, scalar: &Scalar) -> Point {
    let encoded = EncodedPoint::from_bytes(point.encode()).unwrap();
    let affine = Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&encoded)).unwrap();
    let product = (ProjectivePoint::from(affine) * scalar).to_affine();
    Point::parse(product.to_encoded_point(true).as_bytes()).unwrap()
}

/// Every point that lies in the dump or is public.
fn points(account: &Account, live: &Live, held: &Held, ke1s: &[Guess]) -> Vec<Point> {
    let registration = &live.registration;
    let sites = &account.manifest.sites;
    let mut encoded: Vec<[u8; 33]> = vec![held.receipt.point.0, account.manifest.ake.0, Point::generator().encode()];
    encoded.push(registration.upload.0[..Point::LEN].try_into().unwrap());
    encoded.extend(registration.commitments.iter().map(|point| point.0));
    encoded.extend(live.activation.receipts.iter().map(|receipt| receipt.point.0));
    encoded.extend(sites.iter().flat_map(|site| [site.share_import.0, site.site_identity.0]));
    // Overheard, since the ledger has only their hashes.
    for guess in ke1s {
        let ke1 = Ke1::parse(&guess.login.ke1()).unwrap();
        encoded.extend([ke1.blinded().encode(), ke1.client_ephemeral().encode()]);
    }
    encoded.iter().map(|point| Point::parse(point).unwrap()).collect()
}

/// Every piece of the dump that is as long as a key, and what the password alone stretches to.
fn keys(live: &Live, held: &Held, password: &str) -> Vec<[u8; 32]> {
    let registration = &live.registration;
    let stored = [
        &registration.upload.0[..],
        registration.wrapped_backup_key.as_bytes(),
        &held.wrapped,
        &registration.unlock_key.0,
        &registration.owner_key.0,
        &registration.sealed_share_hashes[0].0,
        &held.receipt.signature.0,
    ];
    let mut keys: Vec<[u8; 32]> =
        stored.iter().flat_map(|bytes| bytes.windows(32)).map(|window| window.try_into().unwrap()).collect();
    let parameters = argon2::Params::new(ARGON2.memory_kib, ARGON2.passes, ARGON2.lanes, Some(32)).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    for salt in [&[0; 16][..], registration.id.as_bytes()] {
        let mut key = [0; 32];
        argon2.hash_password_into(password.as_bytes(), salt, &mut key).unwrap();
        keys.push(key);
    }
    keys
}

#[test]
fn with_the_whole_database_and_without_the_hsm_the_right_password_is_like_any_other() {
    let mut server = Server::start();
    let account = Account::registered(&server, "ada", RIGHT);
    Account::registered(&server, "ben", RIGHT);
    // Attempts that were answered and never proved: the dump has the evaluations of both.
    let guesses = [RIGHT, WRONG].map(|password| Guess::new(&account, password));
    guesses.iter().for_each(|guess| assert_eq!(guess.send().status, 200));
    server.stop();
    let dump = Dump::of(&server.data());
    assert_eq!(dump.sizes(), (2, 2));
    let (live, held) = (dump.live(&account.name), dump.held(&account.registration));
    let upload = &live.registration.upload.0;
    let wrapped = WrappedBackupKey::parse(live.registration.wrapped_backup_key.as_bytes()).unwrap();
    let context = escrow_context(&account.manifest.fleet, &account.name, &account.registration);
    let registration = account.sent_registration().registration;
    assert_eq!(live.registration, registration);

    let points = points(&account, live, held, &guesses);
    for password in [RIGHT, WRONG] {
        for point in &points {
            // As the answer to the trial, and as the password's own evaluation.
            let trial = Trial::new(password);
            for evaluation in [*point, times(point, &trial.blind)] {
                assert!(trial.open(&account, upload, &evaluation).is_none(), "{password}: {point:?}");
            }
        }
        for key in keys(live, held, password) {
            assert!(ExportKey::from_bytes(key).unwrap_backup_key(&wrapped, &context).is_err(), "{password}");
            assert_ne!(BackupKey::from_bytes(key).derive_owner_key().public(), registration.owner_key.0);
            assert_ne!(SigningKey::from_seed(key).public(), registration.unlock_key.0);
        }
    }

    // The same trials, given what only the HSM can compute.
    server.start_again();
    let opened = |password| {
        let trial = Trial::new(password);
        let evaluation = trial.evaluated(&account);
        trial.open(&account, upload, &evaluation)
    };
    assert!(opened(WRONG).is_none());
    let export_key = opened(RIGHT).unwrap();
    assert!(export_key.unwrap_backup_key(&wrapped, &context).unwrap() == account.backup_key);
}
