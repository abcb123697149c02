//! Escrowing a backup key under a password.

use coffer_keys::{BackupKey, ExportKey, RandomnessError, SigningKey};
use coffer_pake::{Argon2Error, Argon2Parameters, Identities, PakeError, Share, deal_registration};
use coffer_proto::{
    Activated, ActivationRequest, Argon2, Base64, Base64Vec, ProblemType, Receipt, Registration, RegistrationId,
    RegistrationRequest, SealedShare, ShareContext, Time, activation_message, escrow_context, registration_message,
};
use thiserror::Error;

use crate::attempt::NothingKept;
use crate::exchange::{Failure, RequestError, parse};
use crate::password::Password;
use crate::receipts;
use crate::retrieve::RetrieveError;
use crate::session::{Session, authorized_by, generate_id};
use crate::transport::Transport;

/// A registration that the vault took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is live, every site has shown that its HSM holds its share, and the password has just given the key back.
    Protected {
        /// Its name.
        registration: RegistrationId,
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
    /// A receipt is forged or another share's: that site must not be believed.
    #[error("site {0} of the vault did not prove that it holds its share")]
    Receipt(u8),
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
    registration: Registration,
    unlock_key: SigningKey,
    /// In the order of the sites.
    parcels: Vec<(Share, SealedShare)>,
}

impl<T: Transport> Session<T> {
    /// Registers `password` for `backup_key`, and changes it: whatever registration of this backup key is live is
    /// replaced at once, with a full budget of attempts. Takes the time and memory of Argon2 twice.
    ///
    /// It asks nothing of the vault but to keep: the key of the OPRF is dealt here. When it is interrupted, it is begun
    /// again: what was not activated never becomes live.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register(
        &self,
        password: &Password,
        backup_key: &BackupKey,
        argon2: &Argon2Parameters,
    ) -> Result<Registered, RegisterError> {
        let status = self.status().await?;
        if let Some(retry_at) = status.cool_down_until {
            return Err(RegisterError::CoolDown { retry_at });
        }
        let prepared = self.prepare(password, backup_key, argon2)?;
        let receipts = self.deliver(&prepared).await?;
        let registration = prepared.registration.id;
        match self.activate(&prepared.registration, receipts, backup_key, status.live.map(|live| live.id)).await? {
            Activated::Waiting { live_at } => Ok(Registered::Waiting { registration, live_at }),
            Activated::Live => {
                self.try_out(&registration, password, backup_key).await?;
                Ok(Registered::Protected { registration })
            }
        }
    }

    fn prepare(
        &self,
        password: &Password,
        backup_key: &BackupKey,
        argon2: &Argon2Parameters,
    ) -> Result<Prepared, RegisterError> {
        argon2.check()?;
        let fleet = &self.fleet;
        let id = RegistrationId(generate_id());
        let shown = Argon2 { memory_kib: argon2.memory_kib, passes: argon2.passes, lanes: argon2.lanes };
        let (client, context) = self.opaque_names(&id, &shown);
        let identities = Identities { client: &client, server: fleet.id.as_bytes(), context: &context };
        let (sites, threshold) = (fleet.sites(), fleet.threshold);
        let dealt = deal_registration(password.expose_bytes(), &identities, argon2, &fleet.ake, sites, threshold)
            .map_err(RegisterError::Protocol)?;
        let export_key = ExportKey::from_bytes(*dealt.export_key.expose_bytes());
        let unlock_key = export_key.derive_unlock_key();
        let wrapped = export_key.wrap_backup_key(backup_key, &escrow_context(&fleet.id, self.account(), &id))?;
        let mut registration = Registration {
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
        let mut parcels = Vec::new();
        for (site, share) in fleet.sites.iter().zip(dealt.shares) {
            let context = self.context(&registration, site.number).encode();
            let sealed = share.seal(&site.share_import, &context).map_err(RegisterError::Protocol)?;
            let sealed = SealedShare { ephemeral: Base64(sealed.ephemeral.encode()), wrapped: bytes(sealed.wrapped)? };
            parcels.push((share, sealed));
        }
        registration.sealed_share_hashes = parcels.iter().map(|(_, sealed)| sealed.hash()).collect();
        Ok(Prepared { registration, unlock_key, parcels })
    }

    fn context<'a>(&'a self, registration: &'a Registration, site: coffer_proto::SiteNumber) -> ShareContext<'a> {
        ShareContext { fleet: &self.fleet.id, site, account: self.account(), registration, sites: self.fleet.sites() }
    }

    /// Sends each site its share, and checks that its HSM has it.
    async fn deliver(&self, prepared: &Prepared) -> Result<Vec<Receipt>, RegisterError> {
        let Prepared { registration, unlock_key, parcels } = prepared;
        let message = registration_message(&self.fleet.id, self.account(), registration);
        let path = format!("/v1/registrations/{}", registration.id);
        let mut receipts = Vec::new();
        for (site, (share, sealed)) in self.fleet.sites.iter().zip(parcels) {
            let request = RegistrationRequest {
                registration: registration.clone(),
                sealed_share: sealed.clone(),
                unlock_signature: Base64(unlock_key.sign(&message)),
                device_signature: self.device_signature(&message),
            };
            let answer = self.put(&path, &request).await.map_err(RequestError::from)?;
            let receipt: Receipt = parse(&answer).map_err(RequestError::from)?;
            let expected = share.receipt(&self.context(registration, site.number).encode());
            if !receipts::holds(&self.fleet, self.account(), registration, site, &expected, &receipt) {
                return Err(RegisterError::Receipt(site.number.0));
            }
            receipts.push(receipt);
        }
        Ok(receipts)
    }

    /// Makes the registration the live one; or, where another owner's is live, has it wait.
    async fn activate(
        &self,
        registration: &Registration,
        receipts: Vec<Receipt>,
        backup_key: &BackupKey,
        mut replaces: Option<RegistrationId>,
    ) -> Result<Activated, RegisterError> {
        let path = format!("/v1/registrations/{}/activation", registration.id);
        let (mut is_owned, mut has_changed) = (true, false);
        loop {
            let hash = registration.hash();
            let message =
                activation_message(&self.fleet.id, self.account(), &registration.id, &hash, replaces.as_ref());
            let request = ActivationRequest {
                replaces,
                receipts: receipts.clone(),
                device_signature: self.device_signature(&message),
                authorization: (is_owned && replaces.is_some()).then(|| authorized_by(backup_key, &message)),
            };
            let failure = match self.put(&path, &request).await {
                Ok(answer) => return Ok(parse(&answer).map_err(RequestError::from)?),
                Err(failure) => failure,
            };
            match failure.problem_type() {
                // The live one belongs to another backup key.
                Some(ProblemType::InvalidSignature) if request.authorization.is_some() => is_owned = false,
                Some(ProblemType::RegistrationChanged) if !has_changed => {
                    has_changed = true;
                    replaces = self.status().await?.live.map(|live| live.id);
                }
                Some(problem) if problem != ProblemType::Unavailable => return Err(refused(failure)),
                _ => return self.activated_after_all(&registration.id, failure).await,
            }
        }
    }

    /// No answer says whether an activation was taken: the vault may have, and the password be the new one.
    async fn activated_after_all(&self, id: &RegistrationId, failure: Failure) -> Result<Activated, RegisterError> {
        let status = self.status().await.map_err(|error| RegisterError::Unproved(Box::new(error.into())))?;
        if status.live.is_some_and(|live| live.id == *id) {
            return Ok(Activated::Live);
        }
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
        let unproved = |error| RegisterError::Unproved(Box::new(error));
        let retrieved = self.retrieve(password, &mut NothingKept).await.map_err(unproved)?;
        if retrieved.registration == *registration && retrieved.backup_key == *backup_key {
            Ok(())
        } else {
            Err(unproved(RetrieveError::Untrusted("it gave another key back than was registered")))
        }
    }
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
