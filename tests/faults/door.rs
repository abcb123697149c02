//! The API as clients see it, of whichever site.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use coffer_keys::SigningKey;
use coffer_proto::{
    AccountId, ActivationRequest, AttemptId, FleetManifest, Problem, ProblemType, ProofRequest, RegistrationId,
    RegistrationRequest, RetrievalRequest,
};
use coffer_vault_client::shown_public_key;

use crate::binary;
use crate::fleet::at;
use crate::hosts::Host;
use crate::request::Request;

/// Longer than a site takes to say that it cannot.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Register(Box<RegistrationRequest>),
    Activate(RegistrationId, ActivationRequest),
    Retrieve(AttemptId, RetrievalRequest),
    Prove(AttemptId, ProofRequest),
    Status,
}

/// Why there is no answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    Refused(ProblemType),
    /// 503: nothing was given away, and it may be sent again.
    Unavailable,
    /// No whole answer came.
    Silence,
}

/// A fleet that clients can speak to.
pub(crate) trait Door: Sync {
    fn manifest(&self) -> &FleetManifest;
    /// A token of the account that binds a device's key.
    fn token(&self, account: &AccountId, device: &SigningKey) -> String;
    /// Gives the body of a success.
    fn send(&self, site: u8, token: &str, call: &Call) -> Result<Vec<u8>, Failed>;
}

/// Real sites.
pub(crate) struct HttpDoor {
    pub(crate) manifest: FleetManifest,
    /// With the port of the API.
    pub(crate) sites: Vec<(Host, u16)>,
    /// The messaging service's folder.
    pub(crate) messenger: PathBuf,
    /// What it is run by: `faketime` and the like.
    pub(crate) runner: Vec<String>,
}

/// A token of a messaging service that binds a device's key.
pub(crate) fn token(messenger: &Path, runner: &[String], account: &str, device_key: &str) -> String {
    // Each run writes the public keys anew.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut command = Command::new("env");
    let output = command
        .args(runner)
        .arg(binary::vault())
        .args(["dev-token", "--new-issuer", "--account", account, "--device-key", device_key, "--data"])
        .arg(messenger)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Door for HttpDoor {
    fn manifest(&self) -> &FleetManifest {
        &self.manifest
    }

    fn token(&self, account: &AccountId, device: &SigningKey) -> String {
        token(&self.messenger, &self.runner, account.as_str(), &shown_public_key(device))
    }

    fn send(&self, site: u8, token: &str, call: &Call) -> Result<Vec<u8>, Failed> {
        let request = match call {
            Call::Register(request) => {
                let path = format!("/v1/registrations/{}", request.registration.id);
                Request::new("PUT", &path, token).json(request)
            }
            Call::Activate(id, request) => {
                Request::new("PUT", &format!("/v1/registrations/{id}/activation"), token).json(request)
            }
            Call::Retrieve(id, request) => Request::new("PUT", &format!("/v1/retrievals/{id}"), token).json(request),
            Call::Prove(id, request) => Request::new("PUT", &format!("/v1/retrievals/{id}/proof"), token).json(request),
            Call::Status => Request::new("GET", "/v1/registrations", token),
        };
        let (host, port) = &self.sites[at(site)];
        let stream = host.connect(*port, ANSWERS_WITHIN).ok_or(Failed::Silence)?;
        let answer = request.try_send_on(stream).ok_or(Failed::Silence)?;
        if answer.status == 200 {
            return Ok(answer.body.into_bytes());
        }
        let problem: Problem = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem.status, answer.status);
        Err(match problem.problem_type {
            ProblemType::Unavailable => Failed::Unavailable,
            other => Failed::Refused(other),
        })
    }
}
