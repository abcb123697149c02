//! What a site has to know of its cells.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use zeroize::Zeroizing;

use super::slots::misplaced;

/// The cells of a fleet as one site sees them. The contents of files are the caller's to read.
pub struct EtcdConfig {
    /// Together they need not hold every slot: what lies in none is not served.
    pub cells: Vec<EtcdCell>,
    /// Before every key, `coffer/<fleet>/`. It ends in a slash.
    pub prefix: String,
    /// TLS both ways. Without it members are only asked on loopback.
    pub tls: Option<EtcdTls>,
    /// Who this site is to etcd, if authentication is on there.
    pub user: Option<EtcdUser>,
    /// How long a member may take for one request.
    pub timeout: Duration,
}

impl EtcdConfig {
    /// What [`timeout`](Self::timeout) is good for, between sites that are 40 ms apart.
    pub const TIMEOUT: Duration = Duration::from_millis(1200);
}

/// One etcd cluster. Number, slots and fence are the fleet manifest's.
pub struct EtcdCell {
    /// The cell's number.
    pub cell: u16,
    /// What stands in the cell, under one key, while it may be written by this site's manifest.
    pub fence: u64,
    /// The slots whose records lie in it.
    pub slots: Vec<RangeInclusive<u16>>,
    /// The members' URLs in order of preference. The first is this site's own.
    pub members: Vec<String>,
}

/// PEM, as the files have it.
pub struct EtcdTls {
    /// Whose certificates the members have.
    pub ca: Vec<u8>,
    /// This site's certificate, and what lies between it and the CA that the members trust.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Zeroizing<Vec<u8>>,
}

/// A user of etcd's own.
pub struct EtcdUser {
    /// Its name.
    pub name: String,
    /// Its password. The client library keeps copies of it that are not wiped.
    pub password: Zeroizing<String>,
}

/// Why no store can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum EtcdConfigError {
    /// Two cells would hold the same records, or the table has no such slot.
    #[error("slot {0} is claimed twice, or is none of 0 to 4095, or begins a range that ends before it")]
    Slot(u16),
    /// Two cells of one number have one fence.
    #[error("cell {0} comes twice")]
    Cell(u16),
    /// Nobody to ask.
    #[error("cell {0} has no members")]
    NoMembers(u16),
    /// Every key begins with it.
    #[error("the prefix is empty, or does not end in a slash")]
    Prefix,
    /// Records and the password would be readable on the way.
    #[error("{0} is neither TLS nor loopback")]
    Plain(String),
    /// Not a URL, or the certificates are none.
    #[error("{endpoint} cannot be asked")]
    Member {
        /// The member's URL.
        endpoint: String,
        /// What the client library says.
        #[source]
        source: Box<etcd_client::Error>,
    },
}

/// Refuses what would lead two cells to serve one record, or give records away.
pub(crate) fn check(config: &EtcdConfig) -> Result<(), EtcdConfigError> {
    if config.prefix.len() < 2 || !config.prefix.ends_with('/') {
        return Err(EtcdConfigError::Prefix);
    }
    if let Some(slot) = misplaced(config.cells.iter().flat_map(|cell| &cell.slots)) {
        return Err(EtcdConfigError::Slot(slot));
    }
    for (at, cell) in config.cells.iter().enumerate() {
        if config.cells[..at].iter().any(|other| other.cell == cell.cell) {
            return Err(EtcdConfigError::Cell(cell.cell));
        }
        if cell.members.is_empty() {
            return Err(EtcdConfigError::NoMembers(cell.cell));
        }
        if let Some(plain) = cell.members.iter().find(|endpoint| is_exposed(endpoint)) {
            return Err(EtcdConfigError::Plain(plain.clone()));
        }
    }
    Ok(())
}

fn is_exposed(endpoint: &str) -> bool {
    if endpoint.starts_with("https://") {
        return false;
    }
    let Some(rest) = endpoint.strip_prefix("http://") else { return true };
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{EtcdCell, EtcdConfig, EtcdConfigError, check, is_exposed};

    fn cell(cell: u16, first: u16, last: u16) -> EtcdCell {
        EtcdCell { cell, fence: 1, slots: vec![first..=last], members: vec!["http://127.0.0.1:2379".to_owned()] }
    }

    fn checked(cells: Vec<EtcdCell>, prefix: &str) -> Result<(), EtcdConfigError> {
        check(&EtcdConfig { cells, prefix: prefix.to_owned(), tls: None, user: None, timeout: EtcdConfig::TIMEOUT })
    }

    #[test]
    fn cells_that_part_the_slots_are_taken() {
        assert!(checked(vec![cell(1, 0, 99), cell(2, 100, 4095)], "coffer/x/").is_ok());
    }

    #[test]
    fn a_slot_in_two_cells_is_refused() {
        let refused = checked(vec![cell(1, 0, 99), cell(2, 99, 4095)], "coffer/x/");
        assert!(matches!(refused, Err(EtcdConfigError::Slot(99))));
    }

    #[test]
    fn a_cell_that_comes_twice_is_refused() {
        let refused = checked(vec![cell(1, 0, 99), cell(1, 100, 4095)], "coffer/x/");
        assert!(matches!(refused, Err(EtcdConfigError::Cell(1))));
    }

    #[test]
    fn a_cell_without_members_is_refused() {
        let refused = checked(vec![EtcdCell { members: Vec::new(), ..cell(3, 0, 4095) }], "coffer/x/");
        assert!(matches!(refused, Err(EtcdConfigError::NoMembers(3))));
    }

    #[test]
    fn a_prefix_without_a_slash_at_its_end_is_refused() {
        for prefix in ["", "/", "coffer"] {
            assert!(matches!(checked(vec![cell(1, 0, 4095)], prefix), Err(EtcdConfigError::Prefix)), "{prefix}");
        }
    }

    #[test]
    fn a_member_elsewhere_without_tls_is_refused() {
        let elsewhere = vec!["http://127.0.0.1:2379".to_owned(), "http://10.0.0.2:2379".to_owned()];
        let refused = checked(vec![EtcdCell { members: elsewhere, ..cell(1, 0, 4095) }], "coffer/x/");
        assert!(matches!(refused, Err(EtcdConfigError::Plain(plain)) if plain == "http://10.0.0.2:2379"));
    }

    #[test]
    fn only_tls_and_loopback_hide_what_is_said() {
        for hidden in ["https://etcd.example:2379", "http://127.1.2.3:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(!is_exposed(hidden), "{hidden}");
        }
        for exposed in [
            "http://etcd.example:2379",
            "http://localhost.example:1",
            "10.0.0.1:2379",
            "http://127.0.0.1.example:1",
            "http://localhost@example:1",
        ] {
            assert!(is_exposed(exposed), "{exposed}");
        }
    }
}
