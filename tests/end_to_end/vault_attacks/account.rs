//! An account, its device, and its session with a vault.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use coffer_keys::{BackupKey, SigningKey};
use coffer_pake::{Argon2Parameters, Point};
use coffer_proto::{AccountId, FleetAnswer, FleetManifest, LiveStatus, RegistrationId, RegistrationRequest, Time};
use coffer_vault_client::{
    Fleet, HttpTransport, NothingKept, Password, Registered, RequestError, RetrieveError, Retrieved, Session, Token,
    Transport, TransportError, VaultAddress, shown_public_key,
};
use tokio::runtime::Runtime;

use super::request::Request;
use crate::server::Server;

/// The least that a client works with.
pub(crate) const ARGON2: Argon2Parameters = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };

pub(crate) struct Account {
    pub(crate) name: AccountId,
    pub(crate) device: SigningKey,
    pub(crate) token: String,
    pub(crate) backup_key: BackupKey,
    pub(crate) manifest: FleetManifest,
    /// The live registration.
    pub(crate) registration: RegistrationId,
    host: String,
    seen: Seen,
    session: Session<Recorded>,
    runtime: Runtime,
}

/// Path, body and answer of every request.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>, Vec<u8>)>>>;

#[derive(Clone)]
struct Recorded {
    transport: HttpTransport,
    seen: Seen,
}

impl Transport for Recorded {
    async fn send(
        &self,
        request: &coffer_vault_client::Request<'_>,
    ) -> Result<coffer_vault_client::Response, TransportError> {
        let answer = self.transport.send(request).await?;
        let body = request.body.unwrap_or_default().to_vec();
        self.seen.lock().unwrap().push((request.path.to_owned(), body, answer.body.clone()));
        Ok(answer)
    }
}

impl Account {
    /// An account whose backup key is protected by a password.
    pub(crate) fn registered(server: &Server, name: &str, password: &str) -> Self {
        let mut account = Self::new(server, name);
        account.register(password);
        account
    }

    pub(crate) fn new(server: &Server, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let device = SigningKey::generate().unwrap();
        let token = server.token(name, &shown_public_key(&device)).trim().to_owned();
        let address: VaultAddress = server.address.parse().unwrap();
        let seen = Seen::default();
        let transport = Recorded { transport: HttpTransport::new(&address, None).unwrap(), seen: Arc::clone(&seen) };
        let parsed = Token::parse(&token).unwrap();
        let fingerprint = address.fingerprint();
        let fleet = runtime.block_on(Fleet::fetch(&transport, &fingerprint, &parsed, None, now())).unwrap();
        let answer: FleetAnswer = Request::new("GET", "/v1/fleet", &token).send(server.host()).read();
        Self {
            name: AccountId::new(name).unwrap(),
            session: Session::new(
                transport,
                fleet,
                parsed,
                SigningKey::from_seed(*device.expose_seed()),
                Arc::new(now),
            ),
            device,
            token,
            backup_key: BackupKey::generate().unwrap(),
            manifest: serde_json::from_slice(answer.manifest.manifest.as_bytes()).unwrap(),
            registration: RegistrationId([0; 16]),
            host: server.host().to_owned(),
            seen,
            runtime,
        }
    }

    /// Protects the backup key by a password, in the place of the one before.
    pub(crate) fn register(&mut self, password: &str) {
        let password = Password::new(password).unwrap();
        let mut outbox = NothingKept;
        let register = self.session.register(&password, &self.backup_key, &ARGON2, &mut outbox);
        let registered = self.runtime.block_on(register);
        let Registered::Protected { registration, .. } = registered.unwrap() else { panic!("it waits") };
        self.registration = registration;
    }

    pub(crate) fn retrieve(&self, password: &str) -> Result<Retrieved, RetrieveError> {
        self.runtime.block_on(self.session.retrieve(&Password::new(password).unwrap(), &mut NothingKept))
    }

    /// Has the vault keep an archive head, the first.
    pub(crate) fn keep_head(&self) {
        self.runtime.block_on(self.session.put_head(1, vec![7; 512], &self.backup_key)).unwrap();
    }

    pub(crate) fn delete(&self) -> Result<Time, RequestError> {
        self.runtime.block_on(self.session.delete(&self.registration, Some(&self.backup_key)))
    }

    #[track_caller]
    pub(crate) fn live(&self) -> LiveStatus {
        self.runtime.block_on(self.session.status()).unwrap().live.unwrap()
    }

    /// That the password gives the key back, and every attempt.
    #[track_caller]
    pub(crate) fn is_restored_by(&self, password: &str) {
        let retrieved = self.retrieve(password).unwrap();
        assert!(retrieved.backup_key == self.backup_key && retrieved.attempts_remaining == 10);
        assert_eq!(self.live().failed_attempts, []);
    }

    /// The registration as it was sent.
    pub(crate) fn sent_registration(&self) -> RegistrationRequest {
        let path = format!("/v1/registrations/{}", self.registration);
        let seen = self.seen.lock().unwrap();
        let (_, body, _) = seen.iter().find(|(at, _, _)| *at == path).unwrap();
        serde_json::from_slice(body).unwrap()
    }

    /// Everything that the vault has answered to the session.
    pub(crate) fn answers(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().iter().map(|(_, _, answer)| answer.clone()).collect()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path, &self.token)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn ake(&self) -> Point {
        Point::parse(&self.manifest.ake.0).unwrap()
    }
}

pub(crate) fn now() -> Time {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Time::from_unix_seconds(i64::try_from(seconds).unwrap())
}
