//! The table of everything that can be set, as `coffer-vault` has one: `tls.key_file`, `--tls-key-file`,
//! `COFFER_GATEWAY_TLS_KEY_FILE`. Flags win over variables, variables over the file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use coffer_service::{LogFormat, LogLevel, settings};
use serde::Deserialize;

/// `[[sites]]` in the file; `1=https://one.example,2=https://two.example` in a flag or a variable.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct SiteList(pub(crate) Vec<SiteSettings>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteSettings {
    /// Its number in the fleet's manifest.
    pub(crate) number: u8,
    /// Where it is: `https://host[:port]`.
    pub(crate) url: String,
    /// Certificates (PEM) that are trusted for its TLS, in the place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

impl FromStr for SiteList {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let site = |part: &str| {
            let (number, url) = part.split_once('=')?;
            Some(SiteSettings { number: number.parse().ok()?, url: url.to_owned(), ca_file: None })
        };
        let sites: Option<Vec<_>> = text.split(',').map(site).collect();
        sites.map(Self).ok_or("write NUMBER=URL, with commas between sites")
    }
}

settings! {
    /// All of them. A key that is not in the table is refused.
    Settings, "Where" {
        /// Address for clients; anything but loopback needs TLS [default: 127.0.0.1:7880]
        listen: SocketAddr, "listen", "COFFER_GATEWAY_LISTEN";
        /// Address of /livez, /readyz and /metrics, plain HTTP: keep it private [default: 127.0.0.1:7881]
        ops_listen: SocketAddr, "ops-listen", "COFFER_GATEWAY_OPS_LISTEN";
        /// The fleet's sites, as NUMBER=URL,NUMBER=URL; in the file `[[sites]]` with number, url and ca_file
        sites: SiteList, "sites", "COFFER_GATEWAY_SITES";
    }
    {
        tls: Tls;
        tokens: Tokens;
        limits: Limits;
        log: Log;
    }
}

settings! {
    /// `[tls]`
    Tls, "TLS" {
        /// Certificate chain, PEM
        certificate_file: PathBuf, "tls-certificate-file", "COFFER_GATEWAY_TLS_CERTIFICATE_FILE";
        /// The certificate's private key, PEM
        key_file: PathBuf, "tls-key-file", "COFFER_GATEWAY_TLS_KEY_FILE";
    }
}

settings! {
    /// `[tokens]`
    Tokens, "Account tokens" {
        /// `iss` of the tokens that are taken
        issuer: String, "tokens-issuer", "COFFER_GATEWAY_TOKENS_ISSUER";
        /// `aud` of the tokens that are taken
        audience: String, "tokens-audience", "COFFER_GATEWAY_TOKENS_AUDIENCE";
        /// The issuer's public keys (RFC 7517); read again when it changes
        jwks_file: PathBuf, "tokens-jwks-file", "COFFER_GATEWAY_TOKENS_JWKS_FILE";
    }
}

settings! {
    /// `[limits]`
    Limits, "Rate limits" {
        /// Requests of one account in a minute, 0 for any number [default: 600]
        account_per_minute: u32, "limits-account-per-minute", "COFFER_GATEWAY_LIMITS_ACCOUNT_PER_MINUTE";
        /// Requests from one address (IPv6: one /64) in a minute, 0 for any number [default: 12000]
        address_per_minute: u32, "limits-address-per-minute", "COFFER_GATEWAY_LIMITS_ADDRESS_PER_MINUTE";
    }
}

settings! {
    /// `[log]`
    Log, "Logs" {
        /// `text` or `json`, to standard error [default: text]
        format: LogFormat, "log-format", "COFFER_GATEWAY_LOG_FORMAT";
        /// `error`, `warn`, `info` or `debug` [default: info]
        level: LogLevel, "log-level", "COFFER_GATEWAY_LOG_LEVEL";
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use clap::{Args as _, Command};

    use super::{Settings, SiteList, SiteSettings};

    #[test]
    fn every_flag_has_the_variable_of_its_name() {
        let command = Settings::augment_args(Command::new("test"));
        for argument in command.get_arguments() {
            let flag = argument.get_long().unwrap();
            let variable = format!("COFFER_GATEWAY_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().unwrap(), variable.as_str());
        }
    }

    #[test]
    fn sites_read_alike_from_a_flag_and_from_the_file() {
        let flag: SiteList = "1=https://one.example,2=https://two.example".parse().unwrap();
        let file = "[[sites]]\nnumber = 1\nurl = \"https://one.example\"\n[[sites]]\nnumber = 2\nurl = \"https://two.example\"";
        let file: Settings = toml::from_str(file).unwrap();
        assert_eq!(flag.0, file.sites.unwrap().0);
        assert_eq!(flag.0[1], SiteSettings { number: 2, url: "https://two.example".to_owned(), ca_file: None });
    }

    #[test]
    fn refuses_a_list_of_sites_that_is_none() {
        for text in ["", "https://one.example", "x=https://one.example", "1=https://one.example,"] {
            assert!(text.parse::<SiteList>().is_err(), "{text}");
        }
        assert!(toml::from_str::<Settings>("[[sites]]\nnumber = 1\nurl = \"u\"\nname = \"x\"").is_err());
    }
}
