//! Escrowing a backup key under a password.

use std::error::Error;

use coffer_keys::{BackupKey, ExportKey, RandomnessError, SigningKey};
use coffer_pake::{Argon2Error, Argon2Parameters, Identities, PakeError, deal_registration};
use coffer_proto::{
    Activated, ActivationRequest, Argon2, Base64, Base64Vec, ProblemType, Registration, RegistrationId, SealedShare,
    SiteNumber, Time, activation_message, escrow_context, registration_message,
};
use thiserror::Error;

use crate::attempt::NothingKept;
use crate::delivering::{Failed, Sent, share_context};
use crate::ending::owns;
use crate::exchange::{Failure, RequestError, parse};
use crate::fleet::Fleet;
use crate::outbox::{self, Outbox, Parcel, Undelivered};
use crate::password::Password;
use crate::retrieve::RetrieveError;
use crate::session::{Session, authorized_by, generate_id, opaque_names};
use crate::transport::{Method, Transport};

/// A registration that the vault took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is live, so many sites as a retrieval needs have said so, all but those that are named here have shown that their
    /// HSMs hold their shares, and the password has just given the key back.
    Protected {
        /// Its name.
        registration: RegistrationId,
        /// Sites that have still to be sent their shares; the outbox has them. See [`Session::deliver`].
        undelivered: Vec<SiteNumber>,
        /// Those of them whose receipts did not hold: they must not be believed, and their operators be told.
        forged: Vec<SiteNumber>,
    },
    /// Another registration, which does not belong to this backup key, is live. The key is **not** protected before
    /// `live_at`, and never if the other one's owner objects.
    Waiting {
        /// Its name.
        registration: RegistrationId,
        /// When it takes over.
        live_at: Time,
    },
}

/// Why a password does not protect the key. Whatever was live before is live still, but for `Unproved`.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The account's last registration was lost to wrong guesses a while ago.
    #[error("after a lock, the vault takes no new registration before {retry_at}")]
    CoolDown {
        /// When it does.
        retry_at: Time,
    },
    /// Not to be used.
    #[error(transparent)]
    Argon2(#[from] Argon2Error),
    /// A receipt is forged or another share's: that site must not be believed, and without it there are too few.
    #[error("site {0} of the vault did not prove that it holds its share")]
    Receipt(u8),
    /// Nothing was activated: what the other sites were sent they throw away.
    #[error("{away} of the vault's {sites} sites cannot be reached, and {needed} have to take part in a registration")]
    SitesAway {
        /// That cannot be reached, or cannot do it just now.
        away: u8,
        /// That there are.
        sites: u8,
        /// That are needed.
        needed: u8,
    },
    /// What sites that are away have still to be sent could not be kept on the device, and nothing was activated.
    #[error("what sites of the vault have still to be sent cannot be kept on this device: {0}")]
    NotKept(#[source] Box<dyn Error + Send + Sync>),
    /// It was activated, and then too few sites said so, while this one denied it. Register again; until then the right
    /// password may be this one or the one before.
    #[error("site {0} of the vault denies what was just registered")]
    Denied(u8),
    /// It may be live and may work, but what was to show it did not come to its end. Register again; until then the right
    /// password may be this one or the one before.
    #[error("the new password may already be the one that counts, but that could not be shown: {0}")]
    Unproved(#[source] Box<RetrieveError>),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// A message of the password protocol could not be made.
    #[error(transparent)]
    Protocol(PakeError),
    /// See there.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A registration, ready to be sent.
struct Prepared {
    undelivered: Undelivered,
    parcels: Vec<Parcel>,
}

impl<T: Transport + Clone> Session<T> {
    /// Registers `password` for `backup_key`, and changes it: whatever registration of this backup key is live is
    /// replaced at once, with a full budget of attempts. Takes the time and memory of Argon2 twice.
    ///
    /// It asks nothing of the vault but to keep: the key of the OPRF is dealt here. It is activated when one site more has
    /// shown that it holds its share than a retrieval needs, if there is one more; what the others are to have is in
    /// `outbox` before that. When it is interrupted, it is begun again: what was not activated never becomes live.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register(
        &self,
        password: &Password,
        backup_key: &BackupKey,
        argon2: &Argon2Parameters,
        outbox: &mut impl Outbox,
    ) -> Result<Registered, RegisterError> {
        self.register_after(password, backup_key, backup_key, argon2, outbox).await
    }

    /// The same for a backup key that takes the place of the one `before`: what is registered for either is replaced at
    /// once.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register_after(
        &self,
        password: &Password,
        backup_key: &BackupKey,
        before: &BackupKey,
        argon2: &Argon2Parameters,
        outbox: &mut impl Outbox,
    ) -> Result<Registered, RegisterError> {
        let fleet = self.fleet();
        let status = self.glance().await?;
        if let Some(retry_at) = status.cool_down_until {
            // Who has made it up is not asked first the next time.
            self.avoid_first();
            return Err(RegisterError::CoolDown { retry_at });
        }
        let Prepared { mut undelivered, parcels } = self.prepare(&fleet, password, backup_key, argon2)?;
        let sent = self.send_parcels(&undelivered, parcels).await;
        if sent.receipts.len() < fleet.quorum().into() {
            return Err(too_few(&fleet, sent));
        }
        let (left, forged) = (sent.undelivered(), sent.forged());
        undelivered.receipts = sent.receipts;
        undelivered.parcels = sent.left.into_iter().map(|(parcel, _)| parcel).collect();
        if !left.is_empty() {
            // What was kept of the registration that this one is to replace stays until it has.
            let mut all = outbox::load(outbox);
            all.push(undelivered.clone());
            outbox::keep(outbox, all).map_err(RegisterError::NotKept)?;
        }
        let registration = undelivered.id();
        let is_before = status.live.as_ref().is_some_and(|live| owns(before, live));
        let owner = if is_before { before } else { backup_key };
        match self.activate(&undelivered, owner, status.live.map(|live| live.id)).await? {
            Activated::Waiting { live_at } => Ok(Registered::Waiting { registration, live_at }),
            Activated::Live => {
                self.confirm(&registration).await?;
                self.forget_replaced(undelivered, outbox);
                self.try_out(&registration, password, backup_key).await?;
                Ok(Registered::Protected { registration, undelivered: left, forged })
            }
        }
    }

    fn prepare(
        &self,
        fleet: &Fleet,
        password: &Password,
        backup_key: &BackupKey,
        argon2: &Argon2Parameters,
    ) -> Result<Prepared, RegisterError> {
        argon2.check()?;
        let id = RegistrationId(generate_id());
        let shown = Argon2 { memory_kib: argon2.memory_kib, passes: argon2.passes, lanes: argon2.lanes };
        let (client, context) = opaque_names(fleet, self.account(), &id, &shown);
        let identities = Identities { client: &client, server: fleet.id.as_bytes(), context: &context };
        let (sites, threshold) = (fleet.sites(), fleet.threshold);
        let dealt = deal_registration(password.expose_bytes(), &identities, argon2, &fleet.ake, sites, threshold)
            .map_err(RegisterError::Protocol)?;
        let export_key = ExportKey::from_bytes(*dealt.export_key.expose_bytes());
        let unlock_key = export_key.derive_unlock_key();
        let wrapped = export_key.wrap_backup_key(backup_key, &escrow_context(&fleet.id, self.account(), &id))?;
        let registration = Registration {
            id,
            manifest_version: fleet.version,
            argon2: shown,
            commitments: dealt.commitments.iter().map(|commitment| Base64(commitment.encode())).collect(),
            sealed_share_hashes: Vec::new(),
            unlock_key: Base64(unlock_key.public()),
            owner_key: Base64(backup_key.derive_owner_key().public()),
            upload: Base64(dealt.upload),
            wrapped_backup_key: bytes(wrapped.to_bytes().to_vec())?,
        };
        let mut undelivered = Undelivered {
            fleet: fleet.id,
            account: self.account().clone(),
            registration,
            unlock_signature: Base64([0; 64]),
            receipts: Vec::new(),
            parcels: Vec::new(),
        };
        let mut parcels = Vec::new();
        for (site, share) in fleet.sites.iter().zip(dealt.shares) {
            let context = share_context(fleet, &undelivered, site.number);
            let sealed = share.seal(&site.share_import, &context).map_err(RegisterError::Protocol)?;
            let sealed_share =
                SealedShare { ephemeral: Base64(sealed.ephemeral.encode()), wrapped: bytes(sealed.wrapped)? };
            let expected = Base64(share.receipt(&context).encode());
            parcels.push(Parcel { site: site.number, sealed_share, expected });
        }
        let registration = &mut undelivered.registration;
        registration.sealed_share_hashes = parcels.iter().map(|parcel| parcel.sealed_share.hash()).collect();
        let message = registration_message(&fleet.id, self.account(), registration);
        undelivered.unlock_signature = sign(&unlock_key, &message);
        Ok(Prepared { undelivered, parcels })
    }

    /// As many sites as a retrieval needs, each under its own seal, name it live.
    async fn confirm(&self, registration: &RegistrationId) -> Result<(), RegisterError> {
        // One site has just said so.
        if self.fleet().threshold == 1 {
            return Ok(());
        }
        let is_live = self.stands(|status| status.live.as_ref().is_some_and(|live| live.id == *registration));
        match is_live.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(unproved(RetrieveError::Untrusted("its sites do not know what was just registered"))),
            Err((Some(site), _)) => Err(RegisterError::Denied(site.0)),
            Err((None, error)) => Err(unproved(error.into())),
        }
    }

    /// Once it is live, what it has replaced needs no sites any more.
    fn forget_replaced(&self, live: Undelivered, outbox: &mut impl Outbox) {
        let is_replaced = |of: &Undelivered| of.fleet == live.fleet && of.account == live.account;
        let mut kept = outbox::load(outbox);
        let had = kept.len();
        kept.retain(|of| !is_replaced(of));
        if had > kept.len() || !live.parcels.is_empty() {
            if !live.parcels.is_empty() {
                kept.push(live);
            }
            // What stays is found to be of no use the next time.
            let _ = outbox::keep(outbox, kept);
        }
    }

    /// Makes the registration the live one, as `backup_key`'s owner; or, where another owner's is live, has it wait.
    async fn activate(
        &self,
        of: &Undelivered,
        backup_key: &BackupKey,
        mut replaces: Option<RegistrationId>,
    ) -> Result<Activated, RegisterError> {
        let (id, hash) = (of.id(), of.registration.hash());
        let path = format!("/v1/registrations/{id}/activation");
        let holders = self.holders(&of.receipts);
        let (mut is_owned, mut has_changed) = (true, false);
        loop {
            let message = activation_message(&of.fleet, self.account(), &id, &hash, replaces.as_ref());
            let request = ActivationRequest {
                replaces,
                receipts: of.receipts.clone(),
                device_signature: self.device_signature(&message),
                authorization: (is_owned && replaces.is_some()).then(|| authorized_by(backup_key, &message)),
            };
            let said = self.write(Method::Put, &holders, &path, &request).await.1.and_then(|answer| parse(&answer));
            let refused_with = said.as_ref().err().and_then(Failure::problem_type);
            match refused_with {
                // The live one belongs to another backup key.
                Some(ProblemType::InvalidSignature) if request.authorization.is_some() => is_owned = false,
                Some(ProblemType::RegistrationChanged) if !has_changed => {
                    has_changed = true;
                    // Who has named another one may have made it up.
                    self.avoid_first();
                    let status = self.glance().await.map_err(|error| unproved(error.into()))?;
                    replaces = status.live.map(|live| live.id);
                }
                _ => return self.activated_after_all(&id, said).await,
            }
        }
    }

    /// Whoever says that an activation was refused, or waits, may have taken it, or have hidden that it was: the password
    /// would be the new one, and its owner keep to the old one.
    async fn activated_after_all(
        &self,
        id: &RegistrationId,
        said: Result<Activated, Failure>,
    ) -> Result<Activated, RegisterError> {
        let is_alone = self.fleet().threshold == 1;
        if let Some(activated) = said.as_ref().ok().filter(|said| is_alone || **said == Activated::Live) {
            return Ok(*activated);
        }
        let is_live = self.stands(|status| status.live.as_ref().is_some_and(|live| live.id == *id)).await;
        if is_live.map_err(|(_, error)| unproved(error.into()))? {
            return Ok(Activated::Live);
        }
        let failure = match said {
            Ok(activated) => return Ok(activated),
            Err(failure) => failure,
        };
        let status = self.glance().await.map_err(|error| unproved(error.into()))?;
        match status.waiting.filter(|waiting| waiting.id == *id) {
            Some(waiting) => Ok(Activated::Waiting { live_at: waiting.live_at }),
            None => Err(refused(failure)),
        }
    }

    /// One real retrieval: it shows that every part of the way back works, and gives back the attempt that it spends.
    async fn try_out(
        &self,
        registration: &RegistrationId,
        password: &Password,
        backup_key: &BackupKey,
    ) -> Result<(), RegisterError> {
        let retrieved = self.retrieve(password, &mut NothingKept).await.map_err(unproved)?;
        if retrieved.registration == *registration && retrieved.backup_key == *backup_key {
            Ok(())
        } else {
            Err(unproved(RetrieveError::Untrusted("it gave another key back than was registered")))
        }
    }
}

fn unproved(error: RetrieveError) -> RegisterError {
    RegisterError::Unproved(Box::new(error))
}

fn sign(key: &SigningKey, message: &[u8]) -> coffer_proto::Signature {
    Base64(key.sign(message))
}

/// Why there are too few receipts: a site that lies before one that refuses, that before those that are away.
fn too_few(fleet: &Fleet, sent: Sent) -> RegisterError {
    if let Some(site) = sent.forged().first() {
        return RegisterError::Receipt(site.0);
    }
    let (away, sites, needed) = (u8::try_from(sent.left.len()).unwrap_or(u8::MAX), fleet.sites(), fleet.quorum());
    for (_, why) in sent.left {
        match why {
            Failed::Failure(failure) if sites == 1 || !failure.is_of_the_way() => {
                return RequestError::from(failure).into();
            }
            _ => {}
        }
    }
    RegisterError::SitesAway { away, sites, needed }
}

fn refused(failure: Failure) -> RegisterError {
    match failure {
        Failure::Problem(problem) if problem.problem_type == ProblemType::CoolDown => match problem.retry_at {
            Some(retry_at) => RegisterError::CoolDown { retry_at },
            None => RequestError::Refused(ProblemType::CoolDown).into(),
        },
        other => RequestError::from(other).into(),
    }
}

/// Bytes whose length is a constant of the suite.
fn bytes<const MAX: usize>(bytes: Vec<u8>) -> Result<Base64Vec<MAX>, RegisterError> {
    Base64Vec::new(bytes).map_err(|_| RegisterError::Protocol(PakeError::Malformed))
}
