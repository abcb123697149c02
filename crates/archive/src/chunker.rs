//! Chunking that knows what it looks at: a database by its pages, media in large pieces, the rest by content.

use fastcdc::v2020::{Normalization, cut_gear, select_masks};

use crate::pipeline::Class;
use crate::sqlite;

/// How many bytes of a file decide its kind.
pub(crate) const HEAD_LEN: usize = 64;

/// Media pieces, bytes. A little less than 1 MiB: a pack of them leaves 0.1 % to padding, where 1 MiB would leave 1.6 %.
const PIECE: usize = (1 << 20) - (1 << 10);
/// The smallest page worth a chunk of its own, bytes; smaller ones are taken together.
const MIN_PAGE: usize = 4 << 10;
/// Content-defined chunks, bytes: the least, the aim, the most. A file below the least is one chunk.
const MIN: usize = 16 << 10;
const AIM: usize = 64 << 10;
/// See `MIN`.
pub(crate) const MAX: usize = 256 << 10;

/// Where a content is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// Every so many bytes.
    Fixed(usize),
    /// Where the content says.
    ByContent,
}

/// How a file's content is treated, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) cuts: Cuts,
    pub(crate) class: Class,
    pub(crate) is_database: bool,
}

impl Kind {
    /// The kind of a file that begins with `head` (up to [`HEAD_LEN`] bytes).
    pub(crate) fn of(head: &[u8]) -> Self {
        if let Some(page) = sqlite::page_size(head) {
            let cuts = Cuts::Fixed(page.max(MIN_PAGE));
            return Self { cuts, class: Class::Pages, is_database: true };
        }
        if is_media(head) {
            return Self { cuts: Cuts::Fixed(PIECE), class: Class::Media, is_database: false };
        }
        Self { cuts: Cuts::ByContent, class: Class::Text, is_database: false }
    }
}

/// Whether the file is of a format that is compressed already and never edited in place.
fn is_media(head: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    let riff = at(0, b"RIFF") && (at(8, b"WEBP") || at(8, b"AVI "));
    let iso_media = at(4, b"ftyp");
    let starts: [&[u8]; 14] = [
        b"\xff\xd8\xff",       // JPEG
        b"\x89PNG\r\n\x1a\n",  // PNG
        b"GIF8",               // GIF
        b"OggS",               // Ogg: Opus, Vorbis
        b"ID3",                // MP3
        b"\xff\xfb",           // MP3 without tags
        b"fLaC",               // FLAC
        b"\x1a\x45\xdf\xa3",   // Matroska, WebM
        b"#!AMR",              // AMR voice notes
        b"PK\x03\x04",         // ZIP, and the office formats made of it
        b"\x1f\x8b",           // gzip
        b"\x28\xb5\x2f\xfd",   // zstd
        b"\xfd7zXZ\0",         // xz
        b"7z\xbc\xaf\x27\x1c", // 7-Zip
    ];
    riff || iso_media || starts.iter().any(|magic| at(0, magic))
}

/// Finds content-defined cut points under an archive's secret table (FastCDC, Xia et al. 2020).
pub(crate) struct Chunker {
    pub(crate) gear: [u64; 256],
    gear_shifted: [u64; 256],
    masks: (u64, u64),
}

impl Chunker {
    pub(crate) fn new(gear: [u64; 256]) -> Self {
        Self { gear, gear_shifted: gear.map(|word| word << 1), masks: select_masks(AIM, Normalization::Level1) }
    }

    /// Length of the chunk at the beginning of `window`, which holds [`MAX`] bytes or all that is left.
    pub(crate) fn next(&self, window: &[u8], cuts: Cuts) -> usize {
        let (small, large) = self.masks;
        match cuts {
            Cuts::Fixed(len) => len.min(window.len()),
            Cuts::ByContent if window.len() <= MIN => window.len(),
            Cuts::ByContent => {
                let (gear, shifted) = (&self.gear, &self.gear_shifted);
                cut_gear(window, MIN, AIM, MAX, small, large, small << 1, large << 1, gear, shifted).1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(chunker: &Chunker, content: &[u8], cuts: Cuts) -> Vec<usize> {
        let (mut at, mut lens) = (0, Vec::new());
        while at < content.len() {
            let len = chunker.next(&content[at..content.len().min(at + MAX.max(PIECE))], cuts);
            assert!(len > 0);
            lens.push(len);
            at += len;
        }
        lens
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        let mut bytes = vec![0; len];
        reader.fill(&mut bytes);
        bytes
    }

    fn gear(seed: u64) -> [u64; 256] {
        let bytes = noise(2048, seed);
        std::array::from_fn(|i| bytes[i * 8..i * 8 + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    proptest! {
        #[test]
        fn chunks_cover_the_content_within_their_limits(len in 0_usize..3_000_000, page in 0_usize..3) {
            let chunker = Chunker::new(gear(1));
            let cuts = [Cuts::ByContent, Cuts::Fixed(4096), Cuts::Fixed(PIECE)][page];
            let lens = chunks(&chunker, &noise(len, 2), cuts);
            prop_assert_eq!(lens.iter().sum::<usize>(), len);
            let most = match cuts { Cuts::ByContent => MAX, Cuts::Fixed(len) => len };
            prop_assert!(lens.iter().all(|len| *len <= most));
        }
    }

    #[test]
    fn an_insertion_changes_few_chunks() {
        let chunker = Chunker::new(gear(1));
        let before = noise(4 << 20, 3);
        let mut after = before.clone();
        after.splice(1_000_000..1_000_000, *b"inserted");
        let ids = |content: &[u8]| {
            let mut at = 0;
            let lens = chunks(&chunker, content, Cuts::ByContent);
            lens.into_iter()
                .map(|len| {
                    at += len;
                    blake3::hash(&content[at - len..at])
                })
                .collect::<Vec<_>>()
        };
        let old = ids(&before);
        let new = ids(&after).into_iter().filter(|id| !old.contains(id)).count();
        assert!(new <= 3, "{new} new chunks");
    }

    #[test]
    fn cut_points_depend_on_the_secret_table() {
        let content = noise(4 << 20, 4);
        let (one, other) = (Chunker::new(gear(1)), Chunker::new(gear(2)));
        assert_ne!(chunks(&one, &content, Cuts::ByContent), chunks(&other, &content, Cuts::ByContent));
    }

    #[test]
    fn knows_databases_media_and_the_rest() {
        let mut database = b"SQLite format 3\0".to_vec();
        database.extend_from_slice(&[0x20, 0, 1, 1]);
        assert_eq!(Kind::of(&database).cuts, Cuts::Fixed(8192));
        database[16..18].copy_from_slice(&[2, 0]);
        assert_eq!(Kind::of(&database).cuts, Cuts::Fixed(4096));
        database[16..18].copy_from_slice(&[0, 1]);
        assert_eq!(Kind::of(&database).cuts, Cuts::Fixed(65536));
        assert_eq!(Kind::of(b"RIFF\0\0\0\0WEBPVP8 ").class, Class::Media);
        assert_eq!(Kind::of(b"\0\0\0\x20ftypisom").class, Class::Media);
        assert_eq!(Kind::of(b"[01.01.25, 00:00:01] ~: hello").cuts, Cuts::ByContent);
        assert_eq!(Kind::of(b"").cuts, Cuts::ByContent);
    }
}
