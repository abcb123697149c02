//! The key that signs receipts: new each day, in memory only, certified by the HSM.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coffer_proto::{
    Base64, FleetId, LedgerHeight, PointBytes, Receipt, ShareContext, SiteCertificate, SiteNumber, Time,
    certificate_message, height_message, receipt_message,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::error::VaultError;
use crate::ports::Hsm as _;
use crate::site::random;
use crate::world::{Ports, World};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Signs receipts.
#[derive(Default)]
pub(crate) struct ReceiptKey {
    current: Mutex<Option<Arc<Certified>>>,
}

struct Certified {
    key: SigningKey,
    certificate: SiteCertificate,
}

impl ReceiptKey {
    pub(crate) async fn sign<W: World>(
        &self,
        ports: &Ports<W>,
        context: &ShareContext<'_>,
        point: PointBytes,
        ledger_number: u64,
    ) -> Result<Receipt, VaultError> {
        let at = ports.now();
        let current = self.at(ports, context.fleet, context.site, at).await?;
        let message = receipt_message(context, context.registration, &point, ledger_number, at);
        let signature = Base64(current.key.sign(&message).to_bytes());
        Ok(Receipt { site: context.site, point, ledger_number, at, signature, certificate: current.certificate })
    }

    /// Says how far the ledger has got.
    pub(crate) async fn sign_height<W: World>(
        &self,
        ports: &Ports<W>,
        fleet: &FleetId,
        site: SiteNumber,
        number: u64,
    ) -> Result<LedgerHeight, VaultError> {
        let at = ports.now();
        let current = self.at(ports, fleet, site, at).await?;
        let signature = Base64(current.key.sign(&height_message(fleet, site, number, at)).to_bytes());
        Ok(LedgerHeight { site, number, at, signature, certificate: current.certificate })
    }

    /// The certificate of today's key.
    pub(crate) async fn certificate<W: World>(
        &self,
        ports: &Ports<W>,
        fleet: &FleetId,
        site: SiteNumber,
    ) -> Result<SiteCertificate, VaultError> {
        Ok(self.at(ports, fleet, site, ports.now()).await?.certificate)
    }

    async fn at<W: World>(
        &self,
        ports: &Ports<W>,
        fleet: &FleetId,
        site: SiteNumber,
        now: Time,
    ) -> Result<Arc<Certified>, VaultError> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Clients check a receipt a while after it was given.
        if let Some(current) = current
            .filter(|current| current.certificate.not_before <= now && now + DAY <= current.certificate.not_after)
        {
            return Ok(current);
        }
        let key = SigningKey::from_bytes(&random()?);
        let mut certificate = SiteCertificate {
            site,
            receipt_key: Base64(key.verifying_key().to_bytes()),
            not_before: now - Duration::from_secs(300),
            not_after: now + 2 * DAY,
            signature: Base64([0; 64]),
        };
        certificate.signature = Base64(ports.hsm.certify(&certificate_message(fleet, &certificate)).await?);
        let certified = Arc::new(Certified { key, certificate });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&certified));
        Ok(certified)
    }
}
