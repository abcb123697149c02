#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::content::Content;
use crate::samples::{NAME, any_snapshot};
use crate::snapshot::Totals;
use crate::tree::Time;

fn head(number: u64) -> Head {
    Head { number, hash: [number as u8; 32] }
}

fn snapshot(number: u64, previous: &[u64]) -> Snapshot {
    Snapshot {
        name: NAME,
        head: head(number),
        previous: previous.iter().copied().map(head).collect(),
        host: String::new(),
        started: Time::default(),
        finished: Time::default(),
        base: "/".into(),
        sources: Vec::new(),
        totals: Totals::default(),
        problems: 0,
        root: Content::default(),
        hash: head(number).hash,
        earlier: Vec::new(),
    }
}

fn forgotten(snapshots: &[&Snapshot]) -> Forgotten {
    snapshots.iter().map(|snapshot| (snapshot.head, snapshot.previous.clone())).collect()
}

/// What counts as known: there, or forgotten and followed.
fn known(all: &[Snapshot], forgotten: &Forgotten) -> HashSet<u64> {
    let (kept, _) = sort_out(all.to_vec(), forgotten);
    let followed = followed(&kept, forgotten);
    let gone = forgotten.keys().filter(|head| followed.contains(head));
    kept.iter().map(|snapshot| &snapshot.head).chain(gone).map(|head| head.number).collect()
}

proptest! {
    #[test]
    fn what_was_forgotten_survives(snapshots in prop::collection::vec(any_snapshot(), 0..6)) {
        let forgotten = forgotten(&snapshots.iter().collect::<Vec<_>>());
        prop_assert_eq!(decode(&encode(&forgotten)).unwrap(), forgotten);
    }

    #[test]
    fn changed_bytes_are_refused_or_another_value_in_its_one_form(
        snapshots in prop::collection::vec(any_snapshot(), 1..4), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode(&forgotten(&snapshots.iter().collect::<Vec<_>>()));
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = decode(&bytes) {
            prop_assert_eq!(encode(&changed), bytes);
        }
    }

    #[test]
    fn refuses_any_truncation_and_any_byte_more(snapshots in prop::collection::vec(any_snapshot(), 1..3)) {
        let mut bytes = encode(&forgotten(&snapshots.iter().collect::<Vec<_>>()));
        for len in 0..bytes.len() {
            prop_assert!(decode(&bytes[..len]).is_err());
        }
        bytes.push(0);
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn refuses_snapshots_that_are_out_of_order_or_follow_later_ones() {
    let entry = |e: &mut Encoder, number: u64, previous: &[u64]| {
        e.varint(number);
        e.raw(&head(number).hash);
        e.varint(previous.len() as u64);
        for number in previous {
            e.varint(*number);
            e.raw(&head(*number).hash);
        }
    };
    let refused: [&[(u64, &[u64])]; 6] =
        [&[(2, &[]), (1, &[])], &[(2, &[]), (2, &[])], &[(0, &[])], &[(2, &[2])], &[(2, &[0])], &[(4, &[3, 1])]];
    for entries in refused {
        let mut e = Encoder::new();
        e.varint(entries.len() as u64);
        entries.iter().for_each(|(number, previous)| entry(&mut e, *number, previous));
        assert!(matches!(decode(&e.finish()), Err(CodecError::Invalid(_))), "{entries:?}");
    }
}

/// A history with a branch: 1 ← 2 ← 3 ← 5 ← 6, 2 ← 4 ← 5.
fn history() -> Vec<Snapshot> {
    [(1, vec![]), (2, vec![1]), (3, vec![2]), (4, vec![2]), (5, vec![3, 4]), (6, vec![5])]
        .map(|(number, previous)| snapshot(number, &previous))
        .into()
}

/// Everything that an attacker can serve: any of the snapshots that there ever were, with or without any of the objects that
/// say what was forgotten. Whatever it is, a device that remembers a snapshot accepts it only if that one is there, or one
/// that came after it and follows it.
#[test]
fn no_old_state_passes_for_a_new_one_whatever_is_served_with_it() {
    let all = history();
    let said = [forgotten(&[&all[1]]), forgotten(&[&all[1], &all[2], &all[3]]), forgotten(&[&all[4]])];
    let mut follows = vec![HashSet::new(); 7];
    for snapshot in &all {
        for previous in &snapshot.previous {
            let before = follows[previous.number as usize].clone();
            let own = &mut follows[snapshot.head.number as usize];
            own.insert(previous.number);
            own.extend(before);
        }
    }
    for served in 0_u32..1 << all.len() {
        for with in 0_u32..1 << said.len() {
            let there: Vec<_> =
                (0..).zip(&all).filter(|(at, _)| served >> at & 1 == 1).map(|(_, one)| one.clone()).collect();
            let told: Forgotten =
                (0..).zip(&said).filter(|(at, _)| with >> at & 1 == 1).flat_map(|(_, one)| one.clone()).collect();
            let known = known(&there, &told);
            for number in 1..=6 {
                let is_there = there.iter().any(|one| one.head.number == number);
                let is_told = told.contains_key(&head(number));
                let is_overtaken = there.iter().any(|one| follows[one.head.number as usize].contains(&number));
                assert!(
                    !known.contains(&number) || is_there || (is_told && is_overtaken),
                    "{number}: {served:b} {with:b}"
                );
            }
        }
    }
}

#[test]
fn what_was_forgotten_in_good_order_is_known_and_is_not_there() {
    let all = history();
    for gone in [vec![0], vec![1], vec![0, 1, 2, 3, 4], vec![2, 3], vec![4]] {
        let said = forgotten(&gone.iter().map(|at| &all[*at]).collect::<Vec<_>>());
        let there: Vec<_> = (0..).zip(&all).filter(|(at, _)| !gone.contains(at)).map(|(_, one)| one.clone()).collect();
        assert_eq!(known(&there, &said).len(), 6, "{gone:?}");
        let (kept, leftover) = sort_out(all.clone(), &said);
        assert_eq!((kept.len(), leftover.len()), (6 - gone.len(), gone.len()), "served again, it is not back");
        let followed = followed(&kept, &said);
        let tips: Vec<_> = kept.iter().filter(|one| !followed.contains(&one.head)).map(|one| one.head.number).collect();
        assert_eq!(tips, [6], "{gone:?}");
    }
}

#[test]
fn one_that_was_forgotten_is_there_again_where_nothing_follows_it() {
    let all = history();
    let said = forgotten(&[&all[1], &all[4]]);
    let (kept, leftover) = sort_out(all[..5].to_vec(), &said);
    assert_eq!(kept.iter().map(|one| one.head.number).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(leftover.len(), 1);
}
