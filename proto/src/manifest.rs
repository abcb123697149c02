//! The rules that a manifest keeps, whoever has signed it. Clients and sites hold it against the same ones.

use std::collections::HashSet;
use std::time::Duration;

use crate::fleet::{Cell, FleetManifest, SLOTS, SlotRange};

/// How long a manifest is valid at most.
pub const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a leap second, a time zone or a hand that rounds may add.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// A rule that a manifest breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// It is no manifest, or one of a later version of Coffer.
    #[error("this version of the program cannot read it")]
    Unreadable,
    /// Each share lies at its site's number, and there are 255 numbers.
    #[error("its sites are not numbered from 1, or are too many")]
    Numbering,
    /// 1 ≤ t ≤ n.
    #[error("it needs no site, or more than there are")]
    Threshold,
    /// Of several sites more than half are needed: or two groups that do not meet could each answer, and count, alone.
    #[error("half of its sites could do without the others")]
    NoMajority,
    /// Two sites behind one key are one site, and would count twice.
    #[error("two of its keys are the same")]
    SameKey,
    /// 1 to 100 guesses.
    #[error("it allows no guess, or far too many")]
    Attempts,
    /// Each slot belongs to one cell; or there is no cell at all.
    #[error("its cells do not share out the slots, each to one of them")]
    Slots,
    /// Records of two cells could not be told apart.
    #[error("two of its cells have the same number")]
    SameCell,
    /// 30 days at most, and not ended before it begins.
    #[error("it is valid for more than 30 days, or for no time at all")]
    Validity,
    /// Found by whoever can tell.
    #[error("one of its keys is not a point of P-256")]
    NoPoint,
}

impl FleetManifest {
    /// Whether it keeps every rule that can be checked without cryptography and without a clock.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), ManifestFault> {
        let numbers = self.sites.iter().map(|site| site.site.0);
        let sites = u8::try_from(self.sites.len()).map_err(|_| ManifestFault::Numbering)?;
        if sites == 0 || !numbers.eq(1..=sites) {
            return Err(ManifestFault::Numbering);
        }
        if self.threshold == 0 || self.threshold > sites {
            return Err(ManifestFault::Threshold);
        }
        if sites > 1 && self.threshold <= sites / 2 {
            return Err(ManifestFault::NoMajority);
        }
        let of_sites = self.sites.iter().flat_map(|site| [site.share_import, site.site_identity]);
        let keys: HashSet<_> = of_sites.chain([self.ake]).collect();
        if keys.len() != 2 * self.sites.len() + 1 {
            return Err(ManifestFault::SameKey);
        }
        if !(1..=100).contains(&self.max_attempts) {
            return Err(ManifestFault::Attempts);
        }
        if self.not_after <= self.issued_at || self.not_after.since(self.issued_at) > VALID_FOR + SLACK {
            return Err(ManifestFault::Validity);
        }
        check_cells(&self.cells)
    }
}

fn check_cells(cells: &[Cell]) -> Result<(), ManifestFault> {
    if cells.is_empty() {
        return Ok(());
    }
    let numbers: HashSet<u16> = cells.iter().map(|cell| cell.cell).collect();
    if numbers.len() != cells.len() {
        return Err(ManifestFault::SameCell);
    }
    if cells.iter().any(|cell| cell.slots.is_empty()) {
        return Err(ManifestFault::Slots);
    }
    let mut ranges: Vec<SlotRange> = cells.iter().flat_map(|cell| cell.slots.iter().copied()).collect();
    ranges.sort_by_key(|range| range.first);
    let mut next = 0;
    for range in ranges {
        if range.first != next || range.last < range.first || range.last >= SLOTS {
            return Err(ManifestFault::Slots);
        }
        next = range.last + 1;
    }
    if next == SLOTS { Ok(()) } else { Err(ManifestFault::Slots) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ManifestFault, SLACK, VALID_FOR};
    use crate::bytes::Base64;
    use crate::fleet::{Cell, FleetManifest, SiteEntry, SlotRange};
    use crate::id::{FleetId, SiteNumber};
    use crate::time::Time;

    const BEGIN: Time = Time::from_unix_seconds(1_795_000_000);

    fn site(number: u8) -> SiteEntry {
        let [share_import, site_identity] = [number, number + 100].map(|byte| Base64([byte; 33]));
        SiteEntry { site: SiteNumber(number), share_import, site_identity }
    }

    fn cell(cell: u16, slots: &[(u16, u16)]) -> Cell {
        Cell { cell, fence: 1, slots: slots.iter().map(|&(first, last)| SlotRange { first, last }).collect() }
    }

    fn manifest(sites: u8, threshold: u8) -> FleetManifest {
        FleetManifest {
            fleet: FleetId([7; 16]),
            version: 1,
            threshold,
            max_attempts: 10,
            ake: Base64([0; 33]),
            sites: (1..=sites).map(site).collect(),
            cells: Vec::new(),
            issued_at: BEGIN,
            not_after: BEGIN + VALID_FOR,
        }
    }

    #[track_caller]
    fn refused(fault: ManifestFault, change: impl FnOnce(&mut FleetManifest)) {
        let mut changed = manifest(5, 3);
        assert_eq!(changed.check(), Ok(()));
        change(&mut changed);
        assert_eq!(changed.check(), Err(fault));
    }

    #[test]
    fn takes_one_site_and_five_of_which_three_are_needed() {
        for (sites, threshold) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (5, 5), (100, 51)] {
            assert_eq!(manifest(sites, threshold).check(), Ok(()), "{threshold} of {sites}");
        }
    }

    #[test]
    fn refuses_sites_that_are_not_numbered_from_1() {
        refused(ManifestFault::Numbering, |manifest| manifest.sites[0].site = SiteNumber(0));
        refused(ManifestFault::Numbering, |manifest| manifest.sites.swap(0, 1));
        refused(ManifestFault::Numbering, |manifest| manifest.sites[4] = site(6));
        refused(ManifestFault::Numbering, |manifest| manifest.sites.clear());
    }

    #[test]
    fn refuses_more_sites_than_there_are_numbers() {
        refused(ManifestFault::Numbering, |manifest| manifest.sites = vec![site(1); 256]);
    }

    #[test]
    fn refuses_a_threshold_of_none_or_of_more_than_there_are() {
        refused(ManifestFault::Threshold, |manifest| manifest.threshold = 0);
        refused(ManifestFault::Threshold, |manifest| manifest.threshold = 6);
    }

    #[test]
    fn refuses_a_threshold_that_two_separate_groups_could_reach() {
        for (sites, threshold) in [(2, 1), (4, 2), (5, 2), (5, 1), (100, 50)] {
            assert_eq!(manifest(sites, threshold).check(), Err(ManifestFault::NoMajority), "{threshold} of {sites}");
        }
    }

    #[test]
    fn refuses_one_key_in_two_places() {
        refused(ManifestFault::SameKey, |manifest| manifest.sites[1].share_import = manifest.sites[0].share_import);
        refused(ManifestFault::SameKey, |manifest| manifest.sites[1].site_identity = manifest.sites[1].share_import);
        refused(ManifestFault::SameKey, |manifest| manifest.ake = manifest.sites[4].share_import);
    }

    #[test]
    fn refuses_a_number_of_guesses_that_protects_nothing() {
        refused(ManifestFault::Attempts, |manifest| manifest.max_attempts = 0);
        refused(ManifestFault::Attempts, |manifest| manifest.max_attempts = 101);
    }

    #[test]
    fn refuses_more_than_thirty_days_and_an_end_before_the_beginning() {
        refused(ManifestFault::Validity, |manifest| manifest.not_after = BEGIN);
        refused(ManifestFault::Validity, |manifest| {
            manifest.not_after = BEGIN + VALID_FOR + SLACK + Duration::from_secs(1);
        });
    }

    #[test]
    fn takes_cells_that_share_out_all_slots() {
        for cells in [
            vec![cell(1, &[(0, 4095)])],
            vec![cell(9, &[(2048, 4095)]), cell(4, &[(0, 2047)])],
            vec![cell(1, &[(0, 0), (4095, 4095)]), cell(2, &[(1, 4094)])],
        ] {
            assert_eq!(FleetManifest { cells, ..manifest(5, 3) }.check(), Ok(()));
        }
    }

    #[test]
    fn refuses_a_slot_that_no_cell_or_two_have() {
        for cells in [
            vec![cell(1, &[])],
            vec![cell(1, &[(0, 4095)]), cell(2, &[])],
            vec![cell(1, &[(0, 4094)])],
            vec![cell(1, &[(1, 4095)])],
            vec![cell(1, &[(0, 4096)])],
            vec![cell(1, &[(0, u16::MAX)])],
            vec![cell(1, &[(0, 2047)]), cell(2, &[(2049, 4095)])],
            vec![cell(1, &[(0, 2048)]), cell(2, &[(2048, 4095)])],
            vec![cell(1, &[(0, 4095)]), cell(2, &[(100, 200)])],
            vec![cell(1, &[(0, 2047), (2047, 2046), (2048, 4095)])],
        ] {
            refused(ManifestFault::Slots, |manifest| manifest.cells = cells);
        }
    }

    #[test]
    fn refuses_two_cells_of_one_number() {
        let cells = vec![cell(1, &[(0, 2047)]), cell(1, &[(2048, 4095)])];
        refused(ManifestFault::SameCell, |manifest| manifest.cells = cells);
    }
}
