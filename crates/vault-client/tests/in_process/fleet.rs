//! Manifests that are believed, and those that are not.

use std::time::Duration;

use coffer_pake::Point;
use coffer_proto::{Base64, FleetId, FleetManifest, SignedManifest, SiteEntry, SiteNumber};
use coffer_testkit::{Policy, Roots, TestFleet};
use coffer_vault_client::{AccountId, Fingerprint, Fleet, FleetError, FleetMemory, RequestError, Token};

use crate::wire::Wire;

async fn wire() -> Wire {
    Wire::to(TestFleet::single(Policy::default()).await)
}

async fn fetch(wire: &Wire, remembered: Option<FleetMemory>) -> Result<Fleet, FleetError> {
    fetch_of(wire, &wire.vault.fingerprint(), remembered).await
}

async fn fetch_of(
    wire: &Wire,
    fingerprint: &Fingerprint,
    remembered: Option<FleetMemory>,
) -> Result<Fleet, FleetError> {
    let token = wire.vault.token(&AccountId::new("ada").unwrap(), Base64([1; 32]));
    Fleet::fetch(wire, fingerprint, &Token::parse(&token).unwrap(), remembered, wire.vault.now()).await
}

/// What becomes of the vault's manifest when it is signed with a change.
async fn signed_with(change: impl FnOnce(&mut FleetManifest)) -> Result<Fleet, FleetError> {
    let wire = wire().await;
    let mut manifest = wire.vault.manifest();
    change(&mut manifest);
    show(&wire, wire.vault.sign(&manifest));
    fetch(&wire, None).await
}

fn show(wire: &Wire, signed: SignedManifest) {
    let shown = serde_json::to_value(signed).unwrap();
    wire.tamper_json("Get /v1/fleet", move |answer| answer["manifest"] = shown.clone());
}

fn is_nonsense(outcome: &Result<Fleet, FleetError>) -> bool {
    matches!(outcome, Err(FleetError::Nonsense(_)))
}

#[tokio::test(start_paused = true)]
async fn believes_what_the_roots_have_signed() {
    let wire = wire().await;
    let fleet = fetch(&wire, None).await.unwrap();
    let roots = Some(wire.vault.fingerprint());
    assert_eq!(fleet.memory(), FleetMemory { fleet: Some(FleetId([7; 16])), roots, version: 3, threshold: 1 });
    assert!(signed_with(|manifest| manifest.version = 4).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_token_that_holds_there_is_no_manifest() {
    let wire = wire().await;
    let token = Token::parse("e30.eyJzdWIiOiJhZGEifQ.AAAA").unwrap();
    let outcome = Fleet::fetch(&wire, &wire.vault.fingerprint(), &token, None, wire.vault.now()).await;
    assert_eq!(outcome.unwrap_err(), FleetError::Request(RequestError::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn refuses_another_fingerprint() {
    let wire = wire().await;
    let other = fetch_of(&wire, &Fingerprint([1; 32]), None).await;
    assert_eq!(other.unwrap_err(), FleetError::OtherRoots);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_manifest_that_its_roots_have_not_signed() {
    let wire = wire().await;
    let signed = wire.vault.sign(&wire.vault.manifest());
    let mut unsigned = signed.clone();
    unsigned.signatures.clear();
    let mut of_another_key = signed.clone();
    of_another_key.signatures[0].key = Base64(Point::generator().encode());
    let mut of_other_bytes = signed.clone();
    of_other_bytes.manifest = wire.vault.sign(&FleetManifest { version: 9, ..wire.vault.manifest() }).manifest;
    for signed in [unsigned, of_another_key, of_other_bytes] {
        show(&wire, signed);
        assert_eq!(fetch(&wire, None).await.unwrap_err(), FleetError::Unsigned);
    }
}

#[tokio::test(start_paused = true)]
async fn one_root_that_signs_twice_is_one() {
    let wire = wire().await;
    let mut signed = wire.vault.sign(&wire.vault.manifest());
    signed.roots.threshold = 2;
    signed.roots.keys.push(signed.roots.keys[0]);
    signed.signatures.push(signed.signatures[0]);
    let fingerprint = signed.roots.fingerprint();
    show(&wire, signed);
    let outcome = fetch_of(&wire, &fingerprint, None).await;
    assert_eq!(outcome.unwrap_err(), FleetError::Unsigned);
}

#[tokio::test(start_paused = true)]
async fn refuses_roots_of_which_none_need_sign() {
    let wire = wire().await;
    let mut signed = wire.vault.sign(&wire.vault.manifest());
    signed.roots.threshold = 0;
    let fingerprint = signed.roots.fingerprint();
    show(&wire, signed);
    let outcome = fetch_of(&wire, &fingerprint, None).await;
    assert_eq!(outcome.unwrap_err(), FleetError::Unsigned);
}

#[tokio::test(start_paused = true)]
async fn refuses_more_roots_than_anybody_has() {
    let wire = wire().await;
    let mut signed = wire.vault.sign(&wire.vault.manifest());
    signed.roots.keys = vec![signed.roots.keys[0]; 2000];
    show(&wire, signed);
    assert_eq!(fetch(&wire, None).await.unwrap_err(), FleetError::OtherRoots);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_manifest_that_has_expired() {
    let wire = wire().await;
    let not_after = wire.vault.manifest().not_after;
    wire.vault.clock().set(not_after - Duration::from_secs(1));
    assert!(fetch(&wire, None).await.is_ok());
    wire.vault.clock().set(not_after);
    assert_eq!(fetch(&wire, None).await.unwrap_err(), FleetError::Expired { not_after });
}

#[tokio::test(start_paused = true)]
async fn refuses_an_older_version_than_was_seen() {
    let wire = wire().await;
    let remembered = |version| Some(FleetMemory { fleet: None, roots: None, version, threshold: 1 });
    assert!(fetch(&wire, remembered(3)).await.is_ok());
    assert_eq!(fetch(&wire, remembered(4)).await.unwrap_err(), FleetError::Older { shown: 3, remembered: 4 });
}

#[tokio::test(start_paused = true)]
async fn refuses_one_site_where_several_were_needed() {
    let outcome = fetch(&wire().await, Some(FleetMemory { fleet: None, roots: None, version: 3, threshold: 2 })).await;
    assert_eq!(outcome.unwrap_err(), FleetError::OneSiteOnly);
}

#[tokio::test(start_paused = true)]
async fn refuses_sites_that_are_not_numbered_from_1() {
    assert!(is_nonsense(&signed_with(|manifest| manifest.sites[0].site = SiteNumber(2)).await));
    assert!(is_nonsense(&signed_with(|manifest| manifest.sites.clear()).await));
}

#[tokio::test(start_paused = true)]
async fn refuses_a_threshold_of_none_or_of_more_than_there_are() {
    for threshold in [0, 2] {
        assert!(is_nonsense(&signed_with(|manifest| manifest.threshold = threshold).await), "{threshold}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_two_sites_behind_one_key() {
    let doubled = |manifest: &mut FleetManifest| {
        manifest.sites.push(SiteEntry { site: SiteNumber(2), ..manifest.sites[0].clone() });
    };
    assert!(is_nonsense(&signed_with(doubled).await));
}

#[tokio::test(start_paused = true)]
async fn refuses_a_key_that_is_no_point() {
    assert!(is_nonsense(&signed_with(|manifest| manifest.ake = Base64([5; 33])).await));
    assert!(is_nonsense(&signed_with(|manifest| manifest.sites[0].share_import = Base64([0; 33])).await));
    assert!(is_nonsense(&signed_with(|manifest| manifest.sites[0].site_identity = Base64([4; 33])).await));
}

#[tokio::test(start_paused = true)]
async fn refuses_a_number_of_guesses_that_protects_nothing() {
    for max_attempts in [0, 101] {
        assert!(is_nonsense(&signed_with(|manifest| manifest.max_attempts = max_attempts).await), "{max_attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_another_fleet_by_the_same_roots() {
    let (shown, remembered) = (FleetId([7; 16]), FleetId([8; 16]));
    let memory = FleetMemory { fleet: Some(remembered), roots: None, version: 3, threshold: 1 };
    let outcome = fetch(&wire().await, Some(memory)).await;
    assert_eq!(outcome.unwrap_err(), FleetError::OtherFleet { shown, remembered });
}

#[tokio::test(start_paused = true)]
async fn refuses_a_manifest_that_is_valid_for_more_than_a_month() {
    let longer = |manifest: &mut FleetManifest| manifest.not_after = manifest.not_after + Duration::from_secs(90_000);
    assert!(is_nonsense(&signed_with(longer).await));
}

/// A vault that shows what `roots` and their predecessors have made of its manifest.
async fn shown(signed: impl FnOnce(&FleetManifest) -> SignedManifest) -> Wire {
    let wire = wire().await;
    let signed = signed(&wire.vault.manifest());
    show(&wire, signed);
    wire
}

#[tokio::test(start_paused = true)]
async fn two_of_three_roots_are_enough_and_one_is_not() {
    let roots = Roots::new(3, 2);
    for (signers, believed) in [(&[0, 2][..], true), (&[0, 1, 2], true), (&[1], false), (&[1, 1], false), (&[], false)]
    {
        let wire = shown(|manifest| roots.sign(manifest, signers)).await;
        let outcome = fetch_of(&wire, &roots.fingerprint(), None).await;
        assert_eq!(outcome.err(), (!believed).then_some(FleetError::Unsigned), "{signers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_signature_of_a_root_of_others() {
    let (roots, others) = (Roots::new(3, 2), Roots::new(3, 2));
    let wire = shown(|manifest| {
        let mut signed = roots.sign(manifest, &[0]);
        signed.signatures.extend(others.sign(manifest, &[1]).signatures);
        signed
    })
    .await;
    assert_eq!(fetch_of(&wire, &roots.fingerprint(), None).await.unwrap_err(), FleetError::Unsigned);
}

#[tokio::test(start_paused = true)]
async fn follows_the_roots_through_every_succession_from_the_one_that_it_knows() {
    let [first, second, third] = [Roots::new(3, 2), Roots::new(3, 2), Roots::new(5, 3)];
    let wire = shown(|manifest| {
        let mut signed = third.sign(manifest, &[0, 2, 4]);
        signed.successions = vec![first.hand_over(&second, &[1, 2]), second.hand_over(&third, &[0, 1])];
        signed
    })
    .await;
    for roots in [&first, &second, &third] {
        assert!(fetch_of(&wire, &roots.fingerprint(), None).await.is_ok());
    }
    let stranger = Roots::new(3, 2).fingerprint();
    assert_eq!(fetch_of(&wire, &stranger, None).await.unwrap_err(), FleetError::OtherRoots);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_succession_that_too_few_have_signed() {
    let (first, second) = (Roots::new(3, 2), Roots::new(3, 2));
    for signers in [&[][..], &[0], &[2, 2]] {
        let wire = shown(|manifest| {
            let mut signed = second.sign(manifest, &[0, 1]);
            signed.successions = vec![first.hand_over(&second, signers)];
            signed
        })
        .await;
        let outcome = fetch_of(&wire, &first.fingerprint(), None).await;
        assert_eq!(outcome.unwrap_err(), FleetError::Succession, "{signers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_succession_with_a_link_left_out_or_out_of_order() {
    let [first, second, third] = [(); 3].map(|()| Roots::new(3, 2));
    let [one, two] = [first.hand_over(&second, &[0, 1]), second.hand_over(&third, &[0, 1])];
    for (successions, expected) in [
        (vec![one.clone()], FleetError::Succession),
        (vec![two.clone(), one], FleetError::Succession),
        (vec![two], FleetError::OtherRoots),
        (vec![], FleetError::OtherRoots),
    ] {
        let wire = shown(|manifest| {
            let mut signed = third.sign(manifest, &[0, 1]);
            signed.successions = successions;
            signed
        })
        .await;
        assert_eq!(fetch_of(&wire, &first.fingerprint(), None).await.unwrap_err(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_roots_whom_others_than_the_earlier_ones_have_named() {
    let [first, second, thief] = [(); 3].map(|()| Roots::new(3, 2));
    let wire = shown(|manifest| {
        let mut signed = second.sign(manifest, &[0, 1]);
        let mut named = first.hand_over(&second, &[0]);
        named.signatures.extend(thief.hand_over(&second, &[0, 1]).signatures);
        signed.successions = vec![named];
        signed
    })
    .await;
    assert_eq!(fetch_of(&wire, &first.fingerprint(), None).await.unwrap_err(), FleetError::Succession);
}

/// Whoever has stolen roots that have handed over since signs a newer manifest alone, as if they never had.
#[tokio::test(start_paused = true)]
async fn refuses_roots_that_had_handed_over_to_those_that_were_seen() {
    let [first, second, third] = [(); 3].map(|()| Roots::new(3, 2));
    let one = first.hand_over(&second, &[0, 1]);
    let wire = shown(|manifest| {
        let mut signed = second.sign(manifest, &[0, 1]);
        signed.successions = vec![one.clone()];
        signed
    })
    .await;
    let seen = fetch_of(&wire, &first.fingerprint(), None).await.unwrap().memory();
    let newer = FleetManifest { version: seen.version + 1, ..wire.vault.manifest() };
    show(&wire, first.sign(&newer, &[0, 1]));
    assert!(fetch_of(&wire, &first.fingerprint(), None).await.is_ok(), "who has seen nothing cannot tell");
    let outcome = fetch_of(&wire, &first.fingerprint(), Some(seen)).await;
    assert_eq!(outcome.unwrap_err(), FleetError::Succession);
    // Nor do they hand over to others.
    let mut signed = third.sign(&newer, &[0, 1]);
    signed.successions = vec![first.hand_over(&third, &[0, 1])];
    show(&wire, signed.clone());
    assert_eq!(fetch_of(&wire, &first.fingerprint(), Some(seen)).await.unwrap_err(), FleetError::Succession);
    // Those that were seen do.
    signed.successions = vec![one, second.hand_over(&third, &[0, 1])];
    show(&wire, signed);
    let next = fetch_of(&wire, &first.fingerprint(), Some(seen)).await.unwrap();
    assert_eq!(next.memory().roots, Some(third.fingerprint()));
}
