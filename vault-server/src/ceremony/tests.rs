//! What somebody tries who has a ceremony's folder in hand between two of its steps: one root of three, or who carries it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use coffer_hsm_adapter::RootKey;
use coffer_proto::{
    Base64, Base64Vec, FleetManifest, Hash, SignedManifest, SignedSiteKeys, SiteCard, site_card_message,
};
use tempfile::TempDir;

use crate::ceremony::examine::examine;
use crate::ceremony::folder::{pretty, read};
use crate::ceremony::transcript::{Line, Transcript, hash};
use crate::ceremony::{draw, next, sign, verify};
use crate::error::Error;

#[derive(Debug, clap::Parser)]
struct Drawing {
    #[command(flatten)]
    asked: draw::Asked,
}

#[derive(Debug, clap::Parser)]
struct Next {
    #[command(flatten)]
    asked: next::NewVersion,
}

/// A fleet of three and a spare, whose keys are drawn.
struct Drawn {
    scratch: TempDir,
    roots: Vec<RootKey>,
}

/// An HSM's, without the HSM.
fn card() -> SiteCard {
    let (share_import, identity) = (RootKey::generate().unwrap().public(), RootKey::generate().unwrap());
    let mut card = SiteCard { share_import, site_identity: identity.public(), signature: Base64([0; 64]) };
    card.signature = identity.sign(&site_card_message(&card)).signature;
    card
}

impl Drawn {
    fn new() -> Self {
        let this = Self {
            scratch: tempfile::tempdir().unwrap(),
            roots: (0..3).map(|_| RootKey::generate().unwrap()).collect(),
        };
        for (place, root) in this.roots.iter().enumerate() {
            // Its public half is all that is read.
            let mut file = serde_json::json!({"memory_kib": 0, "passes": 0, "lanes": 0, "public": root.public()});
            (file["salt"], file["nonce"]) = (Base64([0; 16]).to_string().into(), Base64([0; 12]).to_string().into());
            file["sealed"] = Base64([0; 48]).to_string().into();
            fs::write(this.path(&format!("root-{place}")), file.to_string()).unwrap();
        }
        for name in ["1", "2", "3", "spare"] {
            fs::write(this.path(&format!("{name}.card")), pretty(&card())).unwrap();
        }
        this.draw("fleet");
        this
    }

    fn draw(&self, out: &str) {
        let mut line = vec!["fleet".to_owned(), "--cards".to_owned()];
        line.extend(["1.card", "2.card", "3.card"].map(|card| self.path(card).display().to_string()));
        line.extend(["--spares".to_owned(), self.path("spare.card").display().to_string(), "--roots".to_owned()]);
        line.extend((0..3).map(|root| self.path(&format!("root-{root}")).display().to_string()));
        line.extend(["--threshold=2".to_owned(), format!("--out={}", self.path(out).display())]);
        draw::run(&Drawing::parse_from(line).asked).unwrap();
    }

    /// Two roots have signed.
    fn signed() -> Self {
        let this = Self::new();
        this.sign(0).unwrap();
        this.sign(1).unwrap();
        this.verify().unwrap();
        this
    }

    fn sign(&self, root: usize) -> Result<Hash, Error> {
        let (found, _) = sign::begin(&self.path("fleet"), &self.roots[root].public())?;
        sign::run(found, &self.roots[root])
    }

    fn verify(&self) -> Result<(), Error> {
        verify::run(&self.path("fleet"), None).map(drop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn lines(&self) -> Vec<Line> {
        Transcript::parse(&fs::read_to_string(self.path("fleet/transcript.jsonl")).unwrap()).unwrap().lines
    }

    /// Each file of the folder as it is now.
    fn files(&self) -> BTreeMap<String, Hash> {
        let entries = fs::read_dir(self.path("fleet")).unwrap().map(|entry| entry.unwrap().path());
        let names = entries.filter(|path| path.extension().unwrap() == "json");
        names
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), hash(&fs::read(path).unwrap())))
            .collect()
    }

    /// A transcript of the attacker's, every line of which follows from the one before.
    fn write_transcript(&self, lines: impl IntoIterator<Item = Line>) {
        let mut transcript = Transcript::default();
        for line in lines {
            transcript.add(line.at, line.step, line.signature, line.files);
        }
        fs::write(self.path("fleet/transcript.jsonl"), transcript.text()).unwrap();
    }

    /// What was drawn, with the files as they are now, and no word of who has signed.
    fn forget_the_signatures(&self) {
        let [drawn, ..] = &self.lines()[..] else { return };
        self.write_transcript([Line { files: self.files(), ..drawn.clone() }]);
    }

    fn change_manifest(&self, change: impl FnOnce(&mut FleetManifest)) {
        let path = self.path("fleet/manifest.json");
        let mut signed: SignedManifest = read(&path).unwrap();
        let mut manifest: FleetManifest = serde_json::from_slice(signed.manifest.as_bytes()).unwrap();
        change(&mut manifest);
        signed.manifest = Base64Vec::new(serde_json::to_vec(&manifest).unwrap()).unwrap();
        fs::write(path, pretty(&signed)).unwrap();
    }
}

#[track_caller]
fn refused<T>(outcome: Result<T, Error>, why: &str) {
    let error = outcome.err().unwrap().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn refuses_a_transcript_that_was_written_anew_without_the_roots_names() {
    let ceremony = Drawn::signed();
    let lines = ceremony.lines();
    ceremony.forget_the_signatures();
    refused(ceremony.verify(), "transcript.jsonl: too few of the roots have signed it");
    // Nor is the name of one enough.
    let last = Line { files: ceremony.files(), ..lines[2].clone() };
    ceremony.write_transcript([lines[0].clone(), lines[1].clone(), Line { signature: None, ..last }]);
    refused(ceremony.verify(), "transcript.jsonl: too few of the roots have signed it");
}

#[test]
fn refuses_a_site_s_own_keys_in_the_place_of_its_spare_s() {
    let ceremony = Drawn::signed();
    fs::copy(ceremony.path("fleet/site-2.json"), ceremony.path("fleet/site-2-spare-1.json")).unwrap();
    let mut lines = ceremony.lines();
    lines[2].files = ceremony.files();
    ceremony.write_transcript(lines);
    refused(ceremony.verify(), "another HSM than the manifest says");
}

#[test]
fn refuses_a_spare_that_has_not_the_keys_of_every_site() {
    let ceremony = Drawn::new();
    fs::remove_file(ceremony.path("fleet/site-2-spare-1.json")).unwrap();
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "a site has no sealed keys, or none for one of the spares");
}

#[test]
fn refuses_two_spares_of_which_one_is_the_other() {
    let ceremony = Drawn::new();
    for site in 1..=3 {
        let [from, to] = [1, 2].map(|spare| ceremony.path(&format!("fleet/site-{site}-spare-{spare}.json")));
        fs::copy(from, to).unwrap();
    }
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "another HSM than the manifest says");
}

#[test]
fn refuses_a_transcript_that_names_a_file_elsewhere() {
    for name in
        ["../site-1.json", "site-1-spare-1/../../site-1.json", "site-01.json", "/site-1.json", "site-1-spare-.json"]
    {
        let ceremony = Drawn::new();
        fs::copy(ceremony.path("fleet/site-1.json"), ceremony.path("site-1.json")).unwrap();
        let mut lines = ceremony.lines();
        lines[0].files.insert(name.to_owned(), ceremony.files()["site-1.json"]);
        ceremony.write_transcript(lines);
        refused(ceremony.sign(0), "no file of a ceremony has the name");
    }
}

#[test]
fn refuses_to_sign_a_manifest_that_breaks_the_rules_or_is_none() {
    let ceremony = Drawn::new();
    ceremony.change_manifest(|manifest| manifest.threshold = 1);
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "half of its sites could do without the others");
    let path = ceremony.path("fleet/manifest.json");
    let mut signed: SignedManifest = read(&path).unwrap();
    signed.manifest = Base64Vec::new(b"not a manifest".to_vec()).unwrap();
    fs::write(path, pretty(&signed)).unwrap();
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "manifest.json: ");
    refused(examine(&ceremony.path("fleet")), "manifest.json: ");
}

#[test]
fn refuses_to_sign_sealed_keys_of_another_fleet_or_under_other_roots() {
    let ceremony = Drawn::new();
    ceremony.draw("other");
    let kept = fs::read(ceremony.path("fleet/site-1.json")).unwrap();
    fs::copy(ceremony.path("other/site-1.json"), ceremony.path("fleet/site-1.json")).unwrap();
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "of another fleet, another site or another HSM");
    let mut sealed: SignedSiteKeys = serde_json::from_slice(&kept).unwrap();
    sealed.roots.threshold = 1;
    fs::write(ceremony.path("fleet/site-1.json"), pretty(&sealed)).unwrap();
    ceremony.forget_the_signatures();
    refused(ceremony.sign(0), "it names other roots than the manifest");
}

/// Another ceremony of the same roots, or the same folder with other HSMs, cannot be told by any rule: people can.
#[test]
fn a_root_sees_the_hsms_the_roots_and_the_transcript_that_it_signs() {
    let ceremony = Drawn::new();
    let drawn = examine(&ceremony.path("fleet")).unwrap().to_string();
    let (shown, asked) = sign::begin(&ceremony.path("fleet"), &ceremony.roots[0].public()).unwrap();
    assert_eq!(shown.to_string(), drawn);
    assert_eq!(asked, "the manifest, the sealed keys and the transcript");
    let identity = |name: &str| read::<SiteCard>(&ceremony.path(name)).unwrap().site_identity;
    for (who, card) in [("site 1      ", "1.card"), ("site 3      ", "3.card"), ("spare 1     ", "spare.card")] {
        assert!(drawn.contains(&format!("{who} {}\n", identity(card))), "{drawn}");
    }
    assert!(drawn.contains(&format!("root         {}\n", ceremony.roots[2].public())), "{drawn}");
    assert!(drawn.contains("3, of which 2 are needed; 10 guesses\n"), "{drawn}");
    let hashes = |text: &str| text.rsplit_once("transcript   ").unwrap().1.to_owned();
    let after = ceremony.sign(0).unwrap();
    assert_ne!(hashes(&drawn), after.to_string());
    assert_eq!(hashes(&examine(&ceremony.path("fleet")).unwrap().to_string()), after.to_string());
}

#[test]
fn refuses_to_sign_what_is_not_all_here() {
    let ceremony = Drawn::new();
    fs::remove_file(ceremony.path("fleet/site-2.json")).unwrap();
    refused(ceremony.sign(0), "it is not here, and a root signs the whole");
}

#[test]
fn a_ceremony_is_verified_and_names_what_was_destroyed_since() {
    let ceremony = Drawn::signed();
    fs::remove_file(ceremony.path("fleet/site-2.json")).unwrap();
    let found = verify::run(&ceremony.path("fleet"), None).unwrap().to_string();
    assert!(found.contains("\nsealed keys  5\nnot here     site-2.json\n"), "{found}");
    fs::remove_file(ceremony.path("fleet/manifest.json")).unwrap();
    refused(ceremony.verify(), "read ");
}

#[test]
fn refuses_to_date_a_manifest_before_the_last_one() {
    let ceremony = Drawn::new();
    ceremony.change_manifest(|manifest| manifest.issued_at = manifest.not_after - Duration::from_secs(1));
    ceremony.forget_the_signatures();
    ceremony.sign(0).unwrap();
    ceremony.sign(1).unwrap();
    let fingerprint = examine(&ceremony.path("fleet")).unwrap().fingerprint().to_string();
    let (from, out) = (ceremony.path("fleet/manifest.json"), ceremony.path("next"));
    let line = ["new-version", "--from", from.to_str().unwrap(), "--fingerprint", &fingerprint, "--out"];
    let asked = Next::parse_from(line.into_iter().chain([out.to_str().unwrap()])).asked;
    refused(next::new_version(&asked), "this machine's clock is behind that");
    assert!(!out.exists());
}

/// The folder as it was before a step, with what an interruption of the step has left.
fn interrupted(before: &Path, after: &Path, transcript_is_written: bool, in_place: usize) {
    let entries: Vec<_> = fs::read_dir(after).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let files = entries.iter().filter(|name| *name != "transcript.jsonl");
    for (place, name) in files.enumerate() {
        let next = format!("{}.next", name.to_str().unwrap());
        let to = if place < in_place { before.join(name) } else { before.join(next) };
        fs::copy(after.join(name), to).unwrap();
    }
    if transcript_is_written {
        fs::copy(after.join("transcript.jsonl"), before.join("transcript.jsonl")).unwrap();
    }
    for unfinished in ["transcript.new", "manifest.json.new"] {
        fs::write(before.join(unfinished), "{").unwrap();
    }
}

#[test]
fn a_signing_that_was_interrupted_is_repeated_or_was_done() {
    for (transcript_is_written, in_place) in [(false, 0), (true, 0), (true, 1), (true, 3), (true, 7)] {
        let ceremony = Drawn::new();
        let kept = ceremony.path("kept");
        fs::create_dir(&kept).unwrap();
        for entry in fs::read_dir(ceremony.path("fleet")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, kept.join(path.file_name().unwrap())).unwrap();
        }
        ceremony.sign(0).unwrap();
        fs::rename(ceremony.path("fleet"), ceremony.path("after")).unwrap();
        fs::rename(kept, ceremony.path("fleet")).unwrap();
        interrupted(&ceremony.path("fleet"), &ceremony.path("after"), transcript_is_written, in_place);
        if !transcript_is_written {
            ceremony.sign(0).unwrap();
        }
        ceremony.sign(1).unwrap();
        ceremony.verify().unwrap();
        assert_eq!(ceremony.lines().len(), 3);
    }
}
