//! A device, its account and its vault, for some requests.

use coffer_keys::{BackupKey, SigningKey};
use coffer_pake::Argon2Parameters;
use coffer_proto::{
    AccountId, Argon2, Authorization, Base64, KeyRole, RegistrationId, RegistrationsAnswer, Signature, client_identity,
    oprf_context,
};

use crate::exchange::{self, Failure, RequestError};
use crate::fleet::Fleet;
use crate::token::Token;
use crate::transport::{Method, Transport};

/// Everything that a request to the vault needs. The verbs are its methods, one file each.
#[derive(Debug)]
pub struct Session<T> {
    pub(crate) transport: T,
    pub(crate) fleet: Fleet,
    pub(crate) token: Token,
    pub(crate) device_key: SigningKey,
}

impl<T: Transport> Session<T> {
    /// A session with a fleet that was [fetched](Fleet::fetch). `device_key` is the one that the token names.
    pub const fn new(transport: T, fleet: Fleet, token: Token, device_key: SigningKey) -> Self {
        Self { transport, fleet, token, device_key }
    }

    /// The fleet.
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What the vault has of the account. Spends nothing.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn status(&self) -> Result<RegistrationsAnswer, RequestError> {
        Ok(exchange::get(&self.transport, "/v1/registrations", self.token.expose()).await?)
    }

    /// Whose the token says that it is.
    pub const fn account(&self) -> &AccountId {
        self.token.account()
    }

    pub(crate) fn device_signature(&self, message: &[u8]) -> Signature {
        Base64(self.device_key.sign(message))
    }

    pub(crate) async fn put<B: serde::Serialize>(&self, path: &str, body: &B) -> Result<Vec<u8>, Failure> {
        exchange::write(&self.transport, Method::Put, path, self.token.expose(), body).await
    }

    /// OPAQUE's client identity and context of a registration.
    pub(crate) fn opaque_names(&self, registration: &RegistrationId, argon2: &Argon2) -> (Vec<u8>, Vec<u8>) {
        let context = oprf_context(argon2, self.fleet.sites(), self.fleet.threshold);
        (client_identity(self.account(), registration), context)
    }
}

/// The public half of a device's key, as an issuer of tokens takes it: base64url without padding.
pub fn shown_public_key(device_key: &SigningKey) -> String {
    Base64(device_key.public()).to_string()
}

/// The owner's signature.
pub(crate) fn authorized_by(backup_key: &BackupKey, message: &[u8]) -> Authorization {
    let signature = Base64(backup_key.derive_owner_key().sign(message));
    Authorization { role: KeyRole::Owner, signature }
}

pub(crate) const fn parameters(argon2: &Argon2) -> Argon2Parameters {
    Argon2Parameters { memory_kib: argon2.memory_kib, passes: argon2.passes, lanes: argon2.lanes }
}

/// A name that nothing has yet.
///
/// # Panics
/// If the operating system has no randomness; OPAQUE would, next.
pub(crate) fn generate_id() -> [u8; 16] {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the operating system has randomness");
    id
}
