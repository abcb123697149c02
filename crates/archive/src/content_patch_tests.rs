//! Patches: lists of the next backup, as changes to those of the last.

use super::*;

fn changed(extents: &[Extent], positions: impl IntoIterator<Item = usize>, day: u64) -> Vec<Extent> {
    let mut extents = extents.to_vec();
    for position in positions {
        extents[position] = chunk(1_000_000 * day + position as u64);
    }
    extents
}

fn base_of(list: &List) -> Option<ChunkId> {
    match list {
        List::Full(_) => None,
        List::Patch { base, .. } => Some(*base),
    }
}

#[test]
fn the_base_is_kept_over_many_days() {
    let mut lists = Lists::default();
    let mut extents = chunks(4096);
    let first = lists.build(&extents, Vec::new());
    let (mut content, mut before) = (first.clone(), lists.bytes());
    for day in 1..30 {
        extents = changed(&extents, [day as usize, 2048 + day as usize], day);
        content = lists.rebuild(&content, &extents);
        assert_eq!(lists.whole(&content), extents, "day {day}");
        let bases: Vec<_> = ids(&content).iter().map(|id| base_of(&lists.list(id))).collect();
        let [one, _, three, _] = ids(&first)[..] else { panic!("four lists") };
        assert_eq!(bases, [Some(one), None, Some(three), None], "day {day}");
        let added = lists.bytes() - before;
        assert!(added <= 2 * (35 + 36 * day as usize), "day {day} added {added} bytes");
        before = lists.bytes();
    }
}

#[test]
fn a_patch_is_used_only_when_shorter_than_half() {
    for count in [1, 400, 470, 480, 490, 600, 1024] {
        let mut lists = Lists::default();
        let extents = chunks(1024);
        let before = lists.build(&extents, Vec::new());
        let extents = changed(&extents, 0..count, 1);
        let content = lists.rebuild(&before, &extents);
        assert_eq!(lists.whole(&content), extents);
        let replaced = (0..count).map(|position| (position, extents[position])).collect();
        let patch = List::Patch { base: ids(&before)[0], replaced };
        let is_short = patch.encode().len() * 2 < List::Full(extents).encode().len();
        let stored = lists.list(&ids(&content)[0]);
        assert_eq!(stored == patch, is_short, "{count} changes");
        assert_eq!(matches!(stored, List::Full(_)), !is_short, "{count} changes");
    }
}

#[test]
fn after_a_full_list_patches_are_to_that_one() {
    let mut lists = Lists::default();
    let extents = chunks(1024);
    let first = lists.build(&extents, Vec::new());
    let extents = changed(&extents, 0..800, 1);
    let second = lists.rebuild(&first, &extents);
    let third = lists.rebuild(&second, &changed(&extents, [5], 2));
    assert_eq!(base_of(&lists.list(&ids(&third)[0])), Some(ids(&second)[0]));
}

#[test]
fn the_first_and_the_last_position_of_a_list_can_be_patched() {
    let mut lists = Lists::default();
    let extents = chunks(2048);
    let before = lists.build(&extents, Vec::new());
    let extents = changed(&extents, [0, 1023, 1024, 2047], 1);
    let content = lists.rebuild(&before, &extents);
    assert_eq!(lists.whole(&content), extents);
    for id in ids(&content) {
        let List::Patch { replaced, .. } = lists.list(&id) else { panic!("a full list") };
        assert_eq!(replaced.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [0, 1023]);
    }
}

#[test]
fn a_chunk_that_becomes_a_hole_and_back_is_patched() {
    let mut lists = Lists::default();
    let extents = chunks(1024);
    let before = lists.build(&extents, Vec::new());
    let mut sparse = extents.clone();
    sparse[7] = Extent::Hole { len: 4096 };
    let content = lists.rebuild(&before, &sparse);
    assert_eq!(lists.whole(&content), sparse);
    assert!(base_of(&lists.list(&ids(&content)[0])).is_some());
    assert_eq!(lists.rebuild(&content, &extents), before);
}

#[test]
fn an_unchanged_content_adds_nothing() {
    let mut lists = Lists::default();
    let first = lists.build(&chunks(3000), Vec::new());
    let second = lists.rebuild(&first, &changed(&chunks(3000), [1], 1));
    let count = lists.0.len();
    assert_eq!(lists.rebuild(&first, &chunks(3000)), first);
    // The same patch again, and the way back to the base.
    assert_eq!(lists.rebuild(&second, &changed(&chunks(3000), [1], 1)), second);
    assert_eq!(lists.rebuild(&second, &chunks(3000)), first);
    assert_eq!(lists.0.len(), count);
}

#[test]
fn a_list_that_grows_is_stored_in_full_and_the_others_stay() {
    let mut lists = Lists::default();
    let before = lists.build(&chunks(1500), Vec::new());
    let count = lists.0.len();
    for more in [1501, 2048, 2049, 40_000] {
        let content = lists.rebuild(&before, &chunks(more));
        assert_eq!(lists.whole(&content), chunks(more));
        let leaves = leaf_lists(&content, &mut lists);
        assert_eq!(leaves[0], ids(&before)[0]);
        assert!(leaves.iter().all(|id| base_of(&lists.list(id)).is_none()), "{more} extents");
    }
    assert!(lists.0.len() > count);
}

#[test]
fn a_content_that_shrinks_comes_back() {
    let mut lists = Lists::default();
    let before = lists.build(&chunks(40_000), Vec::new());
    for fewer in [39_999, 5000, 1024, 17, 16, 0] {
        let content = lists.rebuild(&before, &chunks(fewer));
        assert_eq!(lists.whole(&content), chunks(fewer));
    }
}

#[test]
fn lists_below_lists_are_patched() {
    let mut lists = Lists::default();
    let extents = chunks(20_000);
    let before = lists.build(&extents, Vec::new());
    let bytes = lists.bytes();
    let extents = changed(&extents, [3, 19_999], 1);
    let content = lists.rebuild(&before, &extents);
    assert_eq!((content.depth, lists.whole(&content)), (2, extents));
    // Two patches and the list of the 20 lists.
    assert!(lists.bytes() - bytes < 1000);
}

#[test]
fn a_previous_list_that_cannot_be_read_is_not_patched() {
    let mut lists = Lists::default();
    let before = lists.build(&chunks(2048), Vec::new());
    let extents = changed(&chunks(2048), [1, 1030], 1);
    lists.0.remove(&ids(&before)[0]);
    let content = lists.rebuild(&before, &extents);
    assert_eq!(lists.whole(&content), extents);
    let bases: Vec<_> = ids(&content).iter().map(|id| base_of(&lists.list(id))).collect();
    assert_eq!(bases, [None, Some(ids(&before)[1])]);
}

#[test]
fn the_leaves_of_a_short_or_unreadable_content_are_none() {
    let mut lists = Lists::default();
    let short = lists.build(&chunks(16), Vec::new());
    assert_eq!(leaf_lists(&short, &mut lists), []);
    let deep = lists.build(&chunks(16 * 1024 + 1), Vec::new());
    assert_eq!(leaf_lists(&deep, &mut lists).len(), 17);
    lists.0.remove(&ids(&deep)[0]);
    assert_eq!(leaf_lists(&deep, &mut lists), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_day_of_a_changing_content_comes_back(
        len in 0_u64..2500, days in vec((vec(any::<prop::sample::Index>(), 0..600), 0_u64..40), 1..6),
    ) {
        let mut lists = Lists::default();
        let mut extents = chunks(len);
        let mut content = lists.build(&extents, Vec::new());
        let mut all = vec![(content.clone(), extents.clone())];
        for (day, (positions, grown)) in (1..).zip(days) {
            if !extents.is_empty() {
                let positions: Vec<_> = positions.iter().map(|position| position.index(extents.len())).collect();
                extents = changed(&extents, positions, day);
            }
            extents.extend((0..grown).map(|n| chunk(900_000_000 * day + n)));
            content = lists.rebuild(&content, &extents);
            all.push((content.clone(), extents.clone()));
        }
        for (content, extents) in all {
            prop_assert_eq!(lists.whole(&content), extents);
        }
    }
}
