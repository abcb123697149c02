//! A request that goes past a gateway, and its answer. What the gateway has to see of them stands in the clear; the rest is
//! sealed to the site (`coffer_channel`).

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::bytes::{Base64, Base64Vec};
use crate::id::{RouteId, TransportKeyId};
use crate::schema::text;
use crate::time::Time;

/// Bytes of a sealed request's ciphertext at most: the longest body, its padding and a tag.
pub const MAX_SEALED_REQUEST: usize = 18 << 10;
/// The same of an answer.
pub const MAX_SEALED_ANSWER: usize = 128 << 10;

/// `POST /v1/sites/{site}/sealed`: any request of this API to one site, for that site alone to read. The account token is
/// in the header, as ever; it, the account and everything here but the ciphertext are bound by the seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedRequest {
    /// What is asked for.
    pub method: SealedMethod,
    /// Where.
    pub route: RouteTemplate,
    /// What stands for `{id}` in the route, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RouteId>,
    /// When it was sealed. A site takes five minutes more or less by its own clock.
    pub time: Time,
    /// The transport key that it is sealed to.
    pub key: TransportKeyId,
    /// HPKE's encapsulated key (RFC 9180), an uncompressed point.
    pub enc: Base64<65>,
    /// The body, padded.
    pub ciphertext: Base64Vec<{ MAX_SEALED_REQUEST }>,
}

/// Whatever the site answers, a problem too, and always with status 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedAnswer {
    /// Drawn anew for each answer: its key is derived from it.
    pub nonce: Base64<32>,
    /// Status and body, padded.
    pub ciphertext: Base64Vec<{ MAX_SEALED_ANSWER }>,
}

/// What the API's routes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SealedMethod {
    /// Reads.
    Get,
    /// Writes under an id that the client chose.
    Put,
    /// Erases.
    Delete,
}

impl SealedMethod {
    /// As HTTP has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A route with `{id}` where its path has an id: `/v1/retrievals/{id}/proof`. 64 bytes at most, with no id or one.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RouteTemplate(String);

/// Not a route of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a route begins with /v1/ and is made of words, with one {{id}} at most")]
pub struct RouteError;

const MAX_ROUTE: usize = 64;
const ID: &str = "{id}";

impl RouteTemplate {
    /// Takes a template in.
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn new(template: impl Into<String>) -> Result<Self, RouteError> {
        let template = template.into();
        let rest = template.strip_prefix("/v1/").filter(|_| template.len() <= MAX_ROUTE).ok_or(RouteError)?;
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let ids = rest.split('/').filter(|part| *part == ID).count();
        if ids > 1 || !rest.split('/').all(|part| part == ID || is_word(part)) {
            return Err(RouteError);
        }
        Ok(Self(template))
    }

    /// The template of a path, and the id in it.
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn of_path(path: &str) -> Result<(Self, Option<RouteId>), RouteError> {
        let id = path.split('/').find_map(|part| part.parse().ok());
        let parts = path.split('/').map(|part| if part.parse::<RouteId>().is_ok() { ID } else { part });
        Ok((Self::new(parts.collect::<Vec<_>>().join("/"))?, id))
    }

    /// The path. `None` when the id is missing, or there is one too many.
    pub fn path(&self, id: Option<&RouteId>) -> Option<String> {
        match id {
            None => (!self.0.contains(ID)).then(|| self.0.clone()),
            Some(id) => self.0.contains(ID).then(|| self.0.replace(ID, &id.to_string())),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RouteTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RouteTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl PartialSchema for RouteTemplate {
    fn schema() -> RefOr<Schema> {
        text("A route of this API, with `{id}` where its path has an id.")
            .pattern(Some(r"^/v1/([a-z-]+|\{id\})(/([a-z-]+|\{id\}))*$"))
            .max_length(Some(MAX_ROUTE))
            .into()
    }
}

impl ToSchema for RouteTemplate {
    fn name() -> Cow<'static, str> {
        "RouteTemplate".into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{RouteError, RouteTemplate};
    use crate::id::RouteId;

    const ID: RouteId = RouteId([0xa5; 16]);

    #[test]
    fn a_path_survives_the_way_through_its_template() {
        let paths = ["/v1/registrations", &format!("/v1/retrievals/{ID}"), &format!("/v1/retrievals/{ID}/proof")];
        for path in paths {
            let (route, id) = RouteTemplate::of_path(path).unwrap();
            assert_eq!(route.path(id.as_ref()).as_deref(), Some(path));
        }
        let (route, _) = RouteTemplate::of_path(paths[2]).unwrap();
        assert_eq!(route.as_str(), "/v1/retrievals/{id}/proof");
    }

    #[test]
    fn an_id_goes_where_there_is_place_for_it_and_nowhere_else() {
        assert_eq!(RouteTemplate::new("/v1/registrations").unwrap().path(Some(&ID)), None);
        assert_eq!(RouteTemplate::new("/v1/retrievals/{id}").unwrap().path(None), None);
    }

    #[test]
    fn refuses_what_is_no_template_of_a_route() {
        let long = format!("/v1/{}", "x".repeat(64));
        for text in [
            "",
            "/v1/",
            "/v2/fleet",
            "v1/fleet",
            "/v1//fleet",
            "/v1/fleet/",
            "/v1/../x",
            "/v1/a?b",
            "/v1/%2e",
            "/v1/A",
            "/v1/{id}/{id}",
            "/v1/x{id}",
            "/v1/a b",
            &long,
        ] {
            assert_eq!(RouteTemplate::new(text), Err(RouteError), "{text}");
        }
        assert_eq!(RouteTemplate::of_path(&format!("/v1/a/{ID}/b/{ID}")), Err(RouteError));
    }
}
