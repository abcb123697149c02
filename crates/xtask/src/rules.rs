//! The rules: pure functions from a graph to what is wrong with it.

use std::fmt;

use crate::graph::{Graph, Kind};
use crate::house;

/// One thing that is wrong, on one line: what, why, and which rule says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    what: String,
    why: String,
    rule: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}: {} [{}]", self.what, self.why, self.rule)
    }
}

/// Every rule over the whole graph.
pub(crate) fn check(graph: &Graph) -> Vec<Breach> {
    let mut breaches = unknown_packages(graph);
    breaches.extend(undrawn_arrows(graph));
    breaches.extend(imports_by_strangers(graph));
    breaches.extend(forbidden_reaches(graph));
    breaches
}

/// A package that nobody drew has no rules, so it must be drawn first.
fn unknown_packages(graph: &Graph) -> Vec<Breach> {
    let unknown = graph.ours().filter(|package| house::find(&package.name).is_none());
    unknown
        .map(|package| Breach {
            what: package.name.clone(),
            why: "the table does not know this package; add it to docs/architecture.md and house.rs".to_owned(),
            rule: "known-package",
        })
        .collect()
}

/// An arrow between packages of ours must be in the table, whatever kind it is.
fn undrawn_arrows(graph: &Graph) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in graph.ours() {
        let Some(room) = house::find(&package.name) else {
            continue;
        };
        for arrow in &package.arrows {
            let target = &graph.packages[arrow.to];
            // A package's tests may use the package itself once more, built with other features.
            if !target.ours || target.name == package.name || room.uses.contains(&target.name.as_str()) {
                continue;
            }
            let why = if target.name == house::TESTKIT {
                if arrow.kind == Kind::Dev || package.name == house::TESTS {
                    continue;
                }
                "the test kit may be a dev-dependency only".to_owned()
            } else {
                let to = house::find(&target.name).map_or("nowhere".to_owned(), |room| room.floor.to_string());
                format!("the table draws no such arrow, from floor {} to {to}", room.floor)
            };
            breaches.push(Breach { what: show(&package.name, arrow.kind, &target.name), why, rule: "drawn-arrow" });
        }
    }
    breaches
}

/// A foreign crate that has owners is named by nobody else. Tests may use what they like.
fn imports_by_strangers(graph: &Graph) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in graph.ours() {
        for arrow in package.arrows.iter().filter(|arrow| arrow.kind != Kind::Dev) {
            let target = &graph.packages[arrow.to];
            let owned = house::OWNED.iter().find(|owned| !target.ours && owned.name == target.name);
            let Some(owned) = owned.filter(|owned| !owned.owners.contains(&package.name.as_str())) else {
                continue;
            };
            breaches.push(Breach {
                what: show(&package.name, arrow.kind, &target.name),
                why: format!("only {} may import it", owned.owners.join(", ")),
                rule: "foreign-owner",
            });
        }
    }
    breaches
}

/// What must never be linked, at any distance.
fn forbidden_reaches(graph: &Graph) -> Vec<Breach> {
    let reached = house::NEVER.iter().filter_map(|never| Some((never, graph.way(never.package, never.reaches)?)));
    reached
        .map(|(never, way)| Breach { what: way.join(" → "), why: never.why.to_owned(), rule: "never-links" })
        .collect()
}

fn show(from: &str, kind: Kind, to: &str) -> String {
    match kind {
        Kind::Normal => format!("{from} → {to}"),
        Kind::Build => format!("{from} → {to} (build)"),
        Kind::Dev => format!("{from} → {to} (dev)"),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::graph::Kind::{self, Build, Dev, Normal};
    use crate::graph::made_up::graph;

    /// What the rules say of these arrows, as the user sees it.
    fn said(arrows: &[(&str, Kind, &str)]) -> Vec<String> {
        check(&graph(arrows)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_house_as_drawn_is_in_order() {
        let mut arrows = Vec::new();
        for room in crate::house::ROOMS {
            arrows.extend(room.uses.iter().map(|used| (room.name, Normal, *used)));
            arrows.push((room.name, Dev, crate::house::TESTKIT));
        }
        for owned in crate::house::OWNED {
            arrows.extend(owned.owners.iter().map(|owner| (*owner, Normal, owned.name)));
        }
        assert_eq!(said(&arrows), Vec::<String>::new());
    }

    #[test]
    fn a_package_that_nobody_drew_is_named() {
        assert_eq!(
            said(&[("coffer-shed", Normal, "serde")]),
            ["error: coffer-shed: the table does not know this package; add it to docs/architecture.md and house.rs \
                 [known-package]"]
        );
    }

    #[test]
    fn an_arrow_that_points_up_is_refused() {
        assert_eq!(
            said(&[("coffer-keys", Normal, "coffer-archive")]),
            ["error: coffer-keys → coffer-archive: the table draws no such arrow, from floor 0 to 2 [drawn-arrow]"]
        );
    }

    #[test]
    fn an_arrow_sideways_is_refused() {
        assert_eq!(
            said(&[("coffer-archive", Normal, "coffer-vault-client")]),
            [
                "error: coffer-archive → coffer-vault-client: the table draws no such arrow, from floor 2 to 2 [drawn-arrow]"
            ]
        );
    }

    #[test]
    fn an_undrawn_arrow_is_refused_for_builds_and_tests_too() {
        assert_eq!(
            said(&[("coffer-keys", Build, "coffer-proto"), ("coffer-keys", Dev, "coffer-pake"),]),
            [
                "error: coffer-keys → coffer-proto (build): the table draws no such arrow, from floor 0 to 0 [drawn-arrow]",
                "error: coffer-keys → coffer-pake (dev): the table draws no such arrow, from floor 0 to 0 [drawn-arrow]",
            ]
        );
    }

    #[test]
    fn the_test_kit_in_a_product_is_refused() {
        assert_eq!(
            said(&[("coffer-archive", Normal, "coffer-testkit")]),
            ["error: coffer-archive → coffer-testkit: the test kit may be a dev-dependency only [drawn-arrow]"]
        );
        assert!(said(&[("coffer-tests", Normal, "coffer-testkit")]).is_empty());
    }

    #[test]
    fn a_package_may_be_its_own_dev_dependency() {
        assert!(said(&[("coffer-keys", Dev, "coffer-keys")]).is_empty());
    }

    #[test]
    fn a_foreign_crate_in_a_strangers_hands_is_refused() {
        assert_eq!(
            said(&[("coffer-archive", Normal, "axum")]),
            [
                "error: coffer-archive → axum: only coffer-service, coffer-vault-server, coffer-gateway may import it [foreign-owner]"
            ]
        );
        assert_eq!(
            said(&[("coffer-vault-store", Build, "cryptoki")]),
            ["error: coffer-vault-store → cryptoki (build): only coffer-hsm-adapter may import it [foreign-owner]"]
        );
    }

    #[test]
    fn a_foreign_crate_in_tests_or_behind_another_is_nobodys_business() {
        assert!(said(&[("coffer-client-cli", Dev, "rusqlite")]).is_empty());
        assert!(said(&[("coffer-archive", Normal, "opendal"), ("opendal", Normal, "reqwest")]).is_empty());
    }

    #[test]
    fn tokio_on_the_ground_floor_is_refused_at_any_distance() {
        for ground in ["coffer-keys", "coffer-pake", "coffer-proto"] {
            assert_eq!(
                said(&[(ground, Normal, "words"), ("words", Normal, "tokio")]),
                [format!("error: {ground} → words → tokio: the ground floor knows no I/O [never-links]")]
            );
            assert!(said(&[(ground, Dev, "tokio")]).is_empty());
        }
    }

    #[test]
    fn a_server_that_could_open_a_backup_is_refused_at_any_distance() {
        for server in ["coffer-vault-server", "coffer-gateway"] {
            for opener in ["coffer-keys", "coffer-archive"] {
                assert_eq!(
                    said(&[(server, Normal, "between"), ("between", Normal, opener)]),
                    [format!(
                        "error: {server} → between → {opener}: a server that cannot open a backup must not link what \
                         opens one [never-links]"
                    )]
                );
            }
        }
    }

    #[test]
    fn a_gateway_that_could_read_what_it_relays_is_refused_at_any_distance() {
        for reader in ["coffer-pake", "coffer-vault-core"] {
            assert_eq!(
                said(&[("coffer-gateway", Normal, "between"), ("between", Normal, reader)]),
                [format!(
                    "error: coffer-gateway → between → {reader}: the gateway must not be able to read what it relays \
                     [never-links]"
                )]
            );
        }
    }

    #[test]
    fn a_short_cut_breaks_both_the_table_and_the_ban() {
        let said = said(&[("coffer-gateway", Normal, "coffer-keys")]);
        assert_eq!(said.len(), 2, "{said:?}");
    }
}
