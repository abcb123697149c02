//! A fleet of which some sites are away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coffer_proto::ProblemType;
use coffer_testkit::TestFleet;
use coffer_vault_client::{NothingKept, RegisterError, Registered, RequestError, RetrieveError};
use serde_json::{Value, json};

use crate::device::{Device, Kept, Posted, left, password, patient};
use crate::wire::{Wire, problem};

/// Ada's device at a vault of five sites, of which three are needed.
pub(crate) async fn device() -> Device {
    Device::at(Wire::to(TestFleet::of(5, 3, patient()).await)).await
}

/// Her key is protected by "right", with all five.
pub(crate) async fn protected() -> Device {
    let device = device().await;
    assert!(
        matches!(device.register("right").await, Registered::Protected { undelivered, .. } if undelivered.is_empty())
    );
    assert_eq!(device.live().await.holders, 5);
    device.wire.take_sent();
    device
}

/// Another device of hers: the site that it asks first is another one, as a rule.
pub(crate) async fn another(device: &Device) -> Device {
    Device::at(device.wire.clone()).await
}

pub(crate) fn set_up(device: &Device, sites: &[u8], is_up: bool) {
    sites.iter().for_each(|site| device.wire.vault.set_up(*site, is_up));
}

/// Has a site say this in the place of a success or a refusal at one route.
pub(crate) fn lie(
    device: &Device,
    site: u8,
    at: &'static str,
    with: impl Fn(u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static,
) {
    device.wire.vault.lie(site, move |method, path, status, body| {
        let (above, last) = path.rsplit_once('/').unwrap();
        let route = if last.len() == 32 { format!("{method} {above}/") } else { format!("{method} {path}") };
        if route == at { with(status, body) } else { (status, body) }
    });
}

/// The site that the next request goes to.
pub(crate) async fn first_site(device: &Device) -> u8 {
    device.wire.take_sent();
    device.live().await;
    device.wire.take_sent()[0].site()
}

pub(crate) const STATUS: &str = "GET /v1/registrations";
pub(crate) const REGISTER: &str = "PUT /v1/registrations/";
pub(crate) const RETRIEVE: &str = "PUT /v1/retrievals/";

pub(crate) fn nothing() -> Vec<u8> {
    let nothing = json!({ "live": null, "waiting": null, "locked": null, "cool_down_until": null });
    serde_json::to_vec(&nothing).unwrap()
}

pub(crate) fn edit(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
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
async fn the_site_that_is_asked_first_is_picked_at_random_and_kept() {
    let device = protected().await;
    let mut picked = Vec::new();
    for _ in 0..40 {
        let newcomer = another(&device).await;
        picked.push(first_site(&newcomer).await);
        assert_eq!(first_site(&newcomer).await, picked[picked.len() - 1]);
    }
    picked.sort_unstable();
    picked.dedup();
    assert!(picked.len() > 1, "{picked:?} forty times");
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
async fn the_head_of_fewer_than_three_sites_is_none() {
    let device = protected().await;
    set_up(&device, &[1, 2, 3], false);
    assert_eq!(device.session.head(&device.backup_key).await, Err(RequestError::Unavailable));
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
