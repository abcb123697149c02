//! The key ceremony as people do it: five sites' HSMs and a spare, three roots, files carried from one to the other.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coffer_proto::{FleetManifest, SignedManifest, SignedSiteKeys, SiteCard};
use coffer_testkit::Roots;
use rcgen::generate_simple_self_signed;
use tempfile::TempDir;

use crate::binary;
use crate::server::Server;

/// Machines of a fleet to be: a folder for each site, cards, and a ceremony's folder.
struct Ceremony {
    scratch: TempDir,
    sites: u8,
}

impl Ceremony {
    /// HSMs that have introduced themselves, one of them a spare, and three roots.
    fn prepare(sites: u8) -> Self {
        let this = Self { scratch: tempfile::tempdir().unwrap(), sites };
        for name in (1..=sites).map(|site| site.to_string()).chain(["spare".to_owned()]) {
            this.done(&["hsm", "init", "--data", &this.path(&name), "--fleet", &this.path(&format!("{name}.card"))]);
        }
        for root in ["a", "b", "c"] {
            this.make_root(root);
        }
        this
    }

    /// The keys are drawn; nobody has signed.
    fn drawn(sites: u8) -> Self {
        let this = Self::prepare(sites);
        this.done(&this.draw());
        this
    }

    /// Two roots have signed.
    fn signed(sites: u8) -> Self {
        let this = Self::drawn(sites);
        this.sign("a", "fleet");
        this.sign("c", "fleet");
        this
    }

    fn make_root(&self, root: &str) {
        fs::write(self.path(&format!("{root}.passphrase")), format!("the passphrase of root {root}\n")).unwrap();
        let (file, passphrase) = (self.path(root), self.path(&format!("{root}.passphrase")));
        self.done(&["ceremony", "root", "new", "--out", &file, "--passphrase-file", &passphrase]);
    }

    fn draw(&self) -> Vec<String> {
        let mut line: Vec<String> = ["ceremony", "fleet", "--cards"].map(str::to_owned).into();
        line.extend((1..=self.sites).map(|site| self.path(&format!("{site}.card"))));
        line.extend(["--spares".to_owned(), self.path("spare.card"), "--roots".to_owned()]);
        line.extend(["a", "b", "c"].map(|root| self.path(root)));
        line.extend(["--threshold".to_owned(), (self.sites / 2 + 1).to_string(), "--out".to_owned()]);
        line.push(self.path("fleet"));
        line
    }

    fn sign(&self, root: &str, folder: &str) {
        self.done(&self.signing(root, root, folder));
    }

    fn signing(&self, root: &str, passphrase_of: &str, folder: &str) -> [String; 7] {
        let passphrase = self.path(&format!("{passphrase_of}.passphrase"));
        let line = ["ceremony", "sign", "--root", &self.path(root), "--passphrase-file", &passphrase];
        let [one, two, three, four, five, six] = line.map(str::to_owned);
        [one, two, three, four, five, six, self.path(folder)]
    }

    fn import(&self, machine: &str, file: &str) -> Result<String, String> {
        let (data, file, fingerprint) = (self.path(machine), self.path(file), self.fingerprint());
        self.run(&["hsm", "import", "--data", &data, "--sealed", &file, "--fingerprint", &fingerprint])
    }

    fn verify(&self, folder: &str) -> Result<String, String> {
        self.run(&["ceremony", "verify", &self.path(folder)])
    }

    /// As the manifest's own roots have it.
    fn fingerprint(&self) -> String {
        let manifest = fs::read(self.scratch.path().join("fleet/manifest.json")).unwrap();
        let manifest: SignedManifest = serde_json::from_slice(&manifest).unwrap();
        manifest.roots.fingerprint().to_string()
    }

    /// A vault of this fleet.
    fn serve(&self, machine: &str, site: u8, manifest: &str) -> Server {
        self.serve_under(machine, site, manifest, &self.fingerprint())
    }

    fn serve_under(&self, machine: &str, site: u8, manifest: &str, fingerprint: &str) -> Server {
        // A server's data lie in `data` of its folder.
        let folder = self.scratch.path().join(format!("{machine}.serving"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(self.scratch.path().join(machine), folder.join("data")).unwrap();
        let signed: SignedManifest = serde_json::from_slice(&fs::read(self.path(manifest)).unwrap()).unwrap();
        let content: FleetManifest = serde_json::from_slice(signed.manifest.as_bytes()).unwrap();
        let (manifest, own) = (self.path(manifest), site.to_string());
        let fleet =
            ["--fleet-manifest-file", &manifest, "--fleet-site", &own, "--fleet-roots-fingerprint", fingerprint];
        let others = content.sites.iter().filter(|other| other.site.0 != site);
        let others = others.map(|other| format!("{}=https://127.0.0.1:1", other.site)).collect::<Vec<_>>().join(",");
        if others.is_empty() {
            return Server::start_in(&folder, &fleet);
        }
        // Nobody else is there, and nothing is asked for that would need them.
        let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("peers.pem"), folder.join("peers.key"));
        fs::write(&certificate, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let neighbours =
            ["--peers-listen", "127.0.0.1:0", "--peers-sites", &others, "--etcd-members", "http://127.0.0.1:1"];
        let tls = ["--peers-certificate-file", certificate, "--peers-key-file", key, "--peers-ca-file", certificate];
        Server::start_in(&folder, &[&fleet[..], &neighbours[..], &tls[..]].concat())
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    fn change(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.scratch.path().join(name);
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }

    fn done(&self, line: &[impl AsRef<str>]) -> String {
        self.run(line).unwrap()
    }

    fn run(&self, line: &[impl AsRef<str>]) -> Result<String, String> {
        let mut command = Command::new(binary::vault());
        command.args(line.iter().map(AsRef::as_ref)).current_dir(self.scratch.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
    }
}

#[track_caller]
fn refused(outcome: Result<String, String>, why: &str) {
    let error = outcome.unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn five_sites_get_their_keys_and_a_spare_takes_the_place_of_one() {
    let ceremony = Ceremony::signed(5);
    let said = ceremony.verify("fleet").unwrap();
    assert!(said.contains("5, of which 3 are needed") && said.contains(&ceremony.fingerprint()), "{said}");
    for site in 1..=5 {
        let machine = site.to_string();
        refused(ceremony.run(&["hsm", "check", "--fleet", "--data", &ceremony.path(&machine)]), "ake: there is no");
        ceremony.import(&machine, &format!("fleet/site-{site}.json")).unwrap();
        ceremony.done(&["hsm", "check", "--fleet", "--data", &ceremony.path(&machine)]);
    }
    let first = ceremony.serve("1", 1, "fleet/manifest.json");
    assert!(first.address.ends_with(&ceremony.fingerprint()), "{}", first.address);
    drop(first);

    // Site 3's HSM is lost.
    ceremony.import("spare", "fleet/site-3-spare-1.json").unwrap();
    let (from, out) = (ceremony.path("fleet/manifest.json"), ceremony.path("replaced"));
    let (replace, fingerprint) = (format!("3={}", ceremony.path("spare.card")), ceremony.fingerprint());
    let next = ["ceremony", "manifest", "new-version", "--from", &from, "--fingerprint", &fingerprint];
    ceremony.done(&[&next[..], &["--replace", &replace, "--fence", "1=2", "--out", &out]].concat());
    ceremony.sign("b", "replaced");
    refused(ceremony.verify("replaced"), "too few of the roots have signed it");
    ceremony.sign("c", "replaced");
    ceremony.verify("replaced").unwrap();
    let spare = ceremony.serve("spare", 3, "replaced/manifest.json");
    assert!(spare.address.ends_with(&fingerprint), "clients know the fleet by its first roots");
}

#[test]
fn new_roots_whom_the_earlier_ones_have_named_are_those_of_the_same_fingerprint() {
    let ceremony = Ceremony::signed(1);
    for root in ["d", "e"] {
        ceremony.make_root(root);
    }
    let (from, out, fingerprint) =
        (ceremony.path("fleet/manifest.json"), ceremony.path("rotated"), ceremony.fingerprint());
    let (d, e) = (ceremony.path("d"), ceremony.path("e"));
    let rotate = ["ceremony", "roots", "rotate", "--from", &from, "--fingerprint", &fingerprint, "--roots", &d, &e];
    ceremony.done(&[&rotate[..], &["--out", &out]].concat());
    for root in ["d", "e", "a"] {
        ceremony.sign(root, "rotated");
    }
    refused(ceremony.verify("rotated"), "its roots were not named by those before them");
    ceremony.sign("b", "rotated");
    assert!(ceremony.verify("rotated").unwrap().contains(&fingerprint));
    ceremony.import("1", "fleet/site-1.json").unwrap();
    let server = ceremony.serve("1", 1, "rotated/manifest.json");
    assert!(server.address.ends_with(&fingerprint), "{}", server.address);
}

#[test]
fn a_site_takes_up_a_new_manifest_while_it_runs_and_refuses_an_older_one() {
    let ceremony = Ceremony::signed(1);
    ceremony.import("1", "fleet/site-1.json").unwrap();
    let (from, out, fingerprint) =
        (ceremony.path("fleet/manifest.json"), ceremony.path("next"), ceremony.fingerprint());
    let next = ["ceremony", "manifest", "new-version", "--from", &from, "--fingerprint", &fingerprint, "--out", &out];
    ceremony.done(&next);
    ceremony.sign("a", "next");
    ceremony.sign("b", "next");
    fs::copy(&from, ceremony.path("served.json")).unwrap();
    let server = ceremony.serve("1", 1, "served.json");
    fs::copy(ceremony.path("next/manifest.json"), ceremony.path("served.json")).unwrap();
    await_log(&server, "a manifest was taken up");
    fs::copy(&from, ceremony.path("served.json")).unwrap();
    await_log(&server, "it is older than one that this site has had");
}

#[test]
fn a_site_refuses_roots_that_had_handed_over_to_others() {
    let ceremony = Ceremony::signed(1);
    ceremony.import("1", "fleet/site-1.json").unwrap();
    for root in ["d", "e"] {
        ceremony.make_root(root);
    }
    let (from, fingerprint) = (ceremony.path("fleet/manifest.json"), ceremony.fingerprint());
    let next = |words: &[&str], from: &str, out: &str, roots: [&str; 2], signers: &[&str]| {
        let common = ["--from", from, "--fingerprint", &fingerprint, "--out", out];
        let roots = roots.map(|root| ceremony.path(root));
        let roots = if words[0] == "roots" { vec!["--roots", &roots[0], &roots[1]] } else { Vec::new() };
        ceremony.done(&[&["ceremony"], words, &common[..], &roots].concat());
        signers.iter().for_each(|signer| ceremony.sign(signer, out));
    };
    next(&["roots", "rotate"], &from, "rotated", ["d", "e"], &["a", "b", "d", "e"]);
    // The earlier roots go on as if they never had, twice, so that their manifest is the newer one.
    next(&["manifest", "new-version"], &from, "stolen", ["", ""], &["a", "b"]);
    next(&["manifest", "new-version"], "stolen/manifest.json", "stolen-again", ["", ""], &["a", "b"]);
    fs::copy(ceremony.path("rotated/manifest.json"), ceremony.path("served.json")).unwrap();
    let server = ceremony.serve("1", 1, "served.json");
    fs::copy(ceremony.path("stolen-again/manifest.json"), ceremony.path("served.json")).unwrap();
    await_log(&server, "its roots were not named by those whom this site has had");
}

#[test]
fn a_site_serves_under_a_manifest_that_has_expired_and_says_so() {
    let ceremony = Ceremony::signed(1);
    ceremony.import("1", "fleet/site-1.json").unwrap();
    let signed = fs::read(ceremony.path("fleet/manifest.json")).unwrap();
    let signed: SignedManifest = serde_json::from_slice(&signed).unwrap();
    let mut manifest: FleetManifest = serde_json::from_slice(signed.manifest.as_bytes()).unwrap();
    // The ceremony dates it today: so other roots sign it a month ago.
    let day = Duration::from_secs(24 * 3600);
    manifest.not_after = manifest.issued_at - day;
    manifest.issued_at = manifest.issued_at - 31 * day;
    let roots = Roots::new(3, 2);
    fs::write(ceremony.path("expired.json"), serde_json::to_vec(&roots.sign(&manifest, &[0, 1])).unwrap()).unwrap();
    let server = ceremony.serve_under("1", 1, "expired.json", &roots.fingerprint().to_string());
    await_log(&server, "the fleet manifest has expired");
    let ready = ask(&server.ops, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let end = format!("coffer_vault_manifest_not_after_seconds {}", manifest.not_after.unix_seconds());
    let metrics = ask(&server.ops, "/metrics");
    assert!(metrics.contains(&end), "{metrics}");
}

fn ask(host: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn await_log(server: &Server, text: &str) {
    let begin = Instant::now();
    while !server.log().contains(text) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn refuses_to_serve_as_another_site_or_under_a_manifest_of_one_of_three() {
    let ceremony = Ceremony::drawn(2);
    ceremony.sign("a", "fleet");
    let (data, manifest, fingerprint) =
        (ceremony.path("1"), ceremony.path("fleet/manifest.json"), ceremony.fingerprint());
    let serve = |site: &str| {
        let line = ["serve", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--data", &data, "--fleet-site", site];
        let fleet = ["--fleet-manifest-file", &manifest, "--fleet-roots-fingerprint", &fingerprint];
        ceremony.run(&[&line[..], &fleet].concat())
    };
    refused(serve("1"), "share-kek: there is no such key");
    ceremony.sign("b", "fleet");
    ceremony.import("1", "fleet/site-1.json").unwrap();
    refused(serve("2"), "its site 2 has other keys than this HSM");
    ceremony.change("fleet/manifest.json", |text| {
        let mut signed: SignedManifest = serde_json::from_str(&text).unwrap();
        signed.signatures.pop();
        serde_json::to_string(&signed).unwrap()
    });
    refused(serve("1"), "too few of the roots have signed it");
}

/// An operator asks before the restart, not after it.
#[test]
fn check_config_refuses_what_the_manifest_does_not_fit() {
    let ceremony = Ceremony::signed(2);
    let (manifest, fingerprint) = (ceremony.path("fleet/manifest.json"), ceremony.fingerprint());
    let check = |site: &str, fingerprint: &str, more: &[&str]| {
        let line = ["check-config", "--fleet-manifest-file", &manifest, "--fleet-site", site];
        ceremony.run(&[&line[..], &["--fleet-roots-fingerprint", fingerprint], more].concat())
    };
    refused(check("1", &"00".repeat(32), &[]), "it is not of the roots");
    refused(check("3", &fingerprint, &[]), "it has no site 3");
    refused(check("1", &fingerprint, &[]), "have to be in peers.sites");

    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (ceremony.path("peers.pem"), ceremony.path("peers.key"));
    fs::write(&certificate, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let tls = ["--peers-certificate-file", &certificate, "--peers-key-file", &key, "--peers-ca-file", &certificate];
    let with = |sites: &str, etcd: &[&str]| {
        let peers = ["--peers-listen", "127.0.0.1:0", "--peers-sites", sites];
        check("1", &fingerprint, &[&peers[..], &tls[..], etcd].concat())
    };
    let etcd = ["--etcd-members", "http://127.0.0.1:1"];
    refused(with("1=https://127.0.0.1:1", &etcd), "have to be in peers.sites");
    refused(with("2=https://127.0.0.1:1,3=https://127.0.0.1:1", &etcd), "have to be in peers.sites");
    refused(with("2=https://127.0.0.1:1", &[]), "have to be in peers.sites");
    with("2=https://127.0.0.1:1", &etcd).unwrap();
    fs::write(&key, generate_simple_self_signed(["x".to_owned()]).unwrap().signing_key.serialize_pem()).unwrap();
    refused(with("2=https://127.0.0.1:1", &etcd), "peers.pem");
}

#[test]
fn refuses_a_card_whose_signature_does_not_hold() {
    let ceremony = Ceremony::prepare(2);
    let other: serde_json::Value = serde_json::from_slice(&fs::read(ceremony.path("2.card")).unwrap()).unwrap();
    ceremony.change("1.card", |text| {
        let mut card: serde_json::Value = serde_json::from_str(&text).unwrap();
        card["share_import"] = other["share_import"].clone();
        card.to_string()
    });
    refused(ceremony.run(&ceremony.draw()), "the card's signature does not hold");
    assert!(!Path::new(&ceremony.path("fleet")).exists());
}

#[test]
fn a_card_is_written_where_the_operator_stands_and_again_after_a_crash() {
    let ceremony = Ceremony { scratch: tempfile::tempdir().unwrap(), sites: 0 };
    for _ in 0..2 {
        let said = ceremony.done(&["hsm", "init", "--data", "1", "--fleet", "site-1.card"]);
        let card: SiteCard = serde_json::from_slice(&fs::read(ceremony.path("site-1.card")).unwrap()).unwrap();
        assert!(said.contains(&card.site_identity.to_string()), "{said}");
    }
}

#[test]
fn refuses_to_write_a_card_over_a_root_s_key_or_another_hsm_s_card() {
    let ceremony = Ceremony { scratch: tempfile::tempdir().unwrap(), sites: 0 };
    ceremony.make_root("a");
    let init = |machine: &str, card: &str| ceremony.run(&["hsm", "init", "--data", machine, "--fleet", card]);
    init("1", "1.card").unwrap();
    for (card, why) in [("a", "it is there and is no card"), ("1.card", "it is the card of another HSM")] {
        let before = fs::read(ceremony.path(card)).unwrap();
        refused(init("2", card), why);
        assert_eq!(fs::read(ceremony.path(card)).unwrap(), before);
    }
}

#[test]
fn refuses_two_cards_of_one_hsm() {
    let ceremony = Ceremony::prepare(2);
    for (from, to) in [("1.card", "2.card"), ("1.card", "spare.card")] {
        let kept = fs::read(ceremony.path(to)).unwrap();
        fs::copy(ceremony.path(from), ceremony.path(to)).unwrap();
        refused(ceremony.run(&ceremony.draw()), "another card is of the same HSM");
        fs::write(ceremony.path(to), kept).unwrap();
    }
}

#[test]
fn refuses_a_threshold_that_two_halves_of_the_fleet_could_reach() {
    let ceremony = Ceremony::prepare(2);
    let mut line = ceremony.draw();
    let place = line.iter().position(|word| word == "--threshold").unwrap();
    line[place + 1] = "1".to_owned();
    refused(ceremony.run(&line), "half of its sites could do without the others");
}

#[test]
fn refuses_to_draw_into_a_folder_that_is_not_empty() {
    let ceremony = Ceremony::drawn(1);
    let before = fs::read(ceremony.path("fleet/manifest.json")).unwrap();
    refused(ceremony.run(&ceremony.draw()), "nothing is overwritten");
    assert_eq!(fs::read(ceremony.path("fleet/manifest.json")).unwrap(), before);
}

#[test]
fn refuses_to_sign_with_a_wrong_passphrase_and_as_a_stranger() {
    let ceremony = Ceremony::drawn(1);
    refused(ceremony.run(&ceremony.signing("a", "b", "fleet")), "the passphrase is wrong, or the file is damaged");
    ceremony.make_root("stranger");
    refused(
        ceremony.run(&ceremony.signing("stranger", "stranger", "fleet")),
        "this root is none of those who sign here",
    );
    refused(ceremony.verify("fleet"), "too few of the roots have signed it");
}

#[test]
fn refuses_to_make_a_root_over_another_or_under_a_short_passphrase() {
    let ceremony = Ceremony { scratch: tempfile::tempdir().unwrap(), sites: 0 };
    ceremony.make_root("a");
    let (file, passphrase) = (ceremony.path("a"), ceremony.path("a.passphrase"));
    let again = ["ceremony", "root", "new", "--out", &file, "--passphrase-file", &passphrase];
    assert!(ceremony.run(&again).is_err());
    fs::write(&passphrase, "eleven byte\n").unwrap();
    let (other, passphrase) = (ceremony.path("b"), passphrase);
    let short = ["ceremony", "root", "new", "--out", &other, "--passphrase-file", &passphrase];
    refused(ceremony.run(&short), "at least twelve characters");
    assert!(!Path::new(&other).exists());
}

#[test]
fn refuses_a_manifest_that_one_of_three_has_signed() {
    let ceremony = Ceremony::drawn(1);
    for _ in 0..2 {
        ceremony.sign("b", "fleet");
        refused(ceremony.verify("fleet"), "too few of the roots have signed it");
    }
    refused(ceremony.import("1", "fleet/site-1.json"), "too few of the roots have signed it");
}

#[test]
fn refuses_a_transcript_with_a_line_removed_altered_or_reordered() {
    let ceremony = Ceremony::signed(1);
    ceremony.verify("fleet").unwrap();
    let whole = fs::read_to_string(ceremony.path("fleet/transcript.jsonl")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let altered = lines[0].replace("drew", "made");
    for (changed, why) in [
        ([lines[1], lines[2]].join("\n"), "line 1 does not follow"),
        ([lines[0], lines[2]].join("\n"), "line 2 does not follow"),
        ([lines[0], lines[1]].join("\n"), "it is not what the transcript says was written"),
        ([&altered, lines[1], lines[2]].join("\n"), "line 2 does not follow"),
        ([lines[1], lines[0], lines[2]].join("\n"), "line 1 does not follow"),
        ([lines[0], lines[2], lines[1]].join("\n"), "line 2 does not follow"),
    ] {
        fs::write(ceremony.path("fleet/transcript.jsonl"), changed).unwrap();
        refused(ceremony.verify("fleet"), why);
    }
}

#[test]
fn refuses_a_sealed_file_that_was_altered_and_one_that_the_transcript_does_not_know() {
    let ceremony = Ceremony::signed(2);
    fs::write(ceremony.path("fleet/site-3.json"), "{}").unwrap();
    refused(ceremony.verify("fleet"), "the transcript does not know of it");
    fs::remove_file(ceremony.path("fleet/site-3.json")).unwrap();
    // Keys that somebody else has sealed to the HSM: anyone can, who has its card.
    let other = Ceremony::prepare(2);
    fs::copy(ceremony.path("1.card"), other.path("1.card")).unwrap();
    other.done(&other.draw());
    let keys = |ceremony: &Ceremony| -> SignedSiteKeys {
        serde_json::from_slice(&fs::read(ceremony.path("fleet/site-1.json")).unwrap()).unwrap()
    };
    let forged = SignedSiteKeys { site_keys: keys(&other).site_keys, ..keys(&ceremony) };
    fs::write(ceremony.path("fleet/site-1.json"), serde_json::to_vec(&forged).unwrap()).unwrap();
    refused(ceremony.verify("fleet"), "it is not what the transcript says was written");
    refused(ceremony.import("1", "fleet/site-1.json"), "too few of the roots have signed it");
    refused(ceremony.import("2", "fleet/site-2-spare-1.json"), "sealed to another HSM");
    refused(ceremony.import("2", "fleet/site-1.json"), "too few of the roots have signed it");
}

#[test]
fn refuses_the_sealed_file_of_another_site_and_an_import_over_keys_that_are_there() {
    let ceremony = Ceremony::signed(2);
    refused(ceremony.import("1", "fleet/site-2.json"), "sealed to another HSM");
    // A spare becomes one site, and then no other.
    ceremony.import("spare", "fleet/site-1-spare-1.json").unwrap();
    ceremony.import("spare", "fleet/site-1-spare-1.json").unwrap();
    refused(ceremony.import("spare", "fleet/site-2-spare-1.json"), "has another key of this name already");
    ceremony.done(&["hsm", "check", "--fleet", "--data", &ceremony.path("spare")]);
}

#[test]
fn refuses_to_import_the_keys_of_another_site_than_the_configured_one_into_a_spare() {
    let ceremony = Ceremony::signed(2);
    let import = |file: &str| {
        let (data, file, fingerprint) = (ceremony.path("spare"), ceremony.path(file), ceremony.fingerprint());
        let fleet = ["--fleet-manifest-file", "manifest.json", "--fleet-roots-fingerprint", &fingerprint];
        let line = ["hsm", "import", "--data", &data, "--sealed", &file, "--fleet-site", "2"];
        ceremony.run(&[&line[..], &fleet].concat())
    };
    refused(import("fleet/site-1-spare-1.json"), "it has the keys of site 1, and fleet.site is 2");
    import("fleet/site-2-spare-1.json").unwrap();
}

#[test]
fn a_root_s_key_is_for_its_owner_s_eyes_alone() {
    let ceremony = Ceremony { scratch: tempfile::tempdir().unwrap(), sites: 0 };
    ceremony.make_root("a");
    assert_eq!(fs::metadata(ceremony.path("a")).unwrap().permissions().mode() & 0o777, 0o600);
}
