//! The house: which package may use which, and which package owns which foreign crate.
//!
//! This is the table of `docs/architecture.md` ("The house") in a form that a program can compare. A change here is a
//! change of the architecture: make it there too, with the reason.

/// One package of the workspace.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// 0 words, 1 the channel that carries them, 2 pure flows, 3 adapters, 4 binaries and what is built like one, 5 what looks
    /// at all of it.
    pub(crate) floor: u8,
    /// The packages of ours that it may use, each on a lower floor.
    pub(crate) uses: &'static [&'static str],
}

const fn room(name: &'static str, floor: u8, uses: &'static [&'static str]) -> Room {
    Room { name, floor, uses }
}

/// Every package there is or is planned.
pub(crate) const ROOMS: &[Room] = &[
    room("coffer-keys", 0, &[]),
    room("coffer-pake", 0, &[]),
    room("coffer-proto", 0, &[]),
    room("coffer-channel", 1, &["coffer-proto"]),
    room("coffer-archive", 2, &["coffer-keys"]),
    room("coffer-vault-client", 2, &["coffer-channel", "coffer-keys", "coffer-pake", "coffer-proto"]),
    room("coffer-vault-core", 2, &["coffer-pake", "coffer-proto"]),
    room("coffer-vault-store", 3, &["coffer-vault-core", "coffer-proto"]),
    room("coffer-hsm-adapter", 3, &["coffer-pake", "coffer-proto", "coffer-vault-core"]),
    room("coffer-service", 3, &["coffer-proto"]),
    room("coffer-sdk", 3, &["coffer-archive", "coffer-vault-client", "coffer-keys"]),
    room("coffer-client-cli", 4, &["coffer-sdk", "coffer-archive", "coffer-vault-client", "coffer-keys"]),
    room(
        "coffer-vault-server",
        4,
        &[
            "coffer-channel",
            "coffer-hsm-adapter",
            "coffer-proto",
            "coffer-service",
            "coffer-vault-core",
            "coffer-vault-store",
        ],
    ),
    room("coffer-gateway", 4, &["coffer-proto", "coffer-service"]),
    room(
        TESTKIT,
        4,
        &[
            "coffer-archive",
            "coffer-channel",
            "coffer-hsm-adapter",
            "coffer-keys",
            "coffer-pake",
            "coffer-proto",
            "coffer-vault-client",
            "coffer-vault-core",
        ],
    ),
    room(
        TESTS,
        5,
        &[
            "coffer-archive",
            "coffer-channel",
            "coffer-client-cli",
            "coffer-gateway",
            "coffer-hsm-adapter",
            "coffer-keys",
            "coffer-pake",
            "coffer-proto",
            "coffer-sdk",
            "coffer-vault-client",
            "coffer-vault-core",
            "coffer-vault-server",
            "coffer-vault-store",
        ],
    ),
    room("coffer-xtask", 5, &[]),
];

/// What tests are built with. Any package may use it as a dev-dependency, none otherwise but [`TESTS`].
pub(crate) const TESTKIT: &str = "coffer-testkit";

/// The end-to-end tests: no part of the product.
pub(crate) const TESTS: &str = "coffer-tests";

const BINARIES: &[&str] = &["coffer-client-cli", "coffer-vault-server", "coffer-gateway"];

/// A foreign crate that only its owners may name as a normal or build dependency.
pub(crate) struct Owned {
    pub(crate) name: &'static str,
    pub(crate) owners: &'static [&'static str],
}

const fn owned(name: &'static str, owners: &'static [&'static str]) -> Owned {
    Owned { name, owners }
}

/// A foreign crate that is not in this list may be used anywhere.
pub(crate) const OWNED: &[Owned] = &[
    // HTTP comes in and goes out at one place each.
    owned("axum", &["coffer-service", "coffer-vault-server", "coffer-gateway"]),
    owned("axum-server", &["coffer-service"]),
    owned("reqwest", &["coffer-archive", "coffer-gateway", "coffer-vault-client", "coffer-vault-server"]),
    // The HSM and the password protocol.
    owned("cryptoki", &["coffer-hsm-adapter"]),
    owned("opaque-ke", &["coffer-pake"]),
    owned("hpke", &["coffer-channel"]),
    owned("p256", &["coffer-channel", "coffer-pake", "coffer-hsm-adapter", TESTKIT]),
    // The backup engine.
    owned("aws-lc-rs", &["coffer-archive"]),
    owned("blake3", &["coffer-archive"]),
    owned("fastcdc", &["coffer-archive"]),
    owned("ignore", &["coffer-archive"]),
    owned("opendal", &["coffer-archive"]),
    owned("opendal-http-transport-reqwest", &["coffer-archive"]),
    owned("zstd", &["coffer-archive"]),
    // Databases. The archive reads people's message stores; the vault keeps its own records.
    owned("rusqlite", &["coffer-archive", "coffer-vault-store"]),
    owned("etcd-client", &["coffer-vault-store"]),
    owned("fjall", &["coffer-vault-store"]),
    owned("redb", &["coffer-vault-store"]),
    // A person's terminal and platform.
    owned("clap", BINARIES),
    owned("clap_complete", BINARIES),
    owned("clap_mangen", BINARIES),
    owned("fuser", &["coffer-client-cli"]),
    owned("keyring-core", &["coffer-client-cli"]),
];

/// `package` must not link `foreign`, however far away.
pub(crate) struct Never {
    pub(crate) package: &'static str,
    pub(crate) reaches: &'static str,
    pub(crate) why: &'static str,
}

const fn never(package: &'static str, reaches: &'static str, why: &'static str) -> Never {
    Never { package, reaches, why }
}

const NO_IO: &str = "the ground floor knows no I/O";
const BLIND: &str = "a server that cannot open a backup must not link what opens one";
const RELAY: &str = "the gateway must not be able to read what it relays";

/// End-to-end encryption as a property of the graph.
pub(crate) const NEVER: &[Never] = &[
    never("coffer-keys", "tokio", NO_IO),
    never("coffer-pake", "tokio", NO_IO),
    never("coffer-proto", "tokio", NO_IO),
    never("coffer-channel", "tokio", NO_IO),
    never("coffer-vault-server", "coffer-keys", BLIND),
    never("coffer-vault-server", "coffer-archive", BLIND),
    never("coffer-gateway", "coffer-keys", BLIND),
    never("coffer-gateway", "coffer-archive", BLIND),
    never("coffer-gateway", "coffer-channel", RELAY),
    never("coffer-gateway", "coffer-pake", RELAY),
    never("coffer-gateway", "coffer-vault-core", RELAY),
];

pub(crate) fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

#[cfg(test)]
mod tests {
    use super::{NEVER, OWNED, ROOMS, find};

    #[test]
    fn every_arrow_of_the_table_points_down() {
        for room in ROOMS {
            for used in room.uses {
                let below = find(used).map(|used| used.floor);
                assert!(below.is_some_and(|below| below < room.floor), "{} → {used}", room.name);
            }
        }
    }

    #[test]
    fn every_package_stands_in_the_table_once() {
        for room in ROOMS {
            assert_eq!(ROOMS.iter().filter(|other| other.name == room.name).count(), 1, "{}", room.name);
        }
    }

    #[test]
    fn every_owner_and_every_ban_names_a_package_of_the_table() {
        let owners = OWNED.iter().flat_map(|owned| owned.owners.iter().copied());
        let banned = NEVER.iter().map(|never| never.package);
        let reached = NEVER.iter().map(|never| never.reaches).filter(|name| name.starts_with("coffer-"));
        for name in owners.chain(banned).chain(reached) {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
