//! A device with its keys, and what it keeps.

use std::error::Error;
use std::time::Duration;

use coffer_keys::{BackupKey, SigningKey};
use coffer_proto::Base64;
use coffer_testkit::{Policy, TestFleet};
use coffer_vault_client::{
    AccountId, Argon2Parameters, AttemptStore, Fleet, LiveStatus, NothingKept, Outbox, Password, RegisterError,
    Registered, RetrieveError, Retrieved, Session, SiteNumber, Token,
};
use zeroize::Zeroizing;

use crate::wire::Wire;

/// As little work as the client does at all.
pub(crate) const CHEAP: Argon2Parameters = Argon2Parameters { memory_kib: 8192, passes: 1, lanes: 1 };

/// Keeps an attempt in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Option<Zeroizing<Vec<u8>>>);

impl AttemptStore for Kept {
    fn load(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.clone()
    }

    fn keep(&mut self, attempt: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0 = Some(Zeroizing::new(attempt.to_vec()));
        Ok(())
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

/// Keeps in memory what is undelivered; or, if it is full, nothing.
#[derive(Debug, Default)]
pub(crate) struct Posted(pub(crate) Option<Vec<u8>>, pub(crate) bool);

impl Posted {
    pub(crate) fn full() -> Self {
        Self(None, true)
    }
}

impl Outbox for Posted {
    fn load(&mut self) -> Option<Vec<u8>> {
        self.0.clone()
    }

    fn keep(&mut self, undelivered: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.1 {
            return Err("the disk is full".into());
        }
        self.0 = Some(undelivered.to_vec());
        Ok(())
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

pub(crate) fn numbers(sites: &[SiteNumber]) -> Vec<u8> {
    sites.iter().map(|site| site.0).collect()
}

pub(crate) struct Device {
    pub(crate) wire: Wire,
    pub(crate) session: Session<Wire>,
    pub(crate) backup_key: BackupKey,
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

/// No waiting between attempts.
pub(crate) fn patient() -> Policy {
    Policy { waits: vec![Duration::ZERO], ..Policy::default() }
}

impl Device {
    /// Ada's device at a vault of its own.
    pub(crate) async fn new(policy: Policy) -> Self {
        Self::at(Wire::to(TestFleet::single(policy).await)).await
    }

    /// A device of Ada's, with a new device key and a new backup key.
    pub(crate) async fn at(wire: Wire) -> Self {
        let (account, device_key) = (AccountId::new("ada").unwrap(), SigningKey::generate().unwrap());
        let token = wire.vault.token(&account, Base64(device_key.public()));
        let (token, now) = (Token::parse(&token).unwrap(), wire.vault.now());
        let fleet = Fleet::fetch(&wire, &wire.vault.fingerprint(), &token, None, now).await.unwrap();
        let session = Session::new(wire.clone(), fleet, token, device_key, wire.clock());
        wire.take_sent();
        Self { wire, session, backup_key: BackupKey::generate().unwrap() }
    }

    /// A device whose key is protected by "right".
    pub(crate) async fn protected() -> Self {
        let device = Self::new(patient()).await;
        assert!(matches!(device.register("right").await, Registered::Protected { .. }));
        device.wire.take_sent();
        device
    }

    pub(crate) async fn register(&self, text: &str) -> Registered {
        self.register_with(text, &mut NothingKept).await
    }

    pub(crate) async fn register_with(&self, text: &str, outbox: &mut impl Outbox) -> Registered {
        self.try_register(text, outbox).await.unwrap()
    }

    pub(crate) async fn try_register(&self, text: &str, outbox: &mut impl Outbox) -> Result<Registered, RegisterError> {
        self.session.register(&password(text), &self.backup_key, &CHEAP, outbox).await
    }

    /// The same device after a restart, with what it keeps of its backup key.
    pub(crate) async fn again(self) -> Self {
        Self { backup_key: self.backup_key, ..Self::at(self.wire).await }
    }

    pub(crate) async fn retrieve(&self, text: &str) -> Result<Retrieved, RetrieveError> {
        self.session.retrieve(&password(text), &mut Kept::default()).await
    }

    pub(crate) async fn live(&self) -> LiveStatus {
        self.session.status().await.unwrap().live.unwrap()
    }
}

/// The attempts that are left after a wrong password.
#[track_caller]
pub(crate) fn left(outcome: Result<Retrieved, RetrieveError>) -> u8 {
    match outcome {
        Err(RetrieveError::WrongPassword { attempts_remaining, .. }) => attempts_remaining,
        other => panic!("no wrong password: {other:?}"),
    }
}
