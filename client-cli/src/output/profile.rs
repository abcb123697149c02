//! Profiles.

use std::fmt;

use serde::Serialize;

use super::text::Clean;
use crate::profile::Profile;

/// `coffer profile list`.
#[derive(Debug, Serialize)]
pub(crate) struct ProfileNames {
    profiles: Vec<String>,
}

impl ProfileNames {
    pub(crate) fn of<'p>(profiles: impl Iterator<Item = (&'p String, &'p Profile)>) -> Self {
        Self { profiles: profiles.map(|(name, _)| name.clone()).collect() }
    }
}

impl fmt::Display for ProfileNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.profiles.iter().try_for_each(|name| writeln!(f, "{name}"))
    }
}

/// `coffer profile show`: as it is kept, which says it best.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ShownProfile<'p>(pub(crate) &'p Profile);

impl fmt::Display for ShownProfile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self.0).map_err(|_| fmt::Error)?;
        text.lines().try_for_each(|line| writeln!(f, "{}", Clean(line)))
    }
}
