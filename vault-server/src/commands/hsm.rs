//! `coffer-vault hsm init`, `coffer-vault hsm import`, `coffer-vault hsm check`

use std::io::Write as _;
use std::path::Path;

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{Fingerprint, SignedSiteKeys, SiteCard, SiteKeys};

use crate::ceremony::folder::{pretty, read, refused};
use crate::config::Config;
use crate::data::{DataFolder, write_private};
use crate::error::Error;
use crate::token::{self, Kind};

/// Makes what is not there yet. For a site of a fleet, that is half of it, and a card.
pub(crate) fn init(config: &Config, so_pin_file: Option<&Path>, card: Option<&Path>) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(config, &data)?;
    let Some(card) = card else {
        token::init(config, &data, so_pin_file, Kind::Embedded)?;
        return check(config, false);
    };
    let present = present_card(card)?;
    token::init(config, &data, so_pin_file, Kind::Site)?;
    let introduced = coffer_hsm_adapter::card(&token::describe(config, &data, Kind::Site)?)?;
    let keys = |card: &SiteCard| [card.share_import, card.site_identity];
    if present.is_some_and(|present| keys(&present) != keys(&introduced)) {
        return Err(refused(card, "it is the card of another HSM, and nothing is overwritten"));
    }
    write_private(card, &pretty(&introduced))?;
    say(&format!("HSM {}: its card is in {}.", introduced.site_identity, card.display()));
    Ok(())
}

/// A card from an earlier time. What is no card is left alone: it may be somebody's key.
fn present_card(path: &Path) -> Result<Option<SiteCard>, Error> {
    if !path.try_exists().map_err(Error::file("read", path))? {
        return Ok(None);
    }
    read(path).map(Some).map_err(|_| refused(path, "it is there and is no card, and nothing is overwritten"))
}

/// Takes in the keys of a ceremony, if the roots have signed them.
pub(crate) fn import(config: &Config, sealed: &Path, fingerprint: Option<Fingerprint>) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(config, &data)?;
    let configured = config.fleet.as_ref().map(|fleet| fleet.roots_fingerprint);
    let fingerprint = fingerprint
        .or(configured)
        .ok_or(Error::Argument("whose signatures should these keys have? --fingerprint, or fleet.roots_fingerprint"))?;
    let signed: SignedSiteKeys = read(sealed)?;
    let site_keys = signed.verify(&fingerprint, verify_es256_by);
    let site_keys = site_keys.map_err(|error| refused(sealed, error.to_string()))?;
    // A spare takes the keys of one site, and then no other's for ever.
    if let Some(fleet) = config.fleet.as_ref().filter(|fleet| fleet.site != site_keys.site) {
        return Err(refused(
            sealed,
            format!("it has the keys of site {}, and fleet.site is {}", site_keys.site, fleet.site),
        ));
    }
    coffer_hsm_adapter::import(&token::describe(config, &data, Kind::Site)?, &site_keys)?;
    let SiteKeys { fleet, site, .. } = site_keys;
    say(&format!("The token {:?} has the keys of site {site} of fleet {fleet}.", config.hsm.token_label));
    say(&format!("Now destroy every copy of {}: who may use the token can open it.", sealed.display()));
    Ok(())
}

/// Holds the token against what the vault needs of it.
pub(crate) fn check(config: &Config, fleet: bool) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(config, &data)?;
    let kind = if fleet { Kind::Site } else { Kind::of(config) };
    let findings = coffer_hsm_adapter::check(&token::describe(config, &data, kind)?)?;
    if !findings.is_empty() {
        let findings: Vec<String> = findings.iter().map(|finding| format!("  {finding}")).collect();
        return Err(Error::Unfit(findings.join("\n")));
    }
    say(&format!("The token {:?} has what the vault needs.", config.hsm.token_label));
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
