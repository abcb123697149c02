//! Where a vault is, and who it is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use coffer_proto::Fingerprint;
use reqwest::Url;
use thiserror::Error;

/// `https://host[:port]/#` and the 64 digits of the fleet's [`Fingerprint`]. A device needs no other introduction to a
/// vault: it trusts what the roots of that fingerprint have signed, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultAddress {
    url: Url,
    fingerprint: Fingerprint,
}

/// Why a text is not the address of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not a URL with a host.
    #[error("it is not a URL like https://vault.example/#…")]
    NotAUrl,
    /// Another scheme than https. What is not encrypted goes to this machine only.
    #[error("it does not begin with https:// (http:// is for 127.0.0.1, [::1] and localhost alone)")]
    Scheme,
    /// A path, a query, or a user's name.
    #[error("there is something between the host and the #")]
    Surplus,
    /// The part after `#` is missing or is none.
    #[error("after the # stand not the 64 digits of a fingerprint")]
    Fingerprint,
}

impl VaultAddress {
    /// Who the vault is.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for VaultAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut url = Url::parse(text).map_err(|_| AddressError::NotAUrl)?;
        if !url.has_host() {
            return Err(AddressError::NotAUrl);
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(AddressError::Scheme);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.path() != "/" || url.query().is_some() || has_user {
            return Err(AddressError::Surplus);
        }
        let digits = url.fragment().unwrap_or_default().to_ascii_lowercase();
        let fingerprint = digits.parse().map_err(|_| AddressError::Fingerprint)?;
        url.set_fragment(None);
        Ok(Self { url, fingerprint })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let v6 = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for VaultAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.url, self.fingerprint)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{AddressError, VaultAddress};

    fn parse(before: &str) -> Result<VaultAddress, AddressError> {
        format!("{before}#{}", "0a".repeat(32)).parse()
    }

    #[test]
    fn an_address_survives_the_way_through_text() {
        for before in
            ["https://vault.example/", "https://vault.example:8443/", "http://127.0.0.1:7/", "http://[::1]:7/"]
        {
            let address = parse(before).unwrap();
            assert_eq!(address.to_string(), format!("{before}#{}", "0a".repeat(32)));
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn the_slash_may_be_missing_and_the_digits_may_be_capitals() {
        assert_eq!(parse("https://vault.example"), parse("https://vault.example/"));
        let capitals = format!("https://vault.example/#{}", "0A".repeat(32)).parse();
        assert_eq!(capitals, parse("https://vault.example/"));
    }

    #[test]
    fn refuses_http_to_another_machine() {
        for before in ["http://vault.example/", "http://10.0.0.1/", "http://128.0.0.1/", "http://127.0.0.1.example/"] {
            assert_eq!(parse(before), Err(AddressError::Scheme), "{before}");
        }
        assert!(parse("http://localhost:8080/").is_ok());
    }

    #[test]
    fn refuses_another_scheme() {
        assert_eq!(parse("ftp://vault.example/"), Err(AddressError::Scheme));
        assert_eq!(parse("file:///etc/"), Err(AddressError::NotAUrl));
    }

    #[test]
    fn refuses_a_path_a_query_or_a_user() {
        for before in ["https://vault.example/v1", "https://vault.example/?a", "https://a@vault.example/"] {
            assert_eq!(parse(before), Err(AddressError::Surplus), "{before}");
        }
    }

    #[test]
    fn refuses_an_address_without_its_fingerprint() {
        for text in ["https://vault.example/", "https://vault.example/#", "https://vault.example/#0a0a"] {
            assert_eq!(text.parse::<VaultAddress>(), Err(AddressError::Fingerprint), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_url() {
        for before in ["vault.example/", "", "https://"] {
            assert_eq!(parse(before), Err(AddressError::NotAUrl), "{before}");
        }
    }
}
