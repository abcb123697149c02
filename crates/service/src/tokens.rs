//! Account tokens: JWTs (RFC 7519) of the messaging service, each bound to a device key (RFC 7800).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use coffer_proto::{AccountId, Time, VerifyingKey};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::ServiceError;
use crate::jwks::{self, IssuerKey};

/// Longer than any token of use; before anything of it is read. A record keeps the tokens of all its open attempts, and
/// has to stay below 64 KiB.
const MAX_LEN: usize = 1024;

/// Clocks of issuer and vault may differ by this much.
const LEEWAY: i64 = 60;

/// How often the file with the keys is looked at.
const REREAD: Duration = Duration::from_secs(2);

/// Tokens whose signature is remembered. When there are more, all are forgotten.
const REMEMBERED: usize = 8192;

/// Verifies tokens. A request has its token verified more than once, and a client uses one for many requests: so a
/// signature that held is remembered, by the token's hash. The times are compared anew each time.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds tokens' hashes and keys, and nothing to print")]
pub struct JwtTokens(Arc<Shared>);

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The account.
    pub account: AccountId,
    /// The key of the device that may use it.
    pub device_key: VerifyingKey,
}

struct Shared {
    file: PathBuf,
    issuer: String,
    audience: String,
    keys: RwLock<Keys>,
}

struct Keys {
    /// The file, as it was read.
    bytes: Vec<u8>,
    keys: Vec<IssuerKey>,
    /// By the hash of a token that one of these keys has signed.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

#[derive(Clone)]
struct Verified {
    bearer: Bearer,
    not_before: i64,
    expires: i64,
}

/// What is needed of a token; `iss` and `aud` are the library's to check. A claim that is missing, there twice or of
/// another form is an error.
#[derive(Deserialize)]
struct Claims {
    sub: AccountId,
    nbf: Option<i64>,
    exp: i64,
    cnf: Confirmation,
}

#[derive(Deserialize)]
struct Confirmation {
    jwk: DeviceKey,
}

/// RFC 8037.
#[derive(Deserialize)]
struct DeviceKey {
    #[expect(dead_code, reason = "only one value is taken")]
    kty: KeyType,
    #[expect(dead_code, reason = "only one value is taken")]
    crv: Curve,
    x: VerifyingKey,
}

#[derive(Deserialize)]
enum KeyType {
    #[serde(rename = "OKP")]
    OctetKeyPair,
}

#[derive(Deserialize)]
enum Curve {
    Ed25519,
}

impl JwtTokens {
    /// Takes tokens of one issuer for one audience, signed by a key of the JWK set in `file`.
    ///
    /// # Errors
    /// `Named`.
    pub fn open(issuer: &str, audience: &str, file: PathBuf) -> Result<Self, ServiceError> {
        let (bytes, keys) = jwks::read(&file)?;
        let keys = RwLock::new(Keys { bytes, keys, verified: Mutex::default() });
        Ok(Self(Arc::new(Shared { file, issuer: issuer.to_owned(), audience: audience.to_owned(), keys })))
    }

    /// Reads the keys again whenever their file changes, for ever. A file that cannot be read changes nothing.
    pub async fn keep_keys_fresh(self) {
        loop {
            tokio::time::sleep(REREAD).await;
            match jwks::read(&self.0.file) {
                Ok((bytes, keys)) => {
                    let mut current = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
                    if current.bytes != bytes {
                        *current = Keys { bytes, keys, verified: Mutex::default() };
                        tracing::info!("the token issuer's keys were read again");
                    }
                }
                Err(error) => tracing::error!(%error, "the token issuer's keys are those of before"),
            }
        }
    }

    /// Whose token it is, if it holds at `time`.
    pub fn verify(&self, token: &str, time: Time) -> Option<Bearer> {
        if token.len() > MAX_LEN {
            return None;
        }
        let hash = Sha256::digest(token).into();
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        let verified = match known {
            Some(verified) => verified,
            None => {
                let verified = self.0.verify_signature(&keys.keys, token)?;
                let mut known = keys.verified.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(hash, verified.clone());
                verified
            }
        };
        let now = time.unix_seconds();
        let is_current =
            verified.not_before.saturating_sub(LEEWAY) <= now && now < verified.expires.saturating_add(LEEWAY);
        is_current.then_some(verified.bearer)
    }
}

impl Shared {
    /// Everything but the times.
    fn verify_signature(&self, keys: &[IssuerKey], token: &str) -> Option<Verified> {
        let header = decode_header(token).ok()?;
        // RFC 7515, section 4.1.11: an extension that is critical and not understood.
        if !matches!(header.alg, Algorithm::EdDSA | Algorithm::ES256) || header.crit.is_some() {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // By the time that the caller names, in `verify`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let could_be = |key: &&IssuerKey| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
        let claims =
            keys.iter().filter(could_be).find_map(|key| decode::<Claims>(token, &key.key, &validation).ok())?.claims;
        let bearer = Bearer { account: claims.sub, device_key: claims.cnf.jwk.x };
        Some(Verified { bearer, not_before: claims.nbf.unwrap_or(i64::MIN), expires: claims.exp })
    }
}
