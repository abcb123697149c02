//! The keys that account tokens are signed with: a JWK set (RFC 7517) in a file.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::ServiceError;

/// One key, with the only algorithm that it is for.
pub(crate) struct IssuerKey {
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// Whether a file has a key that tokens could be signed with.
///
/// # Errors
/// `Named`.
pub fn check_jwks(path: &Path) -> Result<(), ServiceError> {
    read(path).map(drop)
}

/// Reads the file. Returns its bytes as well: whoever compares them knows whether it has changed.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Vec<IssuerKey>), ServiceError> {
    let refuse = |why| ServiceError::Named { path: path.to_owned(), why };
    let bytes = fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let keys = parse(&bytes).map_err(refuse)?;
    Ok((bytes, keys))
}

fn parse(bytes: &[u8]) -> Result<Vec<IssuerKey>, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("not a JWK set: {error}"))?;
    let keys: Vec<IssuerKey> = set.keys.iter().filter_map(issuer_key).collect();
    if keys.is_empty() {
        return Err("no Ed25519 or P-256 key for signatures is in it".to_owned());
    }
    Ok(keys)
}

/// Ed25519 for EdDSA and P-256 for ES256. Keys of other kinds or for other uses are passed over: a set may have them for
/// others.
fn issuer_key(jwk: &Jwk) -> Option<IssuerKey> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, key) = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, DecodingKey::from_ed_der(&bytes::<32>(&pair.x)?))
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            let (x, y) = (bytes::<32>(&point.x)?, bytes::<32>(&point.y)?);
            (Algorithm::ES256, DecodingKey::from_ec_der(&[[4].as_slice(), &x, &y].concat()))
        }
        _ => return None,
    };
    Some(IssuerKey { id: jwk.common.key_id.clone(), algorithm, key })
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::parse;

    #[test]
    fn passes_over_keys_that_are_not_for_signatures() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let set = format!(
            r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "x": "{x}", "use": "enc"}},
                {{"kty": "oct", "k": "c2VjcmV0"}}, {{"kty": "OKP", "crv": "Ed25519", "x": "{x}", "kid": "a"}}]}}"#
        );
        let keys = parse(set.as_bytes()).unwrap();
        assert_eq!(keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("a")]);
    }

    #[test]
    fn refuses_a_set_without_a_key_that_it_could_use() {
        for set in [r#"{"keys": []}"#, r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#, "[]", ""] {
            assert!(parse(set.as_bytes()).is_err(), "{set}");
        }
    }
}
