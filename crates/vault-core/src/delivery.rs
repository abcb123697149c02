//! What an owner has signed, a proof or an objection, on its way to every site.

use coffer_proto::{AccountId, Registration, RegistrationId, SiteNumber, keep_message, proof_message};
use futures_util::stream::FuturesUnordered;

use crate::error::VaultError;
use crate::evidence::{holds, is_authorized};
use crate::ledger::{Held, SiteRow, row_key};
use crate::messages::{SiteKeep, SiteProof, SiteRefusal};
use crate::ports::Peers as _;
use crate::record::{KeptKeep, KeptProof};
use crate::rows::{Row, WriteError};
use crate::site::Site;
use crate::vault::Vault;
use crate::world::{Fleet, World};

/// What an owner has signed, for every site.
pub(crate) enum Delivery {
    Proof(SiteProof),
    Keep(SiteKeep),
}

impl<W: World> Vault<W> {
    /// Hands what an owner has signed to every site: a proof also to those that it does not name, which learn that its
    /// attempt does not count towards erasing. Where it does not arrive, the site finds it in the record.
    pub(crate) async fn hand_round(&self, delivery: Delivery) {
        let hand = async |site: SiteNumber| match &delivery {
            Delivery::Proof(proof) if site == self.fleet().site => self.site.apply_proof(proof).await,
            Delivery::Proof(proof) => self.ports().peers.apply_proof(site, proof).await,
            Delivery::Keep(keep) if site == self.fleet().site => self.site.apply_keep(keep).await,
            Delivery::Keep(keep) => self.ports().peers.apply_keep(site, keep).await,
        };
        let Fleet { order, hedge_after, .. } = self.fleet();
        let mut handed: FuturesUnordered<_> = order.iter().map(|site| hand(*site)).collect();
        let mut taken = 0;
        // Nobody waits long for the last sites once as many have taken it as a retrieval needs.
        let patience = |taken| hedge_after.filter(|_| taken >= self.fleet().threshold);
        while let Some(outcome) = self.ports().next_within(&mut handed, patience(taken)).await {
            match outcome {
                Ok(()) => taken += 1,
                Err(error) => {
                    tracing::warn!(%error, "a site has not taken what its owner signed; it waits in the record");
                }
            }
        }
    }
}

impl<W: World> Site<W> {
    /// Takes a proof: forgives what it names. A proof that is known changes nothing.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn apply_proof(&self, request: &SiteProof) -> Result<(), SiteRefusal> {
        let SiteProof { account, registration, proof } = request;
        self.change_row(account, registration, |held| {
            let holds = self.proof_holds(account, &held.registration, proof);
            holds.then(|| held.prove(proof, self.fleet.site)).ok_or(VaultError::InvalidProof)
        })
        .await
    }

    /// Takes an objection of the registration's owner. One that is known changes nothing.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn apply_keep(&self, request: &SiteKeep) -> Result<(), SiteRefusal> {
        let SiteKeep { account, registration, keep } = request;
        self.change_row(account, registration, |held| {
            let holds = self.keep_holds(account, &held.registration, keep);
            holds.then(|| held.refuse(keep.against, self.ports.now())).ok_or(VaultError::InvalidSignature)
        })
        .await
    }

    /// Changes the row of a share, as often as another task comes in between.
    pub(crate) async fn change_row(
        &self,
        account: &AccountId,
        registration: &RegistrationId,
        change: impl Fn(&mut Held) -> Result<(), VaultError>,
    ) -> Result<(), SiteRefusal> {
        let key = row_key(account, registration);
        loop {
            let Some(Row { number, content: SiteRow::Held(mut held) }) = self.rows.read(&self.ports, &key).await?
            else {
                return Err(SiteRefusal::NotHeld);
            };
            let before = held.clone();
            change(&mut held)?;
            if held == before {
                return Ok(());
            }
            match self.rows.write(&self.ports, &key, Some(number), &SiteRow::Held(held)).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Vault(error)) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn proof_holds(&self, account: &AccountId, registration: &Registration, proof: &KeptProof) -> bool {
        let KeptProof { attempt, number, nonces, unlock_signature } = proof;
        let message = proof_message(&self.fleet.id, account, &registration.id, attempt, *number, nonces);
        holds(&registration.unlock_key, &message, unlock_signature)
    }

    pub(crate) fn keep_holds(&self, account: &AccountId, registration: &Registration, keep: &KeptKeep) -> bool {
        let message = keep_message(&self.fleet.id, account, &registration.id, &keep.against);
        is_authorized(registration, &message, &keep.authorization)
    }
}
