//! A fleet: some of its sites away, and some of them liars.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coffer_proto::ProblemType;
use coffer_testkit::TestFleet;
use coffer_vault_client::{KeptHead, NothingKept, Outbox, RegisterError, Registered, RequestError, RetrieveError};
use serde_json::{Value, json};

use crate::device::{Device, Kept, Posted, left, numbers, password, patient};
use crate::wire::{Wire, problem};

/// Ada's device at a vault of five sites, of which three are needed.
async fn device() -> Device {
    Device::at(Wire::to(TestFleet::of(5, 3, patient()).await)).await
}

/// Her key is protected by "right", with all five.
async fn protected() -> Device {
    let device = device().await;
    assert!(
        matches!(device.register("right").await, Registered::Protected { undelivered, .. } if undelivered.is_empty())
    );
    assert_eq!(device.live().await.holders, 5);
    device.wire.take_sent();
    device
}

/// Another device of hers: the site that it asks first is another one, as a rule.
async fn another(device: &Device) -> Device {
    Device::at(device.wire.clone()).await
}

fn set_up(device: &Device, sites: &[u8], is_up: bool) {
    sites.iter().for_each(|site| device.wire.vault.set_up(*site, is_up));
}

/// Has a site say this in the place of a success or a refusal at one route.
fn lie(device: &Device, site: u8, at: &'static str, with: impl Fn(u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static) {
    device.wire.vault.lie(site, move |method, path, status, body| {
        let (above, last) = path.rsplit_once('/').unwrap();
        let route = if last.len() == 32 { format!("{method} {above}/") } else { format!("{method} {path}") };
        if route == at { with(status, body) } else { (status, body) }
    });
}

/// The site that the next request goes to.
async fn first_site(device: &Device) -> u8 {
    device.wire.take_sent();
    device.live().await;
    device.wire.take_sent()[0].site()
}

const STATUS: &str = "GET /v1/registrations";
const REGISTER: &str = "PUT /v1/registrations/";
const RETRIEVE: &str = "PUT /v1/retrievals/";

fn nothing() -> Vec<u8> {
    let nothing = json!({ "live": null, "waiting": null, "locked": null, "cool_down_until": null });
    serde_json::to_vec(&nothing).unwrap()
}

fn edit(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut answer = serde_json::from_slice(body).unwrap();
    change(&mut answer);
    serde_json::to_vec(&answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_site_s_share_goes_to_that_site_alone() {
    let device = device().await;
    device.register("right").await;
    let sent = device.wire.take_sent();
    let mut registered: Vec<u8> =
        sent.iter().filter(|sent| sent.body["route"] == "/v1/registrations/{id}").map(|sent| sent.site()).collect();
    registered.sort_unstable();
    assert_eq!(registered, [1, 2, 3, 4, 5]);
    assert!(sent.iter().all(|sent| sent.route().starts_with("Post /v1/sites/")), "all of it is sealed");
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_success_is_reported_when_three_sites_name_it_live() {
    let device = device().await;
    device.register("right").await;
    let sent = device.wire.take_sent();
    let position = |route: &str| sent.iter().position(|sent| sent.body["route"] == route).unwrap();
    let (activated, retrieved) = (position("/v1/registrations/{id}/activation"), position("/v1/retrievals/{id}"));
    let between = &sent[activated + 1..retrieved];
    let mut asked: Vec<u8> =
        between.iter().filter(|sent| sent.body["route"] == "/v1/registrations").map(|sent| sent.site()).collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 3);
}

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
async fn a_site_that_is_away_gets_its_share_when_it_is_back() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[4], false);
    let Registered::Protected { registration, undelivered, forged } = device.register_with("right", &mut outbox).await
    else {
        panic!("nothing else is live");
    };
    assert_eq!((numbers(&undelivered), forged.len(), device.live().await.holders), (vec![4], 0, 4));

    // As long as it is away nothing changes, and the next run of the program finds what this one has kept.
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((numbers(&delivery.undelivered), delivery.delivered.len()), (vec![4], 0));
    set_up(&device, &[4], true);
    let device = device.again().await;
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![4]));
    assert!(delivery.undelivered.is_empty() && outbox.0.is_none());
    assert_eq!(device.live().await.holders, 5);

    // Its share is as good as the others': now any two others may be lost.
    set_up(&device, &[1, 2], false);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
    device.wire.take_sent();
    assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
    assert!(device.wire.take_sent().is_empty(), "there is nothing to ask");
}

#[tokio::test(start_paused = true)]
async fn of_seven_sites_two_may_be_away_and_each_is_sent_its_share_when_it_is_back() {
    let device = Device::at(Wire::to(TestFleet::of(7, 4, patient()).await)).await;
    let mut outbox = Posted::default();
    set_up(&device, &[2, 6], false);
    let Registered::Protected { undelivered, .. } = device.register_with("right", &mut outbox).await else {
        panic!("nothing else is live");
    };
    assert_eq!(numbers(&undelivered), [2, 6]);
    for (site, still) in [(6, vec![2]), (2, vec![])] {
        set_up(&device, &[site], true);
        let restarted = another(&device).await;
        let [delivery] = &restarted.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
        assert_eq!((numbers(&delivery.delivered), numbers(&delivery.undelivered)), (vec![site], still));
    }
    assert_eq!((device.live().await.holders, outbox.0), (7, None));
}

#[tokio::test(start_paused = true)]
async fn refuses_to_register_with_fewer_sites_than_show_a_false_answer() {
    for away in [&[1, 4][..], &[2, 3, 5]] {
        let device = device().await;
        set_up(&device, away, false);
        let mut outbox = Posted::default();
        let outcome = device.try_register("right", &mut outbox).await;
        match (away.len(), &outcome) {
            (2, Err(RegisterError::SitesAway { away: 2, sites: 5, needed: 4 })) => {}
            // Three sites that say that nothing is registered yet are not there either.
            (3, Err(RegisterError::Request(RequestError::Unavailable))) => {}
            _ => panic!("{outcome:?}"),
        }
        assert!(outbox.0.is_none());
        let sent = device.wire.take_sent();
        assert!(sent.iter().all(|sent| sent.body["route"] != "/v1/registrations/{id}/activation"));
        set_up(&device, away, true);
        assert!(device.session.status().await.unwrap().live.is_none(), "nothing was activated");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_to_register_where_three_go_away_before_the_shares_come() {
    let device = device().await;
    device.wire.vault_goes_before("/v1/registrations/{id}", &[1, 2, 5]);
    let outcome = device.try_register("right", &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::SitesAway { away: 3, sites: 5, needed: 4 })), "{outcome:?}");
    assert!(outcome.unwrap_err().to_string().starts_with("3 of the vault's 5 sites cannot be reached"));
}

#[tokio::test(start_paused = true)]
async fn any_two_sites_may_be_lost_at_a_retrieval() {
    let device = protected().await;
    for (one, other) in [(1, 2), (2, 5), (3, 4), (1, 5)] {
        set_up(&device, &[one, other], false);
        let newcomer = another(&device).await;
        assert_eq!(newcomer.retrieve("right").await.unwrap().attempts_remaining, 10, "{one} and {other} are lost");
        set_up(&device, &[one, other], true);
    }
}

#[tokio::test(start_paused = true)]
async fn with_three_sites_lost_it_is_an_outage_and_the_attempt_goes_on_later() {
    let device = protected().await;
    let mut kept = Kept::default();
    set_up(&device, &[1, 2, 3], false);
    let outcome = device.session.retrieve(&password("right"), &mut kept).await;
    assert!(matches!(outcome, Err(RetrieveError::Request(RequestError::Unavailable))), "{outcome:?}");
    set_up(&device, &[3], true);
    let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!((retrieved.backup_key, retrieved.attempts_remaining), (device.backup_key, 10));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_answers_ke2_and_dies_costs_no_second_attempt() {
    let device = protected().await;
    for also in [None, Some(())] {
        let first = first_site(&device).await;
        let (vault, is_done) = (Arc::clone(&device.wire.vault), AtomicBool::new(false));
        device.wire.tamper(move |sent, status, body| {
            if sent.body["route"] == "/v1/retrievals/{id}" && !is_done.swap(true, Ordering::Relaxed) {
                vault.set_up(sent.site(), false);
                if also.is_some() {
                    vault.set_up(sent.site() % 5 + 1, false);
                }
            }
            (status, body)
        });
        assert_eq!(device.retrieve("right").await.unwrap().attempts_remaining, 10);
        let sent = device.wire.take_sent();
        let ids: Vec<&Value> = sent
            .iter()
            .filter(|sent| sent.body["route"] == "/v1/retrievals/{id}")
            .map(|sent| &sent.body["id"])
            .collect();
        assert_eq!(ids, [ids[0]; 2], "the same attempt, at another site");
        assert_ne!(first_site(&device).await, first);
        device.wire.mend();
        set_up(&device, &[1, 2, 3, 4, 5], true);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_whose_answer_is_lost_with_its_site_is_heard_of_at_another_one() {
    let device = protected().await;
    let (vault, is_done) = (Arc::clone(&device.wire.vault), AtomicBool::new(false));
    device.wire.tamper(move |sent, status, body| {
        if sent.body["route"] != "/v1/retrievals/{id}/proof" || is_done.swap(true, Ordering::Relaxed) {
            return (status, body);
        }
        vault.set_up(sent.site(), false);
        problem(ProblemType::SiteUnreachable)
    });
    device.retrieve("right").await.unwrap();
    let retrievals = device.wire.take_sent().iter().filter(|sent| sent.body["route"] == "/v1/retrievals/{id}").count();
    assert_eq!(retrievals, 1, "the others know the proof by the record");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_means_something_is_asked_for_once() {
    let device = protected().await;
    device.retrieve("wrong").await.unwrap_err();
    device.wire.take_sent();
    assert_eq!(left(device.retrieve("wrong").await), 8);
    assert_eq!(device.wire.take_sent().len(), 3, "the status, the attempt, and when to try again");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_with_another_server_key_is_passed_over() {
    let device = protected().await;
    let liar = first_site(&device).await;
    lie(&device, liar, RETRIEVE, |status, body| {
        let spoiled = edit(&body, |answer| {
            let ke2 = answer["ke2"].as_str().unwrap();
            // The server's part of the AKE, not the envelope.
            answer["ke2"] = format!("{}{}", &ke2[..ke2.len() - 12], &ke2[..12]).into();
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
async fn two_sites_word_that_the_key_is_locked_is_not_believed_and_three_sites_is() {
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
    set_up(&device, &[3, 4, 5], true);
    lie(&device, 3, STATUS, move |_, _| (200, locked()));
    let outcomes = [device.session.status().await, another(&device).await.session.status().await];
    assert!(outcomes.iter().any(Result::is_ok));
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
    let old = Arc::new(std::sync::Mutex::new(Vec::new()));
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

#[tokio::test(start_paused = true)]
async fn the_head_of_fewer_than_three_sites_is_none() {
    let device = protected().await;
    set_up(&device, &[1, 2, 3], false);
    assert_eq!(device.session.head(&device.backup_key).await, Err(RequestError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_forges_its_receipt_is_named_and_left_out_where_four_others_are_good() {
    let device = device().await;
    let mut outbox = Posted::default();
    lie(&device, 2, REGISTER, |status, body| (status, edit(&body, |receipt| receipt["ledger_number"] = json!(99))));
    let Registered::Protected { undelivered, forged, .. } = device.register_with("right", &mut outbox).await else {
        panic!("four are good");
    };
    assert_eq!((numbers(&undelivered), numbers(&forged)), (vec![2], vec![2]));
    assert_eq!(device.live().await.holders, 4);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!(numbers(&delivery.forged), [2]);
    // An honest one in its place has the share already, and only has to say so.
    device.wire.vault.lie(2, |_, _, status, body| (status, body));
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((numbers(&delivery.delivered), outbox.0), (vec![2], None));
}

#[tokio::test(start_paused = true)]
async fn refuses_to_register_where_a_forged_receipt_leaves_too_few() {
    let device = device().await;
    set_up(&device, &[5], false);
    lie(&device, 2, REGISTER, |status, body| (status, edit(&body, |receipt| receipt["ledger_number"] = json!(99))));
    let outcome = device.try_register("right", &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Receipt(2))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_undelivered_is_kept_before_the_activation_is_sent() {
    let device = device().await;
    set_up(&device, &[3], false);
    let outcome = device.try_register("right", &mut Posted::full()).await;
    assert!(matches!(outcome, Err(RegisterError::NotKept(_))), "{outcome:?}");
    let sent = device.wire.take_sent();
    assert!(sent.iter().all(|sent| sent.body["route"] != "/v1/registrations/{id}/activation"));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_activated_before_a_restart_is_forgotten_and_never_becomes_live() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.wire.vault_goes_before("/v1/registrations/{id}/activation", &[1, 2, 4, 5]);
    let outcome = device.try_register("right", &mut outbox).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(outbox.0.is_some(), "it was about to be activated");
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let device = device.again().await;
    assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
    assert!(outbox.0.is_none() && device.session.status().await.unwrap().live.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_activation_whose_answer_was_lost_is_delivered_to_the_rest_after_a_restart() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    let vault = Arc::clone(&device.wire.vault);
    device.wire.tamper(move |sent, status, body| {
        if sent.body["route"] == "/v1/registrations/{id}/activation" {
            (1..=5).for_each(|site| vault.set_up(site, false));
            return problem(ProblemType::SiteUnreachable);
        }
        (status, body)
    });
    let outcome = device.try_register("right", &mut outbox).await;
    assert!(matches!(outcome, Err(RegisterError::Unproved(_))), "{outcome:?}");
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let device = device.again().await;
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("it is live") };
    assert_eq!((numbers(&delivery.delivered), outbox.0), (vec![3], None));
    assert_eq!(device.live().await.holders, 5);
}

#[tokio::test(start_paused = true)]
async fn a_password_change_takes_the_place_of_what_was_kept_of_the_old_one() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.register_with("right", &mut outbox).await;
    let old = outbox.0.clone().unwrap();
    set_up(&device, &[3], true);
    set_up(&device, &[5], false);
    let Registered::Protected { registration, undelivered, .. } = device.register_with("new", &mut outbox).await else {
        panic!("it is the owner's");
    };
    assert_eq!(numbers(&undelivered), [5]);
    assert_ne!(outbox.0.as_ref(), Some(&old));
    set_up(&device, &[5], true);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("the new one alone") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![5]));
    // What an older copy of the outbox has is of no more use, and revives nothing.
    let mut older = Posted(Some(old), false);
    assert_eq!(device.session.deliver(&mut older).await.unwrap(), []);
    assert!(older.0.is_none());
    assert_eq!(device.live().await.id, registration);
    assert_eq!(device.retrieve("new").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_password_change_that_fails_leaves_what_was_kept_of_the_old_one() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    let Registered::Protected { registration, .. } = device.register_with("right", &mut outbox).await else {
        panic!("nothing else is live");
    };
    device.wire.vault_goes_before("/v1/registrations/{id}/activation", &[1, 2, 4, 5]);
    assert!(device.try_register("new", &mut outbox).await.is_err());
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("the old one alone") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![3]));
    assert!(outbox.0.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_another_account_or_by_a_later_version_is_left_alone() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.register_with("right", &mut outbox).await;
    let kept = outbox.0.clone().unwrap();
    for (from, to) in [("\"account\":\"ada\"", "\"account\":\"bob\""), ("\"version\":1", "\"version\":2")] {
        let text = String::from_utf8(kept.clone()).unwrap().replacen(from, to, 1);
        outbox.keep(text.as_bytes()).unwrap();
        device.wire.take_sent();
        assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
        assert!(device.wire.take_sent().is_empty());
        assert_eq!(outbox.0.as_deref(), Some(text.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn one_site_with_new_keys_has_the_fleet_fetched_again() {
    let device = protected().await;
    for site in 1..=5 {
        device.wire.vault.restart(site).await;
    }
    device.wire.take_sent();
    device.live().await;
    let sent = device.wire.take_sent();
    assert_eq!(sent.iter().filter(|sent| sent.route() == "Get /v1/fleet").count(), 1);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_the_fleet_has_shown_no_key_of_is_passed_over() {
    let device = protected().await;
    set_up(&device, &[1, 2], false);
    let newcomer = another(&device).await;
    device.wire.take_sent();
    newcomer.live().await;
    assert!(newcomer.wire.take_sent().iter().all(|sent| sent.site() > 2));
}
