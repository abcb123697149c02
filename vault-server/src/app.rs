//! What every request can reach.

use std::sync::{Arc, PoisonError, RwLock};

use coffer_proto::SignedManifest;
use coffer_service::Limits;
use coffer_vault_core::Vault;

use crate::manifest::Manifest;
use crate::world::Server;

pub(crate) type SharedApp = Arc<App>;

pub(crate) struct App {
    pub(crate) vault: Vault<Server>,
    pub(crate) limits: Limits,
    /// Whether everything but the manifest is taken sealed alone.
    pub(crate) sealed_only: bool,
    manifest: RwLock<Arc<Manifest>>,
}

impl App {
    pub(crate) fn new(vault: Vault<Server>, limits: Limits, sealed_only: bool, manifest: Manifest) -> Self {
        Self { vault, limits, sealed_only, manifest: RwLock::new(Arc::new(manifest)) }
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
