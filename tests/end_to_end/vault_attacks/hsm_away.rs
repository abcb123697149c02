//! SoftHSM's tokens are gone under a running vault, and come back.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;
use super::budget::{RIGHT, WRONG, evaluations};
use super::guess::Guess;
use super::request::Answer;
use crate::server::Server;

const CALLERS: usize = 3;
/// After so many answers.
const OUTAGES: [usize; 2] = [6, 18];
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    refused: AtomicUsize,
}

/// Sends each guess until it is answered, those of an account one after the other.
fn ask(guesses: &[Guess], seen: &Seen) {
    for guess in guesses {
        let begin = Instant::now();
        loop {
            let answer = guess.send();
            if answer.status == 200 {
                break;
            }
            assert_unavailable(&answer);
            seen.refused.fetch_add(1, Ordering::Relaxed);
            assert!(begin.elapsed() < PATIENCE, "it does not come back");
            thread::sleep(Duration::from_millis(20));
        }
        seen.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.outcome(), (503, "unavailable".to_owned()), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn without_its_tokens_the_vault_answers_503_and_makes_no_guess_of_its_own() {
    let server = Server::start();
    let accounts: Vec<_> =
        (0..CALLERS).map(|number| Account::registered(&server, &format!("{number}"), RIGHT)).collect();
    let guesses = |account| (0..9).map(|_| Guess::new(account, WRONG)).collect::<Vec<_>>();
    let guesses: Vec<_> = accounts.iter().map(guesses).collect();
    let (count, before, seen) = (9 * CALLERS, evaluations(&server), Seen::default());
    let (tokens, away) = (server.data().join("token/tokens"), server.data().join("token/away"));
    thread::scope(|scope| {
        for guesses in &guesses {
            scope.spawn(|| ask(guesses, &seen));
        }
        for answered in OUTAGES {
            wait_until(|| seen.answered.load(Ordering::Relaxed) >= answered);
            let refused = seen.refused.load(Ordering::Relaxed);
            fs::rename(&tokens, &away).unwrap();
            wait_until(|| seen.refused.load(Ordering::Relaxed) >= refused + CALLERS);
            fs::rename(&away, &tokens).unwrap();
        }
    });
    // The adapter repeats nothing. A client that was in the middle of it asks again, and the same element is multiplied
    // again, unless the ledger has its answer already.
    let evaluated = usize::try_from(evaluations(&server) - before).unwrap();
    assert!((count..=count + OUTAGES.len() * CALLERS).contains(&evaluated), "{evaluated}");
    for account in &accounts {
        assert_eq!(account.live().failed_attempts.len(), 9);
        account.is_restored_by(RIGHT);
    }
}
