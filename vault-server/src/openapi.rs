//! The OpenAPI document: what the routes do not say themselves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, License, OpenApi};

/// The name of the one security scheme.
pub(crate) const DEVICE_TOKEN: &str = "device_token";

const DESCRIPTION: &str = "Escrow of a backup key under a password, with a limited number of guesses. \
    JSON in snake_case; bytes as base64url without padding; times as RFC 3339 in UTC. \
    Client-chosen ids and PUT make every write safe to repeat: same id and bytes, same answer; same id and other bytes, 409. \
    Every error is a problem of RFC 9457; a client acts on its `type` and on nothing else. \
    Fields may be added within /v1: clients pass over those of answers that they do not know, and requests with unknown fields are refused.";

pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Coffer Backup Key Vault")
        .description(Some(DESCRIPTION))
        .version("1")
        .license(Some(License::new("Apache-2.0 OR MIT")))
        .build();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("Of the messaging service, bound to a device key by `cnf` (RFC 7800)."))
        .build();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme(DEVICE_TOKEN, SecurityScheme::Http(token));
    document
}

/// As it is served and committed.
pub(crate) fn to_json(document: &OpenApi) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
