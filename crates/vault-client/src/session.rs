//! A device, its account and its vault, for some requests.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use coffer_keys::{BackupKey, SigningKey};
use coffer_pake::Argon2Parameters;
use coffer_proto::{
    AccountId, Argon2, Authorization, Base64, KeyRole, RegistrationId, RegistrationsAnswer, Signature, SiteNumber,
    client_identity, oprf_context,
};

use crate::exchange::{self, Failure, RequestError, parse};
use crate::fleet::Fleet;
use crate::sealed::ClockFn;
use crate::token::Token;
use crate::transport::{Method, Request, Transport};
use crate::ways::{Said, Ways};

/// Everything that a request to the vault needs. The verbs are its methods, one file each.
///
/// # Which site is asked
///
/// Any site can do everything but take another's share. One is picked at random and asked for whatever comes, until it
/// fails; then the same bytes go to the next one, which costs nothing: every write has an id. A site fails when it cannot be
/// reached, cannot do it just now, has new keys that the fleet does not show even when it is fetched again, or answers
/// something that no site says. Everything else it says is final, sealed by it as it is.
///
/// # Which site is believed
///
/// Nobody can forge what brings a key back, so one site is enough for good news. Bad news one hostile site could make up,
/// and an owner who believes that the key is lost may throw away the rest. So it takes t sites, each under its own seal,
/// to have this believed: that nothing is registered, that it is locked or has no attempt left ([`status`](Self::status));
/// that an attempt is closed, and a new one has to be spent ([`retrieve`](Self::retrieve)); that what was just registered
/// is live ([`register`](Self::register)). The archive head is the newest of t sites. One site can still refuse service, by
/// asking for patience: the next one is asked the next time. What threatens a key, on the other hand, one site could keep
/// silent about until it has happened: whatever one of t sites warns of is shown ([`status`](Self::status)).
pub struct Session<T> {
    pub(crate) transport: T,
    pub(crate) ways: Mutex<Arc<Ways<T>>>,
    /// The position of the site that is asked first.
    pub(crate) first: AtomicUsize,
    pub(crate) token: Token,
    pub(crate) device_key: SigningKey,
    pub(crate) clock: ClockFn,
}

const REGISTRATIONS: &str = "/v1/registrations";

/// What the status says of a key, as far as it takes more than one site to believe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BadNews {
    NoAttempt,
    Locked,
    Nothing,
}

impl<T: Transport + Clone> Session<T> {
    /// A session with a fleet that was [fetched](Fleet::fetch) by the same transport. `device_key` is the one that the
    /// token names.
    pub fn new(transport: T, fleet: Fleet, token: Token, device_key: SigningKey, clock: ClockFn) -> Self {
        let ways = Mutex::new(Arc::new(Ways::new(&transport, fleet, token.account(), &clock)));
        let first = AtomicUsize::new(generate_id()[0].into());
        Self { transport, ways, first, token, device_key, clock }
    }

    /// What the vault has of the account, for its owner to see. Spends nothing. See above for how many sites have to say
    /// so, and how many are heard.
    ///
    /// # Errors
    /// [`RequestError`]; `Unavailable` also when too few sites answer or agree.
    pub async fn status(&self) -> Result<RegistrationsAnswer, RequestError> {
        let mut status = self.glance().await?;
        let mut unheard = self.fleet().threshold;
        if unheard == 1 {
            return Ok(status);
        }
        let heard = self.hear(REGISTRATIONS, |_, answer| {
            match answer.and_then(|answer| parse(&answer)) {
                Ok(answer) => add_warnings(&mut status, answer),
                Err(failure) => return refusal_of(failure),
            }
            unheard -= 1;
            if unheard > 0 { ControlFlow::Continue(None) } else { ControlFlow::Break(Ok(())) }
        });
        heard.await?;
        Ok(status)
    }

    /// The same, without what others than the first might warn of.
    pub(crate) async fn glance(&self) -> Result<RegistrationsAnswer, RequestError> {
        let needed = usize::from(self.fleet().threshold);
        let mut said: Vec<(BadNews, RegistrationsAnswer)> = Vec::new();
        let heard = self.hear(REGISTRATIONS, |_, answer| {
            let answer: RegistrationsAnswer = match answer.and_then(|answer| parse(&answer)) {
                Ok(answer) => answer,
                Err(failure) => return refusal_of(failure),
            };
            let Some(news) = bad_news(&answer) else { return ControlFlow::Break(Ok(answer)) };
            said.push((news, answer.clone()));
            if said.iter().filter(|(of, _)| *of == news).count() < needed {
                return ControlFlow::Continue(None);
            }
            ControlFlow::Break(Ok(answer))
        });
        Ok(heard.await?)
    }

    /// Whether so many sites as are needed say that this registration is live, or waits; or that it is neither.
    ///
    /// # Errors
    /// Too few say the one or the other, with a site that denies it, if one does.
    pub(crate) async fn stands(
        &self,
        is_named: impl Fn(&RegistrationsAnswer) -> bool,
    ) -> Result<bool, (Option<SiteNumber>, RequestError)> {
        let needed = self.fleet().threshold;
        let (mut named, mut denied, mut denier) = (0, 0, None);
        let heard = self.hear(REGISTRATIONS, |site, answer| {
            match answer.and_then(|answer| parse(&answer)) {
                Ok(answer) if is_named(&answer) => named += 1,
                Ok(_) => {
                    denied += 1;
                    denier = denier.or(Some(site));
                }
                Err(failure) => return refusal_of(failure),
            }
            if named.max(denied) < needed {
                ControlFlow::Continue(None)
            } else {
                ControlFlow::Break(Ok(named >= needed))
            }
        });
        let heard = heard.await;
        heard.map_err(|failure| (denier, failure.into()))
    }

    /// Whose the token says that it is.
    pub const fn account(&self) -> &AccountId {
        self.token.account()
    }

    pub(crate) fn device_signature(&self, message: &[u8]) -> Signature {
        Base64(self.device_key.sign(message))
    }

    /// Asks one site after another for what lies there, until `hear` has heard enough. Like
    /// [`ask_each`](Self::ask_each), but a refusal is an error.
    pub(crate) async fn hear<A>(
        &self,
        path: &str,
        hear: impl FnMut(SiteNumber, Said) -> ControlFlow<Result<A, Failure>, Option<Failure>>,
    ) -> Result<A, Failure> {
        let request = Request { method: Method::Get, path, token: Some(self.token.expose()), body: None };
        self.ask_each(&self.order(), &request, hear).await?
    }

    /// Has any site do it.
    pub(crate) async fn put<B: serde::Serialize>(&self, path: &str, body: &B) -> Said {
        self.write(Method::Put, &self.order(), path, body).await.1
    }

    /// Has the first of these sites do it that can.
    pub(crate) async fn write<B: serde::Serialize>(
        &self,
        method: Method,
        sites: &[SiteNumber],
        path: &str,
        body: &B,
    ) -> (Option<SiteNumber>, Said) {
        let body = match exchange::body(body) {
            Ok(body) => body,
            Err(failure) => return (None, Err(failure)),
        };
        self.ask(sites, &Request { method, path, token: Some(self.token.expose()), body: Some(&body) }).await
    }
}

/// A refusal ends a round of questions, an answer that no site gives does not.
pub(crate) fn refusal_of<A>(failure: Failure) -> ControlFlow<Result<A, Failure>, Option<Failure>> {
    if failure.is_of_the_way() { ControlFlow::Continue(Some(failure)) } else { ControlFlow::Break(Err(failure)) }
}

/// OPAQUE's client identity and context of a registration.
pub(crate) fn opaque_names(
    fleet: &Fleet,
    account: &AccountId,
    registration: &RegistrationId,
    argon2: &Argon2,
) -> (Vec<u8>, Vec<u8>) {
    (client_identity(account, registration), oprf_context(argon2, fleet.sites(), fleet.threshold))
}

/// What another site says of what may end the registration, and of guesses at it. That it makes something up costs its
/// owner a look.
fn add_warnings(status: &mut RegistrationsAnswer, other: RegistrationsAnswer) {
    status.waiting = status.waiting.or(other.waiting);
    let (Some(live), Some(other)) = (&mut status.live, other.live) else { return };
    if live.id == other.id {
        live.deletion = live.deletion.or(other.deletion);
        if other.failed_attempts.len() > live.failed_attempts.len() {
            live.failed_attempts = other.failed_attempts;
        }
    }
}

fn bad_news(answer: &RegistrationsAnswer) -> Option<BadNews> {
    match (&answer.live, &answer.locked) {
        (Some(live), _) if live.attempts_remaining > 0 => None,
        (Some(_), _) => Some(BadNews::NoAttempt),
        (None, Some(_)) => Some(BadNews::Locked),
        (None, None) => Some(BadNews::Nothing),
    }
}

impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("account", self.token.account()).finish_non_exhaustive()
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
