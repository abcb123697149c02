//! A fleet for tests: its shares are in memory, where a multiplication in software stands for an HSM's.

#![expect(clippy::unwrap_used, reason = "a test")]

use p256::SecretKey;
use rand::rngs::OsRng;

use crate::share::multiply;
use crate::{
    Agreement, Argon2Parameters, ClientLogin, Dealt, Identities, KE2_LEN, Ke1, LoginError, LoginFinished, Point,
    ServerLogin, answer_login, combine, deal_registration,
};

/// The least that the bounds allow.
pub(crate) const CHEAP: Argon2Parameters = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };

pub(crate) const IDENTITIES: Identities<'static> =
    Identities { client: b"account and registration", server: b"fleet", context: b"coffer/v1" };

pub(crate) const PASSWORD: &[u8] = b"correct horse battery staple";

/// Sites, and one registration under [`PASSWORD`] and [`IDENTITIES`].
pub(crate) struct Fleet {
    pub(crate) ake: SecretKey,
    pub(crate) dealt: Dealt,
    n: u8,
    t: u8,
}

impl Fleet {
    pub(crate) fn new(n: u8, t: u8) -> Self {
        let ake = random_key();
        let dealt = deal_registration(PASSWORD, &IDENTITIES, &CHEAP, &public(&ake), n, t).unwrap();
        Self { ake, dealt, n, t }
    }

    pub(crate) fn ake_public(&self) -> Point {
        public(&self.ake)
    }

    /// What each site's HSM makes of `blinded`.
    pub(crate) fn answers(&self, blinded: &Point) -> Vec<(u8, Point)> {
        self.dealt.shares.iter().map(|share| (share.index(), share.multiply(blinded))).collect()
    }

    pub(crate) fn evaluate(&self, blinded: &Point) -> Point {
        match combine(&self.answers(blinded), self.n, self.t) {
            Agreement::Agreed(evaluation) => Some(evaluation),
            _ => None,
        }
        .unwrap()
    }

    /// The whole server side, except that it believes `evaluation`.
    pub(crate) fn answer_with(&self, ke1: &Ke1, evaluation: &Point) -> ([u8; KE2_LEN], ServerLogin) {
        let product = multiply(&self.ake, &ke1.client_ephemeral());
        answer_login(&self.dealt.upload, ke1, evaluation, &product, &self.ake_public(), &IDENTITIES).unwrap()
    }

    pub(crate) fn answer(&self, ke1: &[u8]) -> ([u8; KE2_LEN], ServerLogin) {
        let ke1 = Ke1::parse(ke1).unwrap();
        self.answer_with(&ke1, &self.evaluate(&ke1.blinded()))
    }

    pub(crate) fn finish(&self, login: &ClientLogin, password: &[u8], ke2: &[u8]) -> Result<LoginFinished, LoginError> {
        login.finish(password, ke2, &IDENTITIES, &CHEAP, &self.ake_public())
    }
}

pub(crate) fn random_key() -> SecretKey {
    SecretKey::random(&mut OsRng)
}

pub(crate) fn public(key: &SecretKey) -> Point {
    multiply(key, &Point::generator())
}

pub(crate) fn random_point() -> Point {
    public(&random_key())
}
