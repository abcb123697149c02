#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Address, Service, redacted};
use crate::error::Error;

fn refused(text: &str) -> String {
    Address::parse(text).unwrap_err().to_string()
}

#[test]
fn every_service_has_an_address() {
    for service in Service::ALL {
        let address = Address::parse(service.example()).unwrap();
        assert_eq!(address.service(), service);
        assert_eq!(address.to_string(), service.example());
    }
}

#[test]
fn one_place_has_one_address() {
    for (typed, kept) in [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket//a///b/", "s3://bucket/a/b"),
        (
            "s3://bucket/a?region=eu-west-1&endpoint=https://host",
            "s3://bucket/a?endpoint=https://host&region=eu-west-1",
        ),
        ("webdav://anna@host:8443/dav/", "webdav://anna@host:8443/dav"),
        ("webdav://host:81/files/anna@example.org", "webdav://host:81/files/anna@example.org"),
        ("sftp://host:2222/srv/backups", "sftp://host:2222/srv/backups"),
        ("sftp://anna@[::1]:2222/srv", "sftp://anna@[::1]:2222/srv"),
        ("gdrive://", "gdrive:///"),
        ("azblob://box?account=anna", "azblob://box/?account=anna"),
        ("fs:///mnt/a@b?c", "fs:///mnt/a@b?c"),
    ] {
        assert_eq!(Address::parse(typed).unwrap().to_string(), kept);
        assert_eq!(Address::parse(kept).unwrap().to_string(), kept);
    }
}

#[test]
fn refuses_a_secret_and_does_not_repeat_it() {
    for text in [
        "webdav://anna:hunter2@host/dav",
        "webdav://anna:hun/hunter2@host/dav",
        "webdav://anna:hun?hunter2@host/dav",
        "s3://bucket/a?access_key=hunter2",
        "s3://bucket/a?region=eu&Secret_Access_Key=hunter2",
        "s3://bucket/a?endpoint=https://anna:hunter2@host",
        "azblob://box/?account=a&sas_token=hunter2",
        "azblob://box/?sig=hunter2",
        "dropbox:///a?token=hunter2",
        "sftp://anna:hunter2@host/srv",
    ] {
        let error = Address::parse(text).unwrap_err();
        assert!(matches!(error, Error::SecretInUrl { .. } | Error::BadUrl { .. }), "{text}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(matches!(Address::parse("webdav://anna:hunter2@host/dav"), Err(Error::SecretInUrl { .. })));
    assert!(matches!(Address::parse("s3://bucket/a?access_key=hunter2"), Err(Error::SecretInUrl { .. })));
}

#[test]
fn refuses_plain_http_that_is_not_asked_for() {
    assert!(refused("s3://bucket/?endpoint=http://host").contains("insecure=true"));
    let address = Address::parse("s3://bucket/?endpoint=http://host&insecure=true").unwrap();
    assert!(address.is_insecure());
}

#[test]
fn refuses_what_no_service_has() {
    for text in [
        "gopher://host/",
        "s3://",
        "s3:///folder",
        "s3://anna@bucket/",
        "s3://buck et/",
        "s3://bucket/?endpoint=host",
        "s3://bucket/?region=",
        "s3://bucket/?style=both",
        "s3://bucket/?region=eu&region=us",
        "s3://bucket/?color=blue",
        "s3://bucket/a/../b",
        "s3://bucket/a#b",
        "webdav:///folder",
        "webdav://host/?insecure=yes",
        "webdav://host:dav/",
        "webdav://host:1:2/",
        "gdrive://host/folder",
        "azblob://box/folder",
        "fs://relative",
        "",
    ] {
        assert!(matches!(Address::parse(text), Err(Error::BadUrl { .. })), "{text}");
    }
}

#[test]
fn refuses_a_host_that_ssh_would_take_for_an_option() {
    for text in ["sftp://-oProxyCommand=x/srv", "sftp://-l@host/srv", "sftp://a b@host/srv", "sftp://host;x/srv"] {
        assert!(matches!(Address::parse(text), Err(Error::BadUrl { .. })), "{text}");
    }
}

#[test]
fn refuses_a_home_folder_that_ssh_would_not_find() {
    assert!(refused("sftp://host/~/backups").contains('~'));
}

proptest! {
    #[test]
    fn what_is_parsed_is_written_and_parsed_again(text in "(s3|webdav|sftp|gdrive|gcs)://[a-z@:/?=.-]{0,30}") {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(&Address::parse(&address.to_string()).unwrap(), &address);
        }
    }

    #[test]
    fn what_is_redacted_holds_no_password(user in "[a-z]{1,5}", secret in "[A-Z/?&=]{8,12}") {
        let typed = [
            format!("webdav://{user}:{secret}@host/"),
            format!("{user}:{secret}@host/"),
            format!("s3://host/?{user}={secret}"),
        ];
        for text in typed {
            prop_assert!(!redacted(&text).contains(&secret), "{}", text);
        }
    }
}
