//! A retrieval made by hand: every step alone, as often as a test likes.

use std::sync::atomic::{AtomicU64, Ordering};

use coffer_keys::SigningKey;
use coffer_pake::{ClientLogin, ExportKey, Identities, LoginError};
use coffer_proto::{
    Argon2, AttemptId, Base64, Hash, ProofRequest, RetrievalAnswer, RetrievalRequest, attempt_message, client_identity,
    oprf_context, proof_message,
};

use super::account::{ARGON2, Account};
use super::request::{Answer, Request};

/// Far beyond what the client of a test has used; each guess is newer than all that were made before it.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1_000_000);

pub(crate) fn next_number() -> u64 {
    // Between two of them there is room for those that the client itself counts.
    NEXT_NUMBER.fetch_add(1000, Ordering::SeqCst)
}

pub(crate) struct Guess {
    pub(crate) id: AttemptId,
    pub(crate) number: u64,
    pub(crate) login: ClientLogin,
    password: String,
    request: Request,
    host: String,
}

/// What a right password leads to.
pub(crate) struct Opened {
    pub(crate) ke3: [u8; 32],
    pub(crate) export_key: ExportKey,
}

impl Opened {
    pub(crate) fn unlock_key(&self) -> SigningKey {
        coffer_keys::ExportKey::from_bytes(*self.export_key.expose_bytes()).derive_unlock_key()
    }
}

impl Guess {
    pub(crate) fn new(account: &Account, password: &str) -> Self {
        let (login, ke1) = ClientLogin::start(password.as_bytes()).unwrap();
        let id = AttemptId(random());
        let number = next_number();
        let request = retrieval(account, &id, number, &ke1, &account.device);
        Self { id, number, login, password: password.to_owned(), request, host: account.host().to_owned() }
    }

    pub(crate) fn request(&self) -> Request {
        self.request.clone()
    }

    #[track_caller]
    pub(crate) fn send(&self) -> Answer {
        self.request.send(&self.host)
    }

    /// OPAQUE's last step.
    pub(crate) fn open(&self, account: &Account, ke2: &[u8]) -> Result<Opened, LoginError> {
        let (client, context) = names(account);
        let identities = Identities { client: &client, server: account.manifest.fleet.as_bytes(), context: &context };
        let finished = self.login.finish(self.password.as_bytes(), ke2, &identities, &ARGON2, &account.ake())?;
        Ok(Opened { ke3: finished.ke3, export_key: finished.export_key })
    }

    pub(crate) fn proof(&self, account: &Account, opened: &Opened, answer: &RetrievalAnswer) -> ProofRequest {
        let (fleet, nonces) = (&account.manifest.fleet, answer.nonces.clone());
        let message = proof_message(fleet, &account.name, &account.registration, &self.id, self.number, &nonces);
        let unlock_signature = Base64(opened.unlock_key().sign(&message));
        ProofRequest { ke3: Base64(opened.ke3), nonces, unlock_signature }
    }

    pub(crate) fn proof_request(&self, account: &Account, proof: &ProofRequest) -> Request {
        account.request("PUT", &format!("/v1/retrievals/{}/proof", self.id)).json(proof)
    }

    /// Opens an answer and proves it.
    #[track_caller]
    pub(crate) fn prove(&self, account: &Account, answer: &RetrievalAnswer) -> Answer {
        let opened = self.open(account, &answer.ke2.0).unwrap();
        self.proof_request(account, &self.proof(account, &opened, answer)).send(&self.host)
    }
}

/// Any KE1, signed by any device.
pub(crate) fn retrieval(
    account: &Account,
    id: &AttemptId,
    number: u64,
    ke1: &[u8; 98],
    device: &SigningKey,
) -> Request {
    let ke1 = Base64(*ke1);
    let registration = account.registration;
    let fleet = &account.manifest.fleet;
    let message = attempt_message(fleet, &account.name, &registration, id, number, &Hash::from(&ke1));
    let device_signature = Base64(device.sign(&message));
    let body = RetrievalRequest { registration, number, ke1, device_signature };
    account.request("PUT", &format!("/v1/retrievals/{id}")).json(&body)
}

/// OPAQUE's client identity and context.
pub(crate) fn names(account: &Account) -> (Vec<u8>, Vec<u8>) {
    let argon2 = Argon2 { memory_kib: ARGON2.memory_kib, passes: ARGON2.passes, lanes: ARGON2.lanes };
    (client_identity(&account.name, &account.registration), oprf_context(&argon2, 1, 1))
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
