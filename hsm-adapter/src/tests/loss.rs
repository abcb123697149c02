//! Tokens that go away, and come back.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use coffer_vault_core::{Hsm, HsmError, LedgerSpend};

use super::dealt::{imported, question, share, wait};
use super::token::{TokenFolder, in_own_process};
use crate::HsmAdapter;

fn await_service(hsm: &HsmAdapter) {
    let end = Instant::now() + Duration::from_secs(20);
    while wait(hsm.mac(b"")).is_err() {
        assert!(Instant::now() < end, "the HSM does not come back");
        thread::sleep(Duration::from_millis(20));
    }
}

fn take_away(token: &TokenFolder) {
    fs::rename(token.tokens(), token.folder.join("away")).unwrap();
}

fn bring_back(token: &TokenFolder) {
    fs::rename(token.folder.join("away"), token.tokens()).unwrap();
}

#[test]
fn a_token_that_was_away_serves_again_and_evaluates_nothing_twice() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let wrapped = imported(&hsm, &share);
        let mut answered = 0;
        for round in 0..2 {
            let done = thread::scope(|scope| {
                let asker = scope.spawn(|| {
                    let (mut good, mut unavailable) = (0, 0);
                    let end = Instant::now() + Duration::from_secs(20);
                    while unavailable == 0 && Instant::now() < end {
                        let (element, product) = question(&share, round);
                        match wait(hsm.evaluate(LedgerSpend::insecure_without_a_spend(), &wrapped, &element)) {
                            Ok(answer) => {
                                assert_eq!(answer, product);
                                good += 1;
                            }
                            Err(HsmError::Unavailable) => unavailable += 1,
                            Err(error) => assert_eq!(error, HsmError::Unavailable),
                        }
                    }
                    assert_eq!(unavailable, 1, "it never went away");
                    good
                });
                thread::sleep(Duration::from_millis(100));
                take_away(token);
                asker.join().unwrap()
            });
            assert!(done > 0);
            answered += done;
            assert_eq!(wait(hsm.mac(b"")), Err(HsmError::Unavailable));
            bring_back(token);
            await_service(&hsm);
        }
        let (element, product) = question(&share, 9);
        assert_eq!(wait(hsm.evaluate(LedgerSpend::insecure_without_a_spend(), &wrapped, &element)), Ok(product));
        assert_eq!(hsm.operations().connections, 3);
        // One more each time if the token went away between the multiplications of one evaluation.
        assert!((answered + 1..=answered + 3).contains(&hsm.evaluations()), "{answered} {}", hsm.evaluations());
    });
}

#[test]
fn a_token_that_comes_back_with_other_keys_is_not_used() {
    in_own_process(|token| {
        let hsm = token.open();
        take_away(token);
        lose(&hsm);
        // Another process makes a new token in its place. In this one the module is busy now and then.
        fs::create_dir(token.tokens()).unwrap();
        while token.init().is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(wait(hsm.mac(b"")), Err(HsmError::Unavailable));
        fs::remove_dir_all(token.tokens()).unwrap();
        bring_back(token);
        await_service(&hsm);
    });
}

fn lose(hsm: &HsmAdapter) {
    let end = Instant::now() + Duration::from_secs(20);
    while wait(hsm.mac(b"")).is_ok() {
        assert!(Instant::now() < end, "the HSM does not go away");
    }
}

#[test]
fn a_panic_of_a_worker_costs_its_own_request_and_a_connection() {
    in_own_process(|token| {
        let hsm = token.open();
        let panicked: Result<(), HsmError> = wait(hsm.ask(|_| std::panic::resume_unwind(Box::new(()))));
        assert_eq!(panicked, Err(HsmError::Unavailable));
        let end = Instant::now() + Duration::from_secs(20);
        while hsm.operations().connections == 1 && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        await_service(&hsm);
        assert_eq!(hsm.operations().connections, 2);
    });
}

#[test]
fn a_closed_adapter_answers_nothing_and_leaves_the_module_to_others() {
    in_own_process(|token| {
        let hsm = token.open();
        hsm.close();
        assert_eq!(wait(hsm.mac(b"")), Err(HsmError::Unavailable));
        hsm.close();
        assert!(wait(token.open().mac(b"")).is_ok());
    });
}

#[test]
fn what_nobody_waits_for_any_more_does_not_reach_the_token() {
    in_own_process(|token| {
        let hsm = token.open();
        // Every worker is held up, so that the next request waits in the queue until its caller has gone.
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        thread::scope(|scope| {
            for _ in 0..4 {
                let held = std::sync::Arc::clone(&held);
                let hsm = &hsm;
                scope.spawn(move || {
                    wait(hsm.ask(move |_| {
                        let _ = held.lock().map(|held| held.recv());
                        Ok(())
                    }))
                });
            }
            thread::sleep(Duration::from_millis(200));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let gone = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), hsm.mac(b"")).await });
            assert!(gone.is_err());
            drop(hold);
        });
        assert!(wait(hsm.certify(b"")).is_ok());
        assert_eq!(hsm.operations().macs, 0);
    });
}
