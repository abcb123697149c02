//! What the sites, and the members of etcd, prove themselves to one another with.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use coffer_testkit::etcd::EtcdTlsFiles;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Writes `ca.pem`, and `site-N.pem` with `site-N.key` for each address. Gives what the members of etcd are to use, of
/// which there is one for all.
pub(crate) fn write(folder: &Path, addresses: &[Ipv4Addr]) -> EtcdTlsFiles {
    fs::create_dir(folder).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), params.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let leaf = |name: &str, addresses: &[Ipv4Addr]| {
        let mut leaf = CertificateParams::new(addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>()).unwrap();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
        fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    for (site, address) in (1..).zip(addresses) {
        leaf(&format!("site-{site}"), &[*address]);
    }
    leaf("etcd", addresses);
    let [ca, certificate, key] = ["ca.pem", "etcd.pem", "etcd.key"].map(|name| folder.join(name));
    EtcdTlsFiles { ca, certificate, key }
}
