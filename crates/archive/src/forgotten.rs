//! Snapshots that were forgotten, and what follows what.
//!
//! A snapshot that is gone may have been taken away by the provider, or forgotten by the owner. Who forgets says so
//! first, in a sealed object that names the snapshot and what it followed. That alone proves nothing: the provider may
//! serve the object beside an old state of the archive. So a snapshot counts as forgotten only while something that is
//! there follows it, if over others that were forgotten too: what is there is then newer than it.

use std::collections::{BTreeMap, HashSet};

use crate::codec::{CodecError, Decoder, Encoder};
use crate::destination::Destination;
use crate::device::Head;
use crate::envelope::{ObjectType, open_counting, seal_object_in};
use crate::error::{Damage, Error};
use crate::id::ObjectName;
use crate::keyring::Keyring;
use crate::report::Problem;
use crate::snapshot::Snapshot;
use crate::store;

/// What is known of forgotten snapshots: each, and the snapshots that it followed.
pub(crate) type Forgotten = BTreeMap<Head, Vec<Head>>;

/// How often the objects are listed again when one vanishes meanwhile.
const TRIES: usize = 3;

pub(crate) fn encode(forgotten: &Forgotten) -> Vec<u8> {
    let mut e = Encoder::new();
    let head = |e: &mut Encoder, head: &Head| {
        e.varint(head.number);
        e.raw(&head.hash);
    };
    e.varint(forgotten.len() as u64);
    for (snapshot, previous) in forgotten {
        head(&mut e, snapshot);
        e.varint(previous.len() as u64);
        previous.iter().for_each(|previous| head(&mut e, previous));
    }
    e.finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Forgotten, CodecError> {
    const DISORDER: CodecError = CodecError::Invalid("the sequence numbers do not rise");
    let mut d = Decoder::new(bytes);
    let head = |d: &mut Decoder<'_>| Ok(Head { number: d.varint()?, hash: d.array()? });
    let mut forgotten = Forgotten::new();
    for _ in 0..d.count(34)? {
        let snapshot: Head = head(&mut d)?;
        if snapshot.number == 0 || forgotten.last_key_value().is_some_and(|(last, _)| *last >= snapshot) {
            return Err(DISORDER);
        }
        let count = d.count(33)?;
        let previous = (0..count).map(|_| head(&mut d)).collect::<Result<Vec<_>, _>>()?;
        let is_before = |head: &Head| head.number > 0 && head.number < snapshot.number;
        if !previous.is_sorted_by(|one, other| one < other) || !previous.iter().all(is_before) {
            return Err(DISORDER);
        }
        forgotten.insert(snapshot, previous);
    }
    d.finish()?;
    Ok(forgotten)
}

/// What the archive's objects say, as far as they open.
#[derive(Debug, Default)]
pub(crate) struct LoadedForgotten {
    pub(crate) forgotten: Forgotten,
    /// The objects that this was read from.
    pub(crate) objects: Vec<ObjectName>,
    /// The objects that do not open.
    pub(crate) damaged: Vec<Problem>,
    /// Objects of an older epoch: anybody may have made them who has a key that was given up.
    pub(crate) void: Vec<ObjectName>,
    /// What objects of the epoch say that a rotation leads to, and those objects.
    pub(crate) ahead: Forgotten,
    pub(crate) objects_ahead: Vec<ObjectName>,
}

/// Reads every object there is of forgotten snapshots.
pub(crate) fn load(destination: &Destination, ring: &Keyring) -> Result<LoadedForgotten, Error> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let mut loaded = LoadedForgotten::default();
        let mut is_settled = true;
        for name in store::list_objects(destination, ObjectType::Forgotten)? {
            match read(destination, ring, &name) {
                Ok((epoch, forgotten)) if epoch == ring.epoch => {
                    loaded.forgotten.extend(forgotten);
                    loaded.objects.push(name);
                }
                Ok((_, forgotten)) => {
                    loaded.ahead.extend(forgotten);
                    loaded.objects_ahead.push(name);
                }
                Err(Error::Damaged { why: Damage::OlderEpoch, .. }) => loaded.void.push(name),
                Err(Error::Damaged { why: Damage::NewerEpoch, .. }) => {}
                // It was merged into another a moment ago, which this listing may not have.
                Err(error) if error.is_not_found() => is_settled = false,
                Err(error) if error.is_damage() => {
                    let path = ObjectType::Forgotten.path(&name).into();
                    loaded.damaged.push(Problem { path, what: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        if is_settled || tries == 0 {
            return Ok(loaded);
        }
    }
}

/// What is wrong with an object that does not open.
pub(crate) fn why_damaged(destination: &Destination, ring: &Keyring, damaged: &Problem) -> Error {
    let error = ObjectName::at_end_of(&damaged.path).and_then(|name| read(destination, ring, &name).err());
    error.unwrap_or_else(|| Error::damaged(ObjectType::Forgotten.folder(), Damage::Contradiction))
}

fn read(destination: &Destination, ring: &Keyring, name: &ObjectName) -> Result<(u32, Forgotten), Error> {
    let path = ObjectType::Forgotten.path(name);
    let object = destination.read(&path, ObjectType::Forgotten.max_len())?;
    let (epoch, content) = open_counting(ring, ObjectType::Forgotten, name, &object)?;
    let forgotten = decode(&content).map_err(|error| Error::damaged(path, error))?;
    Ok((epoch, forgotten))
}

/// Says that these snapshots are forgotten, in one object of an epoch.
pub(crate) fn write(
    destination: &Destination,
    (ring, epoch): (&Keyring, u32),
    forgotten: &Forgotten,
) -> Result<ObjectName, Error> {
    let name = ObjectName::generate()?;
    let object = seal_object_in((ring, epoch), ObjectType::Forgotten, &name, &encode(forgotten))?;
    destination.write(&ObjectType::Forgotten.path(&name), object)?;
    destination.settle()?;
    Ok(name)
}

/// Sorts out the snapshots that were forgotten and are still there: interrupted when it was to remove them, or served
/// again by the provider. One that nothing follows is none of them: what was forgotten for its sake is gone.
pub(crate) fn sort_out(all: Vec<Snapshot>, forgotten: &Forgotten) -> (Vec<Snapshot>, Vec<Snapshot>) {
    let mut history: Vec<_> = all.iter().map(|snapshot| (snapshot.head, &snapshot.previous)).collect();
    history.extend(forgotten.iter().map(|(head, previous)| (*head, previous)));
    history.sort();
    let there: HashSet<_> = all.iter().map(|snapshot| snapshot.head).collect();
    let (mut followed, mut kept) = (HashSet::<Head>::new(), HashSet::new());
    // From the newest on: what follows a snapshot has a higher number.
    for (head, previous) in history.into_iter().rev() {
        let is_followed = followed.contains(&head);
        if there.contains(&head) && (!is_followed || !forgotten.contains_key(&head)) {
            kept.insert(head);
        }
        if is_followed || kept.contains(&head) {
            followed.extend(previous);
        }
    }
    all.into_iter().partition(|snapshot| kept.contains(&snapshot.head))
}

/// The snapshots that something follows which is there, if over others that were forgotten.
pub(crate) fn followed(snapshots: &[Snapshot], forgotten: &Forgotten) -> HashSet<Head> {
    let mut history: Vec<_> = snapshots.iter().map(|snapshot| (snapshot.head, &snapshot.previous, true)).collect();
    history.extend(forgotten.iter().map(|(head, previous)| (*head, previous, false)));
    history.sort();
    let mut followed = HashSet::new();
    for (head, previous, is_there) in history.into_iter().rev() {
        if is_there || followed.contains(&head) {
            followed.extend(previous);
        }
    }
    followed
}

#[cfg(test)]
#[path = "forgotten_tests.rs"]
mod tests;
