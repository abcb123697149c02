//! The account token: the messaging service's word on whose requests these are.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coffer_proto::AccountId;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// A JWT (RFC 7519). Its signature is the vault's to verify; the client reads the account only, to name it in what it
/// signs. Wiped when dropped.
pub struct Token {
    text: Zeroizing<String>,
    account: AccountId,
}

/// Not a JWT with a `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a token that names an account")]
pub struct TokenError;

#[derive(Deserialize)]
struct Claims {
    sub: AccountId,
}

impl Token {
    /// Takes in a token; white space around it is cut off.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let [header, claims, signature] =
            <[&str; 3]>::try_from(text.split('.').collect::<Vec<_>>()).map_err(|_| TokenError)?;
        let parts_are_base64url = [header, signature].into_iter().all(|part| URL_SAFE_NO_PAD.decode(part).is_ok());
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError)?;
        if !parts_are_base64url {
            return Err(TokenError);
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), account: claims.sub })
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// Whose it says that it is.
    pub const fn account(&self) -> &AccountId {
        &self.account
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::Token;

    fn with_claims(claims: &str) -> String {
        format!("e30.{}.AAAA", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn reads_the_account() {
        let token = Token::parse(&format!(" {}\n", with_claims(r#"{"iss": "x", "sub": "ada"}"#))).unwrap();
        assert_eq!(token.account().as_str(), "ada");
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn refuses_a_token_that_names_no_account() {
        for claims in [r#"{"iss": "x"}"#, r#"{"sub": 7}"#, r#"{"sub": ""}"#, "ada", ""] {
            assert!(Token::parse(&with_claims(claims)).is_err(), "{claims}");
        }
    }

    #[test]
    fn refuses_what_is_no_jwt() {
        let token = with_claims(r#"{"sub": "ada"}"#);
        for text in
            ["", "ada", "e30.e30", &format!("{token}.AAAA"), &format!("{token}=="), &token.replacen('.', "\r\n.", 1)]
        {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }
}
