//! Looking at an archive: is all of it whole, and who works on it.

use std::collections::{BTreeSet, HashSet};

use crate::archive::Archive;
use crate::device::Head;
use crate::doomed;
use crate::envelope::ObjectType;
use crate::error::{Damage, DestinationErrorKind, Error};
use crate::id::ObjectName;
use crate::lock::{self, Lock};
use crate::read_data::ReadData;
use crate::report::{Problem, Progress, VerifyReport};
use crate::store::{self, ChunkStore, LoadedIndex};
use crate::verify;

impl Archive {
    /// Checks that every object opens and that every chunk needed is there; and of the data that are read, that every byte is
    /// what was written.
    ///
    /// # Errors
    /// `Destination` when it fails. Damage is problems in the report, not an error.
    pub fn verify(&self, read_data: impl Into<ReadData>, progress: &Progress) -> Result<VerifyReport, Error> {
        let read_data = read_data.into();
        let mut report = VerifyReport { problems: self.damaged.clone(), ..VerifyReport::default() };
        let doomed = self.verify_doomed(&mut report)?;
        let LoadedIndex { index, unindexed, problems, others } =
            store::load_index(&self.destination, &self.ring, &doomed)?;
        report.problems.extend(problems);
        self.note_other_epochs(others.len(), &mut report);
        for pack in &unindexed {
            let path = ObjectType::Pack.path(&pack.name).into();
            report.notes.push(Problem { path, what: "no index names it: the next backup will".to_owned() });
        }
        let store = ChunkStore::new(&self.destination, &self.ring, index);
        let (damaged, read) = verify::verify_packs(&store, read_data, progress, &mut report)?;
        if let (Some(memory), false) = (&self.memory, read.is_empty()) {
            let name = |pack: u32| store.index.packs[pack as usize].name;
            let read: HashSet<_> = read.into_iter().map(name).collect();
            // What was known of packs that were not read now still holds.
            let mut known = memory.damage();
            known.retain(|(pack, _)| !read.contains(pack));
            known.extend(damaged.iter().map(|(pack, segment)| (name(*pack), *segment)));
            memory.note_damage(&known)?;
        }
        self.verify_chain(&mut report);
        self.verify_locks(&mut report)?;
        let mut trees = verify::TreeCheck::new(&store, store.index.only_in(&damaged), &mut report);
        self.snapshots.iter().try_for_each(|snapshot| trees.snapshot(snapshot))?;
        Ok(report)
    }

    /// What does not count is no problem, but a person may wonder where it comes from.
    fn note_other_epochs(&self, others: usize, report: &mut VerifyReport) {
        let mut note = |folder: ObjectType, count: usize, what: &str| {
            if count > 0 {
                let what = format!("{what}: {count}; the next prune removes such");
                report.notes.push(Problem { path: folder.folder().into(), what });
            }
        };
        note(ObjectType::Snapshot, self.void.len(), "of before the key was rotated, and counting no more");
        note(ObjectType::Forgotten, self.forgotten.void.len(), "of before the key was rotated, and counting no more");
        note(ObjectType::Pack, others, "sealed under keys that this one does not lead to");
    }

    fn verify_chain(&self, report: &mut VerifyReport) {
        let missing = self.missing_snapshots().into_iter().map(|(path, head)| Problem {
            path: path.into(),
            what: format!("{}: {}", Damage::PreviousMissing, head.receipt()),
        });
        report.problems.extend(missing);
        report.problems.extend(self.forgotten.damaged.iter().cloned());
    }

    /// Snapshots that others name as previous, and that are neither there nor forgotten; with where they are named.
    pub(crate) fn missing_snapshots(&self) -> Vec<(String, Head)> {
        let known = self.known_heads();
        let mut missing = Vec::new();
        let mut look = |path: String, previous: &[Head]| {
            missing.extend(previous.iter().filter(|head| !known.contains(head)).map(|head| (path.clone(), *head)));
        };
        for snapshot in &self.snapshots {
            look(ObjectType::Snapshot.path(&snapshot.name), &snapshot.previous);
        }
        for (head, previous) in self.forgotten.forgotten.iter().filter(|(head, _)| known.contains(head)) {
            look(format!("snapshot {} (forgotten)", head.number), previous);
        }
        missing
    }

    /// The packs that are doomed, as far as that can be read.
    fn verify_doomed(&self, report: &mut VerifyReport) -> Result<BTreeSet<ObjectName>, Error> {
        let mut packs = BTreeSet::new();
        for name in doomed::list(&self.destination)? {
            let path = ObjectType::Doomed.path(&name).into();
            match doomed::read(&self.destination, &self.ring, &name) {
                Ok(doomed) => {
                    let what = format!("{} packs are to be removed: the next prune does", doomed.packs.len());
                    report.notes.push(Problem { path, what });
                    packs.extend(doomed.packs);
                }
                Err(error) if error.is_not_found() || error.is_of_other_epoch() => {}
                Err(error) if error.is_damage() => report.problems.push(Problem { path, what: error.to_string() }),
                Err(error) => return Err(error),
            }
        }
        Ok(packs)
    }

    fn verify_locks(&self, report: &mut VerifyReport) -> Result<(), Error> {
        for name in store::list_objects(&self.destination, ObjectType::Lock)? {
            let path = ObjectType::Lock.path(&name).into();
            match lock::read(&self.destination, &self.ring, &name) {
                Ok(lock) => {
                    let what = format!("{} on {} is running, or was interrupted", lock.operation, lock.host);
                    report.notes.push(Problem { path, what });
                }
                Err(error) if error.is_of_other_epoch() => {}
                // It ended a moment ago.
                Err(Error::Destination { kind: DestinationErrorKind::NotFound, .. }) => {}
                Err(error) if error.is_damage() => report.problems.push(Problem { path, what: error.to_string() }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Runs that have announced themselves and not ended; damaged locks are left out (verify names them).
    ///
    /// # Errors
    /// `Destination` when it fails.
    pub fn locks(&self) -> Result<Vec<Lock>, Error> {
        let mut locks = Vec::new();
        for name in store::list_objects(&self.destination, ObjectType::Lock)? {
            match lock::read(&self.destination, &self.ring, &name) {
                Ok(lock) => locks.push(lock),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(locks)
    }
}
