//! A site's daily keys: one signs receipts, to the other requests are sealed. New each day, in memory only, and certified
//! by the HSM together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coffer_pake::KeyPair;
use coffer_proto::{
    Base64, FleetId, LedgerHeight, PointBytes, Receipt, ShareContext, SiteCertificate, SiteNumber, Time,
    TransportKeyId, certificate_message, height_message, receipt_message,
};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::ports::Hsm as _;
use crate::site::random;
use crate::world::{Ports, World};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The newest last. Those of before stay until their certificates end: what was sealed to them still opens.
#[derive(Default)]
pub(crate) struct DailyKeys {
    certified: Mutex<Vec<Arc<Certified>>>,
}

struct Certified {
    receipt: SigningKey,
    transport: KeyPair,
    certificate: SiteCertificate,
}

impl DailyKeys {
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
        let signature = Base64(current.receipt.sign(&message).to_bytes());
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
        let signature = Base64(current.receipt.sign(&height_message(fleet, site, number, at)).to_bytes());
        Ok(LedgerHeight { site, number, at, signature, certificate: current.certificate })
    }

    /// The certificate of today's keys.
    pub(crate) async fn certificate<W: World>(
        &self,
        ports: &Ports<W>,
        fleet: &FleetId,
        site: SiteNumber,
    ) -> Result<SiteCertificate, VaultError> {
        Ok(self.at(ports, fleet, site, ports.now()).await?.certificate)
    }

    /// The private half of a transport key whose certificate holds at `now`.
    pub(crate) fn transport_key(&self, id: &TransportKeyId, now: Time) -> Option<Zeroizing<[u8; 32]>> {
        let certified = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |certified: &&Arc<Certified>| {
            TransportKeyId::of(&certified.certificate.transport_key) == *id && now <= certified.certificate.not_after
        };
        certified.iter().find(is_meant).map(|certified| certified.transport.expose_bytes())
    }

    async fn at<W: World>(
        &self,
        ports: &Ports<W>,
        fleet: &FleetId,
        site: SiteNumber,
        now: Time,
    ) -> Result<Arc<Certified>, VaultError> {
        let current = self.certified.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
        // Clients check a receipt a while after it was given.
        if let Some(current) = current
            .filter(|current| current.certificate.not_before <= now && now + DAY <= current.certificate.not_after)
        {
            return Ok(current);
        }
        let (receipt, transport) = (SigningKey::from_bytes(&random()?), KeyPair::generate());
        let mut certificate = SiteCertificate {
            site,
            receipt_key: Base64(receipt.verifying_key().to_bytes()),
            transport_key: Base64(transport.public().encode()),
            not_before: now - Duration::from_secs(300),
            not_after: now + 2 * DAY,
            signature: Base64([0; 64]),
        };
        certificate.signature = Base64(ports.hsm.certify(&certificate_message(fleet, &certificate)).await?);
        let certified = Arc::new(Certified { receipt, transport, certificate });
        let mut all = self.certified.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|before| now <= before.certificate.not_after);
        all.push(Arc::clone(&certified));
        Ok(certified)
    }
}
