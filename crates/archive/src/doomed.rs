//! Packs that are to be removed: named in a sealed object before the first of them is, so that no backup counts on them.

use std::collections::BTreeSet;

use crate::codec::{CodecError, Decoder, Encoder};
use crate::destination::Destination;
use crate::envelope::{ObjectType, open_object, seal_object};
use crate::error::{Damage, Error};
use crate::id::ObjectName;
use crate::keyring::Keyring;
use crate::store;
use crate::tree::Time;

/// More packs than this are named in several objects: a petabyte is in ten.
const MAX_PACKS: usize = 100_000;

/// One object's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doomed {
    /// Whether the packs have been removed. Where listings are stale they may still seem to be there for a while.
    pub(crate) is_removed: bool,
    /// When it was written, by the clock of who wrote it.
    pub(crate) since: Time,
    pub(crate) packs: BTreeSet<ObjectName>,
}

impl Doomed {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.u8(self.is_removed.into());
        self.since.encode(&mut e);
        e.varint(self.packs.len() as u64);
        self.packs.iter().for_each(|pack| e.raw(pack.as_bytes()));
        e.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut d = Decoder::new(bytes);
        let is_removed = match d.u8()? {
            0 => false,
            1 => true,
            _ => return Err(CodecError::Invalid("the state of doomed packs is unknown")),
        };
        let since = Time::decode(&mut d)?;
        let mut packs = BTreeSet::new();
        for _ in 0..d.count(ObjectName::LEN)? {
            let pack = ObjectName::from_bytes(d.array()?);
            if packs.last().is_some_and(|last| *last >= pack) {
                return Err(CodecError::Invalid("the names of doomed packs do not rise"));
            }
            packs.insert(pack);
        }
        d.finish()?;
        Ok(Self { is_removed, since, packs })
    }
}

/// The objects there are, by their names.
pub(crate) type DoomedObjects = std::collections::BTreeMap<ObjectName, Doomed>;

/// All packs that are doomed.
pub(crate) fn packs(objects: &DoomedObjects) -> BTreeSet<ObjectName> {
    objects.values().flat_map(|doomed| &doomed.packs).copied().collect()
}

/// Reads every object there is. One that is damaged may name any pack: nobody can tell what may be counted on.
pub(crate) fn load(destination: &Destination, ring: &Keyring) -> Result<DoomedObjects, Error> {
    let mut objects = DoomedObjects::new();
    for name in list(destination)? {
        match read(destination, ring, &name) {
            Ok(doomed) => drop(objects.insert(name, doomed)),
            // Its packs are removed, and so was it; or it names none of the packs that can be opened.
            Err(error) if error.is_not_found() => {}
            Err(Error::Damaged { why: Damage::OlderEpoch, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(objects)
}

/// The objects' names.
pub(crate) fn list(destination: &Destination) -> Result<Vec<ObjectName>, Error> {
    store::list_objects(destination, ObjectType::Doomed)
}

pub(crate) fn read(destination: &Destination, ring: &Keyring, name: &ObjectName) -> Result<Doomed, Error> {
    let path = ObjectType::Doomed.path(name);
    let object = destination.read(&path, ObjectType::Doomed.max_len())?;
    let content = open_object(ring, ObjectType::Doomed, name, &object)?;
    Doomed::decode(&content).map_err(|error| Error::damaged(path, error))
}

/// Dooms packs. It is on the disk when this returns; the objects are added to `objects`.
pub(crate) fn write(
    destination: &Destination,
    ring: &Keyring,
    packs: &BTreeSet<ObjectName>,
    is_removed: bool,
    objects: &mut DoomedObjects,
) -> Result<(), Error> {
    let packs: Vec<_> = packs.iter().copied().collect();
    for packs in packs.chunks(MAX_PACKS) {
        let doomed = Doomed { is_removed, since: Time::now(), packs: packs.iter().copied().collect() };
        let name = ObjectName::generate()?;
        let object = seal_object(ring, ObjectType::Doomed, &name, &doomed.encode())?;
        destination.write(&ObjectType::Doomed.path(&name), object)?;
        objects.insert(name, doomed);
    }
    destination.settle()
}

#[cfg(test)]
#[path = "doomed_tests.rs"]
mod tests;
