//! What every sealed object has in common: an 80-byte clear prefix, a key of its own, counter nonces.
//!
//! An object's key is derived from its salt, so no long-lived key ever meets a nonce; its commitment makes sure
//! that no ciphertext opens under two keys. Prefix and name are associated data: a moved object does not open.

use coffer_keys::{ObjectKey, SealingKey};

use crate::aead::{Aead, WrongTag};
use crate::error::{Damage, Error};
use crate::frame;
use crate::id::{ObjectName, random_bytes};
use crate::keyring::Keyring;

/// Length in bytes of the clear prefix: magic 6, type 1, version 1, suite 1, zero 3, epoch 4, salt 32, commitment 32.
pub(crate) const PREFIX_LEN: usize = 80;
/// The version of the object format that this program writes, and the newest it reads.
pub(crate) const OBJECT_VERSION: u8 = 1;

const MAGIC: &[u8; 6] = b"COFFER";
/// AES-256-GCM, HKDF-SHA256, keyed BLAKE3, zstd.
const SUITE: u8 = 1;
const EPOCH_AT: usize = 12;
const SALT_AT: usize = 16;
const COMMITMENT_AT: usize = 48;

/// The kinds of sealed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectType {
    Pack,
    Index,
    Snapshot,
    Lock,
    Forgotten,
    Doomed,
    Head,
    Carried,
}

impl ObjectType {
    const fn code(self) -> u8 {
        match self {
            Self::Pack => b'P',
            Self::Index => b'I',
            Self::Snapshot => b'S',
            Self::Lock => b'L',
            Self::Forgotten => b'F',
            Self::Doomed => b'D',
            Self::Head => b'H',
            Self::Carried => b'K',
        }
    }

    /// The folder of such objects. What lies in no folder has the name that errors call it by.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Pack => "packs/",
            Self::Index => "index/",
            Self::Snapshot => "snapshots/",
            Self::Lock => "locks/",
            Self::Forgotten => "forgotten/",
            Self::Doomed => "doomed/",
            Self::Head => "the vault's head",
            Self::Carried => crate::header::PATH,
        }
    }

    /// The most bytes that an object of this kind has.
    pub(crate) const fn max_len(self) -> u64 {
        match self {
            Self::Pack | Self::Forgotten | Self::Doomed => 16 << 20,
            Self::Index => 32 << 20,
            Self::Snapshot => 1 << 20,
            Self::Lock => 64 << 10,
            Self::Head => 512,
            Self::Carried => crate::header::MAX_LEN,
        }
    }

    /// Where an object of this kind and name lies, below the archive's root.
    pub(crate) fn path(self, name: &ObjectName) -> String {
        let folder = self.folder();
        let name = name.to_string();
        match self {
            Self::Pack => format!("{folder}{}/{name}", &name[..2]),
            Self::Head | Self::Carried => folder.to_owned(),
            _ => format!("{folder}{name}"),
        }
    }
}

/// What a nonce was used for; STREAM's last flag, with a value of its own for a pack's trailer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// Segment number n of a pack.
    Segment(u32),
    /// The last part: a pack's table of contents after n segments, or the only part of any other object (n = 0).
    Last(u32),
    /// A pack's trailer, which says where its table of contents is.
    Trailer,
}

impl Part {
    const fn nonce(self) -> [u8; 12] {
        let (counter, flag) = match self {
            Self::Segment(n) => (n, 0),
            Self::Last(n) => (n, 1),
            Self::Trailer => (0, 2),
        };
        let c = counter.to_be_bytes();
        [0, 0, 0, 0, 0, 0, 0, c[0], c[1], c[2], c[3], flag]
    }
}

/// The cipher of one object.
pub(crate) struct ObjectCipher {
    aead: Aead,
    /// Prefix ‖ name.
    aad: [u8; PREFIX_LEN + ObjectName::LEN],
}

impl ObjectCipher {
    /// A new object's cipher, under a fresh salt.
    pub(crate) fn generate(ring: &Keyring, kind: ObjectType, name: &ObjectName) -> Result<Self, Error> {
        Ok(Self::from_salt(ring, kind, name, &random_bytes()?))
    }

    /// The cipher of an object of the current epoch whose salt is known.
    pub(crate) fn from_salt(ring: &Keyring, kind: ObjectType, name: &ObjectName, salt: &[u8; 32]) -> Self {
        Self::new(ring, (ring.epoch, ring.current_key(kind)), kind, name, salt)
    }

    /// The same of any epoch, unless its keys are not here (an index names the salt of every pack).
    pub(crate) fn of_epoch(
        ring: &Keyring,
        epoch: u32,
        kind: ObjectType,
        name: &ObjectName,
        salt: &[u8; 32],
    ) -> Result<Self, Error> {
        let key = ring.object_key(epoch, kind).ok_or_else(|| out_of_reach(ring, epoch, kind, name))?;
        Ok(Self::new(ring, (epoch, key), kind, name, salt))
    }

    fn new(
        ring: &Keyring,
        (epoch, key): (u32, &ObjectKey),
        kind: ObjectType,
        name: &ObjectName,
        salt: &[u8; 32],
    ) -> Self {
        let sealing = key.derive_sealing(salt, kind.code(), &ring.archive);
        let mut aad = [0; PREFIX_LEN + ObjectName::LEN];
        aad[..6].copy_from_slice(MAGIC);
        aad[6] = kind.code();
        aad[7] = OBJECT_VERSION;
        aad[8] = SUITE;
        aad[EPOCH_AT..SALT_AT].copy_from_slice(&epoch.to_le_bytes());
        aad[SALT_AT..COMMITMENT_AT].copy_from_slice(salt);
        aad[COMMITMENT_AT..PREFIX_LEN].copy_from_slice(sealing.commitment());
        aad[PREFIX_LEN..].copy_from_slice(name.as_bytes());
        Self { aead: new_aead(&sealing), aad }
    }

    /// The cipher of a stored object, from its first bytes; refuses a prefix that is not exactly the one that this
    /// archive's keys give. `Damage::OlderEpoch` and `Damage::NewerEpoch` where the object's epoch has no keys here.
    pub(crate) fn from_prefix(
        ring: &Keyring,
        kind: ObjectType,
        name: &ObjectName,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let damaged = |why| Error::damaged(kind.path(name), why);
        let prefix = bytes.get(..PREFIX_LEN).ok_or_else(|| damaged(Damage::Truncated))?;
        if prefix[..6] != *MAGIC || prefix[6] != kind.code() {
            return Err(damaged(Damage::NotOfThisKind));
        }
        if prefix[7] > OBJECT_VERSION {
            let (found, supported) = (prefix[7].into(), OBJECT_VERSION.into());
            return Err(Error::FormatTooNew { object: kind.path(name), found, supported });
        }
        let mut salt = [0; 32];
        salt.copy_from_slice(&prefix[SALT_AT..COMMITMENT_AT]);
        let epoch = epoch_of(prefix).unwrap_or_default();
        // Salt and commitment are public; what is compared is not secret.
        let fits = |cipher: &Self, from: usize| cipher.prefix()[from..] == prefix[from..];
        match Self::of_epoch(ring, epoch, kind, name, &salt) {
            Ok(cipher) if fits(&cipher, 0) => Ok(cipher),
            Ok(_) => Err(damaged(Damage::Commitment)),
            Err(error) => {
                // If the rest is an object of ours, it is only the epoch that was changed.
                let known = ring.epochs().map(|epoch| Self::of_epoch(ring, epoch, kind, name, &salt));
                let is_changed = known.flatten().any(|cipher| fits(&cipher, SALT_AT));
                Err(if is_changed { damaged(Damage::Commitment) } else { error })
            }
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        epoch_of(&self.aad).unwrap_or_default()
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.aad[..PREFIX_LEN]
    }

    pub(crate) fn salt(&self) -> [u8; 32] {
        let mut salt = [0; 32];
        salt.copy_from_slice(&self.aad[SALT_AT..COMMITMENT_AT]);
        salt
    }

    /// Seals `buffer[from..]` in place as `part` and appends the tag. Every part is sealed once.
    pub(crate) fn seal(&self, part: Part, buffer: &mut Vec<u8>, from: usize) {
        self.aead.seal(part.nonce(), &self.aad, buffer, from);
    }

    /// Opens one sealed part in place.
    pub(crate) fn open(&self, part: Part, buffer: &mut Vec<u8>) -> Result<(), WrongTag> {
        self.aead.open(part.nonce(), &self.aad, buffer)
    }
}

/// The epoch that an object says it is of. True once it has been opened.
pub(crate) fn epoch_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(EPOCH_AT..SALT_AT)?.try_into().ok()?))
}

fn out_of_reach(ring: &Keyring, epoch: u32, kind: ObjectType, name: &ObjectName) -> Error {
    let why = if epoch < ring.epoch { Damage::OlderEpoch } else { Damage::NewerEpoch };
    Error::damaged(kind.path(name), why)
}

fn new_aead(key: &SealingKey) -> Aead {
    Aead::new(key.expose_key())
}

/// Seals `content` as a whole object (all but packs and heads), compressed, its size padded with Padmé.
pub(crate) fn seal_object(
    ring: &Keyring,
    kind: ObjectType,
    name: &ObjectName,
    content: &[u8],
) -> Result<Vec<u8>, Error> {
    seal_object_in((ring, ring.epoch), kind, name, content)
}

/// The same in any epoch whose keys are here.
pub(crate) fn seal_object_in(
    (ring, epoch): (&Keyring, u32),
    kind: ObjectType,
    name: &ObjectName,
    content: &[u8],
) -> Result<Vec<u8>, Error> {
    Ok(seal_with(&ObjectCipher::of_epoch(ring, epoch, kind, name, &random_bytes()?)?, content))
}

/// The whole object under its cipher, which must have sealed nothing else.
pub(crate) fn seal_with(cipher: &ObjectCipher, content: &[u8]) -> Vec<u8> {
    let mut object = cipher.prefix().to_vec();
    frame::append(&mut object, content, crate::aead::TAG_LEN);
    cipher.seal(Part::Last(0), &mut object, PREFIX_LEN);
    object
}

/// Opens what [`seal_object`] made, if it counts in the current epoch: of an older one it is `Damage::OlderEpoch`, whatever
/// it is, as anybody may have made it who has a key that was given up. Also returns its epoch.
pub(crate) fn open_counting(
    ring: &Keyring,
    kind: ObjectType,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<(u32, Vec<u8>), Error> {
    let cipher = ObjectCipher::from_prefix(ring, kind, name, bytes)?;
    if cipher.epoch() < ring.epoch {
        return Err(Error::damaged(kind.path(name), Damage::OlderEpoch));
    }
    Ok((cipher.epoch(), open_with(&cipher, kind, name, bytes)?))
}

/// Opens what [`seal_object`] made.
pub(crate) fn open_object(ring: &Keyring, kind: ObjectType, name: &ObjectName, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    open_with(&ObjectCipher::from_prefix(ring, kind, name, bytes)?, kind, name, bytes)
}

/// Opens the whole object with its cipher, which came from its prefix.
fn open_with(cipher: &ObjectCipher, kind: ObjectType, name: &ObjectName, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = |why| Error::damaged(kind.path(name), why);
    let mut sealed = bytes[PREFIX_LEN..].to_vec();
    cipher.open(Part::Last(0), &mut sealed).map_err(|WrongTag| damaged(Damage::Tag))?;
    frame::parse(&sealed).map_err(damaged)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
