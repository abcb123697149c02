//! Shares that their sites have not had yet, and where they are kept.

use std::error::Error;

use coffer_proto::{
    AccountId, FleetId, PointBytes, Receipt, Registration, RegistrationId, SealedShare, Signature, SiteNumber,
};
use serde::{Deserialize, Serialize};

use crate::attempt::NothingKept;

/// Where a device keeps what sites that were away at a registration have still to be sent, until they have it or it is of
/// no more use: the shares, each sealed to its own site's HSM, and what shows that it arrived. One for each device. Nothing
/// in it is secret, but it says which accounts the device has.
pub trait Outbox: Send {
    /// What was kept last, if anything.
    fn load(&mut self) -> Option<Vec<u8>>;

    /// Keeps this in the place of what was there; it is durable when this returns.
    ///
    /// # Errors
    /// Whatever is in the way; the registration is then not activated.
    fn keep(&mut self, undelivered: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Erases what was kept.
    fn forget(&mut self);
}

/// For who can do with the sites that are there when it registers.
impl Outbox for NothingKept {
    fn load(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn keep(&mut self, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn forget(&mut self) {}
}

/// What is kept, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u8,
    registrations: Vec<Undelivered>,
}

const VERSION: u8 = 1;

/// Registrations that are kept at most: of this device's last vaults, the newest ones.
const AT_MOST: usize = 4;

/// A registration of which some sites have not had their shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undelivered {
    pub(crate) fleet: FleetId,
    pub(crate) account: AccountId,
    pub(crate) registration: Registration,
    pub(crate) unlock_signature: Signature,
    /// Of the sites that have them: an activation names them all.
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) parcels: Vec<Parcel>,
}

/// One site's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parcel {
    pub(crate) site: SiteNumber,
    pub(crate) sealed_share: SealedShare,
    /// k_i·P: what the receipt has to name.
    pub(crate) expected: PointBytes,
}

impl Undelivered {
    pub(crate) const fn id(&self) -> RegistrationId {
        self.registration.id
    }
}

/// What an outbox has. Nothing for what cannot be read: a later version's, or damaged.
pub(crate) fn load(outbox: &mut impl Outbox) -> Vec<Undelivered> {
    let kept = outbox.load().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept.filter(|kept: &Kept| kept.version == VERSION).map(|kept| kept.registrations).unwrap_or_default()
}

/// Keeps these, the newest last.
pub(crate) fn keep(
    outbox: &mut impl Outbox,
    mut registrations: Vec<Undelivered>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    registrations.drain(..registrations.len().saturating_sub(AT_MOST));
    if registrations.is_empty() {
        outbox.forget();
        return Ok(());
    }
    outbox.keep(&serde_json::to_vec(&Kept { version: VERSION, registrations })?)
}

/// Keeps `rest` in the place of what was kept of a registration, or nothing. What another run of the program has kept
/// meanwhile stays.
pub(crate) fn replace(
    outbox: &mut impl Outbox,
    id: &RegistrationId,
    rest: Option<Undelivered>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let kept = load(outbox).into_iter();
    keep(outbox, kept.filter_map(|of| if of.id() == *id { rest.clone() } else { Some(of) }).collect())
}
