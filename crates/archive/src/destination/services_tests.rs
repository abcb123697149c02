//! What is asked of OpenDAL for each service, and what comes out of it on the line: for those too that no test reaches.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport, HttpTransporter, OperationContext};
use zeroize::Zeroizing;

use super::super::address::{Address, Service};
use super::super::credentials::{Credential as C, Credentials};
use super::operator;
use crate::error::Error;

const SECRET: &str = "aHVudGVyMg==";

fn address(service: Service) -> Address {
    Address::parse(service.example()).unwrap()
}

fn given(parts: &[C]) -> Credentials {
    let mut credentials = Credentials::default();
    parts.iter().for_each(|part| credentials.set(*part, Zeroizing::new(SECRET.to_owned())));
    credentials
}

/// Remembers the first request, and fails it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Option<(String, String)>>>);

impl HttpTransport for Recorder {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let first = (request.uri().to_string(), authorization.unwrap_or_default());
        self.0.lock().unwrap().get_or_insert(first);
        Err(opendal::Error::new(ErrorKind::Unexpected, "nothing is sent"))
    }
}

/// Where the first request goes to, and how it says who it is of.
fn asked(url: &str, parts: &[C]) -> (String, String) {
    let recorder = Recorder::default();
    let context = OperationContext::new().with_http_transport(HttpTransporter::new(recorder.clone()));
    let operator = operator(&Address::parse(url).unwrap(), &given(parts)).unwrap().with_context(context);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(operator.stat("coffer.json")).is_err());
    recorder.0.lock().unwrap().clone().unwrap()
}

#[test]
fn each_service_is_asked_at_its_own_place() {
    use C::{AccessKeyId, AccessToken, AccountKey, Password, SecretAccessKey, Token, Username};
    let keys = &[AccessKeyId, SecretAccessKey][..];
    for (url, parts, place, way) in [
        ("s3://bucket/a", keys, "https://s3.us-east-1.amazonaws.com/bucket/a/coffer.json", "AWS4-HMAC-SHA256 "),
        (
            "s3://bucket/a?region=eu-west-1&style=virtual",
            keys,
            "https://bucket.s3.eu-west-1.amazonaws.com/a/coffer.json",
            "AWS4",
        ),
        (
            "s3://bucket/a?endpoint=https://host:9000",
            keys,
            "https://host:9000/bucket/a/coffer.json",
            "AWS4-HMAC-SHA256 ",
        ),
        ("webdav://host:81/a", &[Username, Password], "https://host:81/a/coffer.json", "Basic "),
        ("webdav://anna@host/a?insecure=true", &[Password], "http://host/a/coffer.json", "Basic "),
        ("webdav://host/a", &[Token], "https://host/a/coffer.json", "Bearer "),
        ("gcs://bucket/a", &[Token], "https://storage.googleapis.com/storage/v1/b/bucket/o/a%2Fcoffer.json", "Bearer "),
        (
            "azblob://box/a?account=anna",
            &[AccountKey],
            "https://anna.blob.core.windows.net/box/a/coffer.json",
            "SharedKey anna:",
        ),
        ("gdrive:///a", &[AccessToken], "https://www.googleapis.com/", "Bearer "),
        ("dropbox:///a", &[AccessToken], "https://api.dropboxapi.com/2/files/get_metadata", "Bearer "),
        ("onedrive:///a", &[AccessToken], "https://graph.microsoft.com/v1.0/me/drive/root:/a/coffer.json", "Bearer "),
    ] {
        let (asked, authorization) = asked(url, parts);
        assert!(asked.starts_with(place), "{url}: {asked}");
        assert!(authorization.starts_with(way), "{url}: {way}");
        assert!(!asked.contains(SECRET), "{asked}");
    }
}

#[test]
fn a_token_that_was_given_to_an_application_is_renewed_where_it_came_from() {
    use C::{ClientId, ClientSecret, RefreshToken};
    for (url, place) in [
        ("gdrive:///a", "https://oauth2.googleapis.com/token"),
        ("dropbox:///a", "https://api.dropboxapi.com/oauth2/token"),
        ("onedrive:///a", "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
    ] {
        let (asked, _) = asked(url, &[RefreshToken, ClientId, ClientSecret]);
        assert!(asked.starts_with(place), "{url}: {asked}");
    }
}

#[test]
fn what_each_service_can_is_what_the_archive_counts_on() {
    use C::{AccessKeyId, AccessToken, AccountKey, SecretAccessKey, Token};
    for (service, parts, writes_once) in [
        (Service::S3, &[AccessKeyId, SecretAccessKey][..], true),
        (Service::Gcs, &[Token], true),
        (Service::Azure, &[AccountKey], true),
        (Service::WebDav, &[], false),
        (Service::GoogleDrive, &[AccessToken], false),
        (Service::Dropbox, &[AccessToken], false),
        (Service::OneDrive, &[AccessToken], false),
    ] {
        let can = operator(&address(service), &given(parts)).unwrap().info().capability();
        assert!(can.read && can.write && can.stat && can.list && can.delete, "{service:?}");
        assert_eq!(can.write_with_if_not_exists, writes_once, "{service:?}");
        assert!(can.write_total_max_size.is_none_or(|most| most > 1 << 25), "{service:?}");
    }
    // Both are written beside the place, and renamed.
    for service in [Service::WebDav, Service::Sftp] {
        assert!(
            operator(&address(service), &Credentials::default()).unwrap().info().capability().rename,
            "{service:?}"
        );
    }
}

#[test]
fn refuses_to_go_without_credentials_where_a_service_asks_for_them() {
    for service in Service::ALL {
        let asks = !matches!(service, Service::Folder | Service::Sftp | Service::WebDav);
        let built = operator(&address(service), &Credentials::default());
        assert_eq!(matches!(built, Err(Error::NoCredentials { .. })), asks, "{service:?}");
    }
}

#[test]
fn a_key_that_is_none_is_refused_and_not_shown() {
    let mut credentials = Credentials::default();
    credentials.set(C::AccountKey, Zeroizing::new("hunter2!".to_owned()));
    let refused = operator(&address(Service::Azure), &credentials).unwrap_err();
    assert!(
        matches!(refused, Error::BadUrl { .. }) && !format!("{refused} {refused:?}").contains("hunter2"),
        "{refused}"
    );
}
