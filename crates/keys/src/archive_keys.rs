//! One key for each purpose within an archive.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::labels;
use crate::object_key::ObjectKey;
use crate::secret::Secret;

/// The keys of one epoch of an archive, from [`DataKey::derive`](crate::DataKey::derive). No two purposes share one.
#[derive(Debug)]
pub struct ArchiveKeys {
    /// Turns a chunk's plaintext into its id.
    pub chunk_id: ChunkIdKey,
    /// Decides where content is cut into chunks.
    pub chunker: ChunkerKey,
    /// Seals packs: the chunks themselves.
    pub pack: ObjectKey,
    /// Seals the lists of which chunk lies in which pack.
    pub index: ObjectKey,
    /// Seals snapshots.
    pub snapshot: ObjectKey,
    /// Seals the notes of who is working on the archive.
    pub lock: ObjectKey,
    /// Seals the lists of snapshots that were forgotten.
    pub forgotten: ObjectKey,
    /// Seals the lists of packs that are to be removed.
    pub doomed: ObjectKey,
    /// Seals the note of the newest snapshots that the vault keeps.
    pub head: ObjectKey,
    /// Seals what a rotated archive's header carries from epoch to epoch.
    pub carried: ObjectKey,
    /// Commits to what stands in the clear, such as the archive's header.
    pub commit: CommitKey,
}

impl ArchiveKeys {
    /// `derive_purpose` gives the key that belongs to a label.
    pub(crate) fn derive(derive_purpose: impl Fn(&str) -> Secret) -> Self {
        Self {
            chunk_id: ChunkIdKey(derive_purpose(labels::CHUNK_ID)),
            chunker: ChunkerKey(derive_purpose(labels::CHUNKER)),
            pack: ObjectKey::new(derive_purpose(labels::PACK)),
            index: ObjectKey::new(derive_purpose(labels::INDEX)),
            snapshot: ObjectKey::new(derive_purpose(labels::SNAPSHOT)),
            lock: ObjectKey::new(derive_purpose(labels::LOCK)),
            forgotten: ObjectKey::new(derive_purpose(labels::FORGOTTEN)),
            doomed: ObjectKey::new(derive_purpose(labels::DOOMED)),
            head: ObjectKey::new(derive_purpose(labels::HEAD)),
            carried: ObjectKey::new(derive_purpose(labels::CARRIED)),
            commit: CommitKey(derive_purpose(labels::COMMIT)),
        }
    }

    /// Each key beside its purpose's name, for comparison with the vectors.
    #[cfg(test)]
    pub(crate) fn expose_all(&self) -> [(&'static str, &[u8; 32]); 11] {
        [
            ("chunk-id", self.chunk_id.expose_bytes()),
            ("chunker", self.chunker.0.expose_bytes()),
            ("pack", self.pack.expose_bytes()),
            ("index", self.index.expose_bytes()),
            ("snapshot", self.snapshot.expose_bytes()),
            ("lock", self.lock.expose_bytes()),
            ("forgotten", self.forgotten.expose_bytes()),
            ("doomed", self.doomed.expose_bytes()),
            ("head", self.head.expose_bytes()),
            ("carried", self.carried.expose_bytes()),
            ("commit", self.commit.0.expose_bytes()),
        ]
    }
}

/// The key of keyed BLAKE3: a chunk's id is its hash under this key, so that the provider cannot test for a known file.
#[derive(Debug)]
pub struct ChunkIdKey(Secret);

impl ChunkIdKey {
    /// The key of these 32 bytes, as [`ChunkIdKey::expose_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The 32 bytes that BLAKE3's keyed mode takes.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }
}

/// The key that the chunker's table comes from, so that cut points differ from archive to archive.
#[derive(Debug)]
pub struct ChunkerKey(Secret);

impl ChunkerKey {
    /// The key of these 32 bytes, as [`ChunkerKey::expose_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The key itself, to be carried over to a later epoch.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }

    /// The gear table: HKDF-SHA256-Expand with this key and the info [`labels::GEAR`], 2048 bytes, read as 256
    /// little-endian words. As secret as the key; the caller keeps it as long as it cuts.
    pub fn derive_gear(&self) -> [u64; 256] {
        let mut bytes = Zeroizing::new([0; 2048]);
        self.0.derive_expand(&[labels::GEAR.as_bytes()], bytes.as_mut_slice());
        let mut gear = [0; 256];
        for (word, bytes) in gear.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        gear
    }
}

/// The key of commitments to what stands in the clear: who lacks it can neither forge one nor check a guess.
#[derive(Debug)]
pub struct CommitKey(Secret);

impl CommitKey {
    /// HMAC-SHA256 (RFC 2104) of `message`. One message format only may be committed to under this key, or each must
    /// begin in a way of its own.
    pub fn commit(&self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    /// Whether `commitment` is that of `message`; the comparison takes constant time.
    pub fn verify(&self, message: &[u8], commitment: &[u8; 32]) -> bool {
        self.mac(message).verify_slice(commitment).is_ok()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_bytes()).expect("HMAC takes a key of any length");
        mac.chain_update(message)
    }
}

#[cfg(test)]
mod tests {
    use crate::{ArchiveId, ArchiveKeys, DataKey};

    fn keys() -> ArchiveKeys {
        DataKey::from_bytes([1; 32]).derive(&ArchiveId::from_bytes([2; 16]))
    }

    #[test]
    fn debug_prints_no_byte_of_any_key() {
        assert_eq!(
            format!("{:?}", keys()),
            "ArchiveKeys { chunk_id: ChunkIdKey(..), chunker: ChunkerKey(..), pack: ObjectKey(..), \
             index: ObjectKey(..), snapshot: ObjectKey(..), lock: ObjectKey(..), \
             forgotten: ObjectKey(..), doomed: ObjectKey(..), head: ObjectKey(..), carried: ObjectKey(..), commit: CommitKey(..) }"
        );
    }

    #[test]
    fn no_two_words_of_the_gear_are_equal() {
        let mut gear = keys().chunker.derive_gear();
        gear.sort_unstable();
        assert!(gear.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn verifies_its_own_commitment() {
        let key = keys().commit;
        assert!(key.verify(b"header", &key.commit(b"header")));
    }

    #[test]
    fn refuses_the_commitment_of_another_message() {
        let key = keys().commit;
        assert!(!key.verify(b"header", &key.commit(b"headers")));
    }

    #[test]
    fn refuses_a_commitment_with_any_byte_changed() {
        let key = keys().commit;
        for byte in 0..32 {
            let mut commitment = key.commit(b"header");
            commitment[byte] ^= 1;
            assert!(!key.verify(b"header", &commitment), "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_commitment_of_another_archive() {
        let other = DataKey::from_bytes([1; 32]).derive(&ArchiveId::from_bytes([3; 16]));
        assert!(!keys().commit.verify(b"header", &other.commit.commit(b"header")));
    }
}
