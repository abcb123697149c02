//! What the gateway runs with.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use coffer_service::configuration::{self, ConfigError, Invalid};
use coffer_service::{LimitsConfig, LogFormat, LogLevel, TlsFiles};
use reqwest::Url;

use crate::settings::{Settings, SiteSettings};

/// What the variables' names begin with.
const VARIABLES: &str = "COFFER_GATEWAY_";
const LISTEN: &str = "127.0.0.1:7880";
const OPS_LISTEN: &str = "127.0.0.1:7881";
const ACCOUNT_PER_MINUTE: u32 = 600;
const ADDRESS_PER_MINUTE: u32 = 12_000;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) ops_listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) sites: Vec<SiteConfig>,
    pub(crate) tokens: TokensConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) log: (LogFormat, LogLevel),
}

#[derive(Debug)]
pub(crate) struct SiteConfig {
    pub(crate) number: u8,
    pub(crate) url: Url,
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct TokensConfig {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jwks_file: PathBuf,
}

impl Config {
    /// Reads the file, if there is one, under what flags and variables say.
    pub(crate) fn load(set: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        configuration::load(VARIABLES, set, file, Settings::or, Self::resolve)
    }

    fn resolve(set: Settings) -> Result<Self, Invalid> {
        let tls = configuration::tls(set.tls.certificate_file, set.tls.key_file)?;
        let listen = set.listen.unwrap_or(LISTEN.parse().expect("it is an address"));
        configuration::check_listen(listen, tls.as_ref())?;
        let needed = |key| move || (key, "it has to be set".to_owned());
        Ok(Self {
            listen,
            ops_listen: set.ops_listen.unwrap_or(OPS_LISTEN.parse().expect("it is an address")),
            tls,
            sites: sites(set.sites.map(|sites| sites.0).unwrap_or_default())?,
            tokens: TokensConfig {
                issuer: set.tokens.issuer.ok_or_else(needed("tokens.issuer"))?,
                audience: set.tokens.audience.ok_or_else(needed("tokens.audience"))?,
                jwks_file: set.tokens.jwks_file.ok_or_else(needed("tokens.jwks_file"))?,
            },
            limits: LimitsConfig {
                account: NonZeroU32::new(set.limits.account_per_minute.unwrap_or(ACCOUNT_PER_MINUTE)),
                address: NonZeroU32::new(set.limits.address_per_minute.unwrap_or(ADDRESS_PER_MINUTE)),
            },
            log: (set.log.format.unwrap_or_default(), set.log.level.unwrap_or_default()),
        })
    }
}

fn sites(set: Vec<SiteSettings>) -> Result<Vec<SiteConfig>, Invalid> {
    let refuse = |why: String| Err(("sites", why));
    let numbers: HashSet<u8> = set.iter().map(|site| site.number).collect();
    if set.is_empty() || numbers.len() < set.len() || numbers.contains(&0) {
        return refuse("at least one site is needed, and each has a number of its own, from 1".to_owned());
    }
    set.into_iter().map(site).collect()
}

fn site(SiteSettings { number, url, ca_file }: SiteSettings) -> Result<SiteConfig, Invalid> {
    let refuse = |why: &str| Err(("sites", format!("{url} {why}")));
    let Ok(parsed) = Url::parse(&url) else { return refuse("is not a URL") };
    if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() || !parsed.username().is_empty()
    {
        return refuse("has more than a scheme, a host and a port");
    }
    let is_loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_loopback) {
        return refuse("is not https, and tokens never travel in the clear but on this machine");
    }
    Ok(SiteConfig { number, url: parsed, ca_file })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_service::configuration::{ConfigError, located};

    use super::{Config, VARIABLES};
    use crate::settings::Settings;

    const TOKENS: &str = "[tokens]\nissuer = \"i\"\naudience = \"a\"\njwks_file = \"k\"\n";

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        let settings: Settings = toml::from_str(text).unwrap();
        let located = |invalid| located(VARIABLES, invalid, Some(("gateway.toml".as_ref(), text)));
        Config::resolve(settings).map_err(located)
    }

    fn with_site(number: u8, url: &str) -> Result<Config, ConfigError> {
        resolve(&format!("{TOKENS}[[sites]]\nnumber = {number}\nurl = \"{url}\"\n"))
    }

    #[test]
    fn sites_and_tokens_are_all_that_has_to_be_set() {
        let config = with_site(1, "https://one.example:8443").unwrap();
        assert_eq!(config.sites[0].url.as_str(), "https://one.example:8443/");
        assert_eq!(config.listen.to_string(), "127.0.0.1:7880");
        assert!(with_site(1, "http://127.0.0.1:7878").is_ok());
    }

    #[test]
    fn refuses_a_gateway_without_sites() {
        let error = resolve(TOKENS).unwrap_err().to_string();
        assert!(error.starts_with("sites (--sites, COFFER_GATEWAY_SITES): at least one"), "{error}");
    }

    #[test]
    fn refuses_two_sites_of_one_number_and_number_zero() {
        let two = format!("{TOKENS}sites = 1")
            .replace("sites = 1", &"[[sites]]\nnumber = 1\nurl = \"https://a\"\n".repeat(2));
        assert!(resolve(&two).is_err());
        assert!(with_site(0, "https://one.example").is_err());
    }

    #[test]
    fn refuses_a_site_whose_url_is_none_or_in_the_clear() {
        for url in [
            "one.example",
            "https://one.example/v1",
            "https://one.example/?a",
            "https://a@one.example",
            "http://10.0.0.1",
        ] {
            let error = with_site(1, url).unwrap_err().to_string();
            assert!(error.contains("line 5: sites"), "{url}: {error}");
        }
    }

    #[test]
    fn refuses_a_gateway_that_could_not_verify_a_token() {
        for key in ["issuer", "audience", "jwks_file"] {
            let text = format!("{TOKENS}[[sites]]\nnumber = 1\nurl = \"https://a\"\n");
            let text: String =
                text.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
            assert!(resolve(&text).unwrap_err().to_string().contains(&format!("tokens.{key}")), "{key}");
        }
    }

    #[test]
    fn refuses_plain_http_off_loopback() {
        let error = resolve(&format!("listen = \"0.0.0.0:1\"\n{TOKENS}")).unwrap_err().to_string();
        assert!(error.starts_with("gateway.toml, line 1: listen: 0.0.0.0:1 is not a loopback address"), "{error}");
    }
}
