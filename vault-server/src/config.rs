//! What the vault runs with: the settings, their defaults, and what has to fit together.

mod fleet;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use coffer_hsm_adapter::SOFTHSM_MODULE;
use coffer_service::configuration::{self, ConfigError, Invalid};
use coffer_service::{LimitsConfig, LogFormat, LogLevel, TlsFiles};
use coffer_vault_core::Policy;

use crate::period::Period;
use crate::settings::{PolicySettings, Settings};

pub(crate) use self::fleet::{EtcdFiles, FleetConfig, PeersConfig};

/// What the variables' names begin with.
const VARIABLES: &str = "COFFER_VAULT_";
const LISTEN: &str = "127.0.0.1:7878";
const OPS_LISTEN: &str = "127.0.0.1:7879";
const TOKEN_LABEL: &str = "coffer-vault";
const THREADS: u8 = 4;
const AUDIENCE: &str = "coffer-vault";
const LOCAL_ISSUER: &str = "coffer-vault:local";
const ACCOUNT_PER_MINUTE: u32 = 600;
const ADDRESS_PER_MINUTE: u32 = 12_000;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) ops_listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    /// Takes everything but the manifest sealed alone.
    pub(crate) gateway: bool,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) hsm: HsmConfig,
    /// `None`: a fleet of one.
    pub(crate) fleet: Option<FleetConfig>,
    /// `None`: there are no other sites.
    pub(crate) peers: Option<PeersConfig>,
    /// `None`: records lie in the embedded store.
    pub(crate) etcd: Option<EtcdFiles>,
    pub(crate) tokens: TokensConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) policy: Policy,
    /// What the file asks for; the manifest decides once there is one.
    pub(crate) max_attempts: Option<u8>,
    pub(crate) log: (LogFormat, LogLevel),
}

#[derive(Debug)]
pub(crate) struct HsmConfig {
    pub(crate) module: PathBuf,
    pub(crate) token_label: String,
    /// `None`: the vault makes and keeps a token of its own.
    pub(crate) pin_file: Option<PathBuf>,
    pub(crate) threads: NonZeroUsize,
}

#[derive(Debug)]
pub(crate) struct TokensConfig {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// `None`: the vault issues tokens itself.
    pub(crate) jwks_file: Option<PathBuf>,
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
        if let Some(url) = &set.public_url
            && (!(url.starts_with("https://") || url.starts_with("http://")) || url.contains(['#', '?']))
        {
            return Err(("public_url", "an http or https URL without query and fragment is needed".to_owned()));
        }
        let threads = set.hsm.threads.unwrap_or(THREADS);
        if threads > 64 {
            return Err(("hsm.threads", "1 to 64 are possible".to_owned()));
        }
        let max_attempts = set.policy.max_attempts;
        if max_attempts.is_some_and(|attempts| !(1..=100).contains(&attempts)) {
            return Err(("policy.max_attempts", "1 to 100 are possible".to_owned()));
        }
        Ok(Self {
            data: data(set.data)?,
            listen,
            ops_listen: set.ops_listen.unwrap_or(OPS_LISTEN.parse().expect("it is an address")),
            public_url: set.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            gateway: set.gateway.unwrap_or(false),
            tls,
            hsm: HsmConfig {
                module: set.hsm.module.unwrap_or_else(|| SOFTHSM_MODULE.into()),
                token_label: set.hsm.token_label.unwrap_or_else(|| TOKEN_LABEL.to_owned()),
                pin_file: set.hsm.pin_file,
                threads: NonZeroUsize::new(threads.into())
                    .ok_or_else(|| ("hsm.threads", "1 to 64 are possible".to_owned()))?,
            },
            fleet: fleet::fleet(set.fleet)?,
            peers: fleet::peers(set.peers)?,
            etcd: fleet::etcd(set.etcd)?,
            tokens: tokens(set.tokens)?,
            limits: LimitsConfig {
                account: NonZeroU32::new(set.limits.account_per_minute.unwrap_or(ACCOUNT_PER_MINUTE)),
                address: NonZeroU32::new(set.limits.address_per_minute.unwrap_or(ADDRESS_PER_MINUTE)),
            },
            policy: policy(set.policy),
            max_attempts,
            log: (set.log.format.unwrap_or_default(), set.log.level.unwrap_or_default()),
        })
    }
}

fn data(set: Option<PathBuf>) -> Result<PathBuf, Invalid> {
    let folder = match set {
        Some(folder) => folder,
        None => dirs::data_dir()
            .ok_or_else(|| ("data", "this platform names no data folder: set one".to_owned()))?
            .join("coffer-vault"),
    };
    std::path::absolute(folder).map_err(|error| ("data", error.to_string()))
}

fn tokens(set: crate::settings::Tokens) -> Result<TokensConfig, Invalid> {
    if set.jwks_file.is_some() && (set.issuer.is_none() || set.audience.is_none()) {
        return Err(("tokens.jwks_file", "it needs tokens.issuer and tokens.audience as well".to_owned()));
    }
    Ok(TokensConfig {
        issuer: set.issuer.unwrap_or_else(|| LOCAL_ISSUER.to_owned()),
        audience: set.audience.unwrap_or_else(|| AUDIENCE.to_owned()),
        jwks_file: set.jwks_file,
    })
}

fn policy(set: PolicySettings) -> Policy {
    let default = Policy::default();
    let or = |period: Option<Period>, default| period.map_or(default, |period| period.0);
    Policy {
        max_attempts: set.max_attempts.unwrap_or(default.max_attempts),
        free_failures: set.free_failures.unwrap_or(default.free_failures),
        waits: set.waits.map_or(default.waits, |waits| waits.0.into_iter().map(|wait| wait.0).collect()),
        open_for: or(set.open_for, default.open_for),
        open_at_zero: or(set.open_at_zero, default.open_at_zero),
        known_for: or(set.known_for, default.known_for),
        takeover_after: or(set.takeover_after, default.takeover_after),
        cool_down: or(set.cool_down, default.cool_down),
        cool_down_max: or(set.cool_down_max, default.cool_down_max),
        pending_for: or(set.pending_for, default.pending_for),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_service::configuration::{ConfigError, located};

    use super::{Config, VARIABLES};
    use crate::settings::Settings;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        let settings: Settings = toml::from_str(text).unwrap();
        let located = |invalid| located(VARIABLES, invalid, Some(("vault.toml".as_ref(), text)));
        Config::resolve(settings).map_err(located)
    }

    fn refused(text: &str) -> String {
        resolve(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_has_to_be_set() {
        let config = resolve("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:7878");
        assert_eq!(config.policy, coffer_vault_core::Policy::default());
        assert_eq!(config.hsm.pin_file, None);
    }

    #[test]
    fn every_waiting_time_can_be_none() {
        let config = resolve("[policy]\nwaits = []\ncool_down = \"0s\"\ntakeover_after = \"0s\"").unwrap();
        assert!(config.policy.waits.is_empty());
        assert!(config.policy.cool_down.is_zero() && config.policy.takeover_after.is_zero());
    }

    #[test]
    fn refuses_plain_http_off_loopback() {
        let error = refused("\nlisten = \"0.0.0.0:7878\"");
        assert!(error.starts_with("vault.toml, line 2: listen: 0.0.0.0:7878 is not a loopback address"), "{error}");
    }

    #[test]
    fn refuses_a_certificate_without_a_key() {
        assert!(refused("[tls]\ncertificate_file = \"c\"").starts_with("vault.toml, line 2: tls.certificate_file"));
    }

    #[test]
    fn refuses_no_guesses_and_too_many() {
        for attempts in [0, 101] {
            assert!(refused(&format!("[policy]\nmax_attempts = {attempts}")).contains("line 2: policy.max_attempts"));
        }
    }

    #[test]
    fn refuses_an_issuer_s_keys_without_its_name() {
        assert!(refused("[tokens]\njwks_file = \"k\"").contains("tokens.jwks_file: it needs tokens.issuer"));
    }

    #[test]
    fn refuses_half_of_a_fleet_and_a_site_without_a_number() {
        assert!(refused("[fleet]\nmanifest_file = \"m\"").contains("line 2: fleet.manifest_file: it needs fleet.site"));
        assert!(refused("[fleet]\nsite = 1").contains("line 2: fleet.site: it needs fleet.manifest_file"));
        let none = "[fleet]\nmanifest_file = \"m\"\nsite = 0\nroots_fingerprint = \"0\"";
        assert!(refused(none).contains("line 3: fleet.site: sites are numbered from 1"));
        let short = "[fleet]\nmanifest_file = \"m\"\nsite = 1\nroots_fingerprint = \"0\"";
        assert!(refused(short).contains("line 4: fleet.roots_fingerprint: 64 digits"));
    }

    #[test]
    fn refuses_a_number_of_threads_that_is_none() {
        assert!(refused("[hsm]\nthreads = 0").contains("line 2: hsm.threads"));
    }
}
