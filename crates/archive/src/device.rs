//! What a device remembers of an archive: the newest snapshots that it has seen. Without it a provider could serve
//! yesterday's archive and nobody would notice.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::id::ObjectName;

/// Number and hash of a snapshot. The hash is SHA-256 of the sealed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// The snapshot's sequence number; the first is 1.
    pub number: u64,
    /// SHA-256 of the sealed snapshot object.
    pub hash: [u8; 32],
}

impl Head {
    /// The form for people.
    pub fn receipt(&self) -> Receipt {
        let mut prefix = [0; Receipt::PREFIX_LEN];
        prefix.copy_from_slice(&self.hash[..Receipt::PREFIX_LEN]);
        Receipt { number: self.number, prefix }
    }
}

/// A head short enough to write down: `17-3f9a-b2c1-44d0` is snapshot 17 and the first six bytes of its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The snapshot's sequence number.
    pub number: u64,
    /// The beginning of its hash.
    pub prefix: [u8; Self::PREFIX_LEN],
}

impl Receipt {
    /// Bytes of the hash that a receipt keeps.
    pub const PREFIX_LEN: usize = 6;

    /// Parses what Display shows; dashes and case within the hash are forgiven. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, digits) = text.trim().split_once('-')?;
        let digits: String = digits.chars().filter(|c| *c != '-').collect();
        let mut prefix = [0; Self::PREFIX_LEN];
        hex::decode_to_slice(digits, &mut prefix).ok()?;
        Some(Self { number: parse_number(number)?, prefix })
    }

    /// Whether it is the receipt of that head.
    pub fn matches(&self, head: &Head) -> bool {
        head.receipt() == *self
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.prefix);
        write!(f, "{}-{}-{}-{}", self.number, &digits[..4], &digits[4..8], &digits[8..])
    }
}

/// A folder in which a device keeps what it remembers of one archive. Losing it costs the protection against
/// rollback until the next snapshot is seen, nothing else.
#[derive(Debug)]
pub struct DeviceMemory {
    folder: PathBuf,
}

impl DeviceMemory {
    /// The memory in `folder`, which is made (mode 0700) if it is not there.
    ///
    /// # Errors
    /// [`Error::Device`] when the folder cannot be made.
    pub fn at(folder: PathBuf) -> Result<Self, Error> {
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        make.map_err(|source| Error::Device { path: folder.clone(), source })?;
        Ok(Self { folder })
    }

    /// The newest snapshot that this device has seen.
    ///
    /// # Errors
    /// [`Error::Device`] when there is a memory but it cannot be read.
    pub fn head(&self) -> Result<Option<Head>, Error> {
        Ok(self.heads()?.into_iter().max())
    }

    /// The snapshots that this device has seen, less those that others of them follow: one, or several where devices
    /// made snapshots at the same time.
    pub(crate) fn heads(&self) -> Result<Vec<Head>, Error> {
        let heads = |text: &str| text.lines().map(parse_head).collect();
        Ok(self.read("head", heads, "not a head")?.unwrap_or_default())
    }

    /// What a file says; None where there is no such file.
    fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>, wrong: &'static str) -> Result<Option<T>, Error> {
        let path = self.folder.join(name);
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, wrong);
        match fs::read_to_string(&path).and_then(|text| parse(&text).ok_or_else(invalid)) {
            Ok(said) => Ok(Some(said)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Device { path, source }),
        }
    }

    /// Remembers the `tips` that are known of an archive that holds, or has forgotten, the snapshots `present`. What was remembered before
    /// and is not present (another process has just made it, or it is damaged) stays remembered, unless it is to be
    /// `replaced`. All is on the disk, fsynced, when this returns; processes that remember at the same time take turns.
    pub(crate) fn remember(&self, tips: &[Head], present: &HashSet<Head>, replaced: bool) -> Result<(), Error> {
        let path = self.folder.join("head");
        let failed = |source| Error::Device { path: path.clone(), source };
        let turn = File::create(self.folder.join("lock")).map_err(failed)?;
        turn.lock().map_err(failed)?;
        let before = self.heads()?;
        let mut heads = tips.to_vec();
        if !replaced {
            heads.extend(before.iter().filter(|head| !present.contains(head)));
        }
        heads.sort();
        heads.dedup();
        if heads == before {
            return Ok(());
        }
        let text: String = heads.iter().map(|head| format!("{} {}\n", head.number, hex::encode(head.hash))).collect();
        write_durably(&self.folder, "head", text.as_bytes()).map_err(failed)
    }

    /// The newest epoch that this device has seen as the current one; 0 while it has seen none.
    pub(crate) fn epoch(&self) -> Result<u32, Error> {
        let epoch = |text: &str| text.trim_end().parse().ok();
        Ok(self.read("epoch", epoch, "not an epoch")?.unwrap_or_default())
    }

    /// Remembers an epoch that is newer than all before.
    pub(crate) fn remember_epoch(&self, epoch: u32) -> Result<(), Error> {
        let failed = |source| Error::Device { path: self.folder.join("epoch"), source };
        write_durably(&self.folder, "epoch", format!("{epoch}\n").as_bytes()).map_err(failed)
    }

    /// Remembers which segments (pack and number) a verification found damaged, in the place of those before: the next
    /// backup does not count on them.
    pub(crate) fn note_damage(&self, damaged: &[(ObjectName, u32)]) -> Result<(), Error> {
        let lines: String = damaged.iter().map(|(pack, segment)| format!("{pack} {segment}\n")).collect();
        let failed = |source| Error::Device { path: self.folder.join("damaged"), source };
        write_durably(&self.folder, "damaged", lines.as_bytes()).map_err(failed)
    }

    /// Remembers more of them: the next prune counts on other copies, and the next backup stores them again.
    pub(crate) fn add_damage(&self, found: Vec<(ObjectName, u32)>) -> Result<(), Error> {
        let mut known = self.damage();
        let before = known.len();
        known.extend(found);
        known.sort_unstable();
        known.dedup();
        if known.len() == before { Ok(()) } else { self.note_damage(&known) }
    }

    /// What [`DeviceMemory::note_damage`] noted; lines that make no sense are passed over.
    pub(crate) fn damage(&self) -> Vec<(ObjectName, u32)> {
        let text = fs::read_to_string(self.folder.join("damaged")).unwrap_or_default();
        let parse = |line: &str| {
            let (pack, segment) = line.split_once(' ')?;
            Some((ObjectName::parse(pack)?, segment.parse().ok()?))
        };
        text.lines().filter_map(parse).collect()
    }

    /// A folder for copies of live databases, on the device itself; emptied of what earlier runs left.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }
}

fn parse_head(text: &str) -> Option<Head> {
    let (number, hash) = text.split_once(' ')?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok()?;
    Some(Head { number: parse_number(number)?, hash: bytes })
}

/// A sequence number in its one form: digits, from 1.
fn parse_number(text: &str) -> Option<u64> {
    let number = text.parse().ok()?;
    (number > 0 && text == format!("{number}")).then_some(number)
}

/// Replaces a file so that a crash leaves either the old content or the new.
fn write_durably(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_being_written_down() {
        let head = Head { number: 17, hash: [0xab; 32] };
        assert_eq!(head.receipt().to_string(), "17-abab-abab-abab");
        let typed = Receipt::parse(" 17-ABAB abab-abab ".replace(' ', "").as_str()).unwrap();
        assert!(typed.matches(&head));
        assert!(!typed.matches(&Head { number: 18, ..head }));
    }

    #[test]
    fn refuses_a_receipt_that_is_cut_short() {
        assert_eq!(Receipt::parse("17-abab-abab"), None);
        assert_eq!(Receipt::parse("17"), None);
    }

    #[test]
    fn remembers_the_newest_head() {
        let folder = tempfile::tempdir().unwrap();
        let memory = DeviceMemory::at(folder.path().join("archive")).unwrap();
        assert_eq!(memory.head().unwrap(), None);
        let [first, second, other] = [1, 2, 3].map(|n| Head { number: n.min(2), hash: [n as u8; 32] });
        memory.remember(&[first], &[first].into(), false).unwrap();
        memory.remember(&[second], &[first, second].into(), false).unwrap();
        assert_eq!(memory.heads().unwrap(), [second]);
        assert_eq!(memory.head().unwrap(), Some(second));
        // Another device's, made at the same time: neither follows the other.
        memory.remember(&[other], &[first, other].into(), false).unwrap();
        assert_eq!(memory.heads().unwrap(), [second, other]);
        memory.remember(&[first], &[first].into(), true).unwrap();
        assert_eq!(memory.heads().unwrap(), [first]);
    }

    #[test]
    fn refuses_a_memory_that_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("head"), "3 nonsense").unwrap();
        let memory = DeviceMemory::at(folder.path().to_owned()).unwrap();
        assert!(matches!(memory.head(), Err(Error::Device { .. })));
    }
}
