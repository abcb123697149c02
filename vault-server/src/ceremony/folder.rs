//! The folder of one ceremony.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use coffer_proto::{Hash, RootSignature, SignedManifest, SignedSiteKeys, SiteNumber};
use coffer_vault_core::Clock as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ceremony::transcript::{Transcript, hash};
use crate::data::write_private;
use crate::error::Error;
use crate::world::SystemClock;

const MANIFEST: &str = "manifest.json";
const TRANSCRIPT: &str = "transcript.jsonl";

/// ```text
/// manifest.json            the manifest, with the signatures that it has so far
/// site-1.json …            the keys of each site, sealed to its HSM
/// site-1-spare-1.json …    the same, sealed to a spare
/// transcript.jsonl         what was done, with the hash of every file
/// ```
pub(crate) struct Folder {
    path: PathBuf,
    /// Sealed keys that are not here any more: carried away, or destroyed once they were imported.
    pub(crate) gone: Vec<String>,
    pub(crate) transcript: Transcript,
}

/// Sealed keys, and the file that they are in.
pub(crate) struct SealedFile {
    pub(crate) name: String,
    pub(crate) content: SignedSiteKeys,
}

impl Folder {
    /// A new one: nothing may be there yet.
    pub(crate) fn begin(path: &Path) -> Result<Self, Error> {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(refused(path, "there is something in it already, and nothing is overwritten"));
        }
        Ok(Self { path: path.to_owned(), gone: Vec::new(), transcript: Transcript::default() })
    }

    /// One that is there. Its transcript follows, and every file that is there is as it was last written.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = path.join(TRANSCRIPT);
        let text = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        let transcript = Transcript::parse(&text).map_err(|why| refused(&file, why))?;
        if transcript.lines.is_empty() {
            return Err(refused(&file, "it is empty"));
        }
        let mut folder = Self { path: path.to_owned(), gone: Vec::new(), transcript };
        let listed = folder.transcript.files();
        if let Some(name) = listed.keys().find(|name| **name != MANIFEST && parse_sealed_name(name).is_none()) {
            return Err(refused(&file, format!("no file of a ceremony has the name {name:?}")));
        }
        folder.settle()?;
        for (name, expected) in &listed {
            let path = folder.path.join(name);
            let content = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound && *name != MANIFEST => {
                    folder.gone.push((*name).to_owned());
                    continue;
                }
                content => content.map_err(Error::file("read", &path))?,
            };
            if hash(&content) != *expected {
                return Err(refused(&path, "it is not what the transcript says was written"));
            }
        }
        // What an interrupted run was writing: the next one writes it anew.
        let is_unfinished =
            |name: &str| name.strip_suffix(".new").is_some_and(|of| of == "transcript" || listed.contains_key(of));
        for entry in fs::read_dir(path).map_err(Error::file("list", path))? {
            let name = entry.map_err(Error::file("list", path))?.file_name();
            let is_known = |name: &str| name == TRANSCRIPT || listed.contains_key(name) || is_unfinished(name);
            if !name.to_str().is_some_and(is_known) {
                return Err(refused(&path.join(name), "the transcript does not know of it"));
            }
        }
        Ok(folder)
    }

    pub(crate) fn manifest(&self) -> Result<SignedManifest, Error> {
        read(&self.path.join(MANIFEST))
    }

    /// The sealed keys of every site and spare that are here.
    pub(crate) fn sealed(&self) -> Result<Vec<SealedFile>, Error> {
        let files = self.transcript.files();
        let names = files.keys().filter(|name| **name != MANIFEST && !self.gone.iter().any(|gone| gone == **name));
        names.map(|&name| Ok(SealedFile { name: name.to_owned(), content: read(&self.path.join(name))? })).collect()
    }

    /// Writes what a step has made beside what is there, then that it has, and only then puts it into its place: so that a
    /// step that is interrupted anywhere was taken, or was not.
    pub(crate) fn record(
        &mut self,
        step: String,
        signature: Option<RootSignature>,
        manifest: &SignedManifest,
        sealed: &[SealedFile],
    ) -> Result<(), Error> {
        let mut contents = vec![(MANIFEST.to_owned(), pretty(manifest))];
        contents.extend(sealed.iter().map(|file| (file.name.clone(), pretty(&file.content))));
        let mut files: BTreeMap<String, Hash> = BTreeMap::new();
        for (name, content) in contents {
            write_private(&self.path.join(next(&name)), &content)?;
            files.insert(name, hash(&content));
        }
        self.transcript.add(SystemClock.now(), step, signature, files);
        write_private(&self.path.join(TRANSCRIPT), self.transcript.text().as_bytes())?;
        self.settle()
    }

    /// Ends a step that was interrupted: what the transcript names comes into its place, what it does not goes.
    fn settle(&self) -> Result<(), Error> {
        for (name, expected) in self.transcript.files() {
            let (place, next) = (self.path.join(name), self.path.join(next(name)));
            match fs::read(&next) {
                Ok(content) if hash(&content) == expected => fs::rename(&next, &place),
                Ok(_) => fs::remove_file(&next),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
            .map_err(Error::file("put into its place", &next))?;
        }
        Ok(())
    }
}

/// Where a file's content waits until the transcript names it.
fn next(name: &str) -> String {
    format!("{name}.next")
}

/// The name of the file of a site's keys, or of a spare's.
pub(crate) fn sealed_name(site: SiteNumber, spare: Option<u8>) -> String {
    spare.map_or_else(|| format!("site-{site}.json"), |spare| format!("site-{site}-spare-{spare}.json"))
}

/// The site, and the spare's number if it is one.
pub(crate) fn parse_sealed_name(name: &str) -> Option<(SiteNumber, Option<u8>)> {
    let numbers = name.strip_prefix("site-")?.strip_suffix(".json")?;
    let (site, spare) = match numbers.split_once("-spare-") {
        None => (numbers, None),
        Some((site, spare)) => (site, Some(spare.parse().ok()?)),
    };
    let parsed = (SiteNumber(site.parse().ok()?), spare);
    // Nor 01 for 1.
    (sealed_name(parsed.0, parsed.1) == name).then_some(parsed)
}

pub(crate) fn pretty(content: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(content).expect("plain data in memory");
    text.push(b'\n');
    text
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| refused(path, format!("it cannot be read: {error}")))
}

pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Error {
    Error::Ceremony { path: path.to_owned(), why: why.into() }
}
