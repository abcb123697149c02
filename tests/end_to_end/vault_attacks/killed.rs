//! SIGKILL at any moment between spend, evaluation, answer and proof.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use coffer_proto::{AttemptId, RetrievalAnswer};

use super::account::Account;
use super::budget::{RIGHT, WRONG};
use super::dump::Dump;
use super::guess::Guess;
use crate::noise::Noise;
use crate::server::Server;

const ACCOUNTS: usize = 5;
const KILLS_OF_EACH: usize = 6;
const CALLERS: usize = 3;

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After so many milliseconds.
    Any(u64),
    /// After it has committed a spend, most likely before its answer.
    Spent,
    /// After an answer has arrived, before any proof.
    Answered,
}

/// Guesses, and those of them that ever got a KE2.
struct Stream<'a> {
    host: &'a str,
    guesses: &'a [Guess],
    answered: Mutex<BTreeSet<AttemptId>>,
}

impl Stream<'_> {
    fn answers(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// Sends the first so many guesses in turn until the server is gone. One that comes after a newer one is closed.
    fn ask(&self, offered: usize) {
        for guess in self.guesses[..offered].iter().cycle() {
            match guess.request().try_send(self.host) {
                None => return,
                Some(answer) if answer.status == 200 => drop(self.answered.lock().unwrap().insert(guess.id)),
                Some(answer) => assert!([409, 423, 503].contains(&answer.status), "{answer:?}"),
            }
        }
    }

    fn until_killed(&self, server: &mut Server, moment: Moment, offered: usize) {
        let (answers, log) = (self.answers(), server.log().len());
        thread::scope(|scope| {
            let asking: Vec<_> = (0..CALLERS).map(|_| scope.spawn(move || self.ask(offered))).collect();
            let begin = Instant::now();
            let has_come = |server: &Server| match moment {
                Moment::Any(milliseconds) => begin.elapsed() >= Duration::from_millis(milliseconds),
                Moment::Spent => server.log()[log..].contains("attempt spent"),
                Moment::Answered => self.answers() > answers,
            };
            // What all guesses have seen does not come again.
            while !has_come(server) && begin.elapsed() < Duration::from_millis(100) {
                thread::sleep(Duration::from_micros(300));
            }
            server.kill();
            asking.into_iter().for_each(|asking| asking.join().unwrap());
        });
    }
}

/// Never more than ten, and none that was answered is missing. Gives whether one was cut off before its answer.
#[track_caller]
fn check(server: &Server, account: &Account, answered: &BTreeSet<AttemptId>) -> bool {
    let dump = Dump::of(&server.data());
    assert_eq!(dump.live(&account.name).registration.id, account.registration);
    let [recorded, evaluated] = dump.spent(&account.name);
    assert!(recorded.len() <= 10, "{recorded:?}");
    assert!(recorded.is_superset(&evaluated), "{evaluated:?} of {recorded:?}");
    assert!(evaluated.is_superset(answered), "{answered:?} of {evaluated:?}");
    recorded.len() > answered.len()
}

#[test]
fn no_kill_gives_an_eleventh_guess_or_loses_one_that_was_answered() {
    let mut noise = Noise::seeded();
    let mut server = Server::start_with(&["--limits-account-per-minute=0", "--limits-address-per-minute=0"]);
    let (mut before, mut cut_off) = (Vec::new(), 0);
    for number in 0..ACCOUNTS {
        let account = Account::registered(&server, &format!("account {number}"), RIGHT);
        // More guesses than there are; or so many that the right one is the last.
        let count = if number % 2 == 0 { 14 } else { 9 };
        let guesses: Vec<_> = (0..count).map(|_| Guess::new(&account, WRONG)).collect();
        let stream = Stream { host: account.host(), guesses: &guesses, answered: Mutex::default() };
        for kill in 0..KILLS_OF_EACH {
            let moment = match kill % 3 {
                0 => Moment::Any(noise.below(25)),
                1 => Moment::Spent,
                _ => Moment::Answered,
            };
            stream.until_killed(&mut server, moment, (kill + 1) * count / KILLS_OF_EACH);
            cut_off += usize::from(check(&server, &account, &stream.answered.lock().unwrap()));
            server.start_again();
        }
        let mut answered = stream.answered.into_inner().unwrap();
        for guess in &guesses {
            let (mut id, mut answer) = (guess.id, guess.send());
            // It had not been spent when a newer one was.
            if answer.outcome() == (409, "attempt-closed".to_owned()) {
                let again = Guess::new(&account, WRONG);
                (id, answer) = (again.id, again.send());
            }
            match answer.status {
                200 => drop(answered.insert(id)),
                _ => assert_eq!(answer.outcome(), (423, "locked".to_owned())),
            }
        }
        assert_eq!(answered.len(), count.min(10));
        assert_eq!(account.live().failed_attempts.len(), count.min(10));
        if count < 10 {
            restores_under_a_kept_attempt(&mut server, &account);
        }
        before.push((account, answered));
    }
    assert!(cut_off > 0, "no kill came between a spend and its answer");
    server.stop();
    for (account, answered) in before {
        if answered.len() == 10 {
            check(&server, &account, &answered);
        } else {
            assert_eq!(Dump::of(&server.data()).live(&account.name).registration.id, account.registration);
        }
    }
}

/// The tenth, right, cut off twice.
fn restores_under_a_kept_attempt(server: &mut Server, account: &Account) {
    let guess = Guess::new(account, RIGHT);
    let stream = Stream { host: account.host(), guesses: std::slice::from_ref(&guess), answered: Mutex::default() };
    for moment in [Moment::Spent, Moment::Answered] {
        stream.until_killed(server, moment, 1);
        server.start_again();
    }
    let answer: RetrievalAnswer = guess.send().read();
    assert_eq!(answer.attempts_remaining, 0);
    assert_eq!(guess.prove(account, &answer).status, 200);
    account.is_restored_by(RIGHT);
}
