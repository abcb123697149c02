//! The checker on histories written by hand: what it must find, and what it must not take for a violation.

use std::time::Duration;

use coffer_proto::{AccountId, AttemptId, Base64, LiveStatus, ProblemType, RegistrationId, RegistrationsAnswer, Time};

use crate::checker::{Left, Violation, check, check_outage};
use crate::device::{Ended, SHOWN_ARGON2};
use crate::history::{Act, Event, Outcome};

const ID: RegistrationId = RegistrationId([1; 16]);
const OTHER: RegistrationId = RegistrationId([2; 16]);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn event(act: Act, [start, end]: [u64; 2], outcome: Outcome) -> Event {
    let account = AccountId::new("ada").unwrap();
    Event { account, registration: ID, act, site: 1, start: seconds(start), end: seconds(end), outcome }
}

fn guess(number: u8, times: [u64; 2], remaining: u8) -> Event {
    event(Act::Guess(AttemptId([number; 16])), times, Outcome::Done { remaining: Some(remaining) })
}

fn proof(number: u8, times: [u64; 2], outcome: Outcome) -> Event {
    event(Act::Prove(AttemptId([number; 16])), times, outcome)
}

const PROVED: Outcome = Outcome::Done { remaining: Some(10) };

/// Ten guesses one after the other, the last one answered at second 20.
fn ten() -> Vec<Event> {
    (1..=10).map(|number| guess(number, [u64::from(number) * 2 - 1, u64::from(number) * 2], 10 - number)).collect()
}

fn found(events: &[Event]) -> Vec<Violation> {
    check(events, &[], &[], 10)
}

fn left(live: Option<(RegistrationId, u8)>, restored: Result<(), Ended>) -> Left {
    let live = live.map(|(id, attempts_remaining)| LiveStatus {
        id,
        owner_key: Base64([0; 32]),
        since: Time::from_unix_seconds(0),
        manifest_version: 1,
        argon2: SHOWN_ARGON2,
        next_attempt: 1,
        attempts_remaining,
        max_attempts: 10,
        failed_attempts: Vec::new(),
        retry_at: None,
        locks_at: None,
        holders: 5,
        deletion: None,
    });
    let status = RegistrationsAnswer { live, waiting: None, locked: None, cool_down_until: None };
    Left { account: AccountId::new("ada").unwrap(), registration: ID, status, restored }
}

#[test]
fn an_eleventh_answer_is_over_budget() {
    assert_eq!(found(&ten()), []);
    let events = [ten(), vec![guess(11, [30, 31], 0)]].concat();
    assert!(found(&events).contains(&Violation::OverBudget { registration: ID, answered: 11 }));
}

#[test]
fn an_answer_to_an_attempt_that_was_answered_before_is_no_other() {
    let events = [ten(), vec![guess(10, [30, 31], 0), guess(3, [32, 33], 0)]].concat();
    assert_eq!(found(&events), []);
}

#[test]
fn ten_more_are_due_after_a_proof_even_if_nobody_was_told_that_it_was_taken() {
    for outcome in [PROVED, Outcome::Silence, Outcome::Unavailable] {
        let events = [ten(), vec![proof(10, [21, 22], outcome), guess(11, [30, 31], 9)]].concat();
        assert_eq!(found(&events), [], "{outcome:?}");
    }
}

#[test]
fn a_proof_that_was_refused_for_good_refills_nothing_later() {
    let closed = event(Act::Guess(AttemptId([10; 16])), [23, 24], Outcome::Refused(ProblemType::AttemptClosed));
    let mut events = [ten(), vec![proof(10, [21, 22], Outcome::Silence), closed]].concat();
    events.extend((11..=21).map(|number| guess(number, [u64::from(number) * 3, u64::from(number) * 3 + 1], 0)));
    assert!(found(&events).contains(&Violation::OverBudget { registration: ID, answered: 11 }));
}

#[test]
fn a_refund_shows_in_what_is_left() {
    let events = [guess(1, [1, 2], 9), guess(2, [3, 4], 8), guess(3, [5, 6], 8)];
    let refunded = Violation::NotCounted { registration: ID, before: 8, after: 8 };
    assert!(found(&events).contains(&refunded));
}

#[test]
fn guesses_at_the_same_time_may_be_counted_in_any_order() {
    assert_eq!(found(&[guess(1, [1, 4], 8), guess(2, [2, 3], 9)]), []);
}

#[test]
fn an_answer_before_its_spend_shows_in_the_next_one() {
    // Two were answered at the same time, and only one of them is in the record.
    let events = [guess(1, [1, 4], 9), guess(2, [2, 5], 9), guess(3, [6, 7], 8)];
    assert!(found(&events).contains(&Violation::Unpaid { registration: ID, answered: 3, spent: 2 }));
}

#[test]
fn an_answer_whose_spend_is_missing_at_the_end_is_unpaid() {
    let found = check(&[guess(1, [1, 2], 9)], &[left(Some((ID, 10)), Ok(()))], &[], 10);
    assert_eq!(found, [Violation::Unpaid { registration: ID, answered: 1, spent: 0 }]);
}

#[test]
fn a_lock_before_ten_guesses_is_too_early() {
    let locked = event(Act::Guess(AttemptId([9; 16])), [30, 31], Outcome::Refused(ProblemType::Locked));
    let eight = &ten()[..8];
    let events = [eight, std::slice::from_ref(&locked)].concat();
    assert_eq!(found(&events), [Violation::LockedTooEarly { registration: ID, spent: 9 }]);
    assert_eq!(found(&[ten(), vec![locked]].concat()), []);
}

/// What a vault makes of it that knows an account's newest registration only, whoever has sent it.
#[test]
fn a_registration_that_another_one_has_displaced_is_lost() {
    let account = AccountId::new("ada").unwrap();
    for live in [Some((OTHER, 10)), None] {
        let found = check(&[], &[left(live, Ok(()))], &[], 10);
        assert!(found.contains(&Violation::Lost { account: account.clone(), registration: ID }), "{live:?}");
    }
}

#[test]
fn a_right_password_that_restores_nothing_is_lost() {
    let ended = Ended::Refused(ProblemType::Locked);
    let not_restored = Violation::NotRestored { account: AccountId::new("ada").unwrap(), ended };
    assert_eq!(check(&[], &[left(Some((ID, 1)), Err(ended))], &[], 10), [not_restored]);
    assert_eq!(check(&[], &[left(Some((ID, 0)), Err(ended))], &[], 10), []);
}

#[test]
fn whatever_is_answered_without_a_majority_is_served() {
    let refused = [event(Act::Status, [1, 2], Outcome::Unavailable), event(Act::Status, [1, 2], Outcome::Silence)];
    assert_eq!(check_outage(&refused, seconds(0), seconds(9)), []);
    for served in [guess(1, [1, 2], 9), event(Act::Status, [1, 2], Outcome::Refused(ProblemType::Locked))] {
        assert_eq!(check_outage(std::slice::from_ref(&served), seconds(0), seconds(9)), [Violation::Served(served)]);
    }
}
