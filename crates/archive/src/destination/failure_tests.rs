use std::io;

use opendal::ErrorKind;

use super::{described, is_passing, of_service, says_only_failure};
use crate::destination::Credentials;
use crate::error::{DestinationErrorKind, Error};

fn of(action: &'static str, error: &opendal::Error) -> (Option<DestinationErrorKind>, String) {
    match of_service((action, "packs/a"), error, "photos", &Credentials::default()) {
        Error::Destination { kind, reason, .. } => (Some(kind), reason),
        other => (None, other.to_string()),
    }
}

#[test]
fn a_bare_failure_of_a_write_is_no_matter_of_the_connection() {
    let said = "Sftp server reported error kind Failure, msg: Err Message: Failure, Language Tag: ";
    let error = opendal::Error::new(ErrorKind::Unexpected, "sftp error").set_source(io::Error::other(said));
    let error = error.set_temporary();
    assert!(says_only_failure(&error));
    let reason = "the server says no more than \"Failure\": often its disk is read-only or full";
    assert_eq!(of("write", &error), (Some(DestinationErrorKind::Refused), reason.to_owned()));
    assert_eq!(of("read", &error).0, Some(DestinationErrorKind::Unavailable));
}

#[test]
fn an_answer_of_s3_is_its_code_and_its_words() {
    let shown = r#"S3Error { code: "AccessDenied", message: "Not you.", resource: "/photos", request_id: "7" }"#;
    assert_eq!(described(&opendal::Error::new(ErrorKind::PermissionDenied, shown)), "AccessDenied: Not you.");
    let shown = shown.replace("AccessDenied", "NoSuchBucket");
    let said = of("list", &opendal::Error::new(ErrorKind::ConfigInvalid, shown));
    assert_eq!(said, (Some(DestinationErrorKind::Unavailable), "there is no bucket photos".to_owned()));
}

#[test]
fn a_refusal_without_a_word_is_given_some() {
    let (kind, reason) = of("read", &opendal::Error::new(ErrorKind::PermissionDenied, ""));
    assert_eq!(kind, Some(DestinationErrorKind::Refused));
    assert!(reason.contains("refuses these credentials"), "{reason}");
}

#[test]
fn a_host_that_ssh_does_not_trust_is_not_asked_again() {
    let unknown = "No ED25519 host key is known for [host]:22 and you have requested strict checking.\r\n\
        Host key verification failed.\r\n";
    let error = opendal::Error::new(ErrorKind::Unexpected, "ssh error").set_source(io::Error::other(unknown));
    assert!(!is_passing(&error));
    let said = of("read", &error);
    assert_eq!(
        said,
        (Some(DestinationErrorKind::Refused), "the host's key is not known to ssh: of [host]:22".to_owned())
    );
    let gone = io::Error::other("connect to host host port 22: Connection refused");
    assert!(is_passing(&opendal::Error::new(ErrorKind::Unexpected, "ssh error").set_source(gone)));
}
