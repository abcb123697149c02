//! Right and wrong passwords.

use std::time::Duration;

use coffer_testkit::Policy;
use coffer_vault_client::RetrieveError;

use crate::device::{Device, Kept, left, password};

#[tokio::test(start_paused = true)]
async fn the_right_password_gives_the_key_back() {
    let device = Device::protected().await;
    let retrieved = device.retrieve("right").await.unwrap();
    assert_eq!(retrieved.backup_key, device.backup_key);
    assert_eq!((retrieved.registration, retrieved.attempts_remaining), (device.live().await.id, 10));
}

#[tokio::test(start_paused = true)]
async fn another_device_of_the_account_gets_the_same_key() {
    let device = Device::protected().await;
    let other = Device::at(device.wire.clone()).await;
    assert_eq!(other.retrieve("right").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_costs_an_attempt_and_a_right_one_gives_them_all_back() {
    let device = Device::protected().await;
    assert_eq!(left(device.retrieve("wrong").await), 9);
    assert_eq!(left(device.retrieve("Right").await), 8);
    assert_eq!(device.live().await.failed_attempts.len(), 2);
    assert_eq!(device.retrieve("right").await.unwrap().attempts_remaining, 10);
    assert_eq!(device.live().await.failed_attempts.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_never_followed_by_a_proof() {
    let device = Device::protected().await;
    left(device.retrieve("wrong").await);
    let routes: Vec<String> = device.wire.take_sent().iter().map(|sent| sent.route()).collect();
    assert_eq!(
        routes,
        ["Get /v1/registrations", "Put /v1/retrievals/{id}", "Get /v1/registrations"],
        "the last tells when to try again"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_wrong_passwords_lock_it_for_the_right_one_too() {
    let device = Device::protected().await;
    for remaining in (0..10).rev() {
        assert_eq!(left(device.retrieve("wrong").await), remaining);
    }
    assert!(matches!(device.retrieve("right").await, Err(RetrieveError::Locked)));
    device.wire.vault.clock().advance(Duration::from_secs(73 * 3600));
    assert!(matches!(device.retrieve("right").await, Err(RetrieveError::Locked)));
    assert!(device.session.status().await.unwrap().locked.is_some());
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_it_says_until_when_to_wait_and_spends_nothing() {
    let device = Device::new(Policy::default()).await;
    device.register("right").await;
    for _ in 0..2 {
        let Err(RetrieveError::WrongPassword { retry_at: None, .. }) = device.retrieve("wrong").await else {
            panic!("there is no wait before the third failure");
        };
    }
    let Err(RetrieveError::WrongPassword { retry_at: Some(until), .. }) = device.retrieve("wrong").await else {
        panic!("there is a wait after the third failure");
    };
    let evaluations = device.wire.vault.hsm(1).evaluations();
    let mut kept = Kept::default();
    let waiting = device.session.retrieve(&password("right"), &mut kept).await;
    assert!(matches!(waiting, Err(RetrieveError::Wait { retry_at }) if retry_at == until));
    assert!(kept.0.is_none(), "nothing was begun");
    assert_eq!((device.wire.vault.hsm(1).evaluations(), device.live().await.attempts_remaining), (evaluations, 7));
    device.wire.vault.clock().set(until);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn without_a_registration_there_is_nothing_to_retrieve() {
    let device = Device::new(Policy::default()).await;
    assert!(matches!(device.retrieve("right").await, Err(RetrieveError::NotRegistered)));
}
