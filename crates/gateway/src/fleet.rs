//! The manifest and the sites' certificates, gathered from all of them.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use coffer_proto::{FleetAnswer, ProblemType, SignedManifest};
use coffer_service::Failure;
use futures_util::future::join_all;
use serde::Deserialize;

use crate::app::SharedApp;
use crate::sites::Site;

/// All that is read of a manifest here. What it says is the clients' to verify.
#[derive(Deserialize)]
struct Numbered {
    version: u64,
}

/// The manifest that most sites show, and what each site says of its own keys. A site that is down is left out.
pub(crate) async fn get(State(app): State<SharedApp>, headers: HeaderMap) -> Result<Json<FleetAnswer>, Failure> {
    let answers = join_all(app.sites.iter().map(|site| ask(site, &headers))).await;
    let nobody = || Failure::new(ProblemType::SiteUnreachable, "No site of the fleet answers.");
    merge(answers.into_iter().flatten()).map(Json).ok_or_else(nobody)
}

async fn ask(site: &Site, headers: &HeaderMap) -> Option<(u8, FleetAnswer)> {
    let answer = site.get_fleet(headers).await.ok()?;
    if answer.status != StatusCode::OK {
        tracing::warn!(site = site.number, status = answer.status.as_u16(), "the site does not show its manifest");
        return None;
    }
    let parsed = serde_json::from_slice(&answer.body);
    parsed.ok().map(|answer| (site.number, answer))
}

/// Of manifests that as many sites show, the newest. One site can show what it likes, and its clients would refuse a
/// manifest that it has made up.
fn merge(answers: impl Iterator<Item = (u8, FleetAnswer)>) -> Option<FleetAnswer> {
    let (mut shown, mut certificates) = (Vec::<(usize, u64, SignedManifest)>::new(), Vec::new());
    for (number, answer) in answers {
        let Ok(Numbered { version }) = serde_json::from_slice(answer.manifest.manifest.as_bytes()) else { continue };
        // Each has one.
        certificates.extend(answer.certificates.into_iter().find(|certificate| certificate.site.0 == number));
        match shown.iter_mut().find(|(.., manifest)| *manifest == answer.manifest) {
            Some((sites, ..)) => *sites += 1,
            None => shown.push((1, version, answer.manifest)),
        }
    }
    let (.., manifest) = shown.into_iter().max_by_key(|(sites, version, _)| (*sites, *version))?;
    Some(FleetAnswer { manifest, certificates, sealed_only: true })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_proto::{Base64, Base64Vec, FleetAnswer, RootSet, SignedManifest, SiteCertificate, SiteNumber, Time};

    use super::merge;

    /// A site's answer, with a certificate of each of these sites.
    fn answer(version: u64, certified: &[u8]) -> FleetAnswer {
        let manifest = Base64Vec::new(format!(r#"{{"version": {version}}}"#).into_bytes()).unwrap();
        let time = Time::from_unix_seconds(0);
        let certificate = |site: &u8| SiteCertificate {
            site: SiteNumber(*site),
            receipt_key: Base64([0; 32]),
            transport_key: Base64([2; 33]),
            not_before: time,
            not_after: time,
            signature: Base64([0; 64]),
        };
        FleetAnswer {
            manifest: SignedManifest {
                manifest,
                roots: RootSet { threshold: 1, keys: Vec::new() },
                signatures: Vec::new(),
                successions: Vec::new(),
            },
            certificates: certified.iter().map(certificate).collect(),
            sealed_only: false,
        }
    }

    #[test]
    fn the_manifest_of_most_sites_goes_with_every_site_s_own_certificate() {
        let merged = merge([(1, answer(3, &[1])), (2, answer(4, &[2])), (3, answer(3, &[3]))].into_iter()).unwrap();
        assert_eq!(merged.manifest, answer(3, &[]).manifest);
        assert_eq!(merged.certificates.iter().map(|own| own.site.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(merged.sealed_only);
    }

    #[test]
    fn of_manifests_that_as_many_sites_show_the_newest_is_taken() {
        let merged = merge([(1, answer(3, &[1])), (2, answer(5, &[2])), (3, answer(4, &[3]))].into_iter()).unwrap();
        assert_eq!(merged.manifest, answer(5, &[]).manifest);
    }

    #[test]
    fn no_site_speaks_for_another() {
        let merged = merge([(1, answer(3, &[1, 2, 2]))].into_iter()).unwrap();
        assert_eq!(merged.certificates.iter().map(|own| own.site.0).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(merge(std::iter::empty()).is_none());
    }
}
