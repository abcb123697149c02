//! What every request can reach.

use std::sync::Arc;

use coffer_service::{JwtTokens, Limits};

use crate::sites::Sites;

pub(crate) type SharedApp = Arc<App>;

pub(crate) struct App {
    pub(crate) tokens: JwtTokens,
    pub(crate) limits: Limits,
    pub(crate) sites: Sites,
}
