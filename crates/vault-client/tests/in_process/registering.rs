//! Registering, changing the password, keeping, deleting.

use std::time::Duration;

use coffer_keys::BackupKey;
use coffer_proto::{Change, DeletionId};
use coffer_testkit::Policy;
use coffer_vault_client::{Method, NothingKept, RegisterError, Registered, RequestError, RetrieveError, owns};

use crate::device::{CHEAP, Device, left, password, patient};

const ACTIVATE: &str = "Put /v1/registrations/{id}/activation";

#[tokio::test(start_paused = true)]
async fn asks_the_vault_for_nothing_that_depends_on_the_password() {
    let device = Device::new(Policy::default()).await;
    device.register("right").await;
    let sent = device.wire.take_sent();
    let routes: Vec<String> = sent.iter().map(|sent| sent.route()).collect();
    let expected = [
        "Get /v1/registrations",
        "Put /v1/registrations/{id}",
        ACTIVATE,
        "Get /v1/registrations",
        "Put /v1/retrievals/{id}",
        "Put /v1/retrievals/{id}/proof",
    ];
    assert_eq!(routes, expected);
    // Whatever was sent before the first answer of an HSM is complete: there is nothing to be blinded and evaluated.
    let fields: Vec<&String> = sent[1].body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["device_signature", "registration", "sealed_share", "unlock_signature"]);
    assert_eq!(device.wire.vault.hsm(1).evaluations(), 1, "the retrieval that proves it");
}

#[tokio::test(start_paused = true)]
async fn is_protected_only_after_a_real_retrieval() {
    let device = Device::new(Policy::default()).await;
    device.wire.cut_after("Put /v1/retrievals/{id}");
    let outcome = device.session.register(&password("right"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Unproved(_))), "{outcome:?}");
    device.wire.mend();
    assert!(matches!(device.register("right").await, Registered::Protected { .. }));
    assert_eq!(device.live().await.attempts_remaining, 10);
}

#[tokio::test(start_paused = true)]
async fn a_new_password_takes_the_place_of_the_old_one_at_once() {
    let device = Device::protected().await;
    let before = device.live().await.id;
    assert_eq!(left(device.retrieve("wrong").await), 9);
    let Registered::Protected { registration, .. } = device.register("new").await else { panic!("it is the owner's") };
    assert_ne!(registration, before);
    assert_eq!(device.live().await.attempts_remaining, 10);
    assert_eq!(left(device.retrieve("right").await), 9);
    assert_eq!(device.retrieve("new").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn another_backup_key_has_to_wait_and_is_not_called_protected() {
    let device = Device::protected().await;
    let other = Device::at(device.wire.clone()).await;
    let Registered::Waiting { registration, live_at } = other.register("other").await else {
        panic!("the live one belongs to another");
    };
    assert_eq!(device.session.status().await.unwrap().waiting.unwrap().id, registration);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key, "and this objects to it");
    assert!(device.session.status().await.unwrap().waiting.is_none());

    let Registered::Waiting { live_at: later, .. } = other.register("other").await else { panic!("as before") };
    assert!(later >= live_at);
    device.wire.vault.clock().set(later);
    assert_eq!(other.retrieve("other").await.unwrap().backup_key, other.backup_key);
}

#[tokio::test(start_paused = true)]
async fn the_owner_keeps_what_is_live() {
    let device = Device::protected().await;
    let other = Device::at(device.wire.clone()).await;
    let Registered::Waiting { registration, .. } = other.register("other").await else { panic!("it waits") };
    let live = device.live().await.id;
    let refused = other.session.keep(&live, Change::Successor(registration), &other.backup_key).await;
    assert!(matches!(refused, Err(RequestError::Refused(_))), "{refused:?}");
    device.session.keep(&live, Change::Successor(registration), &device.backup_key).await.unwrap();
    assert!(device.session.status().await.unwrap().waiting.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_owner_deletes_at_once() {
    let device = Device::protected().await;
    assert!(owns(&device.backup_key, &device.live().await));
    assert!(!owns(&BackupKey::generate().unwrap(), &device.live().await));
    let due_at = device.session.delete(&device.live().await.id, Some(&device.backup_key)).await.unwrap();
    assert!(due_at <= device.wire.vault.now());
    assert!(matches!(device.retrieve("right").await, Err(RetrieveError::NotRegistered)));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_the_owner_waits_and_the_owner_can_object() {
    let device = Device::protected().await;
    let live = device.live().await.id;
    let stranger = BackupKey::generate().unwrap();
    let refused = device.session.delete(&live, Some(&stranger)).await;
    assert!(matches!(refused, Err(RequestError::Refused(_))), "{refused:?}");
    let due_at = device.session.delete(&live, None).await.unwrap();
    let asked = device.live().await.deletion.unwrap();
    assert_eq!(asked.due_at, due_at);
    device.session.keep(&live, Change::Deletion(asked.id), &device.backup_key).await.unwrap();
    assert_eq!(device.live().await.deletion, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_lock_it_says_when_to_register_again() {
    let device = Device::protected().await;
    let live = device.live().await.id;
    for _ in 0..10 {
        left(device.retrieve("wrong").await);
    }
    device.wire.vault.clock().advance(Duration::from_secs(73 * 3600));
    // The lock is recorded by whoever writes next.
    assert!(device.session.keep(&live, Change::Deletion(DeletionId([7; 16])), &device.backup_key).await.is_err());
    let outcome = device.session.register(&password("new"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    let Err(RegisterError::CoolDown { retry_at }) = outcome else { panic!("{outcome:?}") };
    device.wire.vault.clock().set(retry_at);
    assert!(matches!(device.register("new").await, Registered::Protected { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_was_cut_short_anywhere_is_begun_again() {
    for route in ["Put /v1/registrations/{id}", ACTIVATE] {
        let device = Device::new(patient()).await;
        device.wire.cut_after(route);
        let outcome = device.session.register(&password("right"), &device.backup_key, &CHEAP, &mut NothingKept).await;
        // Once the activation was sent, nobody here knows which password counts.
        let is_said = match &outcome {
            Err(RegisterError::Unproved(_)) => route.ends_with("activation"),
            Err(RegisterError::Request(RequestError::Unreachable(_))) => !route.ends_with("activation"),
            _ => false,
        };
        assert!(is_said, "{outcome:?}");
        device.wire.mend();
        device.wire.take_sent();
        assert!(matches!(device.register("right").await, Registered::Protected { .. }), "{route}");
        assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
    }
}

#[tokio::test(start_paused = true)]
async fn an_activation_without_an_answer_is_taken_as_made_where_the_status_says_that_it_is_live() {
    let device = Device::new(patient()).await;
    device.wire.mute(ACTIVATE);
    let Registered::Protected { registration, .. } = device.register("right").await else { panic!("it is the first") };
    assert_eq!(device.live().await.id, registration);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
    let sent = device.wire.take_sent();
    let activations: Vec<_> = sent.iter().filter(|sent| sent.route() == ACTIVATE).map(|sent| &sent.body).collect();
    assert_eq!(activations, [activations[0]; 3], "the same one, until it gives up");
}

#[tokio::test(start_paused = true)]
async fn an_activation_without_an_answer_waits_where_the_status_says_so() {
    let device = Device::protected().await;
    let other = Device::at(device.wire.clone()).await;
    device.wire.mute(ACTIVATE);
    let Registered::Waiting { registration, live_at } = other.register("other").await else {
        panic!("the live one belongs to another");
    };
    let waiting = device.session.status().await.unwrap().waiting.unwrap();
    assert_eq!((waiting.id, waiting.live_at), (registration, live_at));
}

#[tokio::test(start_paused = true)]
async fn an_activation_without_an_answer_is_not_taken_as_made_where_the_status_does_not_know_it() {
    let device = Device::protected().await;
    let before = serde_json::to_value(device.session.status().await.unwrap()).unwrap();
    device.wire.mute(ACTIVATE);
    device.wire.tamper_json("Get /v1/registrations", move |status| status.clone_from(&before));
    let outcome = device.session.register(&password("new"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Request(RequestError::Unreachable(_)))), "{outcome:?}");
    assert!(device.wire.take_sent().iter().all(|sent| !sent.path.starts_with("/v1/retrievals")), "nothing is shown");
}

#[tokio::test(start_paused = true)]
async fn refuses_argon2_parameters_that_would_not_protect_before_it_sends_anything() {
    let device = Device::new(Policy::default()).await;
    let weak = coffer_vault_client::Argon2Parameters { memory_kib: 1024, ..CHEAP };
    let outcome = device.session.register(&password("right"), &device.backup_key, &weak, &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Argon2(_))), "{outcome:?}");
    assert!(device.wire.take_sent().iter().all(|sent| sent.method == Method::Get));
}
