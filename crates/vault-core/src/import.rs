//! A share comes to a site: checked, imported into its HSM, acknowledged by a receipt.

use std::sync::atomic::Ordering;

use coffer_pake::{Point, expected_share, import_point, receipt_base};
use coffer_proto::{AccountId, Base64, PointBytes, Receipt, Registration, RegistrationRequest, registration_message};

use crate::budget::Refusal;
use crate::error::VaultError;
use crate::evidence::verify;
use crate::ledger::{Held, SiteRow, row_key};
use crate::outside::SealedShareIn;
use crate::ports::Hsm as _;
use crate::record::VaultRecord;
use crate::rows::WriteError;
use crate::site::Site;
use crate::world::World;

/// Registrations of an account that a site holds without their having been activated.
const PENDING_AT_MOST: usize = 16;

impl<W: World> Site<W> {
    /// Takes a share in, and gives a receipt for it. The same again gives the same receipt.
    pub(crate) async fn import(
        &self,
        account: &AccountId,
        request: &RegistrationRequest,
    ) -> Result<Receipt, VaultError> {
        let registration = &request.registration;
        let (expected, ephemeral) = self.check(account, request)?;
        let key = row_key(account, &registration.id);
        if let Some(receipt) = self.receipt_of(&key, registration).await? {
            return Ok(receipt);
        }
        let record = self.record(account).await?;
        if record.erased.contains(&registration.id) {
            return Err(Refusal::Erased.into());
        }
        self.make_room(account, &record).await?;
        let context = self.context(account, registration).encode();
        let share = SealedShareIn {
            transport: import_point(&context, &ephemeral),
            sealed: request.sealed_share.wrapped.as_bytes(),
            expected,
            receipt_base: receipt_base(&context),
        };
        let imported = self.ports.hsm.import_share(share).await?;
        let receipt = self.receipt(account, registration, &imported.receipt).await?;
        let mut held = Held::new(registration.clone(), imported.wrapped, receipt.clone(), self.ports.now());
        held.recounted = self.heights.rollback();
        match self.rows.write(&self.ports, &key, None, &SiteRow::Held(Box::new(held))).await {
            Ok(_) => {
                tracing::info!(target: "audit", ?account, registration = %registration.id, "share imported");
                Ok(receipt)
            }
            Err(WriteError::Conflict) => self.receipt_of(&key, registration).await?.ok_or(VaultError::Unavailable),
            Err(WriteError::Vault(error)) => Err(error),
        }
    }

    /// That a registration is what it says, and fits this fleet. Gives the share's public point and the seal's.
    fn check(&self, account: &AccountId, request: &RegistrationRequest) -> Result<(Point, Point), VaultError> {
        let registration = &request.registration;
        if registration.manifest_version == 0
            || registration.manifest_version > self.manifest_version.load(Ordering::Relaxed)
        {
            return Err(VaultError::UnknownManifest);
        }
        if registration.commitments.len() != usize::from(self.fleet.threshold)
            || registration.sealed_share_hashes.len() != usize::from(self.fleet.sites)
        {
            return Err(VaultError::Malformed("the registration does not fit the fleet's sites and threshold"));
        }
        let own = usize::from(self.fleet.site.0).saturating_sub(1);
        if registration.sealed_share_hashes.get(own) != Some(&request.sealed_share.hash()) {
            return Err(VaultError::InvalidShare);
        }
        let message = registration_message(&self.fleet.id, account, registration);
        verify(&registration.unlock_key, &message, &request.unlock_signature)?;
        let expected = self.public_share(registration)?;
        let ephemeral = parse_point(&request.sealed_share.ephemeral)?;
        coffer_pake::check_upload(&registration.upload.0)
            .map_err(|_| VaultError::Malformed("not a RegistrationUpload of this suite"))?;
        Ok((expected, ephemeral))
    }

    /// `K_i`, as the commitments say.
    pub(crate) fn public_share(&self, registration: &Registration) -> Result<Point, VaultError> {
        let commitments: Vec<Point> = registration.commitments.iter().map(parse_point).collect::<Result<_, _>>()?;
        expected_share(&commitments, self.fleet.site.0).ok_or(VaultError::InvalidShare)
    }

    async fn receipt_of(&self, key: &[u8], registration: &Registration) -> Result<Option<Receipt>, VaultError> {
        match self.rows.read(&self.ports, key).await?.map(|row| row.content) {
            None => Ok(None),
            Some(SiteRow::Erased { .. }) => Err(Refusal::Erased.into()),
            Some(SiteRow::Held(held)) if held.registration == *registration => Ok(Some(held.receipt)),
            Some(SiteRow::Held(_)) => Err(Refusal::IdReused.into()),
        }
    }

    async fn receipt(
        &self,
        account: &AccountId,
        registration: &Registration,
        point: &Point,
    ) -> Result<Receipt, VaultError> {
        let context = self.context(account, registration);
        self.daily_keys.sign(&self.ports, &context, Base64(point.encode()), self.rows.last_number()).await
    }

    /// Erases the oldest of an account's shares that were never activated, if there are too many: whoever fills the place
    /// with them keeps nobody from registering.
    async fn make_room(&self, account: &AccountId, record: &VaultRecord) -> Result<(), VaultError> {
        let waiting = record.waiting.as_ref().map(|waiting| waiting.registration.id);
        let live = record.live.as_ref().map(|live| live.registration.id);
        let mut pending: Vec<_> = Vec::new();
        for (key, row) in self.account_rows(account).await? {
            if let SiteRow::Held(held) = row.content {
                let id = Some(held.registration.id);
                if !held.activated && held.takes_over.is_none() && id != waiting && id != live {
                    pending.push((held.imported_at, key, row.number, held.is_untouched()));
                }
            }
        }
        pending.sort();
        let surplus = (pending.len() + 1).saturating_sub(PENDING_AT_MOST);
        for (_, key, number, is_untouched) in pending.into_iter().take(surplus) {
            let erased = SiteRow::Erased { at: self.ports.now(), successor: None };
            // With a trace of each, whoever sends registrations without end would fill the ledger.
            let written = match is_untouched {
                true => self.rows.forget(&self.ports, &key, number).await,
                false => self.rows.write(&self.ports, &key, Some(number), &erased).await.map(drop),
            };
            if let Err(WriteError::Vault(error)) = written {
                return Err(error);
            }
        }
        Ok(())
    }
}

fn parse_point(point: &PointBytes) -> Result<Point, VaultError> {
    Point::parse(&point.0).map_err(|_| VaultError::Malformed("not a point of P-256"))
}
