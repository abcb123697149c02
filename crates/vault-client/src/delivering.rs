//! Giving each site its own share, now or when it is back.

use coffer_proto::{
    ActivationRequest, ProblemType, Receipt, RegistrationId, RegistrationRequest, ShareContext, SiteNumber,
    activation_message, registration_message,
};
use futures_util::future::join_all;

use crate::exchange::{Failure, RequestError, parse};
use crate::outbox::{self, Outbox, Parcel, Undelivered};
use crate::receipts;
use crate::session::Session;
use crate::transport::{Method, Transport};

/// What became of shares that a device had kept for sites that were away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The registration that they are of. It is live, or waits.
    pub registration: RegistrationId,
    /// Sites that have their shares now, and are named in the record.
    pub delivered: Vec<SiteNumber>,
    /// Sites that have still to be sent theirs, those in `forged` among them.
    pub undelivered: Vec<SiteNumber>,
    /// Sites whose receipts do not hold: they must not be believed, and their operators be told.
    pub forged: Vec<SiteNumber>,
}

/// Why a site is not said to hold its share.
pub(crate) enum Failed {
    Forged,
    Failure(Failure),
}

/// What came of sending each site its share.
pub(crate) struct Sent {
    pub(crate) receipts: Vec<Receipt>,
    /// Of the sites from which no receipt came.
    pub(crate) left: Vec<(Parcel, Failed)>,
}

impl Sent {
    pub(crate) fn undelivered(&self) -> Vec<SiteNumber> {
        self.left.iter().map(|(parcel, _)| parcel.site).collect()
    }

    pub(crate) fn forged(&self) -> Vec<SiteNumber> {
        let forged = |(parcel, why): &(Parcel, Failed)| matches!(why, Failed::Forged).then_some(parcel.site);
        self.left.iter().filter_map(forged).collect()
    }
}

impl<T: Transport + Clone> Session<T> {
    /// Sends what `outbox` has kept for sites that were away, and has the record name those that hold their shares now.
    /// Forgets what belongs to a registration that is neither live nor waiting. Without anything kept it asks nothing.
    ///
    /// # Errors
    /// [`RequestError`]; what was kept stays kept.
    pub async fn deliver(&self, outbox: &mut impl Outbox) -> Result<Vec<Delivery>, RequestError> {
        let fleet = self.fleet().id;
        let (mut deliveries, mut failure) = (Vec::new(), None);
        for before in outbox::load(outbox) {
            // Of another vault, or another account.
            if before.fleet != fleet || before.account != *self.account() {
                continue;
            }
            let mut undelivered = before.clone();
            let is_of_use = match self.deliver_rest(&mut undelivered).await {
                Ok(Some(delivery)) => {
                    deliveries.push(delivery);
                    !undelivered.parcels.is_empty()
                }
                Ok(None) => false,
                Err(error) => {
                    failure = Some(error);
                    true
                }
            };
            if !is_of_use || undelivered != before {
                // Where it cannot be kept, the next time sends again what has arrived, and that changes nothing.
                let _ = outbox::replace(outbox, &before.id(), is_of_use.then_some(undelivered));
            }
        }
        failure.map_or(Ok(deliveries), Err)
    }

    /// None if the registration is of no more use.
    async fn deliver_rest(&self, undelivered: &mut Undelivered) -> Result<Option<Delivery>, RequestError> {
        let id = undelivered.id();
        let stands = self.stands(|status| {
            let (live, waiting) = (status.live.as_ref().map(|live| live.id), status.waiting.map(|waiting| waiting.id));
            live == Some(id) || waiting == Some(id)
        });
        if !stands.await.map_err(|(_, error)| error)? {
            return Ok(None);
        }
        let sent = self.send_parcels(undelivered, undelivered.parcels.clone()).await;
        let (still, forged) = (sent.undelivered(), sent.forged());
        let delivered: Vec<SiteNumber> = sent.receipts.iter().map(|receipt| receipt.site).collect();
        if !delivered.is_empty() {
            let receipts = [undelivered.receipts.as_slice(), &sent.receipts].concat();
            self.add_receipts(undelivered, receipts.clone()).await?;
            undelivered.receipts = receipts;
            undelivered.parcels.retain(|parcel| !delivered.contains(&parcel.site));
        }
        Ok(Some(Delivery { registration: id, delivered, undelivered: still, forged }))
    }

    /// Sends each site its share, all at once, and checks that its HSM has it.
    pub(crate) async fn send_parcels(&self, of: &Undelivered, parcels: Vec<Parcel>) -> Sent {
        let sent = join_all(parcels.into_iter().map(async |parcel| {
            let outcome = self.send_parcel(of, &parcel).await;
            (parcel, outcome)
        }));
        let (mut receipts, mut left) = (Vec::new(), Vec::new());
        for (parcel, outcome) in sent.await {
            match outcome {
                Ok(receipt) => receipts.push(receipt),
                Err(failed) => left.push((parcel, failed)),
            }
        }
        Sent { receipts, left }
    }

    async fn send_parcel(&self, of: &Undelivered, parcel: &Parcel) -> Result<Receipt, Failed> {
        let (fleet, registration) = (self.fleet(), &of.registration);
        let unknown = || Failed::Failure(RequestError::Unavailable.into());
        let site = *fleet.site(parcel.site).ok_or_else(unknown)?;
        let request = RegistrationRequest {
            registration: registration.clone(),
            sealed_share: parcel.sealed_share.clone(),
            unlock_signature: of.unlock_signature,
            device_signature: self.device_signature(&registration_message(&fleet.id, self.account(), registration)),
        };
        let path = format!("/v1/registrations/{}", registration.id);
        let (_, said) = self.write(Method::Put, &[site.number], &path, &request).await;
        let receipt = said.and_then(|answer| parse(&answer)).map_err(Failed::Failure)?;
        let holds = receipts::holds(&fleet, self.account(), registration, &site, &parcel.expected, &receipt);
        if holds { Ok(receipt) } else { Err(Failed::Forged) }
    }

    /// Has the record of a registration name more sites. It names itself as what it replaces: so this activates nothing
    /// that is not active.
    async fn add_receipts(&self, of: &Undelivered, receipts: Vec<Receipt>) -> Result<(), RequestError> {
        let (fleet, id) = (self.fleet(), of.id());
        let replaces = Some(id);
        let message = activation_message(&fleet.id, self.account(), &id, &of.registration.hash(), replaces.as_ref());
        let holders = self.holders(&receipts);
        let device_signature = self.device_signature(&message);
        let request = ActivationRequest { replaces, receipts, device_signature, authorization: None };
        let path = format!("/v1/registrations/{id}/activation");
        match self.write(Method::Put, &holders, &path, &request).await.1 {
            // It came to its end meanwhile: the next time finds that out.
            Err(failure) if failure.problem_type() == Some(ProblemType::RegistrationChanged) => {
                Err(RequestError::Unavailable)
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// The sites that hold a share: only those take an activation.
    pub(crate) fn holders(&self, receipts: &[Receipt]) -> Vec<SiteNumber> {
        let mut sites = self.order();
        sites.retain(|site| receipts.iter().any(|receipt| receipt.site == *site));
        sites
    }
}

/// The context of a site's share.
pub(crate) fn share_context(fleet: &crate::fleet::Fleet, of: &Undelivered, site: SiteNumber) -> Vec<u8> {
    let (account, registration) = (&of.account, &of.registration);
    ShareContext { fleet: &fleet.id, site, account, registration, sites: fleet.sites() }.encode()
}
