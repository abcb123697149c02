//! Ten guesses, whoever makes them and however fast.

use std::collections::BTreeMap;
use std::thread;

use coffer_pake::Point;
use coffer_proto::RetrievalAnswer;
use coffer_vault_client::RetrieveError;

use super::account::Account;
use super::guess::Guess;
use super::request::Request;
use crate::server::Server;

pub(crate) const RIGHT: &str = "four dolphins under a lamp";
pub(crate) const WRONG: &str = "four dolphins under a tent";

/// What the HSM's adapter has counted.
pub(crate) fn evaluations(server: &Server) -> u64 {
    let metrics = Request::new("GET", "/metrics", "").send(&server.ops).body;
    let counter = "coffer_vault_hsm_operations_total{operation=\"evaluation\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(counter)).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_wrong_guesses_at_once_get_ten_evaluations() {
    let server = Server::start();
    let account = Account::registered(&server, "ada", RIGHT);
    let before = evaluations(&server);
    let mut outcomes = BTreeMap::new();
    // Who comes after a newer guess makes another one.
    let guess = || loop {
        let answer = Guess::new(&account, WRONG).send();
        if answer.outcome() != (409, "attempt-closed".to_owned()) {
            return answer;
        }
    };
    thread::scope(|scope| {
        let sent: Vec<_> = (0..100).map(|_| scope.spawn(guess)).collect();
        for answer in sent {
            *outcomes.entry(answer.join().unwrap().outcome()).or_insert(0) += 1;
        }
    });
    assert_eq!(outcomes, BTreeMap::from([((200, String::new()), 10), ((423, "locked".to_owned()), 90)]));
    assert_eq!(evaluations(&server) - before, 10);
    let live = account.live();
    assert_eq!((live.attempts_remaining, live.failed_attempts.len()), (0, 10));
    assert!(matches!(account.retrieve(RIGHT), Err(RetrieveError::Locked)));
    assert_eq!(evaluations(&server) - before, 10);
}

#[test]
fn the_tenth_guess_is_right_and_refills() {
    let server = Server::start();
    let account = Account::registered(&server, "ada", RIGHT);
    for left in (1..10).rev() {
        let answer: RetrievalAnswer = Guess::new(&account, WRONG).send().read();
        assert_eq!(answer.attempts_remaining, left);
    }
    account.is_restored_by(RIGHT);
}

#[test]
fn the_tenth_guess_is_right_and_refills_after_an_outage_before_its_proof() {
    let mut server = Server::start();
    let account = Account::registered(&server, "ada", RIGHT);
    for _ in 0..9 {
        assert_eq!(Guess::new(&account, WRONG).send().status, 200);
    }
    let guess = Guess::new(&account, RIGHT);
    let answered: RetrievalAnswer = guess.send().read();
    assert_eq!(answered.attempts_remaining, 0);
    server.kill();
    server.start_again();
    assert_eq!(guess.prove(&account, &answered).outcome(), (409, "retrieve-again".to_owned()));
    let again: RetrievalAnswer = guess.send().read();
    assert_eq!((again.attempts_remaining, &again.nonces), (0, &answered.nonces), "it costs nothing");
    assert_eq!(again.ke2.0[..Point::LEN], answered.ke2.0[..Point::LEN], "the same element was evaluated again");
    assert_eq!(evaluations(&server), 1);
    assert_eq!(guess.prove(&account, &again).status, 200);
    assert_eq!(account.live().attempts_remaining, 10);
    account.is_restored_by(RIGHT);
}
