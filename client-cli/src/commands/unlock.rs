//! `coffer unlock`: a lock goes that an interrupted run left.

use coffer_archive::{Lock, ObjectName};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{LockRecord, Unlocked};

const EXAMPLES: &str = "\
Examples:
  coffer unlock           who works on the archive, or was interrupted?
  coffer unlock 3f9ab2c1  remove the lock with this name, or beginning of a name

A run leaves a lock when it is killed. The next backup on the same device removes it; where there will be none, this \
does. A backup that is at work after all notices that its lock is gone, and begins anew.";

/// Show the locks of the archive, or remove one that an interrupted run left
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The lock to remove
    #[arg(value_name = "NAME")]
    lock: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let locks = archive.locks()?;
    let removed = match &args.lock {
        Some(which) => {
            let name = find(&locks, which)?;
            archive.unlock(&name)?;
            Some(name)
        }
        None => None,
    };
    let others = locks.iter().filter(|lock| Some(lock.name) != removed);
    context.output.show(&Unlocked {
        removed: removed.map(|name| name.to_string()),
        locks: others.map(LockRecord::of).collect(),
    })?;
    if locks.is_empty() && removed.is_none() {
        context.output.note("nobody works on the archive");
    }
    Ok(Exit::Done)
}

/// One whose whole name is given need not open.
fn find(locks: &[Lock], which: &str) -> Result<ObjectName, Error> {
    if let Some(name) = ObjectName::parse(which) {
        return Ok(name);
    }
    let found: Vec<_> = locks.iter().filter(|lock| lock.name.to_string().starts_with(which)).collect();
    match found[..] {
        [lock] if which.len() >= 4 => Ok(lock.name),
        _ => Err(Error::NoSuchLock { which: which.to_owned() }),
    }
}
