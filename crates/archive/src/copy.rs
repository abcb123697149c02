//! Copying an archive to a second provider: the objects as they are, under the same keys.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::archive::Archive;
use crate::destination::Destination;
use crate::doomed;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, epoch_of, open_counting, open_object};
use crate::error::{Damage, Error};
use crate::forgotten::{self, Forgotten};
use crate::header::{self, Header};
use crate::header_place::{mend_header, read_header, replace_header};
use crate::id::ObjectName;
use crate::lock;
use crate::pack::{TRAILER_LEN, Trailer, open_segment};
use crate::report::{Problem, Progress};
use crate::snapshot::Snapshot;
use crate::snapshots::read_snapshot;
use crate::store;

/// What a copy did.
#[derive(Debug, Default)]
pub struct CopyReport {
    /// Objects copied.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were there already.
    pub already_there: u64,
    /// Objects that do not open, and were not copied.
    pub problems: Vec<Problem>,
}

/// What interrupted writes left is removed once it is so old that no other copy can still be at it.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// How often all is listed anew when something that was listed is gone.
const PASSES: u32 = 5;

/// Packs that are copied side by side: one is read while another is written.
const AT_ONCE: usize = 2;

/// What refers to others comes after them; a snapshot is the moment at which the copy of it exists.
const ORDER: [ObjectType; 4] = [ObjectType::Pack, ObjectType::Index, ObjectType::Forgotten, ObjectType::Snapshot];

impl Archive {
    /// Copies every object that `to` lacks, and overwrites none. What is there is taken to be whole: verify tells. An
    /// interrupted copy goes on where it stopped, and until its snapshots are there nothing there refers to it.
    ///
    /// # Errors
    /// `OtherArchive` when another archive lies there, or one that is newer; `CopyKeepsMore` when one of before the key was
    /// rotated lies there with snapshots that are not here; `Rotating`; `NotEmpty` for a folder that
    /// holds something else; `Destination` when either side fails; `Doomed` while a prune there removes what would be
    /// counted on; `Disturbed` when its lock was taken away. Damage to single objects is problems in the report, not an
    /// error.
    pub fn copy_to(&self, to: &Destination, host: &str, progress: &Progress) -> Result<CopyReport, Error> {
        self.refuse_rotation()?;
        let behind = self.place_header(to)?;
        to.sweep_temporary(OLD);
        // One that does not open may be anybody's, and stays.
        lock::withdraw_dead(to, lock::all(to, &self.ring).unwrap_or_default(), host);
        // Neither side removes anything meanwhile.
        let from_lock = lock::announce(&self.destination, &self.ring, host, "copy")?;
        let copied = lock::announce(to, &self.ring, host, "copy").and_then(|to_lock| {
            let may_follow = behind.map_or(Ok(()), |epoch| self.refuse_more(to, epoch));
            let copied = may_follow.and_then(|()| self.copy_objects(to, progress)).and_then(|report| {
                // Only what is there in full takes the place of what can be opened there now.
                if behind.is_some() && report.problems.is_empty() {
                    replace_header(to, &self.header)?;
                }
                Ok(report)
            });
            // Who took it for the lock of a dead run may have removed what this one counted on: the next copies it again.
            let is_locked = to.exists(&ObjectType::Lock.path(&to_lock))?;
            let withdrawn = lock::withdraw(to, &to_lock);
            let report = copied?;
            withdrawn?;
            if is_locked { Ok(report) } else { Err(Error::Disturbed) }
        });
        lock::withdraw(&self.destination, &from_lock)?;
        copied
    }

    /// The header is the first object: without it, what follows would be nothing that anybody can open. One of before the
    /// key was rotated stays until all that the new one leads to is there; then it is to be replaced: its epoch is returned.
    fn place_header(&self, to: &Destination) -> Result<Option<u32>, Error> {
        let there = match read_header(to) {
            Ok(there) => Some(there),
            Err(Error::NoArchive { .. } | Error::HeaderMissing { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(there) = there {
            if there == self.header {
                mend_header(to, &self.header)?;
                return Ok(None);
            }
            let other = || Error::OtherArchive { url: to.url().to_owned() };
            let there = Header::parse(&there)?;
            let is_behind = Header::parse(&self.header)?.follows(&there, &self.ring);
            return is_behind.then(|| Some(there.epoch())).ok_or_else(other);
        }
        to.prepare()?;
        if !to.is_empty()? {
            return Err(Error::NotEmpty { url: to.url().to_owned() });
        }
        to.write(header::PATH, self.header.clone())?;
        to.settle()?;
        Ok(None)
    }

    /// Fails when a copy of before the rotation keeps snapshots that are not here: by the new header nobody could open them.
    /// What is of an epoch before that of its own header does not count there any more.
    fn refuse_more(&self, to: &Destination, behind: u32) -> Result<(), Error> {
        let kind = ObjectType::Snapshot;
        let hashes = |snapshot: &Snapshot| [snapshot.earlier.as_slice(), &[snapshot.hash]].concat();
        let here: HashSet<[u8; 32]> = self.snapshots.iter().flat_map(hashes).collect();
        for name in store::list_objects(to, kind)? {
            let object = match to.read(&kind.path(&name), kind.max_len()) {
                Err(error) if error.is_not_found() => continue,
                read => read?,
            };
            let counts = behind != self.ring.epoch && epoch_of(&object) == Some(behind);
            if counts && !here.contains(Sha256::digest(&object).as_slice()) {
                return Err(Error::CopyKeepsMore { url: to.url().to_owned() });
            }
        }
        Ok(())
    }

    fn copy_objects(&self, to: &Destination, progress: &Progress) -> Result<CopyReport, Error> {
        let mut report = CopyReport::default();
        for left in (0..PASSES).rev() {
            report.problems.clear();
            if self.pass(to, left == 0, &mut report, progress)? {
                break;
            }
        }
        Ok(report)
    }

    /// Copies what is listed, and whether it was still there; what is not is a problem in the last pass only.
    fn pass(
        &self,
        to: &Destination,
        is_last: bool,
        report: &mut CopyReport,
        progress: &Progress,
    ) -> Result<bool, Error> {
        // Read once the lock is there, as a backup does.
        let doomed = doomed::load(to, &self.ring)?;
        let going = doomed::packs(&doomed);
        let is_doomed = || Error::Doomed { url: to.url().to_owned() };
        // Listed in the opposite order: a backup that runs meanwhile stores packs before the snapshot that needs them.
        let mut missing = Vec::new();
        let mut there = 0;
        for kind in ORDER.into_iter().rev() {
            let known: HashSet<_> = store::list_objects(to, kind)?.into_iter().collect();
            let here = store::list_objects(&self.destination, kind)?;
            // Neither counted on nor written again: it would go under its own name.
            if kind == ObjectType::Pack && here.iter().any(|name| going.contains(name)) {
                return Err(is_doomed());
            }
            let (known, mut lacking): (Vec<_>, Vec<_>) = here.into_iter().partition(|name| known.contains(name));
            there += known.len() as u64;
            // The newest snapshot comes last: until it is there, who remembers it sees that the copy is behind.
            let number =
                |name: &ObjectName| self.snapshots.iter().find(|one| one.name == *name).map(|one| one.head.number);
            lacking.sort_by_key(number);
            missing.push((kind, lacking));
        }
        report.already_there = there - report.objects;
        progress.expect(missing.iter().map(|(_, names)| names.len() as u64).sum(), 0);
        for (kind, names) in missing.into_iter().rev() {
            if kind == ObjectType::Snapshot && !doomed::list(to)?.iter().all(|name| doomed.contains_key(name)) {
                return Err(is_doomed());
            }
            let is_whole = self.copy_all((to, kind), names, is_last, report, progress)?;
            to.settle()?;
            // What was removed since may have moved elsewhere: nothing that needs it is copied before that is known.
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copies objects of one kind, packs side by side, and returns whether all were still there.
    fn copy_all(
        &self,
        (to, kind): (&Destination, ObjectType),
        names: Vec<ObjectName>,
        is_last: bool,
        report: &mut CopyReport,
        progress: &Progress,
    ) -> Result<bool, Error> {
        let at_once = if kind == ObjectType::Pack { AT_ONCE } else { 1 };
        let (names, failed) = (Mutex::new(names.into_iter()), Mutex::new(None));
        let copied = Mutex::new((report, true));
        let work = || {
            while held(&failed).is_none()
                && let Some(name) = { held(&names).next() }
            {
                let done = self.copy_object(to, kind, &name);
                let (report, is_whole) = &mut *held(&copied);
                match done {
                    Ok(len) => {
                        report.objects += 1;
                        report.bytes += len;
                        progress.add(1, len);
                    }
                    Err(error) if error.is_not_found() && !is_last => *is_whole = false,
                    Err(error) if error.is_of_other_epoch() => {}
                    Err(error) if error.is_damage() => {
                        let path = PathBuf::from(kind.path(&name));
                        report.problems.push(Problem { path, what: error.to_string() });
                    }
                    Err(error) => *held(&failed) = Some(error),
                }
            }
        };
        thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
        let is_whole = held(&copied).1;
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(is_whole), Err)
    }

    fn copy_object(&self, to: &Destination, kind: ObjectType, name: &ObjectName) -> Result<u64, Error> {
        let path = kind.path(name);
        let object = self.destination.read(&path, kind.max_len())?;
        match kind {
            ObjectType::Pack => self.check_pack(name, &object)?,
            ObjectType::Forgotten => {
                let (_, content) = open_counting(&self.ring, kind, name, &object)?;
                let said = forgotten::decode(&content).map_err(|error| Error::damaged(path.clone(), error))?;
                if let Some(len) = self.forget_less(to, said)? {
                    return Ok(len);
                }
            }
            ObjectType::Index => drop(open_object(&self.ring, kind, name, &object)?),
            _ => drop(open_counting(&self.ring, kind, name, &object)?),
        }
        let len = object.len() as u64;
        to.write(&path, object)?;
        Ok(len)
    }

    /// Says there what was forgotten here, without what is still kept there: whoever keeps more there, or copies back what
    /// was lost here, has not forgotten it. Returns the length of the object, 0 where all of it was known; None where
    /// nothing more is kept.
    fn forget_less(&self, to: &Destination, said: Forgotten) -> Result<Option<u64>, Error> {
        let known = forgotten::load(to, &self.ring)?.forgotten;
        let (all, mut rest) = (said.len(), said);
        for name in store::list_objects(to, ObjectType::Snapshot)? {
            match read_snapshot(to, &self.ring, &name) {
                Ok((_, kept)) if !known.contains_key(&kept.head) => drop(rest.remove(&kept.head)),
                Err(error) if !error.is_damage() => return Err(error),
                _ => {}
            }
        }
        if rest.len() == all {
            return Ok(None);
        }
        if rest.keys().all(|head| known.contains_key(head)) {
            return Ok(Some(0));
        }
        let name = forgotten::write(to, (&self.ring, self.ring.epoch), &rest)?;
        to.len(&ObjectType::Forgotten.path(&name)).map(Some)
    }

    /// Opens all of a pack: damage is not to be spread.
    fn check_pack(&self, name: &ObjectName, pack: &[u8]) -> Result<(), Error> {
        let damaged = |why: Damage| Error::damaged(ObjectType::Pack.path(name), why);
        let cut_short = || damaged(Damage::Truncated);
        let (prefix, _) = pack.split_at_checked(PREFIX_LEN).ok_or_else(cut_short)?;
        let (rest, sealed) = pack.split_last_chunk::<TRAILER_LEN>().ok_or_else(cut_short)?;
        let cipher = ObjectCipher::from_prefix(&self.ring, ObjectType::Pack, name, prefix)?;
        let trailer = Trailer::open(&cipher, sealed, pack.len() as u64).map_err(damaged)?;
        let sealed = rest.get(trailer.toc_at as usize..).ok_or_else(cut_short)?;
        let toc = trailer.open_toc(&cipher, sealed).map_err(damaged)?;
        let mut at = PREFIX_LEN;
        for (number, segment) in (0..).zip(&toc.segments) {
            let end = at + segment.sealed_len as usize;
            let sealed = pack.get(at..end).ok_or_else(cut_short)?.to_vec();
            open_segment(&cipher, number, sealed, segment.plain_len()).map_err(damaged)?;
            at = end;
        }
        Ok(())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
