//! The vault as a client sees it: one method for each route. A coordinator of sites, its own among them.

use coffer_proto::{
    AccountId, Activated, ActivationRequest, ArchiveHead, DeletionRequest, KeepRequest, Receipt, Registration,
    RegistrationId, RegistrationRequest, SiteCertificate, Time, TransportKeyId, activation_message, deletion_message,
    head_message, keep_message, registration_message,
};
use zeroize::Zeroizing;

use crate::budget::Refusal;
use crate::commit::{Committed, commit};
use crate::delivery::Delivery;
use crate::error::VaultError;
use crate::evidence::{is_authorized, receipt_holds, verify};
use crate::ledger::{SiteRow, row_key};
use crate::logins::Logins;
use crate::messages::SiteKeep;
use crate::outside::Bearer;
use crate::ports::Tokens as _;
use crate::record::{Activation, Deletion, KeptKeep, VaultRecord};
use crate::site::Site;
use crate::world::{Fleet, Ports, World};

/// The Backup Key Vault at one site.
#[expect(missing_debug_implementations, reason = "its ports need not be printed")]
pub struct Vault<W: World> {
    pub(crate) site: Site<W>,
    pub(crate) logins: Logins,
}

impl<W: World> Vault<W> {
    /// A vault on its ports.
    ///
    /// # Errors
    /// `Unavailable` when the ledger cannot be read.
    pub async fn open(ports: Ports<W>, fleet: Fleet) -> Result<Self, VaultError> {
        Ok(Self { site: Site::open(ports, fleet).await?, logins: Logins::default() })
    }

    /// This site.
    pub fn site(&self) -> &Site<W> {
        &self.site
    }

    pub(crate) fn ports(&self) -> &Ports<W> {
        &self.site.ports
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.site.fleet
    }

    /// Whoever bears the token.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub fn authenticate(&self, token: &str) -> Result<Bearer, VaultError> {
        self.ports().tokens.verify(token, self.ports().now()).ok_or(VaultError::Unauthorized)
    }

    /// The certificate of this site's daily keys.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn certificate(&self) -> Result<SiteCertificate, VaultError> {
        self.site.daily_keys.certificate(self.ports(), &self.fleet().id, self.fleet().site).await
    }

    /// The private half of the transport key with this name: today's, or one of before whose certificate still holds.
    pub fn transport_key(&self, id: &TransportKeyId) -> Option<Zeroizing<[u8; 32]>> {
        self.site.daily_keys.transport_key(id, self.ports().now())
    }

    /// `PUT /v1/registrations/{id}`: takes this site's share in.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn register(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &RegistrationRequest,
    ) -> Result<Receipt, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        if request.registration.id != *id {
            return Err(VaultError::Malformed("the registration's id is not that of the path"));
        }
        let message = registration_message(&self.fleet().id, &account, &request.registration);
        verify(&device_key, &message, &request.device_signature)?;
        self.site.import(&account, request).await
    }

    /// `PUT /v1/registrations/{id}/activation`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn activate(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &ActivationRequest,
    ) -> Result<Activated, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        let registration = self.held(&account, id).await?;
        let replaces = request.replaces.as_ref();
        let message = activation_message(&self.fleet().id, &account, id, &registration.hash(), replaces);
        verify(&device_key, &message, &request.device_signature)?;
        let receipts = self.check_receipts(&account, &registration, &request.receipts)?;
        let activation = Activation {
            at: self.ports().now(),
            replaces: request.replaces,
            token: token.into(),
            device_signature: request.device_signature,
            authorization: request.authorization,
            receipts,
        };
        let Committed { record, outcome: activated, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                if let (Some(authorization), Some(live)) = (&activation.authorization, &record.live)
                    && live.registration.id != *id
                    && !is_authorized(&live.registration, &message, authorization)
                {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.activate(registration.clone(), activation.clone(), &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, ?activated, "registration activated");
        self.site.observe(&account, &record).await?;
        Ok(activated)
    }

    /// Commits a transition; a record that is older than it was is brought up to the ledgers first.
    pub(crate) async fn commit<T>(
        &self,
        account: &AccountId,
        mut transition: impl FnMut(&mut VaultRecord, Time) -> Result<T, Refusal>,
    ) -> Result<Committed<T>, VaultError> {
        match commit(self.ports(), account, &mut transition).await {
            Err(VaultError::Unreconciled) => {
                self.site.reconcile(account).await?;
                commit(self.ports(), account, transition).await
            }
            committed => committed,
        }
    }

    /// The registration that this site holds a share of.
    async fn held(&self, account: &AccountId, id: &RegistrationId) -> Result<Registration, VaultError> {
        match self.site.rows.read(self.ports(), &row_key(account, id)).await?.map(|row| row.content) {
            Some(SiteRow::Held(held)) => Ok(held.registration),
            Some(SiteRow::Erased { .. }) => Err(Refusal::Erased.into()),
            None => Err(VaultError::NotDelivered),
        }
    }

    /// One receipt of each site, enough of them, all of which hold.
    fn check_receipts(
        &self,
        account: &AccountId,
        registration: &Registration,
        receipts: &[Receipt],
    ) -> Result<Vec<Receipt>, VaultError> {
        let Fleet { id, site_identities, .. } = self.fleet();
        let all_hold = receipts.len() <= site_identities.len()
            && receipts.iter().all(|receipt| receipt_holds(site_identities, id, account, registration, receipt));
        let mut receipts = receipts.to_vec();
        receipts.sort_by_key(|receipt| receipt.site);
        receipts.dedup_by_key(|receipt| receipt.site);
        if all_hold && receipts.len() >= usize::from(self.fleet().quorum()) {
            Ok(receipts)
        } else {
            Err(VaultError::InvalidReceipt)
        }
    }

    /// `PUT /v1/registrations/{id}/keep`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn keep(&self, token: &str, id: &RegistrationId, request: &KeepRequest) -> Result<(), VaultError> {
        let account = self.authenticate(token)?.account;
        let KeepRequest { against, authorization } = *request;
        let message = keep_message(&self.fleet().id, &account, id, &against);
        let keep = KeptKeep { against, authorization };
        // The sites first: none erases its share for want of a record that takes the objection.
        self.hand_round(Delivery::Keep(SiteKeep { account: account.clone(), registration: *id, keep })).await;
        let Committed { record, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                let live = record.live_named(id)?;
                if !is_authorized(&live.registration, &message, &authorization) {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.keep(id, keep, &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, "registration kept");
        self.site.observe(&account, &record).await
    }

    /// `DELETE /v1/registrations/{id}`. Gives when it is, or was, due.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &DeletionRequest,
    ) -> Result<Time, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        let message = deletion_message(&self.fleet().id, &account, id, &request.deletion);
        verify(&device_key, &message, &request.device_signature)?;
        let asked = Deletion {
            id: request.deletion,
            at: self.ports().now(),
            token: token.into(),
            device_signature: request.device_signature,
            authorization: request.authorization,
        };
        let Committed { record, outcome: due, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                let live = record.live.as_ref().filter(|live| live.registration.id == *id);
                if let (Some(live), Some(authorization)) = (live, &asked.authorization)
                    && !is_authorized(&live.registration, &message, authorization)
                {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.delete(id, asked.clone(), &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, %due, "deletion asked for");
        self.site.observe(&account, &record).await?;
        Ok(due)
    }

    /// `PUT /v1/archive-head`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn keep_head(&self, token: &str, head: &ArchiveHead) -> Result<(), VaultError> {
        let account = self.authenticate(token)?.account;
        let message = head_message(&self.fleet().id, &account, head.number, head.sealed.as_bytes());
        self.commit(&account, |record, now| {
            record.settle(&self.fleet().policy, now);
            let owner = record.head_owner().ok_or(Refusal::NotRegistered)?;
            if verify(&owner, &message, &head.signature).is_err() {
                return Err(Refusal::InvalidAuthorization);
            }
            record.keep_head(head.clone(), owner)
        })
        .await?;
        Ok(())
    }

    /// `GET /v1/archive-head`.
    ///
    /// # Errors
    /// `NotRegistered` when there is none.
    pub async fn head(&self, token: &str) -> Result<ArchiveHead, VaultError> {
        let account = self.authenticate(token)?.account;
        let kept = self.site.record(&account).await?.head;
        Ok(kept.ok_or(Refusal::NotRegistered)?.head)
    }
}
