//! Which segments make a pack: of those that wait, the ones that leave the least to padding.

use std::iter;
use std::mem;

use crate::frame::padme;
use crate::pack::{MAX_PACK, OVERHEAD, Segment};

/// From this size on a pack is complete.
const GOOD_PACK: usize = 12 << 20;

/// Bytes of padding that are worth another pack in the end.
const WORTH_A_PACK: usize = 64 << 10;

/// So many of the last segments of a pack may be left out of it.
const CHOICES: usize = 32;

/// Segments that wait for their pack.
#[derive(Default)]
pub(crate) struct Waiting {
    segments: Vec<Segment>,
    /// The bytes that they take in a pack.
    len: usize,
}

impl Waiting {
    /// Adds a segment. If there are more than a pack takes now, those of one are handed out.
    pub(crate) fn push(&mut self, segment: Segment) -> Option<Vec<Segment>> {
        self.len += segment.room();
        self.segments.push(segment);
        if OVERHEAD + self.len <= MAX_PACK {
            return None;
        }
        let chosen = choose(&self.rooms());
        Some(self.take(chosen))
    }

    /// What is left fits a pack; in two there may be less padding.
    pub(crate) fn rest(mut self) -> impl Iterator<Item = Vec<Segment>> {
        let rooms = self.rooms();
        let chosen = choose(&rooms);
        let all = OVERHEAD + self.len;
        let first = OVERHEAD + rooms[..chosen.0].iter().sum::<usize>() - chosen.1.map_or(0, |at| rooms[at]);
        let second = OVERHEAD + all - first;
        let padding = |len| padme(len) - len;
        let is_worth_it = padding(first) + padding(second) + WORTH_A_PACK < padding(all);
        let first = is_worth_it.then(|| self.take(chosen));
        first.into_iter().chain([self.segments]).filter(|rest| !rest.is_empty())
    }

    fn rooms(&self) -> Vec<usize> {
        self.segments.iter().map(Segment::room).collect()
    }

    /// Hands out the first segments up to an end, without one.
    fn take(&mut self, (end, without): (usize, Option<usize>)) -> Vec<Segment> {
        let behind = self.segments.split_off(end);
        let mut chosen = mem::take(&mut self.segments);
        self.segments.extend(without.map(|at| chosen.remove(at)));
        self.segments.extend(behind);
        self.len -= chosen.iter().map(Segment::room).sum::<usize>();
        chosen
    }
}

/// How many of the first segments make a pack, and which one of them is left to the next. All ends of a pack are tried,
/// each with one segment less, too.
fn choose(rooms: &[usize]) -> (usize, Option<usize>) {
    let mut best: Option<(usize, usize, Option<usize>)> = None;
    let (mut len, mut fit) = (OVERHEAD, 0);
    for (at, room) in rooms.iter().enumerate() {
        len += room;
        if len <= MAX_PACK {
            fit = at + 1;
        }
        let less = (at.saturating_sub(CHOICES)..at).map(|left| (len - rooms[left], Some(left)));
        for (len, without) in iter::once((len, None)).chain(less) {
            let padding = padme(len) - len;
            if (GOOD_PACK..=MAX_PACK).contains(&len) && best.is_none_or(|(least, ..)| padding < least) {
                best = Some((padding, at + 1, without));
            }
        }
    }
    best.map_or((fit, None), |(_, end, without)| (end, without))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunker::{Chunker, Kind};
    use crate::id::ChunkId;
    use crate::pack::{MAX_CHUNKS, MAX_SEGMENT, SegmentKind};

    fn segment(payload: usize, chunks: usize) -> Segment {
        let chunk = (ChunkId::from_bytes([7; 32]), (MAX_SEGMENT / MAX_CHUNKS) as u32);
        Segment { kind: SegmentKind::Data, payload: vec![0; payload], chunks: vec![chunk; chunks] }
    }

    fn len(pack: &[Segment]) -> usize {
        OVERHEAD + pack.iter().map(Segment::room).sum::<usize>()
    }

    fn packs(segments: impl IntoIterator<Item = Segment>) -> Vec<Vec<Segment>> {
        let mut waiting = Waiting::default();
        let mut packs: Vec<_> = segments.into_iter().filter_map(|segment| waiting.push(segment)).collect();
        packs.extend(waiting.rest());
        packs
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_segment_goes_into_one_pack_and_none_is_too_large(
            sizes in prop::collection::vec((1..=MAX_SEGMENT + 1, 1..=MAX_CHUNKS / 5), 1..30),
        ) {
            let numbered = sizes.iter().zip(0_u8..).map(|((payload, chunks), number)| {
                let mut segment = segment(*payload, *chunks);
                segment.payload[0] = number;
                segment
            });
            let packs = packs(numbered);
            for pack in &packs {
                prop_assert!(!pack.is_empty() && len(pack) <= MAX_PACK, "{}", len(pack));
            }
            let mut numbers: Vec<_> = packs.iter().flatten().map(|segment| segment.payload[0]).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0_u8..).take(sizes.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn segments_of_all_sizes_leave_little_to_padding() {
        // As long as photos and texts are, and no two alike.
        let sizes = (0..400_usize).map(|number| 400_000 + number * 7_919 * 13 % 600_000);
        let packs = packs(sizes.map(|size| segment(size, 4)));
        let (full, lens) = (packs.len() - 1, packs.iter().map(|pack| len(pack)));
        let padding: usize = lens.take(full).map(|len| padme(len) - len).sum();
        assert!(packs.iter().take(full).all(|pack| len(pack) >= GOOD_PACK));
        assert!(padding < full * 20_000, "{} bytes for each of {full} packs", padding / full);
    }

    #[test]
    fn the_last_pack_is_two_where_that_saves_much_padding_and_else_one() {
        let (mut two, most) = (0, 256 << 10);
        for more in 0..40 {
            let sizes = (0..15).map(|number| 850_000 + 7_919 * number + more * 1_000);
            let segments: Vec<_> = sizes.map(|size| segment(size, 4)).collect();
            let alone = len(&segments);
            let packs = packs(segments);
            let padding: usize = packs.iter().map(|pack| padme(len(pack)) - len(pack)).sum();
            two += packs.len() - 1;
            assert!(packs.len() == 1 || padding + WORTH_A_PACK < padme(alone) - alone, "{more}");
            assert!(padding < most / 2, "{more}: {padding} in {} packs", packs.len());
        }
        assert!((5..40).contains(&two), "{two}");
    }

    /// A long video.
    #[test]
    fn packs_of_media_pieces_leave_little_to_padding() {
        let cut = Chunker::new([1; 256]).next(&[0; 1 << 20], Kind::of(b"\xff\xd8\xff").cuts);
        let packs = packs((0..50).map(|_| segment(1 + cut, 1)));
        let padding = packs.iter().map(|pack| padme(len(pack)) - len(pack));
        assert!(padding.take(packs.len() - 1).all(|padding| padding < 16_000));
    }

    #[test]
    fn segments_that_no_good_pack_can_be_made_of_are_packed_all_the_same() {
        let room = 5_900_000;
        assert_eq!(choose(&[room; 3]), (2, None));
    }
}
