//! What clients asked for, when, and what became of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coffer_proto::{AccountId, AttemptId, ProblemType, RegistrationId};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Register,
    Activate,
    Guess(AttemptId),
    Prove(AttemptId),
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With the attempts that are left, where the answer says so.
    Done {
        remaining: Option<u8>,
    },
    Refused(ProblemType),
    /// 503.
    Unavailable,
    Silence,
}

/// One request and its answer. Times count from the history's begin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) account: AccountId,
    pub(crate) registration: RegistrationId,
    pub(crate) act: Act,
    pub(crate) site: u8,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
    pub(crate) outcome: Outcome,
}

impl Event {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }
}

pub(crate) struct History {
    begin: Instant,
    events: Mutex<Vec<Event>>,
    complaints: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            events: Mutex::default(),
            complaints: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The test has failed: no client insists any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    /// What a client found wrong at once.
    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// Waits until each of these sites has answered a guess that was sent after `since`. Gives how long after `since`
    /// the first of them did, and the last.
    #[track_caller]
    pub(crate) fn wait_until_served(&self, since: Duration, sites: &[u8]) -> [Duration; 2] {
        loop {
            let first_of = |site: &u8| {
                let events = self.events.lock().unwrap();
                let by = |event: &&Event| event.site == *site && event.start >= since && event.is_done();
                let guesses = events.iter().filter(by).filter(|event| matches!(event.act, Act::Guess(_)));
                guesses.map(|event| event.end - since).min()
            };
            let firsts: Vec<_> = sites.iter().map(first_of).collect();
            if let Some(firsts) = firsts.iter().copied().collect::<Option<Vec<_>>>() {
                return [firsts.iter().min(), firsts.iter().max()].map(|time| *time.unwrap());
            }
            assert!(self.now() < since + PATIENCE, "service does not resume: {firsts:?} of {sites:?}");
            thread::sleep(POLL);
        }
    }
}
