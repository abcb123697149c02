#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[path = "content_patch_tests.rs"]
mod patches;

/// A chunk whose id shows its number.
fn chunk(number: u64) -> Extent {
    Extent::Chunk { id: ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes()), len: 4096 }
}

fn chunks(count: u64) -> Vec<Extent> {
    (0..count).map(chunk).collect()
}

fn any_extent() -> impl Strategy<Value = Extent> {
    let len = prop_oneof![1_u64..200, 1_u64..1 << 50];
    (len, any::<Option<[u8; 32]>>()).prop_map(|(len, id)| match id {
        Some(id) => Extent::Chunk { id: ChunkId::from_bytes(id), len },
        None => Extent::Hole { len },
    })
}

/// Any content that the format allows, also one that no builder would make.
pub(crate) fn any_content() -> impl Strategy<Value = Content> {
    (0..=MAX_DEPTH, vec(any_extent(), 0..=MAX_INLINE)).prop_map(|(depth, extents)| Content { depth, extents })
}

fn any_list() -> impl Strategy<Value = List> {
    let positions = proptest::collection::btree_map(0..LIST_LEN, any_extent(), 0..20);
    prop_oneof![
        vec(any_extent(), 0..40).prop_map(List::Full),
        (any::<[u8; 32]>(), positions).prop_map(|(base, replaced)| List::Patch {
            base: ChunkId::from_bytes(base),
            replaced: replaced.into_iter().collect()
        }),
    ]
}

fn encoded(content: &Content) -> Vec<u8> {
    let mut encoder = Encoder::new();
    content.encode(&mut encoder);
    encoder.finish()
}

fn decoded(bytes: &[u8]) -> Result<Content, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let content = Content::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(content)
}

/// List chunks in memory.
#[derive(Default)]
struct Lists(HashMap<ChunkId, Vec<u8>>);

impl Lists {
    fn load(&self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        self.0.get(id).cloned().ok_or_else(|| Error::damaged(format!("list {id:?}"), Damage::ChunkMissing))
    }

    fn list(&self, id: &ChunkId) -> List {
        List::decode(&self.0[id]).unwrap()
    }

    fn put(&mut self, list: &List) -> ChunkId {
        self.store_list(&list.encode()).unwrap()
    }

    fn bytes(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn build(&mut self, extents: &[Extent], previous: Vec<ChunkId>) -> Content {
        let mut builder = ContentBuilder::with_previous(previous);
        for extent in extents {
            builder.push(*extent, self).unwrap();
        }
        builder.finish(self).unwrap()
    }

    /// The next version of a content, as a backup makes it: patched where that is shorter.
    fn rebuild(&mut self, before: &Content, extents: &[Extent]) -> Content {
        let previous = leaf_lists(before, self);
        self.build(extents, previous)
    }

    fn extents(&self, content: &Content) -> Vec<Result<Extent, Error>> {
        content.extents(|id| self.load(id)).collect()
    }

    fn whole(&self, content: &Content) -> Vec<Extent> {
        self.extents(content).into_iter().collect::<Result<_, _>>().unwrap()
    }
}

impl ListStore for Lists {
    fn store_list(&mut self, bytes: &[u8]) -> Result<ChunkId, Error> {
        let id = ChunkId::from_bytes(*blake3::hash(bytes).as_bytes());
        self.0.insert(id, bytes.to_vec());
        Ok(id)
    }

    fn load_list(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        self.load(id)
    }
}

fn ids(content: &Content) -> Vec<ChunkId> {
    content
        .extents
        .iter()
        .map(|extent| if let Extent::Chunk { id, .. } = extent { *id } else { panic!("a hole") })
        .collect()
}

/// What a builder makes of extents: holes side by side become one.
fn merged(extents: &[Extent]) -> Vec<Extent> {
    let mut merged: Vec<Extent> = Vec::new();
    for extent in extents {
        match (extent, merged.last_mut()) {
            (Extent::Hole { len }, Some(Extent::Hole { len: last })) => *last += len,
            _ => merged.push(*extent),
        }
    }
    merged
}

mod codec {
    use super::*;

    proptest! {
        #[test]
        fn contents_survive(content in any_content()) {
            prop_assert_eq!(decoded(&encoded(&content)).unwrap(), content);
        }

        #[test]
        fn a_changed_content_is_refused_or_another_in_its_one_form(
            content in any_content(), at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = encoded(&content);
            *at.get_mut(&mut bytes) = byte;
            if let Ok(changed) = decoded(&bytes) {
                prop_assert_eq!(encoded(&changed), bytes);
            }
        }

        #[test]
        fn lists_survive(list in any_list()) {
            prop_assert_eq!(List::decode(&list.encode()).unwrap(), list);
        }

        #[test]
        fn a_changed_list_is_refused_or_another_in_its_one_form(
            list in any_list(), at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = list.encode();
            *at.get_mut(&mut bytes) = byte;
            if let Ok(changed) = List::decode(&bytes) {
                prop_assert_eq!(changed.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_the_one_form_of_something(bytes: Vec<u8>) {
            if let Ok(content) = decoded(&bytes) {
                prop_assert_eq!(encoded(&content), &bytes[..]);
            }
            if let Ok(list) = List::decode(&bytes) {
                prop_assert_eq!(list.encode(), bytes);
            }
        }

        #[test]
        fn refuses_any_truncation(content in any_content(), list in any_list()) {
            let (content, list) = (encoded(&content), list.encode());
            for len in 0..content.len() {
                prop_assert_eq!(decoded(&content[..len]), Err(CodecError::Truncated));
            }
            for len in 0..list.len() {
                prop_assert_eq!(List::decode(&list[..len]), Err(CodecError::Truncated));
            }
        }
    }

    fn refusal(content: &Content) -> CodecError {
        decoded(&encoded(content)).unwrap_err()
    }

    #[test]
    fn refuses_lists_nested_too_deep() {
        let content = Content { depth: MAX_DEPTH + 1, extents: chunks(1) };
        assert_eq!(refusal(&content), CodecError::Invalid("lists are nested deeper than the format allows"));
    }

    #[test]
    fn refuses_more_extents_inline_than_sixteen() {
        assert!(decoded(&encoded(&Content { depth: 0, extents: chunks(16) })).is_ok());
        let content = Content { depth: 0, extents: chunks(17) };
        assert_eq!(refusal(&content), CodecError::Invalid("a list is longer than the format allows"));
    }

    #[test]
    fn refuses_more_extents_in_a_list_than_1024() {
        assert!(List::decode(&List::Full(chunks(1024)).encode()).is_ok());
        let refusal = List::decode(&List::Full(chunks(1025)).encode()).unwrap_err();
        assert_eq!(refusal, CodecError::Invalid("a list is longer than the format allows"));
    }

    #[test]
    fn refuses_an_empty_extent() {
        for extent in [Extent::Hole { len: 0 }, Extent::Chunk { id: ChunkId::from_bytes([1; 32]), len: 0 }] {
            let content = Content { depth: 0, extents: vec![extent] };
            assert_eq!(refusal(&content), CodecError::Invalid("an extent is empty"));
        }
    }

    #[test]
    fn refuses_a_content_longer_than_any_file() {
        let longest = Content { depth: 0, extents: vec![Extent::Hole { len: i64::MAX as u64 }] };
        assert_eq!(decoded(&encoded(&longest)).unwrap().len(), i64::MAX as u64);
        let mut longer = longest;
        longer.extents.push(chunk(0));
        assert_eq!(refusal(&longer), CodecError::Invalid("a content is longer than any file"));
    }

    #[test]
    fn refuses_a_patch_whose_positions_do_not_rise() {
        for positions in [[3, 3], [3, 2], [0, LIST_LEN]] {
            let replaced = positions.map(|position| (position, chunk(0))).to_vec();
            let list = List::Patch { base: ChunkId::from_bytes([0; 32]), replaced };
            let refusal = List::decode(&list.encode()).unwrap_err();
            assert_eq!(refusal, CodecError::Invalid("a patch's positions do not rise"), "{positions:?}");
        }
    }

    #[test]
    fn refuses_an_unknown_kind_of_list() {
        assert_eq!(List::decode(&[2, 0]), Err(CodecError::Invalid("the kind of a list is unknown")));
    }

    #[test]
    fn refuses_bytes_after_a_list() {
        assert_eq!(List::decode(&[0, 0, 0]), Err(CodecError::Trailing));
    }
}

mod building {
    use super::*;

    fn check(extents: &[Extent]) -> Content {
        let mut lists = Lists::default();
        let content = lists.build(extents, Vec::new());
        assert_eq!(lists.whole(&content), merged(extents), "{} extents", extents.len());
        assert_eq!(content.len(), extents.iter().map(Extent::len).sum::<u64>());
        assert_eq!(decoded(&encoded(&content)).unwrap(), content);
        content
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_was_pushed_comes_back(count in 0_u64..5200, holes: u64) {
            let hole = |number: u64| holes >> (number % 64) & 1 == 1;
            let extents: Vec<_> =
                (0..count).map(|n| if hole(n) { Extent::Hole { len: n + 1 } } else { chunk(n) }).collect();
            check(&extents);
        }
    }

    #[test]
    fn sixteen_extents_need_no_list_and_16384_no_list_of_lists() {
        let depths = [(0, 0), (1, 0), (16, 0), (17, 1), (1024, 1), (1025, 1), (16 * 1024, 1), (16 * 1024 + 1, 2)];
        for (count, depth) in depths {
            assert_eq!(check(&chunks(count)).depth, depth, "{count} extents");
        }
    }

    #[test]
    fn a_hole_grows_across_the_end_of_a_list() {
        let mut extents = chunks(1023);
        extents.extend([Extent::Hole { len: 5 }; 3]);
        extents.extend(chunks(2));
        let content = check(&extents);
        assert_eq!((content.depth, content.extents.len()), (1, 2));
    }

    #[test]
    fn a_long_hole_is_one_extent() {
        assert_eq!(check(&[Extent::Hole { len: 1 << 20 }; 5000]).extents, [Extent::Hole { len: 5000 << 20 }]);
    }

    #[test]
    fn the_iterator_names_the_lists_that_it_met() {
        let mut lists = Lists::default();
        let content = lists.build(&chunks(16 * 1024 + 1), Vec::new());
        let mut extents = content.extents(|id| lists.load(id));
        assert_eq!(extents.by_ref().count(), 16 * 1024 + 1);
        // 17 lists of chunks and the list of them.
        assert_eq!(extents.take_lists().len(), 18);
    }
}

mod damage {
    use super::*;

    /// How many extents came back before and after the one error.
    fn around_the_error(extents: &[Result<Extent, Error>]) -> (usize, usize) {
        let at = extents.iter().position(Result::is_err).unwrap();
        assert!(extents[at + 1..].iter().all(Result::is_ok), "more than one error");
        (at, extents.len() - at - 1)
    }

    #[test]
    fn a_missing_list_costs_its_own_extents_only() {
        let mut lists = Lists::default();
        let content = lists.build(&chunks(3000), Vec::new());
        lists.0.remove(&ids(&content)[1]);
        assert_eq!(around_the_error(&lists.extents(&content)), (1024, 3000 - 2048));
    }

    #[test]
    fn a_damaged_list_below_a_list_costs_its_own_extents_only() {
        let mut lists = Lists::default();
        let content = lists.build(&chunks(16 * 1024 + 1), Vec::new());
        let damaged = leaf_lists(&content, &mut lists)[15];
        lists.0.insert(damaged, vec![9]);
        assert_eq!(around_the_error(&lists.extents(&content)), (15 * 1024, 1));
    }

    #[test]
    fn a_list_of_another_length_than_was_said_is_refused() {
        let mut lists = Lists::default();
        let content = lists.build(&chunks(3000), Vec::new());
        lists.0.insert(ids(&content)[0], List::Full(chunks(1023)).encode());
        let extents = lists.extents(&content);
        assert!(matches!(extents[0], Err(Error::Damaged { why: Damage::Contradiction, .. })));
        assert_eq!(around_the_error(&extents), (0, 3000 - 1024));
    }

    fn refusal(lists: &Lists, list: ChunkId, len: u64) -> Damage {
        let content = Content { depth: 1, extents: vec![Extent::Chunk { id: list, len }] };
        match lists.extents(&content).as_slice() {
            [Err(Error::Damaged { why, .. })] => *why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refuses_a_patch_to_a_patch() {
        let mut lists = Lists::default();
        let base = lists.put(&List::Full(chunks(2)));
        let patch = lists.put(&List::Patch { base, replaced: vec![(0, chunk(7))] });
        let second = lists.put(&List::Patch { base: patch, replaced: vec![(1, chunk(8))] });
        assert_eq!(refusal(&lists, second, 2 * 4096), Damage::Contradiction);
    }

    #[test]
    fn refuses_a_patch_to_itself() {
        let mut lists = Lists::default();
        let id = ChunkId::from_bytes([5; 32]);
        lists.0.insert(id, List::Patch { base: id, replaced: vec![(0, chunk(7))] }.encode());
        assert_eq!(refusal(&lists, id, 4096), Damage::Contradiction);
    }

    #[test]
    fn refuses_a_patch_beyond_the_end_of_its_base() {
        let mut lists = Lists::default();
        let base = lists.put(&List::Full(chunks(2)));
        let patch = lists.put(&List::Patch { base, replaced: vec![(2, chunk(7))] });
        assert_eq!(refusal(&lists, patch, 2 * 4096), Damage::Contradiction);
    }

    #[test]
    fn refuses_a_patch_that_makes_a_content_longer_than_any_file() {
        let mut lists = Lists::default();
        let base = lists.put(&List::Full(chunks(2)));
        let replaced = vec![(1, Extent::Hole { len: i64::MAX as u64 })];
        let patch = lists.put(&List::Patch { base, replaced });
        assert!(matches!(refusal(&lists, patch, 4096), Damage::Encoding(_)));
    }
}
