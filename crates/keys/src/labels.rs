//! The label of every derivation: `"coffer/v1/<purpose>"`, one constant each, nowhere else.
//!
//! A label is part of the format. Changing one makes every existing archive unreadable; a new purpose gets a new label.
//! None is the beginning of another, so that what is appended to one (`slot`, `object`, `escrow`) cannot make it read as
//! another.

/// From a backup key: the wrapping key and the check of one key slot. The slot id and the epoch follow the label.
/// Also begins the associated data of the wrapped data key.
pub const SLOT: &str = "coffer/v1/slot";

/// From the data key: the root of the keys that seal packs.
pub const PACK: &str = "coffer/v1/pack";

/// From the data key: the root of the keys that seal index objects.
pub const INDEX: &str = "coffer/v1/index";

/// From the data key: the root of the keys that seal snapshots.
pub const SNAPSHOT: &str = "coffer/v1/snapshot";

/// From the data key: the root of the keys that seal locks.
pub const LOCK: &str = "coffer/v1/lock";

/// From the data key: the root of the keys that seal the lists of snapshots that were forgotten.
pub const FORGOTTEN: &str = "coffer/v1/forgotten";

/// From the data key: the root of the keys that seal the lists of packs that are to be removed.
pub const DOOMED: &str = "coffer/v1/doomed";

/// From the data key: the root of the keys that seal what a rotated archive's header carries from epoch to epoch.
pub const CARRIED: &str = "coffer/v1/carried";

/// From the data key: the root of the keys that seal the archive head, which the vault keeps.
pub const HEAD: &str = "coffer/v1/head";

/// From the data key: the BLAKE3 key that turns a chunk's plaintext into its id.
pub const CHUNK_ID: &str = "coffer/v1/chunk-id";

/// From the data key: the key that [`GEAR`] is expanded from.
pub const CHUNKER: &str = "coffer/v1/chunker";

/// From the chunker key: the 256 words that decide where content is cut.
pub const GEAR: &str = "coffer/v1/gear";

/// From the data key: the HMAC key of commitments to what stands in the clear.
pub const COMMIT: &str = "coffer/v1/commit";

/// From a pack, index, snapshot, lock, forgotten, doomed, head or carried key: the key and the commitment of one object. The object's salt, its
/// type and the archive id follow the label.
pub const OBJECT: &str = "coffer/v1/object";

/// From OPAQUE's export key: the wrapping key and the commitment of one escrowed backup key. A random salt follows the
/// label. Also begins the associated data of the wrapped backup key.
pub const ESCROW: &str = "coffer/v1/escrow";

/// From OPAQUE's export key: the seed of the unlock key.
pub const UNLOCK: &str = "coffer/v1/unlock";

/// From a backup key: the seed of the owner key.
pub const OWNER: &str = "coffer/v1/owner";

#[cfg(test)]
mod tests {
    /// Every label in this file's own text, so that a new one cannot be forgotten here.
    fn labels() -> Vec<&'static str> {
        include_str!("labels.rs")
            .lines()
            .filter(|line| line.starts_with("pub const "))
            .filter_map(|line| line.split('"').nth(1))
            .collect()
    }

    #[test]
    fn every_label_is_found_by_these_tests() {
        assert_eq!(labels().len(), 17);
    }

    #[test]
    fn every_label_names_the_project_the_version_and_a_purpose() {
        for label in labels() {
            let purpose = label.strip_prefix("coffer/v1/").unwrap_or_default();
            assert!(!purpose.is_empty(), "{label}");
            assert!(purpose.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{label}");
        }
    }

    #[test]
    fn no_label_is_equal_to_or_the_beginning_of_another() {
        let labels = labels();
        for (i, one) in labels.iter().enumerate() {
            for (j, other) in labels.iter().enumerate() {
                assert!(i == j || !other.starts_with(one), "{one} begins {other}");
            }
        }
    }
}
