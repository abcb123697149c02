//! Judges a history: what clients were told, and what is left at the end.
//!
//! An attempt was spent, a proof took effect and an answer was read off the record at some moment between request and
//! answer. Nothing here is a violation that a choice of those moments explains.

use std::collections::BTreeMap;
use std::time::Duration;

use coffer_proto::{AccountId, AttemptId, ProblemType, RegistrationId, RegistrationsAnswer};

use crate::device::Ended;
use crate::history::{Act, Event, Outcome};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Violation {
    /// So many attempts of a registration were answered with no proof in between.
    OverBudget { registration: RegistrationId, answered: usize },
    /// After `before`, with no proof in between, another attempt had `after` attempts left.
    NotCounted { registration: RegistrationId, before: u8, after: u8 },
    /// More attempts had been answered than the answer to a later one says were spent.
    Unpaid { registration: RegistrationId, answered: usize, spent: usize },
    /// It was refused as locked though only so many guesses can have been spent.
    LockedTooEarly { registration: RegistrationId, spent: usize },
    /// A registration whose activation was acknowledged is neither live nor locked.
    Lost { account: AccountId, registration: RegistrationId },
    /// The right password does not restore what has guesses left.
    NotRestored { account: AccountId, ended: Ended },
    /// While no majority was there.
    Served(Event),
    /// What a client found wrong at once.
    Complaint(String),
}

/// What is left of an account.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) account: AccountId,
    /// The last one whose activation was acknowledged.
    pub(crate) registration: RegistrationId,
    pub(crate) status: RegistrationsAnswer,
    /// What became of the right password after that.
    pub(crate) restored: Result<(), Ended>,
}

/// All that is known of an attempt.
#[derive(Debug, Default)]
struct Attempt {
    first_sent: Duration,
    last_sent_until: Duration,
    answers: Vec<Answer>,
    proof: Option<Proof>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    start: Duration,
    end: Duration,
    remaining: u8,
}

/// It took effect between these times, if at all; once acknowledged, it has.
#[derive(Debug, Clone, Copy)]
struct Proof {
    start: Duration,
    end: Duration,
    is_acknowledged: bool,
}

/// One registration.
#[derive(Debug, Default)]
struct Course {
    attempts: BTreeMap<[u8; 16], Attempt>,
    locked: Vec<Duration>,
}

pub(crate) fn check(events: &[Event], left: &[Left], complaints: &[String], max_attempts: u8) -> Vec<Violation> {
    let mut courses: BTreeMap<[u8; 16], Course> = BTreeMap::new();
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.end);
    for event in &events {
        courses.entry(event.registration.0).or_default().note(event);
    }
    let mut found: Vec<_> = complaints.iter().cloned().map(Violation::Complaint).collect();
    for (id, course) in &courses {
        let id = RegistrationId(*id);
        found.extend(course.over_budget(id, max_attempts));
        found.extend(course.not_counted(id));
        found.extend(course.unpaid(id, max_attempts));
        found.extend(course.locked_too_early(id, max_attempts));
    }
    for left in left {
        found.extend(left.lost());
        found.extend(left.not_restored());
        let spent = left.status.live.as_ref().map(|live| usize::from(max_attempts - live.attempts_remaining));
        if let (Some(course), Some(spent)) = (courses.get(&left.registration.0), spent) {
            found.extend(course.missing_at_the_end(left.registration, spent));
        }
    }
    found
}

/// What was answered other than by 503 or not at all, of what was sent and answered between two times. A site may still
/// repeat a receipt that it has given: that gives nothing away, and is nobody else's affair.
pub(crate) fn check_outage(events: &[Event], from: Duration, to: Duration) -> Vec<Violation> {
    let within = |event: &&Event| event.start >= from && event.end <= to && event.act != Act::Register;
    let refused = |event: &Event| matches!(event.outcome, Outcome::Unavailable | Outcome::Silence);
    let served = events.iter().filter(within).filter(|event| !refused(event));
    served.cloned().map(Violation::Served).collect()
}

impl Course {
    /// In the order of their ends.
    fn note(&mut self, event: &Event) {
        let of = |attempt: AttemptId| attempt.0;
        match (event.act, event.outcome) {
            (Act::Guess(id), outcome) => {
                let attempt =
                    self.attempts.entry(of(id)).or_insert(Attempt { first_sent: event.start, ..Attempt::default() });
                attempt.first_sent = attempt.first_sent.min(event.start);
                attempt.last_sent_until = event.end;
                let Event { start, end, .. } = *event;
                match outcome {
                    Outcome::Done { remaining: Some(remaining) } => {
                        attempt.answers.push(Answer { start, end, remaining })
                    }
                    Outcome::Refused(ProblemType::AttemptClosed) => attempt.close(end, false),
                    Outcome::Refused(ProblemType::Locked) => self.locked.push(end),
                    _ => {}
                }
            }
            (Act::Prove(id), outcome) => {
                let attempt = self.attempts.entry(of(id)).or_default();
                let proof = Proof { start: event.start, end: Duration::MAX, is_acknowledged: false };
                let proof = attempt.proof.get_or_insert(proof);
                proof.start = proof.start.min(event.start);
                if matches!(outcome, Outcome::Done { .. }) {
                    attempt.close(event.end, true);
                }
            }
            _ => {}
        }
    }

    fn proofs(&self) -> impl Iterator<Item = Proof> {
        self.attempts.values().filter_map(|attempt| attempt.proof)
    }

    /// Between two proofs at most so many attempts are answered.
    fn over_budget(&self, registration: RegistrationId, max_attempts: u8) -> Option<Violation> {
        let begins = std::iter::once(Duration::ZERO).chain(self.proofs().map(|proof| proof.end));
        let answered = begins.map(|begin| {
            let next = self.proofs().filter(|proof| proof.end > begin).map(|proof| proof.start).min();
            let within = |attempt: &&Attempt| {
                let answer = attempt.answers.first().map(|answer| answer.end);
                attempt.first_sent >= begin && answer.is_some_and(|end| end <= next.unwrap_or(Duration::MAX))
            };
            self.attempts.values().filter(within).count()
        });
        let answered = answered.max().unwrap_or(0);
        (answered > usize::from(max_attempts)).then_some(Violation::OverBudget { registration, answered })
    }

    /// With no proof in between, an attempt that is begun after another one was answered leaves fewer.
    fn not_counted(&self, registration: RegistrationId) -> Option<Violation> {
        for attempt in self.attempts.values() {
            for later in self.attempts.values().filter(|later| !later.answers.is_empty()) {
                for one in attempt.answers.iter().filter(|one| one.end <= later.first_sent) {
                    let two = later.answers[0];
                    let is_proved = self.proofs().any(|proof| proof.end > one.start && proof.start < two.end);
                    if !is_proved && two.remaining >= one.remaining {
                        let (before, after) = (one.remaining, two.remaining);
                        return Some(Violation::NotCounted { registration, before, after });
                    }
                }
            }
        }
        None
    }

    /// Whatever was answered before a request was sent had been spent when that is answered.
    fn unpaid(&self, registration: RegistrationId, max_attempts: u8) -> Option<Violation> {
        for attempt in self.attempts.values() {
            for answer in &attempt.answers {
                let forgiven = self.forgiven_before(answer.end);
                let is_before = |other: &&Attempt| {
                    let first = other.answers.first().map(|first| first.end);
                    other.first_sent >= forgiven && first.is_some_and(|end| end <= answer.start)
                };
                let itself = attempt.answers[0].end > answer.start && attempt.first_sent >= forgiven;
                let answered = self.attempts.values().filter(is_before).count() + usize::from(itself);
                let spent = usize::from(max_attempts.saturating_sub(answer.remaining));
                if answered > spent {
                    return Some(Violation::Unpaid { registration, answered, spent });
                }
            }
        }
        None
    }

    fn missing_at_the_end(&self, registration: RegistrationId, spent: usize) -> Option<Violation> {
        let forgiven = self.forgiven_before(Duration::MAX);
        let is_open = |attempt: &&Attempt| attempt.first_sent >= forgiven && !attempt.answers.is_empty();
        let answered = self.attempts.values().filter(is_open).count();
        (answered > spent).then_some(Violation::Unpaid { registration, answered, spent })
    }

    /// No proof of before that time has forgiven an attempt that was sent after this one.
    fn forgiven_before(&self, time: Duration) -> Duration {
        self.proofs().filter(|proof| proof.start < time).map(|proof| proof.end).max().unwrap_or_default()
    }

    /// Who is told that no guess is left had ten that were spent, or may have been.
    fn locked_too_early(&self, registration: RegistrationId, max_attempts: u8) -> Option<Violation> {
        self.locked.iter().find_map(|locked| {
            let acknowledged = self.proofs().filter(|proof| proof.is_acknowledged && proof.end <= *locked);
            let proved = acknowledged.map(|proof| proof.start).max().unwrap_or_default();
            let may_count = |attempt: &&Attempt| attempt.first_sent < *locked && attempt.last_sent_until > proved;
            let spent = self.attempts.values().filter(may_count).count();
            (spent < usize::from(max_attempts)).then_some(Violation::LockedTooEarly { registration, spent })
        })
    }
}

impl Attempt {
    /// From now on no proof of this attempt takes effect that has not by now.
    fn close(&mut self, at: Duration, is_acknowledged: bool) {
        if let Some(proof) = &mut self.proof {
            proof.end = proof.end.min(at);
            proof.is_acknowledged |= is_acknowledged;
        }
    }
}

impl Left {
    fn lost(&self) -> Option<Violation> {
        let Self { account, registration, status, .. } = self;
        let live = status.live.as_ref().map(|live| live.id);
        let locked = status.locked.as_ref().map(|locked| locked.id);
        let is_there = [live, locked].contains(&Some(*registration));
        (!is_there).then(|| Violation::Lost { account: account.clone(), registration: *registration })
    }

    fn not_restored(&self) -> Option<Violation> {
        let has_guesses = self.status.live.as_ref().is_some_and(|live| live.attempts_remaining > 0);
        let expected = if has_guesses { Ok(()) } else { Err(Ended::Refused(ProblemType::Locked)) };
        let ended = self.restored.err().unwrap_or(Ended::GaveUp);
        (self.restored != expected).then(|| Violation::NotRestored { account: self.account.clone(), ended })
    }
}
