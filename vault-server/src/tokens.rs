//! Account tokens, as the vault's policy asks for them.

use coffer_proto::Time;
use coffer_service::JwtTokens;
use coffer_vault_core::{Bearer, Tokens};

/// The verifier that the gateway uses as well.
#[derive(Clone)]
pub(crate) struct AccountTokens(pub(crate) JwtTokens);

impl Tokens for AccountTokens {
    fn verify(&self, token: &str, time: Time) -> Option<Bearer> {
        let coffer_service::Bearer { account, device_key } = self.0.verify(token, time)?;
        Some(Bearer { account, device_key })
    }
}
