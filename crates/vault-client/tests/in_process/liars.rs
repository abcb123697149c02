//! Sites that lie, each under its own seal.

use std::sync::{Arc, Mutex};

use coffer_proto::ProblemType;
use coffer_vault_client::{KeptHead, NothingKept, RegisterError, Registered, RequestError, RetrieveError};
use serde_json::json;

use crate::device::left;
use crate::five_sites::{RETRIEVE, STATUS, another, device, edit, first_site, lie, nothing, protected, set_up};
use crate::wire::problem;

#[tokio::test(start_paused = true)]
async fn a_registration_that_three_sites_do_not_name_live_is_not_called_protected() {
    let device = device().await;
    for site in 1..=3 {
        lie(&device, site, STATUS, |_, _| (200, nothing()));
    }
    let outcome = device.try_register("right", &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Unproved(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_site_that_denies_what_was_registered_is_named_where_too_few_confirm_it() {
    let device = device().await;
    // Two lie, one is away: two are left that say what is.
    set_up(&device, &[5], false);
    for site in [2, 3] {
        lie(&device, site, STATUS, |_, _| (200, nothing()));
    }
    let outcome = device.try_register("right", &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Denied(2 | 3))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_whose_answer_is_none_is_passed_over() {
    let device = protected().await;
    let liar = first_site(&device).await;
    lie(&device, liar, RETRIEVE, |status, body| {
        let spoiled = edit(&body, |answer| {
            // Too short for a KE2.
            answer["ke2"] = answer["ke2"].as_str().unwrap()[..300].into();
        });
        (status, if status == 200 { spoiled } else { body })
    });
    let retrieved = device.retrieve("right").await.unwrap();
    assert_eq!((retrieved.backup_key, retrieved.attempts_remaining), (device.backup_key, 10));
}

/// What one site of five gains by lying: it is heard once, and no key is lost.
#[tokio::test(start_paused = true)]
async fn a_coordinator_with_a_false_element_makes_a_password_wrong_once() {
    let device = protected().await;
    let liar = first_site(&device).await;
    lie(&device, liar, RETRIEVE, |status, body| {
        let spoiled = edit(&body, |answer| {
            // Any other point: KE1's own would do.
            let point = coffer_pake::Point::generator().encode();
            let mut ke2 = coffer_proto::Base64::<259>::parse(answer["ke2"].as_str().unwrap()).unwrap();
            ke2.0[..33].copy_from_slice(&point);
            answer["ke2"] = ke2.to_string().into();
        });
        (status, spoiled)
    });
    let outcome = device.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::WrongPassword { unchecked: false, .. })), "{outcome:?}");
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key, "another one is asked next");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_may_be_a_faulty_site_where_three_answer() {
    let device = protected().await;
    set_up(&device, &[2, 4], false);
    let outcome = device.retrieve("wrong").await;
    assert!(matches!(outcome, Err(RetrieveError::WrongPassword { unchecked: true, .. })), "{outcome:?}");
    set_up(&device, &[2], true);
    let outcome = device.retrieve("wrong").await;
    assert!(matches!(outcome, Err(RetrieveError::WrongPassword { unchecked: false, .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn one_site_s_word_that_nothing_is_registered_is_not_believed() {
    let device = protected().await;
    for liar in 1..=5 {
        lie(&device, liar, STATUS, |_, _| (200, nothing()));
        let newcomer = another(&device).await;
        assert_eq!(newcomer.retrieve("right").await.unwrap().backup_key, device.backup_key, "site {liar} lies");
        device.wire.vault.lie(liar, |_, _, status, body| (status, body));
    }
}

#[tokio::test(start_paused = true)]
async fn two_sites_word_that_the_key_is_locked_is_not_believed_and_three_sites_word_is() {
    let device = protected().await;
    let locked = || {
        let locked = json!({ "id": "00".repeat(16), "at": "2026-11-20T00:00:00Z" });
        edit(&nothing(), |answer| answer["locked"] = locked)
    };
    for liar in [1, 2] {
        device.wire.vault.lie(liar, move |_, path, status, body| match path {
            "/v1/registrations" => (200, locked()),
            path if path.starts_with("/v1/retrievals/") => problem(ProblemType::Locked),
            _ => (status, body),
        });
    }
    for _ in 0..5 {
        let newcomer = another(&device).await;
        assert_eq!(newcomer.retrieve("right").await.unwrap().attempts_remaining, 10);
    }
    // Nor when the others cannot be asked: it is an outage then.
    set_up(&device, &[3, 4, 5], false);
    let outcome = another(&device).await.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Request(RequestError::Unavailable))), "{outcome:?}");
    set_up(&device, &[3], true);
    lie(&device, 3, STATUS, move |_, _| (200, locked()));
    let outcome = another(&device).await.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Locked)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn one_site_s_word_that_an_attempt_is_closed_spends_no_second_one() {
    let device = protected().await;
    let liar = first_site(&device).await;
    lie(&device, liar, RETRIEVE, |_, _| problem(ProblemType::AttemptClosed));
    assert_eq!(left(device.retrieve("wrong").await), 9);
    assert_eq!(device.live().await.failed_attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_real_lock_is_believed() {
    let device = protected().await;
    for remaining in (0..10).rev() {
        assert_eq!(left(device.retrieve("wrong").await), remaining);
    }
    let outcome = another(&device).await.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Locked)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn two_sites_that_show_an_old_archive_head_are_outvoted_by_the_newest() {
    let device = protected().await;
    device.session.put_head(1, vec![5; 8], &device.backup_key).await.unwrap();
    let old = Arc::new(Mutex::new(Vec::new()));
    let (seen, vault) = (Arc::clone(&old), Arc::clone(&device.wire.vault));
    for site in 1..=5 {
        let seen = Arc::clone(&seen);
        vault.lie(site, move |_, path, status, body| {
            if path == "/v1/archive-head" && status == 200 && body.len() > 4 {
                *seen.lock().unwrap() = body.clone();
            }
            (status, body)
        });
    }
    device.session.head(&device.backup_key).await.unwrap();
    device.session.put_head(2, vec![6; 8], &device.backup_key).await.unwrap();
    for liars in [[1, 2], [2, 3], [4, 5], [1, 5]] {
        for site in 1..=5u8 {
            let shown = Arc::clone(&old).lock().unwrap().clone();
            lie(&device, site, "GET /v1/archive-head", move |status, body| {
                if liars.contains(&site) { (200, shown.clone()) } else { (status, body) }
            });
        }
        let kept = another(&device).await.session.head(&device.backup_key).await.unwrap();
        assert_eq!(kept, KeptHead::Own { number: 2, sealed: vec![6; 8] }, "{liars:?} lie");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_one_site_makes_up_hides_none_and_counts_for_none() {
    let device = protected().await;
    let forged = json!({ "number": 99, "sealed": "BgYG", "signature": "A".repeat(86) });
    let forged = serde_json::to_vec(&forged).unwrap();
    let shown = forged.clone();
    lie(&device, 3, "GET /v1/archive-head", move |_, _| (200, shown.clone()));
    for _ in 0..4 {
        assert_eq!(another(&device).await.session.head(&device.backup_key).await.unwrap(), KeptHead::None);
    }
    device.session.put_head(1, vec![5; 8], &device.backup_key).await.unwrap();
    let kept = another(&device).await.session.head(&device.backup_key).await.unwrap();
    assert_eq!(kept, KeptHead::Own { number: 1, sealed: vec![5; 8] });
}

/// The password is the new one then, and who believes that it is the old one guesses wrong until the key is gone.
#[tokio::test(start_paused = true)]
async fn one_site_that_denies_what_it_has_activated_makes_nobody_keep_to_the_old_password() {
    let waiting =
        || (200, serde_json::to_vec(&json!({ "state": "waiting", "live_at": "2026-12-01T00:00:00Z" })).unwrap());
    let lies = [
        ProblemType::InvalidReceipt,
        ProblemType::InvalidSignature,
        ProblemType::CoolDown,
        ProblemType::TooManyRequests,
    ];
    for lie in lies.map(problem).into_iter().chain([waiting(), (200, b"[]".to_vec())]) {
        let device = protected().await;
        let (liar, said) = (first_site(&device).await, String::from_utf8_lossy(&lie.1).into_owned());
        let old = device.live().await.id;
        device.wire.vault.lie(
            liar,
            move |_, path, status, body| {
                if path.ends_with("/activation") { lie.clone() } else { (status, body) }
            },
        );
        let outcome = device.try_register("new", &mut NothingKept).await;
        assert_ne!(another(&device).await.live().await.id, old, "{said}");
        let is_believed = matches!(outcome, Ok(Registered::Protected { .. }) | Err(RegisterError::Unproved(_)));
        assert!(is_believed, "{said}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_site_that_keeps_a_device_waiting_is_not_the_first_to_be_asked_again() {
    let changes: [fn(&mut serde_json::Value); 3] = [
        |answer| answer["live"]["retry_at"] = json!("2099-01-01T00:00:00Z"),
        |answer| answer["live"]["argon2"]["memory_kib"] = json!(u32::MAX),
        |answer| answer["live"]["manifest_version"] = json!(99),
    ];
    for change in changes {
        let device = protected().await;
        let liar = first_site(&device).await;
        lie(&device, liar, STATUS, move |status, body| (status, edit(&body, change)));
        assert!(device.retrieve("right").await.is_err());
        assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
    }
    let device = protected().await;
    let liar = first_site(&device).await;
    let later = |answer: &mut serde_json::Value| answer["cool_down_until"] = json!("2099-01-01T00:00:00Z");
    lie(&device, liar, STATUS, move |status, body| (status, edit(&body, later)));
    assert!(matches!(device.try_register("new", &mut NothingKept).await, Err(RegisterError::CoolDown { .. })));
    assert!(device.try_register("new", &mut NothingKept).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_site_that_hides_a_takeover_a_deletion_or_guesses_hides_nothing() {
    let device = protected().await;
    let quiet = serde_json::to_vec(&device.session.status().await.unwrap()).unwrap();
    left(device.retrieve("wrong").await);
    let thief = another(&device).await;
    assert!(matches!(thief.register("other").await, Registered::Waiting { .. }));
    let live = device.live().await.id;
    thief.session.delete(&live, None).await.unwrap();
    for liar in 1..=5 {
        let shown = quiet.clone();
        lie(&device, liar, STATUS, move |_, _| (200, shown.clone()));
        for _ in 0..4 {
            let status = another(&device).await.session.status().await.unwrap();
            let live = status.live.unwrap();
            assert!(status.waiting.is_some() && live.deletion.is_some(), "site {liar} lies");
            assert_eq!(live.failed_attempts.len(), 1, "site {liar} lies");
        }
        device.wire.vault.lie(liar, |_, _, status, body| (status, body));
    }
}

#[tokio::test(start_paused = true)]
async fn one_site_that_makes_a_live_registration_up_keeps_nobody_from_another_password() {
    let device = protected().await;
    let liar = first_site(&device).await;
    let made_up = |answer: &mut serde_json::Value| answer["live"]["id"] = json!("00".repeat(16));
    lie(&device, liar, STATUS, move |status, body| (status, edit(&body, made_up)));
    assert!(matches!(device.register("new").await, Registered::Protected { .. }));
}
