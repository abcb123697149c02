//! The first ceremony: the keys of a fleet are drawn, sealed, and forgotten.

use std::path::{Path, PathBuf};

use coffer_hsm_adapter::{DrawnKeys, card_holds};
use coffer_proto::{
    Base64Vec, Cell, FleetId, FleetManifest, RootSet, SLOTS, SignedManifest, SignedSiteKeys, SiteCard, SiteEntry,
    SiteNumber, SlotRange, VALID_FOR,
};
use coffer_vault_core::Clock as _;

use crate::ceremony::folder::{Folder, SealedFile, read, refused, sealed_name};
use crate::ceremony::root;
use crate::error::Error;
use crate::world::SystemClock;

#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// The cards of the sites' HSMs, in the order of their numbers
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    cards: Vec<PathBuf>,
    /// Cards of spare HSMs, each of which can then take any site's place
    #[arg(long, value_name = "PATH", num_args = 1..)]
    spares: Vec<PathBuf>,
    /// The roots' files, as `ceremony root new` wrote them
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    roots: Vec<PathBuf>,
    /// How many roots have to sign
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    root_threshold: u8,
    /// How many sites a retrieval needs
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    threshold: u8,
    /// Guesses of a registration
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    max_attempts: u8,
    /// How many clusters the records are spread over
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    cells: u16,
    /// A new folder for the manifest, the sealed keys and the transcript
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

pub(crate) fn run(asked: &Asked) -> Result<(), Error> {
    let mut folder = Folder::begin(&asked.out)?;
    let sites = u8::try_from(asked.cards.len()).map_err(|_| Error::Argument("255 sites at most"))?;
    let cards = cards(&asked.cards)?;
    let spares = cards_beside(&asked.spares, &cards)?;
    u8::try_from(spares.len()).map_err(|_| Error::Argument("255 spares at most"))?;
    let roots = root::set(&asked.roots, asked.root_threshold)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::System("randomness", error.to_string()))?;
    let keys = DrawnKeys::generate(sites);
    let now = SystemClock.now();
    let manifest = FleetManifest {
        fleet: FleetId(id),
        version: 1,
        threshold: asked.threshold,
        max_attempts: asked.max_attempts,
        ake: keys.ake(),
        sites: (1..=sites).map(SiteNumber).zip(&cards).map(|(site, card)| entry(site, card)).collect(),
        cells: cells(asked.cells),
        issued_at: now,
        not_after: now + VALID_FOR,
    };
    let signed = unsigned(&asked.out, &manifest, roots.clone())?;
    let mut sealed = Vec::new();
    for (site, card) in (1..=sites).map(SiteNumber).zip(&cards) {
        sealed.push(seal(&keys, &manifest.fleet, (site, None), card, &roots)?);
        for (spare, card) in (1..=u8::MAX).zip(&spares) {
            sealed.push(seal(&keys, &manifest.fleet, (site, Some(spare)), card, &roots)?);
        }
    }
    drop(keys);
    let step = format!("drew the keys of fleet {} for {sites} sites and {} spares", manifest.fleet, spares.len());
    folder.record(step, None, &signed, &sealed)
}

fn seal(
    keys: &DrawnKeys,
    fleet: &FleetId,
    (site, spare): (SiteNumber, Option<u8>),
    card: &SiteCard,
    roots: &RootSet,
) -> Result<SealedFile, Error> {
    let name = sealed_name(site, spare);
    let site_keys = keys.seal(fleet, site, card).map_err(|error| refused(Path::new(&name), error.to_string()))?;
    let site_keys = Base64Vec::new(serde_json::to_vec(&site_keys).expect("plain data in memory"));
    let site_keys = site_keys.map_err(|error| refused(Path::new(&name), error.to_string()))?;
    let content = SignedSiteKeys { site_keys, roots: roots.clone(), signatures: Vec::new() };
    Ok(SealedFile { name, content })
}

/// A manifest that nobody has signed yet, if it keeps the rules.
pub(crate) fn unsigned(path: &Path, manifest: &FleetManifest, roots: RootSet) -> Result<SignedManifest, Error> {
    manifest.check().map_err(|fault| refused(path, format!("this is no fleet: {fault}")))?;
    let text = serde_json::to_vec(manifest).expect("plain data in memory");
    let manifest = Base64Vec::new(text).map_err(|error| refused(path, error.to_string()))?;
    Ok(SignedManifest { manifest, roots, signatures: Vec::new(), successions: Vec::new() })
}

pub(crate) fn entry(site: SiteNumber, card: &SiteCard) -> SiteEntry {
    SiteEntry { site, share_import: card.share_import, site_identity: card.site_identity }
}

/// A card whose signature holds.
pub(crate) fn card(path: &Path) -> Result<SiteCard, Error> {
    let card: SiteCard = read(path)?;
    if card_holds(&card) { Ok(card) } else { Err(refused(path, "the card's signature does not hold")) }
}

fn cards(paths: &[PathBuf]) -> Result<Vec<SiteCard>, Error> {
    cards_beside(paths, &[])
}

fn cards_beside(paths: &[PathBuf], others: &[SiteCard]) -> Result<Vec<SiteCard>, Error> {
    let mut cards: Vec<SiteCard> = Vec::new();
    for path in paths {
        let card = card(path)?;
        let keys = |card: &SiteCard| [card.share_import, card.site_identity];
        if cards.iter().chain(others).any(|other| keys(other).iter().any(|key| keys(&card).contains(key))) {
            return Err(refused(path, "another card is of the same HSM"));
        }
        cards.push(card);
    }
    Ok(cards)
}

/// As many slots for each as can be.
fn cells(count: u16) -> Vec<Cell> {
    let begin = |cell: u16| u16::try_from(u32::from(SLOTS) * u32::from(cell) / u32::from(count)).unwrap_or(SLOTS);
    let slots = |cell| vec![SlotRange { first: begin(cell), last: begin(cell + 1) - 1 }];
    (0..count).map(|cell| Cell { cell: cell + 1, fence: 1, slots: slots(cell) }).collect()
}
