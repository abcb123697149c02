//! What every request can reach.

use std::sync::{Arc, PoisonError, RwLock};

use coffer_proto::SignedManifest;
use coffer_vault_core::Vault;

use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::world::OneSite;

pub(crate) type SharedApp = Arc<App>;

pub(crate) struct App {
    pub(crate) vault: Vault<OneSite>,
    pub(crate) limits: Limits,
    manifest: RwLock<Arc<Manifest>>,
}

impl App {
    pub(crate) fn new(vault: Vault<OneSite>, limits: Limits, manifest: Manifest) -> Self {
        Self { vault, limits, manifest: RwLock::new(Arc::new(manifest)) }
    }

    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn signed_manifest(&self) -> SignedManifest {
        self.manifest().signed.clone()
    }

    pub(crate) fn replace_manifest(&self, manifest: Manifest) {
        *self.manifest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(manifest);
    }
}
