//! Sealed requests, on to the site that they name.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use coffer_proto::ProblemType;
use coffer_service::{Failure, MAX_SEALED_BODY, PathId, read_body};

use crate::app::SharedApp;
use crate::sites::Answer;

/// What comes back goes on as it is: only the client can tell whether the site has sealed it.
pub(crate) async fn post(
    State(app): State<SharedApp>,
    PathId(number): PathId<u8>,
    request: Request,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
    let unknown = || Failure::new(ProblemType::NoSuchRoute, "The fleet has no site of that number.");
    let site = app.sites.find(number).ok_or_else(unknown)?;
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, MAX_SEALED_BODY).await?;
    let unreachable = |_| Failure::new(ProblemType::SiteUnreachable, format!("Site {number} does not answer."));
    let Answer { status, headers, body } =
        site.post_sealed(&parts.headers, body.as_ref().to_vec()).await.map_err(unreachable)?;
    Ok((status, headers, body))
}
