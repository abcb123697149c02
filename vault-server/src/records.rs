//! The record store of several sites: what the configuration and the manifest say of it, put together.

use std::fs;
use std::path::Path;

use coffer_proto::FleetManifest;
use coffer_vault_store::{EtcdCell, EtcdConfig, EtcdRecords, EtcdTls, EtcdUser};
use zeroize::Zeroizing;

use crate::config::EtcdFiles;
use crate::data::read_secret;
use crate::error::Error;

/// Asks nobody yet.
pub(crate) async fn open(files: &EtcdFiles, manifest: &FleetManifest) -> Result<EtcdRecords, Error> {
    let read = |path: &Path| fs::read(path).map_err(Error::file("read", path));
    let tls = match &files.tls {
        Some([ca, certificate, key]) => {
            Some(EtcdTls { ca: read(ca)?, certificate: read(certificate)?, key: Zeroizing::new(read(key)?) })
        }
        None => None,
    };
    let user = match &files.user {
        Some((name, file)) => Some(EtcdUser { name: name.clone(), password: password(file)? }),
        None => None,
    };
    let cells = cells(files, manifest)?;
    let prefix = format!("coffer/{}/", manifest.fleet);
    let opened = EtcdRecords::open(EtcdConfig { cells, prefix, tls, user, timeout: files.timeout }).await;
    opened.map_err(|error| Error::System("the record store", error.to_string()))
}

fn password(file: &Path) -> Result<Zeroizing<String>, Error> {
    let text = read_secret(file)?;
    let text = text.ok_or_else(|| Error::Named { path: file.to_owned(), why: "there is no such file".to_owned() })?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Each cell of the manifest, with the members that the configuration has for it.
fn cells(files: &EtcdFiles, manifest: &FleetManifest) -> Result<Vec<EtcdCell>, Error> {
    let only = files.members.get(&0).filter(|_| manifest.cells.len() == 1 && files.members.len() == 1);
    let of = |cell: &coffer_proto::Cell| {
        let members = only.or_else(|| files.members.get(&cell.cell)).cloned();
        let members =
            members.ok_or(Error::Argument("etcd.members does not have every cell that the manifest names"))?;
        let slots = cell.slots.iter().map(|range| range.first..=range.last).collect();
        Ok(EtcdCell { cell: cell.cell, fence: cell.fence, slots, members })
    };
    manifest.cells.iter().map(of).collect()
}
