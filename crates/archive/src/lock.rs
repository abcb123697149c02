//! Lock objects: who works on the archive. Backups exclude nobody; what removes objects works alone.

use crate::codec::{CodecError, Decoder, Encoder};
use crate::destination::Destination;
use crate::envelope::{ObjectType, open_object, seal_object};
use crate::error::{Damage, Error};
use crate::id::ObjectName;
use crate::keyring::Keyring;
use crate::store;
use crate::tree::Time;

/// A run that has announced itself and not ended, or was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The object's random name.
    pub name: ObjectName,
    /// The device it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// When it began.
    pub since: Time,
    /// What it does: "backup", "prune", "rotate".
    pub operation: String,
}

impl Lock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.bytes(self.host.as_bytes());
        e.varint(self.pid.into());
        self.since.encode(&mut e);
        e.bytes(self.operation.as_bytes());
        e.finish()
    }

    pub(crate) fn decode(name: ObjectName, bytes: &[u8]) -> Result<Self, CodecError> {
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| CodecError::Invalid("a text is not UTF-8"));
        let mut d = Decoder::new(bytes);
        let host = text(d.bytes()?)?;
        let pid = d.varint_u32()?;
        let since = Time::decode(&mut d)?;
        let operation = text(d.bytes()?)?;
        d.finish()?;
        Ok(Self { name, host, pid, since, operation })
    }
}

/// Announces a run.
pub(crate) fn announce(
    destination: &Destination,
    ring: &Keyring,
    host: &str,
    operation: &str,
) -> Result<ObjectName, Error> {
    let name = ObjectName::generate()?;
    let (host, operation) = (host.to_owned(), operation.to_owned());
    let lock = Lock { name, host, pid: std::process::id(), since: Time::now(), operation };
    let object = seal_object(ring, ObjectType::Lock, &name, &lock.encode())?;
    destination.write(&ObjectType::Lock.path(&name), object)?;
    Ok(name)
}

/// Takes back what [`announce`] wrote.
pub(crate) fn withdraw(destination: &Destination, name: &ObjectName) -> Result<(), Error> {
    destination.delete(&ObjectType::Lock.path(name))
}

/// What a run came to, once its lock is withdrawn.
pub(crate) fn end<T>(destination: &Destination, name: &ObjectName, came_to: Result<T, Error>) -> Result<T, Error> {
    let withdrawn = withdraw(destination, name);
    let done = came_to?;
    withdrawn.map(|()| done)
}

/// All locks. One that does not open may be anybody's, and is an error.
pub(crate) fn all(destination: &Destination, ring: &Keyring) -> Result<Vec<Lock>, Error> {
    let mut locks = Vec::new();
    for name in store::list_objects(destination, ObjectType::Lock)? {
        match read(destination, ring, &name) {
            Ok(lock) => locks.push(lock),
            // It ended a moment ago, or is of an epoch that was given up: of nobody who can do anything.
            Err(error) if error.is_not_found() => {}
            Err(Error::Damaged { why: Damage::OlderEpoch, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(locks)
}

/// Withdraws locks of this device whose processes have ended (runs that were killed), and returns the others.
pub(crate) fn withdraw_dead(destination: &Destination, locks: Vec<Lock>, host: &str) -> Vec<Lock> {
    let (dead, others): (Vec<_>, _) = locks.into_iter().partition(|lock| lock.host == host && !is_alive(lock.pid));
    for lock in dead {
        // One that stays does no harm to backups, and is in the way of a prune.
        let _ = withdraw(destination, &lock.name);
    }
    others
}

/// Whether a process of this id runs on this machine.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// Reads one lock.
pub(crate) fn read(destination: &Destination, ring: &Keyring, name: &ObjectName) -> Result<Lock, Error> {
    let path = ObjectType::Lock.path(name);
    let object = destination.read(&path, ObjectType::Lock.max_len())?;
    let content = open_object(ring, ObjectType::Lock, name, &object)?;
    Lock::decode(*name, &content).map_err(|error| Error::damaged(path, error))
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
