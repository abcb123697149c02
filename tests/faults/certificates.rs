//! What the sites prove themselves to one another with.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Writes `ca.pem`, and `site-N.pem` with `site-N.key` for each address.
pub(crate) fn write(folder: &Path, addresses: &[Ipv4Addr]) {
    fs::create_dir(folder).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), params.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, ca_key);
    for (site, address) in (1..).zip(addresses) {
        let mut leaf = CertificateParams::new([address.to_string()]).unwrap();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
        fs::write(folder.join(format!("site-{site}.pem")), certificate).unwrap();
        fs::write(folder.join(format!("site-{site}.key")), key.serialize_pem()).unwrap();
    }
}
