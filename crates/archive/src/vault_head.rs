//! The note of an archive's newest snapshots that the vault keeps for devices that remember nothing. The vault cannot
//! read it, and learns from its size and its times no more than that a backup was made.

use crate::aead::{TAG_LEN, WrongTag};
use crate::archive::Archive;
use crate::codec::{CodecError, Decoder, Encoder};
use crate::device::Head;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, Part};
use crate::error::{Damage, Error};
use crate::id::ObjectName;
use crate::keyring::Keyring;

/// Length in bytes, whatever the number of snapshots in it.
const LEN: usize = 512;
/// Only the newest are noted: so many devices have to make a backup at the same moment before one is left out, and the
/// next backup follows them all.
const MAX_TIPS: usize = 8;
/// It lies in no folder, and has no name.
const NAME: ObjectName = ObjectName::from_bytes([0; ObjectName::LEN]);

impl Archive {
    /// The newest snapshots, sealed for the vault: 512 bytes for [`OpenOptions::vault_head`](crate::OpenOptions) of a
    /// later `open`, on any device. `None` while there is no snapshot.
    ///
    /// Like a device's memory, it names each snapshot that none follows, and what was remembered and cannot be opened.
    /// To be kept after each backup. It says nothing of what another device has made since this archive was opened: if the
    /// vault has been given another head in the meantime, open the archive again, with that head, and seal anew.
    ///
    /// # Errors
    /// `Device` when the memory cannot be read, `Randomness`.
    pub fn seal_head(&self) -> Result<Option<Vec<u8>>, Error> {
        let tips = self.tips_and(&self.remembered()?);
        let newest = &tips[tips.len().saturating_sub(MAX_TIPS)..];
        if newest.is_empty() { Ok(None) } else { seal(&self.ring, newest).map(Some) }
    }
}

fn seal(ring: &Keyring, tips: &[Head]) -> Result<Vec<u8>, Error> {
    Ok(seal_with(&ObjectCipher::generate(ring, ObjectType::Head, &NAME)?, tips))
}

/// The head under its cipher, which must have sealed nothing else. Not compressed: hashes do not get shorter.
fn seal_with(cipher: &ObjectCipher, tips: &[Head]) -> Vec<u8> {
    let mut object = cipher.prefix().to_vec();
    object.extend(encode(tips));
    object.resize(LEN - TAG_LEN, 0);
    cipher.seal(Part::Last(0), &mut object, PREFIX_LEN);
    object
}

/// The snapshots named in a head of this archive.
pub(crate) fn open(ring: &Keyring, bytes: &[u8]) -> Result<Vec<Head>, Error> {
    let refused = |why| Error::VaultHead { why };
    match bytes.len() {
        ..LEN => return Err(refused(Damage::Truncated)),
        LEN => {}
        _ => return Err(refused(Damage::TooLarge)),
    }
    let cipher = ObjectCipher::from_prefix(ring, ObjectType::Head, &NAME, bytes).map_err(|error| match error {
        Error::Damaged { why, .. } => refused(why),
        other => other,
    })?;
    let mut sealed = bytes[PREFIX_LEN..].to_vec();
    cipher.open(Part::Last(0), &mut sealed).map_err(|WrongTag| refused(Damage::Tag))?;
    // Whoever sealed it had seen a later header.
    if cipher.epoch() > ring.epoch {
        return Err(Error::OldHeader);
    }
    decode(&sealed).map_err(|error| refused(error.into()))
}

fn encode(tips: &[Head]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.varint(tips.len() as u64);
    for tip in tips {
        e.varint(tip.number);
        e.raw(&tip.hash);
    }
    e.finish()
}

fn decode(bytes: &[u8]) -> Result<Vec<Head>, CodecError> {
    let mut d = Decoder::new(bytes);
    let count = d.count(33)?;
    if !(1..=MAX_TIPS).contains(&count) {
        return Err(CodecError::Invalid("it names no snapshot, or too many"));
    }
    let mut tips = Vec::new();
    for _ in 0..count {
        let head = Head { number: d.varint()?, hash: d.array()? };
        if head.number == 0 || tips.last().is_some_and(|last| *last >= head) {
            return Err(CodecError::Invalid("the sequence numbers do not rise"));
        }
        tips.push(head);
    }
    if d.rest().iter().any(|byte| *byte != 0) {
        return Err(CodecError::Trailing);
    }
    Ok(tips)
}

#[cfg(test)]
#[path = "vault_head_tests.rs"]
mod tests;
