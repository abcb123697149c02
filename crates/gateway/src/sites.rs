//! The fleet's sites, as they are reached from here.

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use coffer_service::REQUEST_ID;
use metrics::counter;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url, redirect};

use crate::config::SiteConfig;
use crate::error::Error;

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// For all of a request: the HSM of a site takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer at most: what a client reads.
const MAX_ANSWER: usize = 256 << 10;

pub(crate) const UNREACHABLE: &str = "coffer_gateway_site_unreachable_total";

pub(crate) struct Sites(Vec<Site>);

/// One of them.
pub(crate) struct Site {
    pub(crate) number: u8,
    url: Url,
    client: Client,
}

/// What a site has answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Those that a client has a use for.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// No connection, no time left, it broke, or the answer does not end. Which of them, the log says.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl Sites {
    pub(crate) fn connect(sites: &[SiteConfig]) -> Result<Self, Error> {
        sites.iter().map(Site::connect).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn find(&self, number: u8) -> Option<&Site> {
        self.0.iter().find(|site| site.number == number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.0.iter()
    }
}

impl Site {
    fn connect(config: &SiteConfig) -> Result<Self, Error> {
        counter!(UNREACHABLE, "site" => config.number.to_string()).absolute(0);
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(redirect::Policy::none())
            .https_only(config.url.scheme() == "https")
            .user_agent(concat!("coffer-gateway/", env!("CARGO_PKG_VERSION")));
        if config.url.scheme() == "http" {
            // To this machine, and not by way of a proxy of the environment's.
            builder = builder.no_proxy();
        }
        if let Some(path) = &config.ca_file {
            let refuse = |why: String| Error::Authority { path: path.clone(), why };
            let pem = fs::read(path).map_err(|error| refuse(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(error.to_string()))?;
            if certificates.is_empty() {
                return Err(refuse("no certificate is in it".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| Error::System("no TLS", error.to_string()))?;
        Ok(Self { number: config.number, url: config.url.clone(), client })
    }

    /// Relays a sealed request.
    pub(crate) async fn post_sealed(&self, headers: &HeaderMap, body: Vec<u8>) -> Result<Answer, Unreachable> {
        let request = self.client.post(self.at(&format!("/v1/sites/{}/sealed", self.number)));
        self.send(request.header(CONTENT_TYPE, "application/json").body(body), headers).await
    }

    pub(crate) async fn get_fleet(&self, headers: &HeaderMap) -> Result<Answer, Unreachable> {
        self.send(self.client.get(self.at("/v1/fleet")), headers).await
    }

    /// Whether anything answers there. Without a token that is a refusal.
    pub(crate) async fn answers(&self) -> bool {
        self.client.get(self.at("/v1/fleet")).send().await.is_ok()
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    /// With the client's own token and request id.
    async fn send(&self, mut request: RequestBuilder, headers: &HeaderMap) -> Result<Answer, Unreachable> {
        for name in [AUTHORIZATION, REQUEST_ID] {
            if let Some(value) = headers.get(&name) {
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION);
                request = request.header(name, value);
            }
        }
        let answered = async { read(request.send().await?).await };
        answered.await.map_err(|error| self.report(&error))?.ok_or_else(|| {
            tracing::warn!(site = self.number, "the answer is longer than any");
            Unreachable
        })
    }

    /// The URL is the operator's own; nothing else of the request is in the error.
    fn report(&self, error: &reqwest::Error) -> Unreachable {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        counter!(UNREACHABLE, "site" => self.number.to_string()).increment(1);
        let late = error.is_timeout();
        tracing::warn!(site = self.number, late, has_cause = error.source().is_some(), %cause, "the site cannot be reached");
        Unreachable
    }
}

/// `None` when it does not end.
async fn read(mut answer: Response) -> Result<Option<Answer>, reqwest::Error> {
    let status = answer.status();
    let kept = [CONTENT_TYPE, RETRY_AFTER];
    let headers: HeaderMap<HeaderValue> =
        kept.into_iter().filter_map(|name| Some((name.clone(), answer.headers().get(&name)?.clone()))).collect();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(Answer { status, headers, body }))
}
