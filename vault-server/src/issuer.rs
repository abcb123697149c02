//! The vault's own issuer of account tokens, for demos and tests: a vault in service is given its messaging service's
//! keys by `tokens.jwks_file`.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coffer_proto::{AccountId, Time, VerifyingKey};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::TokensConfig;
use crate::data::{DataFolder, read_secret, write_private};
use crate::error::Error;

const KEY_ID: &str = "local";

/// An Ed25519 key. It never leaves its file but into this.
pub(crate) struct Issuer(SigningKey);

impl Issuer {
    /// The issuer of this folder, made if there is none; and its public keys beside it.
    pub(crate) fn open_or_make(data: &DataFolder) -> Result<Self, Error> {
        let issuer = match Self::open(data)? {
            Some(issuer) => issuer,
            None => Self::make(data)?,
        };
        let jwks = issuer.jwks().to_string();
        // As it is, it may be being read, and another `dev-token` may be here at the same time.
        if fs::read(data.jwks()).ok().as_deref() != Some(jwks.as_bytes()) {
            write_private(&data.jwks(), jwks.as_bytes())?;
        }
        Ok(issuer)
    }

    /// `None` if the vault was never started here.
    pub(crate) fn open(data: &DataFolder) -> Result<Option<Self>, Error> {
        let path = data.token_issuer();
        let Some(text) = read_secret(&path)? else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end()).map(Zeroizing::new).ok();
        let seed: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
        let seed = seed.map(Zeroizing::new).ok_or(Error::Named { path, why: "not an Ed25519 key".to_owned() })?;
        Ok(Some(Self(SigningKey::from_bytes(&seed))))
    }

    fn make(data: &DataFolder) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| Error::System("randomness", error.to_string()))?;
        write_private(&data.token_issuer(), Zeroizing::new(URL_SAFE_NO_PAD.encode(*seed)).as_bytes())?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// RFC 7517, RFC 8037.
    fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID, "x": x}]})
    }

    /// A token for `account` that is bound to a device key (RFC 7800), valid from `now`.
    pub(crate) fn issue(
        &self,
        names: &TokensConfig,
        account: &AccountId,
        device_key: &VerifyingKey,
        now: Time,
        valid_for: Duration,
    ) -> Result<String, Error> {
        let claims = json!({
            "iss": names.issuer,
            "aud": names.audience,
            "sub": account,
            "nbf": now.unix_seconds(),
            "exp": (now + valid_for).unix_seconds(),
            "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": device_key}},
        });
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let unsigned = |why: String| Error::System("the token cannot be signed", why);
        let key = self.0.to_pkcs8_der().map_err(|error| unsigned(error.to_string()))?;
        encode(&header, &claims, &EncodingKey::from_ed_der(key.as_bytes())).map_err(|error| unsigned(error.to_string()))
    }
}
