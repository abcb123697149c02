//! Requests that come past a gateway, which cannot read them.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::{Extension, Json, Router};
use coffer_channel::{Answerer, ChannelError, Destination, OpenedAnswer, OpenedRequest, Sender, TransportKey};
use coffer_proto::{Base64, MAX_SEALED_ANSWER, Problem, ProblemType, SealedAnswer, SealedRequest, SiteNumber};
use coffer_service::{MAX_SEALED_BODY, PathId, REQUEST_ID, Strict};
use coffer_vault_core::{AccountToken, Clock as _};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use crate::app::SharedApp;
use crate::problem::Failure;
use crate::world::SystemClock;

/// What is asked inside of a seal: the routes of the API, behind the admission that the envelope has passed.
#[derive(Clone)]
pub(crate) struct Inside(pub(crate) Router);

/// Opens the request, does what it asks, and seals the answer, whatever it is: status 200 says that there is one.
#[utoipa::path(
    post, path = "/sites/{site}/sealed", operation_id = "post_sealed", tag = "sealed",
    params(("site" = inline(SiteNumber), Path, description = "For which site it is sealed.")),
    request_body = SealedRequest,
    responses(
        (status = 200, body = SealedAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn post(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    Extension(Inside(inside)): Extension<Inside>,
    PathId(site): PathId<u8>,
    headers: HeaderMap,
    Strict(envelope): Strict<SealedRequest, MAX_SEALED_BODY>,
) -> Result<Json<SealedAnswer>, Failure> {
    if SiteNumber(site) != app.manifest().site() {
        return Err(invalid("It was sent to another site than this."));
    }
    let OpenedRequest { body, answerer } = open(&app, &token, &envelope)?;
    let path = envelope.route.path(envelope.id.as_ref()).ok_or_else(|| invalid("Route and id do not go together."))?;
    let mut request = Request::builder().method(envelope.method.as_str()).uri(path).extension(token);
    if let Some(id) = headers.get(REQUEST_ID) {
        request = request.header(REQUEST_ID, id);
    }
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let request = request.body(Body::from(body)).map_err(|_| invalid("No request is inside."))?;
    let answer = seal(&answerer, inside.oneshot(request).await).await;
    answer.map(Json).ok_or_else(|| Failure::new(ProblemType::Unavailable, "The answer cannot be sealed."))
}

/// Only for this site, only by the bearer of this token, only now.
fn open(app: &SharedApp, token: &AccountToken, envelope: &SealedRequest) -> Result<OpenedRequest, Failure> {
    let account = app.vault.authenticate(token.expose())?.account;
    let unknown = || Failure::new(ProblemType::UnknownTransportKey, "Fetch /v1/fleet again for the key of today.");
    let key = app.vault.transport_key(&envelope.key).ok_or_else(unknown)?;
    let key = TransportKey::from_bytes(&key).map_err(|_| unknown())?;
    let manifest = app.manifest();
    let hash = Base64(Sha256::digest(manifest.signed.manifest.as_bytes()).into());
    let destination = Destination { fleet: manifest.content.fleet, manifest: hash, site: manifest.site() };
    let sender = Sender { account: &account, token: token.expose() };
    key.open(&destination, &sender, envelope, SystemClock.now()).map_err(|error| match error {
        ChannelError::OtherKey => unknown(),
        ChannelError::Time => invalid("Its time is more than five minutes off: is a clock wrong?"),
        _ => invalid("It was changed, or was sealed for another site, account or manifest."),
    })
}

async fn seal(
    answerer: &Answerer,
    answer: Result<axum::response::Response, std::convert::Infallible>,
) -> Option<SealedAnswer> {
    let Ok(answer) = answer;
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), MAX_SEALED_ANSWER).await.ok()?.to_vec();
    answerer.seal(&OpenedAnswer { status, body }).ok()
}

fn invalid(detail: &str) -> Failure {
    Failure::new(ProblemType::InvalidSeal, detail)
}
