//! What waits for a worker.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bounded queue between callers, the workers of one connection, and the supervisor that connects again.
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
    capacity: usize,
}

struct Inner<T> {
    jobs: VecDeque<T>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Served,
    Interrupted,
    Closed,
}

/// The queue is full, or nobody serves it just now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTaken;

impl<T> Queue<T> {
    /// Nobody serves it yet.
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { jobs: VecDeque::new(), state: State::Interrupted };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), capacity }
    }

    pub(crate) fn push(&self, job: T) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        if inner.state != State::Served || inner.jobs.len() == self.capacity {
            return Err(NotTaken);
        }
        inner.jobs.push_back(job);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job. `None` tells the worker to end.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut inner = self.lock();
        loop {
            if inner.state != State::Served {
                return None;
            }
            if let Some(job) = inner.jobs.pop_front() {
                return Some(job);
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Jobs are taken again.
    pub(crate) fn serve(&self) {
        self.leave(State::Interrupted, State::Served);
    }

    /// Ends every worker after its job, drops what waits, and takes nothing until [`serve`](Self::serve).
    pub(crate) fn interrupt(&self) {
        self.leave(State::Served, State::Interrupted);
    }

    /// As [`interrupt`](Self::interrupt), for good.
    pub(crate) fn close(&self) {
        self.leave(State::Served, State::Closed);
        self.leave(State::Interrupted, State::Closed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().state == State::Closed
    }

    /// Waits until the queue is closed, `timeout` at most.
    pub(crate) fn wait_closed(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        let mut inner = self.lock();
        while inner.state != State::Closed {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn leave(&self, from: State, to: State) {
        let mut inner = self.lock();
        if inner.state != from {
            return;
        }
        inner.state = to;
        let dropped = mem::take(&mut inner.jobs);
        drop(inner);
        self.changed.notify_all();
        // Outside the lock: dropping a job wakes its caller.
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // No job runs under the lock, so a panic leaves the queue whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use std::thread;
    use std::time::{Duration, Instant};

    use super::{NotTaken, Queue};

    fn served() -> Queue<u32> {
        let queue = Queue::new(2);
        queue.serve();
        queue
    }

    #[test]
    fn gives_jobs_in_order() {
        let queue = served();
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!((queue.pop(), queue.pop()), (Some(1), Some(2)));
    }

    #[test]
    fn refuses_a_job_when_it_is_full() {
        let queue = served();
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!(queue.push(3), Err(NotTaken));
    }

    #[test]
    fn refuses_a_job_before_it_is_served_while_interrupted_and_when_closed() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1), Err(NotTaken));
        queue.serve();
        queue.push(1).unwrap();
        queue.interrupt();
        assert_eq!(queue.push(2), Err(NotTaken));
        queue.serve();
        queue.push(3).unwrap();
        assert_eq!(queue.pop(), Some(3), "what waited at the interruption is gone");
        queue.close();
        queue.serve();
        assert_eq!(queue.push(4), Err(NotTaken));
        assert!(queue.is_closed());
    }

    #[test]
    fn an_interruption_ends_every_waiting_worker() {
        let queue = served();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.pop())).collect();
            queue.interrupt();
            assert!(workers.into_iter().all(|worker| worker.join().unwrap().is_none()));
        });
    }

    #[test]
    fn closing_ends_the_wait_at_once() {
        let queue = served();
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| queue.wait_closed(Duration::from_secs(60)));
            queue.close();
        });
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
