//! Answers that never came, at each step of a retrieval.

use std::error::Error;

use coffer_vault_client::{AttemptStore, RequestError, RetrieveError};
use zeroize::Zeroizing;

use crate::device::{Device, Kept, left, password};

#[tokio::test(start_paused = true)]
async fn a_retrieval_that_was_cut_off_anywhere_goes_on_without_another_attempt() {
    for route in ["Put /v1/retrievals/{id}", "Put /v1/retrievals/{id}/proof"] {
        let device = Device::protected().await;
        let evaluations = device.wire.vault.hsm(1).evaluations();
        let mut kept = Kept::default();
        device.wire.cut_after(route);
        let outcome = device.session.retrieve(&password("right"), &mut kept).await;
        assert!(matches!(outcome, Err(RetrieveError::Request(RequestError::Unreachable(_)))), "{outcome:?}");
        assert!(kept.0.is_some(), "{route}");
        device.wire.mend();
        let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
        assert_eq!((retrieved.backup_key, retrieved.attempts_remaining), (device.backup_key, 10));
        assert!(kept.0.is_none(), "it is proved");
        // Where only the answer to the proof was lost, the attempt is closed, and a new one costs nothing either.
        let more = usize::from(route.ends_with("proof"));
        assert_eq!(device.wire.vault.hsm(1).evaluations(), evaluations + 1 + more, "{route}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_kept_before_it_is_sent() {
    let device = Device::protected().await;
    let mut kept = Kept::default();
    device.wire.cut_after("Get /v1/registrations");
    assert!(device.session.retrieve(&password("right"), &mut kept).await.is_err());
    assert!(kept.0.is_none(), "it does not know yet which registration it is for");
    device.wire.mend();
    device.wire.cut_after("Put /v1/retrievals/{id}");
    assert!(device.session.retrieve(&password("right"), &mut kept).await.is_err());
    let id = &kept.0.as_ref().unwrap()[1..17];
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(device.wire.take_sent().iter().any(|sent| sent.path.ends_with(&id)));
}

struct FullDisk;

impl AttemptStore for FullDisk {
    fn load(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn keep(&mut self, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("the disk is full".into())
    }

    fn forget(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn refuses_to_begin_an_attempt_that_cannot_be_kept() {
    let device = Device::protected().await;
    let outcome = device.session.retrieve(&password("right"), &mut FullDisk).await;
    assert!(matches!(outcome, Err(RetrieveError::NotKept(_))), "{outcome:?}");
    assert_eq!(device.live().await.attempts_remaining, 10);
}

#[tokio::test(start_paused = true)]
async fn another_password_is_another_attempt() {
    let device = Device::protected().await;
    let mut kept = Kept::default();
    device.wire.cut_after("Put /v1/retrievals/{id}");
    assert!(device.session.retrieve(&password("wrong"), &mut kept).await.is_err());
    device.wire.mend();
    assert_eq!(device.live().await.attempts_remaining, 9);
    let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!(retrieved.attempts_remaining, 10);
    assert!(kept.0.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_goes_on_where_no_other_is_left() {
    let device = Device::protected().await;
    for _ in 0..9 {
        left(device.retrieve("wrong").await);
    }
    let mut kept = Kept::default();
    device.wire.cut_after("Put /v1/retrievals/{id}");
    assert!(device.session.retrieve(&password("right"), &mut kept).await.is_err());
    device.wire.mend();
    assert_eq!(device.live().await.attempts_remaining, 0);
    let other = device.session.retrieve(&password("wrong"), &mut kept).await;
    assert!(matches!(other, Err(RetrieveError::Locked)), "{other:?}");
    assert!(kept.0.is_some(), "the open attempt is not lost for one that would be refused");
    let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!(retrieved.backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_expired_is_replaced_by_a_new_one() {
    let device = Device::protected().await;
    let mut kept = Kept::default();
    device.wire.cut_after("Put /v1/retrievals/{id}");
    assert!(device.session.retrieve(&password("right"), &mut kept).await.is_err());
    device.wire.mend();
    device.wire.vault.clock().advance(std::time::Duration::from_secs(25 * 3600));
    let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!((retrieved.backup_key, retrieved.attempts_remaining), (device.backup_key, 10));
}

#[tokio::test(start_paused = true)]
async fn a_kept_attempt_of_a_registration_that_was_replaced_is_not_sent() {
    let device = Device::protected().await;
    let mut kept = Kept::default();
    device.wire.cut_after("Put /v1/retrievals/{id}");
    assert!(device.session.retrieve(&password("right"), &mut kept).await.is_err());
    device.wire.mend();
    device.register("right").await;
    assert_eq!(device.session.retrieve(&password("right"), &mut kept).await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_replaced_meanwhile_is_found_again() {
    let device = Device::protected().await;
    let mut before = Some(serde_json::to_vec(&device.session.status().await.unwrap()).unwrap());
    device.register("new").await;
    // The first answer is from before the change.
    device.wire.tamper(move |sent, status, body| match before.take() {
        Some(old) if sent.route() == "Get /v1/registrations" => (200, old),
        _ => (status, body),
    });
    assert_eq!(device.retrieve("new").await.unwrap().attempts_remaining, 10);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_has_forgotten_the_exchange_is_asked_again_for_free() {
    let device = Device::protected().await;
    let evaluations = device.wire.vault.hsm(1).evaluations();
    device.wire.restart_before("Put /v1/retrievals/{id}/proof");
    assert_eq!(device.retrieve("right").await.unwrap().attempts_remaining, 10);
    assert_eq!(device.wire.vault.hsm(1).evaluations(), evaluations + 1);
    let routes: Vec<String> = device.wire.take_sent().iter().map(|sent| sent.route()).collect();
    assert_eq!(
        routes[1..],
        [
            "Put /v1/retrievals/{id}",
            "Put /v1/retrievals/{id}/proof",
            "Put /v1/retrievals/{id}",
            "Put /v1/retrievals/{id}/proof"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_identical_request_is_sent_until_its_outcome_is_known() {
    let device = Device::protected().await;
    device.wire.lose(2);
    device.session.status().await.unwrap();
    let sent = device.wire.take_sent();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|again| again.path == sent[0].path && again.body == sent[0].body));
    device.wire.lose(3);
    assert!(matches!(device.session.status().await, Err(RequestError::Unreachable(_))));
}
