//! The one thread that writes. What waits in its queue is committed together: one fsync serves many accounts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use redb::Database;

use crate::database::Tables;

/// Writes that may wait. Each has a value of 64 KiB at most.
const QUEUE: usize = 1024;
/// Writes that one transaction takes.
const BATCH: usize = 256;

/// Makes one guarded write inside a transaction, and says what to do once that is durable.
type Write = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Answer, redb::Error> + Send>;
/// Tells the caller. If it is dropped instead, the caller knows that the outcome is unknown.
type Answer = Box<dyn FnOnce() + Send>;

/// After a failed commit nobody knows what is on the disk: a second fsync may succeed although the first one's pages are
/// lost. So the first failure is the last write. A restart reads what is really there.
pub(crate) struct Writer {
    queue: Option<SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    pub(crate) fn start(database: Arc<Database>) -> io::Result<Self> {
        let (queue, writes) = sync_channel(QUEUE);
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Stop(Arc::clone(&stopped));
        let run = move || {
            let outcome = serve(&writes, &database);
            drop(stop);
            if let Err(error) = outcome {
                tracing::error!(%error, "the store has failed and takes nothing more: mend the disk, then restart");
            }
        };
        let thread = thread::Builder::new().name("coffer-store".to_owned()).spawn(run)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stopped })
    }

    /// Whether no commit has failed.
    pub(crate) fn is_serving(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }

    /// Makes a write durable. `None`: it may have been made or not.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let write: Write = Box::new(|tables| {
            let outcome = write(tables)?;
            // Who has gone away does not want to know.
            Ok(Box::new(move || drop(sender.send(outcome))))
        });
        self.queue.as_ref()?.try_send(write).ok()?;
        receiver.await.ok()
    }
}

impl Drop for Writer {
    /// Commits what waits, and closes the file.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Whatever ended it was said when it happened.
            let _ = thread.join();
        }
    }
}

/// Tells the readers, also when the thread panics.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn serve(writes: &Receiver<Write>, database: &Database) -> Result<(), redb::Error> {
    while let Ok(first) = writes.recv() {
        let batch = std::iter::once(first).chain(writes.try_iter().take(BATCH - 1));
        commit(database, batch)?.into_iter().for_each(|answer| answer());
    }
    Ok(())
}

fn commit(database: &Database, batch: impl Iterator<Item = Write>) -> Result<Vec<Answer>, redb::Error> {
    let mut transaction = database.begin_write()?;
    // In two phases, since callers choose much of what is stored and redb's checksums are not made to withstand that;
    // and with what a start after a crash needs, which otherwise reads the whole file.
    transaction.set_quick_repair(true);
    let mut tables = Tables::open(&transaction)?;
    let answers = batch.map(|write| write(&mut tables)).collect::<Result<_, _>>()?;
    let changed = tables.changed;
    drop(tables);
    // Conflicts alone tell of what is durable already.
    if changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(answers)
}
