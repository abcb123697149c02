//! TLS both ways, users and roles.

use std::fs;
use std::path::Path;

use coffer_testkit::etcd::{EtcdCluster, EtcdTlsFiles};
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, StoreUnavailable};
use coffer_vault_store::{EtcdCell, EtcdConfig, EtcdConfigError, EtcdRecords, EtcdTls, EtcdUser, FenceError};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::sites::{ALL, cell, config, newest, write};

/// A CA, and one certificate of its for everybody.
struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap().pem();
        let mut leaf = CertificateParams::new([EtcdCluster::ADDRESS.to_string()]).unwrap();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap().pem();
        Self { ca, certificate, key: key.serialize_pem() }
    }

    fn write(&self, folder: &Path) -> EtcdTlsFiles {
        let file = |name: &str, pem: &str| {
            let path = folder.join(name);
            fs::write(&path, pem).unwrap();
            path
        };
        EtcdTlsFiles {
            ca: file("ca.pem", &self.ca),
            certificate: file("member.pem", &self.certificate),
            key: file("member-key.pem", &self.key),
        }
    }

    fn for_client(&self) -> EtcdTls {
        EtcdTls {
            ca: self.ca.clone().into_bytes(),
            certificate: self.certificate.clone().into_bytes(),
            key: self.key.clone().into_bytes().into(),
        }
    }
}

async fn open(cluster: &EtcdCluster, fence: u64, tls: EtcdTls, user: Option<(&str, &str)>) -> EtcdRecords {
    let user = user.map(|(name, password)| EtcdUser { name: name.to_owned(), password: password.to_owned().into() });
    EtcdRecords::open(EtcdConfig { tls: Some(tls), user, ..config(vec![cell(1, fence, ALL, cluster)]) }).await.unwrap()
}

/// As docs/operations.md has it: `site` reads and writes records and reads the fence, `root` does the rest.
fn enable_users(cluster: &EtcdCluster) {
    for line in [
        "user add root:owner",
        "user grant-role root root",
        "role add coffer",
        "role grant-permission coffer readwrite --prefix coffer/test/records/",
        "role grant-permission coffer read coffer/test/fence",
        "user add site:right",
        "user grant-role site coffer",
        "auth enable",
    ] {
        cluster.etcdctl_says(&line.split(' ').collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_site_does_what_its_role_allows_and_nothing_else() {
    let (certificates, place) = (Certificates::new(), tempfile::tempdir().unwrap());
    let mut cluster = EtcdCluster::new(1).with_tls(certificates.write(place.path()));
    cluster.run();
    enable_users(&cluster);
    let owner = open(&cluster, 1, certificates.for_client(), Some(("root", "owner"))).await;
    owner.set_fence(1, None).await.unwrap();

    let site = open(&cluster, 1, certificates.for_client(), Some(("site", "right"))).await;
    let version = write(&site, b"key", None, b"one").await;
    assert_eq!(newest(&site, b"key").await.unwrap(), b"one");
    assert_eq!(site.scan(b"", 10).await.unwrap().len(), 1);
    site.compact().await.unwrap();
    let health = site.health().await.remove(0);
    assert!(health.serves && health.own_member && health.has_leader, "{health:?}");

    let next = open(&cluster, 2, certificates.for_client(), Some(("site", "right"))).await;
    assert_eq!(next.set_fence(1, Some(1)).await, Err(FenceError::Unknown), "a site sets no fence");
    let elsewhere = EtcdRecords::open(EtcdConfig {
        prefix: "coffer/other/".to_owned(),
        tls: Some(certificates.for_client()),
        user: Some(EtcdUser { name: "site".to_owned(), password: "right".to_owned().into() }),
        ..config(vec![cell(1, 1, ALL, &cluster)])
    });
    let elsewhere = elsewhere.await.unwrap();
    assert_eq!(elsewhere.get(b"key", Freshness::Newest).await, Err(StoreUnavailable), "outside of the prefix");
    assert_eq!(elsewhere.replace(b"key", None, b"x").await, Replaced::Unknown, "outside of the prefix");
    for user in [Some(("site", "wrong")), Some(("nobody", "right")), None] {
        let stranger = open(&cluster, 1, certificates.for_client(), user).await;
        assert_eq!(stranger.get(b"key", Freshness::Newest).await, Err(StoreUnavailable), "{user:?}");
        assert_eq!(stranger.replace(b"key", Some(version), b"x").await, Replaced::Unknown, "{user:?}");
    }
    let says = |user| cluster.etcdctl_says(&["get", "--prefix", "coffer/", "--user", user]);
    assert!(says("root:owner").contains("one"));
    assert!(!says("root:owner").contains("coffer/other"));
}

#[tokio::test]
async fn a_site_signs_in_again_when_the_member_was_restarted_and_when_users_have_changed() {
    let (certificates, place) = (Certificates::new(), tempfile::tempdir().unwrap());
    let mut cluster = EtcdCluster::new(1).with_tls(certificates.write(place.path()));
    cluster.run();
    enable_users(&cluster);
    let owner = open(&cluster, 1, certificates.for_client(), Some(("root", "owner"))).await;
    owner.set_fence(1, None).await.unwrap();
    let site = open(&cluster, 1, certificates.for_client(), Some(("site", "right"))).await;
    write(&site, b"key", None, b"one").await;
    cluster.restart(0);
    cluster.wait_until_healthy(0);
    assert_eq!(reads_soon(&site).await, b"one");
    cluster.etcdctl_says(&["--user", "root:owner", "user", "add", "another:password"]);
    assert_eq!(reads_soon(&site).await, b"one");
}

/// What a request or two after a change may still fail to see.
async fn reads_soon(site: &EtcdRecords) -> Vec<u8> {
    for _ in 0..20 {
        if let Ok(there) = site.get(b"key", Freshness::Newest).await {
            return there.unwrap().value;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!("the site does not sign in again")
}

#[tokio::test]
async fn a_member_that_the_ca_does_not_know_is_refused_and_so_is_a_stranger_by_the_member() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let place = tempfile::tempdir().unwrap();
    let mut cluster = EtcdCluster::new(1).with_tls(certificates.write(place.path()));
    cluster.run();
    open(&cluster, 1, certificates.for_client(), None).await.set_fence(1, None).await.unwrap();
    let stranger = EtcdTls { ca: certificates.ca.clone().into_bytes(), ..others.for_client() };
    let misled = EtcdTls { ca: others.ca.clone().into_bytes(), ..certificates.for_client() };
    for tls in [stranger, misled] {
        let records = open(&cluster, 1, tls, None).await;
        assert_eq!(records.get(b"key", Freshness::Newest).await, Err(StoreUnavailable));
        assert_eq!(records.replace(b"key", None, b"x").await, Replaced::Unknown);
    }
    let trusted = open(&cluster, 1, certificates.for_client(), None).await;
    assert_eq!(newest(&trusted, b"key").await, None);
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_at_once() {
    let tls = EtcdTls { key: b"no key".to_vec().into(), ..Certificates::new().for_client() };
    let members = vec!["https://127.0.0.1:1".to_owned()];
    let cells = vec![EtcdCell { cell: 1, fence: 1, slots: vec![ALL], members }];
    let refused = EtcdRecords::open(EtcdConfig { tls: Some(tls), ..config(cells) }).await;
    assert!(matches!(refused, Err(EtcdConfigError::Member { endpoint, .. }) if endpoint == "https://127.0.0.1:1"));
}
