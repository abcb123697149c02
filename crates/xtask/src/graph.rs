//! The dependency graph, as little of it as the rules need.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;

use anyhow::Context as _;
use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

/// What a dependency is for. A dev-dependency is in no binary; a build dependency runs on the developer's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// From the package that holds it to `packages[to]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) to: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// A member of this workspace, not a foreign crate.
    pub(crate) ours: bool,
    pub(crate) arrows: BTreeSet<Arrow>,
}

/// Packages by position. Two versions of a foreign crate are two packages of one name.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
}

impl Graph {
    /// Asks `cargo metadata` for the resolved graph with every feature, for every platform: an arrow that only
    /// one of them draws is an arrow all the same.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .exec()
            .context("cargo metadata")?;
        let resolve = metadata.resolve.context("cargo metadata gave no resolved graph")?;

        let mut graph = Self::default();
        let mut place = HashMap::new();
        for package in &metadata.packages {
            place.insert(package.id.clone(), graph.packages.len());
            graph.packages.push(Package {
                name: package.name.to_string(),
                ours: metadata.workspace_members.contains(&package.id),
                arrows: BTreeSet::new(),
            });
        }
        let find = |id| place.get(id).copied().context("cargo metadata resolved a package that it does not list");
        for node in &resolve.nodes {
            let from = find(&node.id)?;
            for dep in &node.deps {
                let to = find(&dep.pkg)?;
                for info in &dep.dep_kinds {
                    let kind = match info.kind {
                        DependencyKind::Normal => Kind::Normal,
                        DependencyKind::Build => Kind::Build,
                        DependencyKind::Development => Kind::Dev,
                        _ => anyhow::bail!("cargo metadata knows a kind of dependency that this check does not"),
                    };
                    graph.packages[from].arrows.insert(Arrow { to, kind });
                }
            }
        }
        Ok(graph)
    }

    /// The workspace's own packages.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.ours)
    }

    /// The shortest way from our package `from` to any package named `to` over normal arrows, both ends included:
    /// what is linked, and through whom.
    pub(crate) fn way(&self, from: &str, to: &str) -> Option<Vec<&str>> {
        let start = self.packages.iter().position(|package| package.ours && package.name == from)?;
        let mut came_from = vec![None; self.packages.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(here) = queue.pop_front() {
            for arrow in self.packages[here].arrows.iter().filter(|arrow| arrow.kind == Kind::Normal) {
                if arrow.to == start || came_from[arrow.to].is_some() {
                    continue;
                }
                came_from[arrow.to] = Some(here);
                if self.packages[arrow.to].name == to {
                    let mut way: Vec<&str> = std::iter::successors(Some(arrow.to), |&step| came_from[step])
                        .map(|step| self.packages[step].name.as_str())
                        .collect();
                    way.reverse();
                    return Some(way);
                }
                queue.push_back(arrow.to);
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod made_up {
    //! Graphs written by hand, for the rules' tests.

    use super::{Arrow, BTreeSet, Graph, Kind, Package};

    /// One package per name; those named `coffer-…` are ours.
    pub(crate) fn graph(arrows: &[(&str, Kind, &str)]) -> Graph {
        let mut graph = Graph::default();
        for &(from, kind, to) in arrows {
            let from = place(&mut graph, from);
            let to = place(&mut graph, to);
            graph.packages[from].arrows.insert(Arrow { to, kind });
        }
        graph
    }

    fn place(graph: &mut Graph, name: &str) -> usize {
        if let Some(place) = graph.packages.iter().position(|package| package.name == name) {
            return place;
        }
        graph.packages.push(Package {
            name: name.to_owned(),
            ours: name.starts_with("coffer-"),
            arrows: BTreeSet::new(),
        });
        graph.packages.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::Kind::{Build, Dev, Normal};
    use super::made_up::graph;

    #[test]
    fn a_way_is_the_shortest_one() {
        let graph = graph(&[
            ("coffer-a", Normal, "long"),
            ("long", Normal, "longer"),
            ("longer", Normal, "end"),
            ("coffer-a", Normal, "short"),
            ("short", Normal, "end"),
        ]);
        assert_eq!(graph.way("coffer-a", "end"), Some(vec!["coffer-a", "short", "end"]));
    }

    #[test]
    fn a_way_uses_normal_arrows_only() {
        let graph = graph(&[("coffer-a", Dev, "end"), ("coffer-a", Normal, "b"), ("b", Build, "end")]);
        assert_eq!(graph.way("coffer-a", "end"), None);
    }

    #[test]
    fn a_way_ends_in_a_graph_with_a_circle() {
        let graph = graph(&[
            ("coffer-a", Normal, "b"),
            ("b", Normal, "coffer-a"),
            ("b", Normal, "c"),
            ("c", Normal, "b"),
            ("d", Normal, "end"),
        ]);
        assert_eq!(graph.way("coffer-a", "end"), None);
    }
}
