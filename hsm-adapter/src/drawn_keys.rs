//! The keys of a fleet, in the memory of the ceremony's offline machine.

use coffer_pake::{Point, SealedShare, SiteKey};
use coffer_proto::{
    Base64, Base64Vec, FleetId, KeyName, PointBytes, SealedKey, SiteCard, SiteKeys, SiteNumber, site_key_context,
};
use thiserror::Error;

use crate::card::card_holds;

/// One `ake` for all sites, and a `share-kek` and a `ledger-mac` for each. Wiped when dropped; they leave only sealed.
#[derive(Debug)]
pub struct DrawnKeys {
    ake: SiteKey,
    sites: Vec<[SiteKey; 2]>,
}

/// Why keys cannot be sealed to an HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// It is not signed by the key that it names.
    #[error("the card's signature does not hold")]
    Card,
    /// The fleet has no such site.
    #[error("there is no site {0}")]
    Site(SiteNumber),
}

impl DrawnKeys {
    /// New keys.
    pub fn generate(sites: u8) -> Self {
        let secrets = || [SiteKey::generate_secret(), SiteKey::generate_secret()];
        Self { ake: SiteKey::generate_pair(), sites: (0..sites).map(|_| secrets()).collect() }
    }

    /// The public half of `ake`, for the manifest.
    pub fn ake(&self) -> PointBytes {
        Base64(self.ake.public().expect("it was generated as a pair").encode())
    }

    /// The keys of a site, for the one HSM that has this card.
    pub fn seal(&self, fleet: &FleetId, site: SiteNumber, card: &SiteCard) -> Result<SiteKeys, SealError> {
        let own = usize::from(site.0).checked_sub(1).and_then(|place| self.sites.get(place));
        let [share_kek, ledger_mac] = own.ok_or(SealError::Site(site))?;
        let import = Point::parse(&card.share_import.0).ok().filter(|_| card_holds(card)).ok_or(SealError::Card)?;
        let keys = KeyName::ALL.map(|name| {
            let key = match name {
                KeyName::Ake => &self.ake,
                KeyName::ShareKek => share_kek,
                KeyName::LedgerMac => ledger_mac,
            };
            let context = site_key_context(fleet, site, name, card);
            let SealedShare { ephemeral, wrapped } =
                key.seal(&import, &context).expect("the context is some 130 bytes long");
            let wrapped = Base64Vec::new(wrapped).expect("a wrapped key is some 80 bytes long");
            SealedKey { key: name, ephemeral: Base64(ephemeral.encode()), wrapped }
        });
        Ok(SiteKeys { fleet: *fleet, site, card: *card, ake: self.ake(), keys: keys.into() })
    }
}
