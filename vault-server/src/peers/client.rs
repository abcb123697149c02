//! The other sites, as this one reaches them.

use std::collections::BTreeMap;
use std::time::Duration;

use coffer_proto::{AccountId, LedgerHeight, Nonce, RegistrationId, SiteNumber};
use coffer_vault_core::{EvaluateRequest, Peers, SiteAnswer, SiteCount, SiteKeep, SiteProof, SiteRefusal};
use reqwest::{Certificate, Client, Identity, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{Of, WireAnswer, WireRefusal, encode, parse};
use crate::config::PeersConfig;
use crate::error::Error;
use crate::observe::count_peer;

const CONNECT_WITHIN: Duration = Duration::from_millis(800);
/// An evaluation waits for the site's replica of the record, and for its disk.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read at most.
const MAX_ANSWER: u64 = 16 << 10;

/// Speaks to other sites; each is whoever has a certificate of the fleet's authority for its host name.
#[derive(Clone)]
pub(crate) struct HttpPeers {
    /// None where there are no others.
    client: Option<Client>,
    sites: BTreeMap<SiteNumber, Url>,
}

impl HttpPeers {
    /// A fleet of one site has no other.
    pub(crate) const fn none() -> Self {
        Self { client: None, sites: BTreeMap::new() }
    }

    /// To the sites of the configuration.
    pub(crate) fn new(config: &PeersConfig) -> Result<Self, Error> {
        let failed = |error: reqwest::Error| Error::System("no TLS between the sites", error.to_string());
        let [certificate, key, authority] = [&config.tls.certificate, &config.tls.key, &config.tls.authority]
            .map(|path| std::fs::read(path).map_err(Error::file("read", path)));
        let identity = Identity::from_pem(&[certificate?, key?].concat()).map_err(failed)?;
        let client = Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(&authority?).map_err(failed)?)
            .identity(identity)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWERS_WITHIN)
            .tcp_nodelay(true)
            .build()
            .map_err(failed)?;
        Ok(Self { client: Some(client), sites: config.sites.iter().cloned().collect() })
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        site: SiteNumber,
        route: &str,
        request: &Q,
    ) -> Result<A, SiteRefusal> {
        let asked = self.send(site, route, encode(request)).await;
        count_peer(site, asked.is_some());
        let answer: Result<A, WireRefusal> = asked.and_then(|bytes| parse(&bytes)).ok_or(SiteRefusal::Unreachable)?;
        answer.map_err(SiteRefusal::from)
    }

    /// `None`: no answer that counts.
    async fn send(&self, site: SiteNumber, route: &str, body: Vec<u8>) -> Option<Vec<u8>> {
        let url = self.sites.get(&site)?.join(route).ok()?;
        let sent =
            self.client.as_ref()?.post(url).body(body).send().await.and_then(reqwest::Response::error_for_status);
        let answer =
            sent.inspect_err(|error| tracing::warn!(%site, why = cause(error), "a site does not answer")).ok()?;
        read(answer).await
    }
}

/// `None`: it broke, or is longer than any. A site says how long its answers are.
async fn read(answer: reqwest::Response) -> Option<Vec<u8>> {
    if answer.content_length().is_none_or(|length| length > MAX_ANSWER) {
        return None;
    }
    Some(answer.bytes().await.ok()?.to_vec())
}

impl Peers for HttpPeers {
    async fn evaluate(&self, site: SiteNumber, request: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        let answer: WireAnswer = self.ask(site, "/peer/v1/evaluate", request).await?;
        answer.read().ok_or(SiteRefusal::Unreachable)
    }

    async fn newest_mark(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        let request = Of { account: account.clone(), registration: *registration };
        self.ask(site, "/peer/v1/mark", &request).await
    }

    async fn height_of(&self, site: SiteNumber, about: SiteNumber) -> Result<Option<LedgerHeight>, SiteRefusal> {
        self.ask(site, "/peer/v1/height", &about).await
    }

    async fn tell_height(&self, site: SiteNumber, height: &LedgerHeight) -> Result<(), SiteRefusal> {
        self.ask(site, "/peer/v1/heard", height).await
    }

    async fn count(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<SiteCount, SiteRefusal> {
        let request = Of { account: account.clone(), registration: *registration };
        self.ask(site, "/peer/v1/count", &request).await
    }

    async fn apply_proof(&self, site: SiteNumber, proof: &SiteProof) -> Result<(), SiteRefusal> {
        self.ask(site, "/peer/v1/proof", proof).await
    }

    async fn apply_keep(&self, site: SiteNumber, keep: &SiteKeep) -> Result<(), SiteRefusal> {
        self.ask(site, "/peer/v1/keep", keep).await
    }
}

/// What lies under an error of the HTTP library, without the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{MAX_ANSWER, read};

    /// What is read of an answer to which this is the head, and so many bytes the body.
    fn read_of(head: &str, length: u64) -> Option<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = [head.as_bytes(), b"\r\n\r\n", &vec![7; usize::try_from(length).unwrap()]].concat();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(&answer);
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = async { read(client.get(url).send().await.unwrap()).await };
        let read = tokio::runtime::Runtime::new().unwrap().block_on(asked);
        read.map(|bytes| bytes.len())
    }

    fn declared(length: u64) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}")
    }

    #[test]
    fn refuses_an_answer_that_is_longer_than_any_or_does_not_say_how_long_it_is() {
        assert_eq!(read_of(&declared(MAX_ANSWER), MAX_ANSWER), usize::try_from(MAX_ANSWER).ok());
        assert_eq!(read_of(&declared(MAX_ANSWER + 1), MAX_ANSWER + 1), None);
        assert_eq!(read_of("HTTP/1.1 200 OK", 7), None);
    }

    #[test]
    fn refuses_an_answer_that_breaks_off() {
        assert_eq!(read_of(&declared(8), 7), None);
    }
}
