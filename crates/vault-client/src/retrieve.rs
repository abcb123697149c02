//! Getting the backup key back with the password.

use coffer_keys::{BackupKey, ExportKey, SigningKey, WrappedBackupKey};
use coffer_pake::{Argon2Error, Identities, LoginError, PakeError};
use coffer_proto::{
    Base64, Hash, LiveStatus, ProblemType, ProofAnswer, ProofRequest, RegistrationId, RetrievalAnswer,
    RetrievalRequest, SiteNumber, Time, attempt_message, escrow_context, proof_message,
};
use thiserror::Error;

use crate::attempt::{AttemptStore, PendingAttempt};
use crate::exchange::{Failure, RequestError, parse};
use crate::fleet::Fleet;
use crate::password::Password;
use crate::session::{Session, opaque_names, parameters};
use crate::transport::{Method, Transport};

/// How often a new attempt is begun in the place of one that the vault no longer takes.
const FRESH_STARTS: usize = 2;

/// How often a retrieval is made, for free, because the site has forgotten the exchange; or as often as there are sites.
const REPEATS: usize = 3;

/// The password was right.
#[derive(Debug)]
pub struct Retrieved {
    /// The registration that gave the key.
    pub registration: RegistrationId,
    /// The key.
    pub backup_key: BackupKey,
    /// Attempts that are left: as a rule, all of them again.
    pub attempts_remaining: u8,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum RetrieveError {
    /// The password is wrong. That has cost an attempt.
    #[error("the password is wrong")]
    WrongPassword {
        /// Attempts that are left.
        attempts_remaining: u8,
        /// When the next one is taken, if not at once.
        retry_at: Option<Time>,
        /// So few sites answered that a faulty one would look the same.
        unchecked: bool,
    },
    /// No attempt was spent: the next is taken later.
    #[error("the next attempt is taken at {retry_at}")]
    Wait {
        /// When.
        retry_at: Time,
    },
    /// No attempt is left. The escrowed key is lost for ever.
    #[error("no attempt is left: the key that was kept under this password is permanently inaccessible")]
    Locked,
    /// The account has nothing registered.
    #[error("nothing is registered for this account")]
    NotRegistered,
    /// The vault asks for work that no registration asks for. Nothing was computed, and no attempt was spent.
    #[error("the vault asks for unreasonable work: {0}")]
    Argon2(#[from] Argon2Error),
    /// The answer is no honest vault's. The attempt may be continued with an honest one.
    #[error("the vault's answer is not to be trusted: {0}")]
    Untrusted(&'static str),
    /// The attempt could not be kept on the device, and so was not made.
    #[error("the attempt cannot be kept on this device: {0}")]
    NotKept(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// See there. If an attempt was spent, it goes on when the same password is given again.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// What became of an attempt.
enum Ended {
    /// The vault no longer takes it, for a reason that says nothing about the password.
    Stale(ProblemType),
    Failed(RetrieveError),
}

impl From<RetrieveError> for Ended {
    fn from(error: RetrieveError) -> Self {
        Self::Failed(error)
    }
}

/// What the right password leads to.
struct Opened {
    ke3: [u8; coffer_proto::KE3_LEN],
    export_key: ExportKey,
    unlock_key: SigningKey,
}

impl<T: Transport + Clone> Session<T> {
    /// Retrieves the backup key. Spends an attempt, once for each password that is tried: `store` keeps it before it is
    /// sent. A right password gives it back. Takes the time and memory of Argon2.
    ///
    /// # Errors
    /// [`RetrieveError`].
    pub async fn retrieve(
        &self,
        password: &Password,
        store: &mut impl AttemptStore,
    ) -> Result<Retrieved, RetrieveError> {
        let mut fresh_starts = FRESH_STARTS;
        loop {
            let begun = self.begin(password, store).await;
            // Who has made it up is not asked first the next time.
            let (live, attempt) = begun.inspect_err(|_| self.avoid_first())?;
            let ended = match self.attempt(&live, &attempt, password).await {
                Ok(retrieved) => {
                    store.forget();
                    return Ok(retrieved);
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Stale(problem) => {
                    store.forget();
                    fresh_starts = fresh_starts.checked_sub(1).ok_or(RequestError::Refused(problem))?;
                }
                Ended::Failed(RetrieveError::WrongPassword { attempts_remaining, unchecked, .. }) => {
                    store.forget();
                    let retry_at = self.glance().await.ok().and_then(|status| status.live?.retry_at);
                    return Err(RetrieveError::WrongPassword { attempts_remaining, retry_at, unchecked });
                }
                Ended::Failed(error) => {
                    if matches!(error, RetrieveError::Locked | RetrieveError::NotRegistered) {
                        store.forget();
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn begin(
        &self,
        password: &Password,
        store: &mut impl AttemptStore,
    ) -> Result<(LiveStatus, PendingAttempt), RetrieveError> {
        let live = self.live().await?;
        let attempt = kept_or_new(&live, password, store)?;
        Ok((live, attempt))
    }

    async fn live(&self) -> Result<LiveStatus, RetrieveError> {
        let status = self.glance().await?;
        let none = if status.locked.is_some() { RetrieveError::Locked } else { RetrieveError::NotRegistered };
        let live = status.live.ok_or(none)?;
        if live.manifest_version > self.fleet().version {
            return Err(RetrieveError::Untrusted("the registration is newer than the vault's manifest"));
        }
        parameters(&live.argon2).check()?;
        Ok(live)
    }

    /// The same attempt, at one site after another where it has to be: all that is free.
    async fn attempt(
        &self,
        live: &LiveStatus,
        attempt: &PendingAttempt,
        password: &Password,
    ) -> Result<Retrieved, Ended> {
        let mut sites = self.order();
        let mut repeats = REPEATS.max(sites.len());
        let (mut ended, mut refusals) = (None, 0);
        while let Some(first) = sites.first().copied().filter(|_| repeats > 0) {
            repeats -= 1;
            let (site, outcome) = self.exchange(live, attempt, password, &sites).await;
            let is_of_none = site.is_none();
            let site = site.unwrap_or(first);
            match outcome {
                Ok(Some(retrieved)) => return Ok(retrieved),
                // KE3 goes to the site that answers the retrieval the next time.
                Ok(None) => {
                    let at = sites.iter().position(|next| *next == site).unwrap_or(0);
                    sites.rotate_left(at);
                    continue;
                }
                Err(error) if is_of_none || !(error.is_refusal() || error.is_no_site_s()) => {
                    // Who has lied about the password, or about the time, is not asked first the next time.
                    if !is_of_none {
                        self.avoid(site);
                    }
                    return Err(error);
                }
                Err(error) => {
                    refusals += usize::from(error.is_refusal());
                    ended = Some(error);
                }
            }
            if refusals >= usize::from(self.fleet().threshold) {
                break;
            }
            // Others may see it in another way.
            self.avoid(site);
            sites.retain(|other| *other != site);
        }
        Err(ended.unwrap_or_else(|| RetrieveError::from(RequestError::Unavailable).into()))
    }

    /// One exchange with the first of these sites that can be reached: KE1, KE2, KE3. Nothing when the site that KE3 came to
    /// has forgotten it, or was another one; that site is given too.
    async fn exchange(
        &self,
        live: &LiveStatus,
        attempt: &PendingAttempt,
        password: &Password,
        sites: &[SiteNumber],
    ) -> (Option<SiteNumber>, Result<Option<Retrieved>, Ended>) {
        let (site, answer) = self.send_ke1(attempt, sites).await;
        let opened = answer.and_then(|answer| Ok((self.open(live, attempt, password, &answer)?, answer)));
        let (opened, answer) = match opened {
            Ok(opened) => opened,
            Err(ended) => return (site, Err(ended)),
        };
        // To the site whose KE2 it answers; if that fails, the others say whether the proof was heard.
        let mut sites = sites.to_vec();
        sites.sort_by_key(|other| Some(*other) != site);
        match self.prove(attempt, &opened, &answer, &sites).await {
            (site, Ok(Some(proved))) => (site, self.unwrap(attempt, &opened, &proved).map(Some).map_err(Ended::Failed)),
            (site, other) => (site, other.map(|_| None)),
        }
    }

    async fn send_ke1(
        &self,
        attempt: &PendingAttempt,
        sites: &[SiteNumber],
    ) -> (Option<SiteNumber>, Result<RetrievalAnswer, Ended>) {
        let ke1 = Base64(attempt.login.ke1());
        let (fleet, registration) = (self.fleet(), &attempt.registration);
        let message =
            attempt_message(&fleet.id, self.account(), registration, &attempt.id, attempt.number, &Hash::from(&ke1));
        let device_signature = self.device_signature(&message);
        let request = RetrievalRequest { registration: *registration, number: attempt.number, ke1, device_signature };
        let path = format!("/v1/retrievals/{}", attempt.id);
        let (site, answer) = self.write(Method::Put, sites, &path, &request).await;
        (site, answer.and_then(|answer| parse(&answer)).map_err(refused).and_then(|answer| known_sites(&fleet, answer)))
    }

    /// OPAQUE's last step here: it shows whether the password is right.
    fn open(
        &self,
        live: &LiveStatus,
        attempt: &PendingAttempt,
        password: &Password,
        answer: &RetrievalAnswer,
    ) -> Result<Opened, RetrieveError> {
        let fleet = self.fleet();
        let (client, context) = opaque_names(&fleet, self.account(), &attempt.registration, &live.argon2);
        let identities = Identities { client: &client, server: fleet.id.as_bytes(), context: &context };
        let (ake, argon2) = (&fleet.ake, parameters(&live.argon2));
        let finished = attempt
            .login
            .finish(password.expose_bytes(), &answer.ke2.0, &identities, &argon2, ake)
            .map_err(|error| match error {
                LoginError::WrongPassword => RetrieveError::WrongPassword {
                    attempts_remaining: answer.attempts_remaining,
                    retry_at: None,
                    unchecked: answer.unchecked,
                },
                LoginError::WrongServerKey => RetrieveError::Untrusted("it has another key than the vault's manifest"),
                LoginError::Malformed | LoginError::TooLong => RetrieveError::Untrusted("it is malformed"),
                LoginError::Argon2(error) => error.into(),
            })?;
        let export_key = ExportKey::from_bytes(*finished.export_key.expose_bytes());
        let unlock_key = export_key.derive_unlock_key();
        Ok(Opened { ke3: finished.ke3, export_key, unlock_key })
    }

    /// Nothing when the site has forgotten the exchange.
    async fn prove(
        &self,
        attempt: &PendingAttempt,
        opened: &Opened,
        answer: &RetrievalAnswer,
        sites: &[SiteNumber],
    ) -> (Option<SiteNumber>, Result<Option<ProofAnswer>, Ended>) {
        let (fleet, registration) = (self.fleet(), &attempt.registration);
        let message =
            proof_message(&fleet.id, self.account(), registration, &attempt.id, attempt.number, &answer.nonces);
        let request = ProofRequest {
            ke3: Base64(opened.ke3),
            nonces: answer.nonces.clone(),
            unlock_signature: Base64(opened.unlock_key.sign(&message)),
        };
        let path = format!("/v1/retrievals/{}/proof", attempt.id);
        let (site, proved) = self.write(Method::Put, sites, &path, &request).await;
        let proved = match proved {
            Err(failure) if failure.problem_type() == Some(ProblemType::RetrieveAgain) => Ok(None),
            other => other.and_then(|answer| parse(&answer)).map(Some).map_err(refused),
        };
        (site, proved)
    }

    fn unwrap(
        &self,
        attempt: &PendingAttempt,
        opened: &Opened,
        proved: &ProofAnswer,
    ) -> Result<Retrieved, RetrieveError> {
        let refused = |_| RetrieveError::Untrusted("its wrapped key is another one than was registered");
        let wrapped = WrappedBackupKey::parse(proved.wrapped_backup_key.as_bytes()).map_err(refused)?;
        let context = escrow_context(&self.fleet().id, self.account(), &attempt.registration);
        let backup_key = opened.export_key.unwrap_backup_key(&wrapped, &context).map_err(refused)?;
        let (registration, attempts_remaining) = (attempt.registration, proved.attempts_remaining);
        Ok(Retrieved { registration, backup_key, attempts_remaining })
    }
}

/// The attempt that was kept, if it is this very guess. Otherwise a new one, kept; but not where the vault would not take
/// it, so that one that is open still is not lost for it.
fn kept_or_new(
    live: &LiveStatus,
    password: &Password,
    store: &mut impl AttemptStore,
) -> Result<PendingAttempt, RetrieveError> {
    let kept = store.load().and_then(|kept| PendingAttempt::parse(&kept));
    if let Some(kept) = kept.filter(|kept| kept.is_for(&live.id, password)) {
        return Ok(kept);
    }
    if live.attempts_remaining == 0 {
        return Err(RetrieveError::Locked);
    }
    if let Some(retry_at) = live.retry_at {
        return Err(RetrieveError::Wait { retry_at });
    }
    let too_long = |_: PakeError| RetrieveError::Untrusted("the password protocol failed");
    let attempt = PendingAttempt::start(live.id, live.next_attempt, password).map_err(too_long)?;
    store.keep(&attempt.encode()).map_err(RetrieveError::NotKept)?;
    Ok(attempt)
}

impl Ended {
    /// Whether it takes more than one site to have it believed.
    const fn is_refusal(&self) -> bool {
        matches!(self, Self::Stale(_) | Self::Failed(RetrieveError::Locked | RetrieveError::NotRegistered))
    }

    /// Whether it comes of an answer that no honest site gives: another one will do better.
    const fn is_no_site_s(&self) -> bool {
        matches!(self, Self::Failed(RetrieveError::Untrusted(_) | RetrieveError::Request(RequestError::NotAVault(_))))
    }
}

/// The marks are of sites that there are, each once and in order.
fn known_sites(fleet: &Fleet, answer: RetrievalAnswer) -> Result<RetrievalAnswer, Ended> {
    let sites: Vec<SiteNumber> = answer.nonces.iter().map(|named| named.site).collect();
    let is_known = |site: &SiteNumber| fleet.site(*site).is_some();
    if sites.is_empty() || !sites.is_sorted_by(|one, next| one < next) || !sites.iter().all(is_known) {
        return Err(RetrieveError::Untrusted("it names other sites than there are").into());
    }
    Ok(answer)
}

fn refused(failure: Failure) -> Ended {
    let Failure::Problem(problem) = &failure else {
        return Ended::Failed(RequestError::from(failure).into());
    };
    Ended::Failed(match (problem.problem_type, problem.retry_at) {
        (
            stale @ (ProblemType::AttemptClosed
            | ProblemType::IdReused
            | ProblemType::RegistrationChanged
            | ProblemType::Erased),
            _,
        ) => return Ended::Stale(stale),
        (ProblemType::Wait, Some(retry_at)) => RetrieveError::Wait { retry_at },
        (ProblemType::Locked, _) => RetrieveError::Locked,
        (ProblemType::NotRegistered, _) => RetrieveError::NotRegistered,
        _ => RequestError::from(failure).into(),
    })
}
