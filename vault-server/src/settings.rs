//! The table of everything that can be set: one row for each key of the file, with its flag and its environment
//! variable. The three names follow one rule, which a test holds: `hsm.pin_file`, `--hsm-pin-file`,
//! `COFFER_VAULT_HSM_PIN_FILE`. Flags win over variables, variables over the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use coffer_service::{LogFormat, LogLevel, settings};

use crate::period::{Period, Periods};

settings! {
    /// All of them. A key that is not in the table is refused.
    Settings, "Where" {
        /// Folder for the vault's token, secrets, manifest and store [default: the platform's data folder]
        data: PathBuf, "data", "COFFER_VAULT_DATA";
        /// Address of the REST API; anything but loopback needs TLS [default: 127.0.0.1:7878]
        listen: SocketAddr, "listen", "COFFER_VAULT_LISTEN";
        /// Address of /livez, /readyz and /metrics, plain HTTP: keep it private [default: 127.0.0.1:7879]
        ops_listen: SocketAddr, "ops-listen", "COFFER_VAULT_OPS_LISTEN";
        /// URL that clients reach the API by, if it is not the address that is listened on
        public_url: String, "public-url", "COFFER_VAULT_PUBLIC_URL";
        /// `true` when a gateway stands in front: but for the manifest, everything is then taken sealed alone [default: false]
        gateway: bool, "gateway", "COFFER_VAULT_GATEWAY";
    }
    {
        tls: Tls;
        hsm: Hsm;
        fleet: FleetSettings;
        peers: PeersSettings;
        etcd: EtcdSettings;
        tokens: Tokens;
        limits: Limits;
        policy: PolicySettings;
        log: Log;
    }
}

settings! {
    /// `[tls]`
    Tls, "TLS" {
        /// Certificate chain, PEM
        certificate_file: PathBuf, "tls-certificate-file", "COFFER_VAULT_TLS_CERTIFICATE_FILE";
        /// The certificate's private key, PEM
        key_file: PathBuf, "tls-key-file", "COFFER_VAULT_TLS_KEY_FILE";
    }
}

settings! {
    /// `[hsm]`
    Hsm, "HSM" {
        /// PKCS#11 module [default: SoftHSM]
        module: PathBuf, "hsm-module", "COFFER_VAULT_HSM_MODULE";
        /// Label of the token [default: coffer-vault]
        token_label: String, "hsm-token-label", "COFFER_VAULT_HSM_TOKEN_LABEL";
        /// File with the token's PIN; without one, the vault makes and keeps a SoftHSM token of its own
        pin_file: PathBuf, "hsm-pin-file", "COFFER_VAULT_HSM_PIN_FILE";
        /// Sessions with the token, 1 to 64 [default: 4]
        threads: u8, "hsm-threads", "COFFER_VAULT_HSM_THREADS";
    }
}

settings! {
    /// `[fleet]`
    FleetSettings, "A fleet of several sites" {
        /// The manifest that the roots have signed; read again when it changes. Without one, this vault is a fleet of one
        manifest_file: PathBuf, "fleet-manifest-file", "COFFER_VAULT_FLEET_MANIFEST_FILE";
        /// This site's number in it
        site: u8, "fleet-site", "COFFER_VAULT_FLEET_SITE";
        /// The roots' fingerprint, 64 digits, as clients are given it with the fleet's address
        roots_fingerprint: String, "fleet-roots-fingerprint", "COFFER_VAULT_FLEET_ROOTS_FINGERPRINT";
    }
}

settings! {
    /// `[peers]`
    PeersSettings, "The other sites" {
        /// Address for the other sites, mutual TLS
        listen: SocketAddr, "peers-listen", "COFFER_VAULT_PEERS_LISTEN";
        /// Where they are, the nearest first: `3=https://site3.example:7880,1=https://…`
        sites: String, "peers-sites", "COFFER_VAULT_PEERS_SITES";
        /// This site's certificate chain, PEM: for connections that it takes, and for those that it makes
        certificate_file: PathBuf, "peers-certificate-file", "COFFER_VAULT_PEERS_CERTIFICATE_FILE";
        /// The certificate's private key, PEM
        key_file: PathBuf, "peers-key-file", "COFFER_VAULT_PEERS_KEY_FILE";
        /// The authority of the sites' certificates, and of no others, PEM
        ca_file: PathBuf, "peers-ca-file", "COFFER_VAULT_PEERS_CA_FILE";
        /// Milliseconds after which another site is asked in the place of one that does not answer [default: 150]
        hedge_after_ms: u16, "peers-hedge-after-ms", "COFFER_VAULT_PEERS_HEDGE_AFTER_MS";
    }
}

settings! {
    /// `[etcd]`
    EtcdSettings, "The record store" {
        /// The members of the cell, this site's own first: `https://a:2379,https://b:2379`. Several cells: `1=https://…,https://…;2=…`
        members: String, "etcd-members", "COFFER_VAULT_ETCD_MEMBERS";
        /// The authority of the members' certificates, PEM
        ca_file: PathBuf, "etcd-ca-file", "COFFER_VAULT_ETCD_CA_FILE";
        /// This site's certificate for the members, PEM
        certificate_file: PathBuf, "etcd-certificate-file", "COFFER_VAULT_ETCD_CERTIFICATE_FILE";
        /// The certificate's private key, PEM
        key_file: PathBuf, "etcd-key-file", "COFFER_VAULT_ETCD_KEY_FILE";
        /// This site's user
        user: String, "etcd-user", "COFFER_VAULT_ETCD_USER";
        /// File with the user's password
        password_file: PathBuf, "etcd-password-file", "COFFER_VAULT_ETCD_PASSWORD_FILE";
        /// Milliseconds that a member may take for a request [default: 1200]
        timeout_ms: u16, "etcd-timeout-ms", "COFFER_VAULT_ETCD_TIMEOUT_MS";
    }
}

settings! {
    /// `[tokens]`
    Tokens, "Account tokens" {
        /// `iss` of the tokens that are taken
        issuer: String, "tokens-issuer", "COFFER_VAULT_TOKENS_ISSUER";
        /// `aud` of the tokens that are taken
        audience: String, "tokens-audience", "COFFER_VAULT_TOKENS_AUDIENCE";
        /// The issuer's public keys (RFC 7517); read again when it changes. Without one, the vault issues tokens itself
        jwks_file: PathBuf, "tokens-jwks-file", "COFFER_VAULT_TOKENS_JWKS_FILE";
    }
}

settings! {
    /// `[limits]`
    Limits, "Rate limits" {
        /// Requests of one account in a minute, 0 for any number [default: 600]
        account_per_minute: u32, "limits-account-per-minute", "COFFER_VAULT_LIMITS_ACCOUNT_PER_MINUTE";
        /// Requests from one address (IPv6: one /64) in a minute, 0 for any number [default: 12000]
        address_per_minute: u32, "limits-address-per-minute", "COFFER_VAULT_LIMITS_ADDRESS_PER_MINUTE";
    }
}

settings! {
    /// `[policy]`
    PolicySettings, "Guess budget" {
        /// Guesses of a registration, 1 to 100; the manifest of the first start keeps it [default: 10]
        max_attempts: u8, "policy-max-attempts", "COFFER_VAULT_POLICY_MAX_ATTEMPTS";
        /// Failures before waiting begins: the guess after this many waits for the first time [default: 3]
        free_failures: u8, "policy-free-failures", "COFFER_VAULT_POLICY_FREE_FAILURES";
        /// The waits, one after the other, the last one for all that follow [default: 1m,10m,1h,4h,12h,1d,1d]
        waits: Periods, "policy-waits", "COFFER_VAULT_POLICY_WAITS";
        /// How long an attempt can be proved [default: 1d]
        open_for: Period, "policy-open-for", "COFFER_VAULT_POLICY_OPEN_FOR";
        /// The same when no guess is left [default: 3d]
        open_at_zero: Period, "policy-open-at-zero", "COFFER_VAULT_POLICY_OPEN_AT_ZERO";
        /// How long a closed attempt is known by its id [default: 2d]
        known_for: Period, "policy-known-for", "COFFER_VAULT_POLICY_KNOWN_FOR";
        /// How long a registration or a deletion waits that no key of the live one has signed [default: 7d]
        takeover_after: Period, "policy-takeover-after", "COFFER_VAULT_POLICY_TAKEOVER_AFTER";
        /// After a lock, how long until a new registration is taken [default: 1d]
        cool_down: Period, "policy-cool-down", "COFFER_VAULT_POLICY_COOL_DOWN";
        /// The longest such time [default: 30d]
        cool_down_max: Period, "policy-cool-down-max", "COFFER_VAULT_POLICY_COOL_DOWN_MAX";
        /// How long a share is held that is never activated [default: 30d]
        pending_for: Period, "policy-pending-for", "COFFER_VAULT_POLICY_PENDING_FOR";
    }
}

settings! {
    /// `[log]`
    Log, "Logs" {
        /// `text` or `json`, to standard error [default: text]
        format: LogFormat, "log-format", "COFFER_VAULT_LOG_FORMAT";
        /// `error`, `warn`, `info` or `debug` [default: info]
        level: LogLevel, "log-level", "COFFER_VAULT_LOG_LEVEL";
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use clap::{Args as _, Command};

    use super::Settings;

    #[test]
    fn every_flag_has_the_variable_of_its_name() {
        let command = Settings::augment_args(Command::new("test"));
        for argument in command.get_arguments() {
            let flag = argument.get_long().unwrap();
            let variable = format!("COFFER_VAULT_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().unwrap(), variable.as_str());
        }
    }

    #[test]
    fn every_flag_is_a_key_of_the_file() {
        let command = Settings::augment_args(Command::new("test"));
        for argument in command.get_arguments() {
            let flag = argument.get_long().unwrap().replace('-', "_");
            let section = ["tls", "hsm", "fleet", "peers", "etcd", "tokens", "limits", "policy", "log"]
                .into_iter()
                .find(|section| flag.starts_with(&format!("{section}_")));
            // Of the wrong type for every key: so a key that is known is told from one that is not.
            let text = match section {
                Some(section) => format!("[{section}]\n{} = {{}}", &flag[section.len() + 1..]),
                None => format!("{flag} = {{}}"),
            };
            let error = toml::from_str::<Settings>(&text).unwrap_err();
            assert!(!error.message().contains("unknown field"), "{text}: {error}");
        }
    }

    #[test]
    fn refuses_a_key_that_is_not_in_the_table() {
        let error = toml::from_str::<Settings>("[hsm]\npin = \"1234\"").unwrap_err();
        assert!(error.message().contains("unknown field `pin`"), "{error}");
    }
}
