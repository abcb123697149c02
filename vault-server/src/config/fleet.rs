//! What a site of several is told beside its manifest: where the other sites are, and the members of the record store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use coffer_proto::{Fingerprint, SiteNumber};
use coffer_service::MutualTlsFiles;
use coffer_service::configuration::Invalid;
use reqwest::Url;

use crate::settings::{EtcdSettings, FleetSettings, PeersSettings};

const HEDGE_AFTER_MS: u16 = 150;
const TIMEOUT_MS: u16 = 1200;

#[derive(Debug, Clone)]
pub(crate) struct FleetConfig {
    pub(crate) manifest_file: PathBuf,
    pub(crate) site: SiteNumber,
    pub(crate) roots_fingerprint: Fingerprint,
}

#[derive(Debug, Clone)]
pub(crate) struct PeersConfig {
    pub(crate) listen: SocketAddr,
    /// The nearest first.
    pub(crate) sites: Vec<(SiteNumber, Url)>,
    pub(crate) tls: MutualTlsFiles,
    pub(crate) hedge_after: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct EtcdFiles {
    /// By cell; cell 0 stands for the only one that there is.
    pub(crate) members: BTreeMap<u16, Vec<String>>,
    /// Authority, certificate, key.
    pub(crate) tls: Option<[PathBuf; 3]>,
    pub(crate) user: Option<(String, PathBuf)>,
    pub(crate) timeout: Duration,
}

pub(super) fn fleet(set: FleetSettings) -> Result<Option<FleetConfig>, Invalid> {
    match (set.manifest_file, set.site, set.roots_fingerprint) {
        (None, None, None) => Ok(None),
        (Some(manifest_file), Some(site @ 1..), Some(fingerprint)) => {
            let why = |_| ("fleet.roots_fingerprint", "64 digits of 0-9 and a-f are needed".to_owned());
            let roots_fingerprint = fingerprint.parse().map_err(why)?;
            Ok(Some(FleetConfig { manifest_file, site: SiteNumber(site), roots_fingerprint }))
        }
        (Some(_), Some(0), _) => Err(("fleet.site", "sites are numbered from 1".to_owned())),
        (Some(_), ..) => {
            Err(("fleet.manifest_file", "it needs fleet.site and fleet.roots_fingerprint as well".to_owned()))
        }
        (None, Some(_), _) => Err(("fleet.site", "it needs fleet.manifest_file as well".to_owned())),
        (None, None, Some(_)) => Err(("fleet.roots_fingerprint", "it needs fleet.manifest_file as well".to_owned())),
    }
}

pub(super) fn peers(set: PeersSettings) -> Result<Option<PeersConfig>, Invalid> {
    let PeersSettings { listen, sites, certificate_file, key_file, ca_file, hedge_after_ms } = set;
    let Some(sites) = sites else { return Ok(None) };
    let needed = |what: &str| ("peers.sites", format!("it needs {what} as well"));
    Ok(Some(PeersConfig {
        sites: parse_sites(&sites)?,
        listen: listen.ok_or_else(|| needed("peers.listen"))?,
        tls: MutualTlsFiles {
            certificate: certificate_file.ok_or_else(|| needed("peers.certificate_file"))?,
            key: key_file.ok_or_else(|| needed("peers.key_file"))?,
            authority: ca_file.ok_or_else(|| needed("peers.ca_file"))?,
        },
        hedge_after: Duration::from_millis(hedge_after_ms.unwrap_or(HEDGE_AFTER_MS).into()),
    }))
}

fn parse_sites(text: &str) -> Result<Vec<(SiteNumber, Url)>, Invalid> {
    let mut sites: Vec<(SiteNumber, Url)> = Vec::new();
    for part in text.split(',') {
        let why = || ("peers.sites", format!("{part:?} is not of the form 3=https://site3.example:7880"));
        let (number, url) = part.trim().split_once('=').ok_or_else(why)?;
        let number = SiteNumber(number.parse().ok().filter(|number| *number > 0).ok_or_else(why)?);
        let url: Url = url.parse().map_err(|_| why())?;
        if url.scheme() != "https" || sites.iter().any(|(other, _)| *other == number) {
            return Err(("peers.sites", format!("{part:?}: each site once, and by https")));
        }
        sites.push((number, url));
    }
    Ok(sites)
}

pub(super) fn etcd(set: EtcdSettings) -> Result<Option<EtcdFiles>, Invalid> {
    let EtcdSettings { members, ca_file, certificate_file, key_file, user, password_file, timeout_ms } = set;
    let Some(members) = members else { return Ok(None) };
    let tls = match (ca_file, certificate_file, key_file) {
        (Some(ca), Some(certificate), Some(key)) => Some([ca, certificate, key]),
        (None, None, None) => None,
        _ => {
            let why = "etcd.ca_file, etcd.certificate_file and etcd.key_file are needed together".to_owned();
            return Err(("etcd.members", why));
        }
    };
    let user = match (user, password_file) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return Err(("etcd.user", "etcd.user and etcd.password_file are needed together".to_owned())),
    };
    let timeout = Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_MS).into());
    let members = parse_members(&members)?;
    let scheme = if tls.is_some() { "https://" } else { "http://" };
    if let Some(member) = members.values().flatten().find(|member| !member.starts_with(scheme)) {
        let why =
            format!("{member:?} does not begin with {scheme}: TLS is spoken if etcd.ca_file is named, and only then");
        return Err(("etcd.members", why));
    }
    Ok(Some(EtcdFiles { members, tls, user, timeout }))
}

fn parse_members(text: &str) -> Result<BTreeMap<u16, Vec<String>>, Invalid> {
    let mut cells = BTreeMap::new();
    for part in text.split(';') {
        let (cell, members) = match part.trim().split_once('=') {
            None => (0, part),
            Some((cell, members)) => {
                let why = |_| ("etcd.members", format!("{cell:?} is not the number of a cell"));
                (cell.trim().parse().map_err(why)?, members)
            }
        };
        let members = members.split(',').map(|member| member.trim().to_owned()).collect();
        if cells.insert(cell, members).is_some() {
            return Err(("etcd.members", "a cell comes twice".to_owned()));
        }
    }
    Ok(cells)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{etcd, parse_members, parse_sites, peers};
    use crate::settings::{EtcdSettings, PeersSettings};

    #[test]
    fn the_order_of_the_sites_is_kept() {
        let sites = parse_sites("3=https://c:1, 1=https://a:2").unwrap();
        assert_eq!(sites.iter().map(|(site, _)| site.0).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn refuses_a_site_without_tls_twice_or_without_a_number() {
        for text in ["1=http://a:1", "1=https://a:1,1=https://b:1", "https://a:1", "0=https://a:1", "x=https://a:1", ""]
        {
            assert!(parse_sites(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_sites_without_certificates() {
        let set = PeersSettings { sites: Some("2=https://b:1".to_owned()), ..PeersSettings::default() };
        assert_eq!(peers(set).unwrap_err().1, "it needs peers.listen as well");
    }

    #[test]
    fn members_are_of_one_cell_or_of_those_that_are_named() {
        let one = parse_members("https://a:1,https://b:1").unwrap();
        assert_eq!(one[&0], ["https://a:1", "https://b:1"]);
        let two = parse_members("1=https://a:1;2=https://b:1").unwrap();
        assert_eq!((two[&1].len(), two[&2].len()), (1, 1));
    }

    #[test]
    fn refuses_members_in_the_clear_where_there_are_certificates() {
        let files = ["ca", "certificate", "key"].map(|file| Some(file.into()));
        let [ca_file, certificate_file, key_file] = files;
        let members = Some("https://a:1,http://b:1".to_owned());
        let set = EtcdSettings { members, ca_file, certificate_file, key_file, ..EtcdSettings::default() };
        assert!(etcd(set).unwrap_err().1.contains("\"http://b:1\""));
    }

    #[test]
    fn refuses_a_cell_that_comes_twice_or_is_no_number() {
        assert!(parse_members("1=https://a:1;1=https://b:1").is_err());
        assert!(parse_members("one=https://a:1").is_err());
    }
}
