//! `config.json`: which archive this device takes part in, and where it keeps the key.

use std::path::PathBuf;

use coffer_keys::ArchiveId;
use coffer_vault_client::{FleetMemory, VaultAddress};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::home::Home;
use crate::key_store::KeyPlace;
use crate::versioned::{self, Refused, VERSION};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    version: u32,
    /// Without credentials.
    pub(crate) archive_url: String,
    /// 32 digits. None while `coffer init` is under way: it is written before the archive is made, so that an
    /// interrupted run leaves no archive whose key is lost.
    archive_id: Option<String>,
    pub(crate) key_store: KeyPlace,
    /// The ways in which the key survives the loss of this device.
    pub(crate) protected_by: Vec<Protection>,
    /// The vault that keeps the key under a password; absent where none was ever asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault: Option<KnownVault>,
    /// RFC 3339.
    pub(crate) created: String,
}

/// A vault, and what this device remembers of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownVault {
    #[serde(with = "as_text")]
    pub(crate) address: VaultAddress,
    pub(crate) token_file: PathBuf,
    /// Certificates that TLS trusts in the place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// So that nobody shows an older manifest.
    pub(crate) fleet: FleetMemory,
    /// 32 digits: the registration that this device made last.
    pub(crate) registration: Option<String>,
}

mod as_text {
    use coffer_vault_client::VaultAddress;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(address: &VaultAddress, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VaultAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protection {
    RecoveryKey,
    Password,
}

impl Config {
    /// A configuration whose archive is yet to be made, or opened for the first time.
    pub(crate) fn begin(archive_url: &str, key_store: KeyPlace) -> Self {
        Self {
            version: VERSION,
            archive_url: archive_url.to_owned(),
            archive_id: None,
            key_store,
            protected_by: Vec::new(),
            vault: None,
            created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    pub(crate) fn finish(&mut self, id: ArchiveId) {
        self.archive_id = Some(id.to_string());
    }

    /// The archive's id; None while `coffer init` has not come to its end.
    pub(crate) fn archive_id(&self) -> Option<ArchiveId> {
        ArchiveId::parse(self.archive_id.as_deref()?)
    }

    pub(crate) fn is_protected(&self) -> bool {
        !self.protected_by.is_empty()
    }

    pub(crate) fn protect(&mut self, by: Protection) {
        if !self.is_protected_by(by) {
            self.protected_by.push(by);
        }
    }

    /// Whoever gave the key to this device can do so again: with a password that a vault guards, or with the digits.
    pub(crate) fn join(&mut self, by: Option<KnownVault>) {
        if by.is_some() {
            self.vault = by;
            self.protect(Protection::Password);
        } else {
            self.protect(Protection::RecoveryKey);
        }
    }

    pub(crate) fn is_protected_by(&self, by: Protection) -> bool {
        self.protected_by.contains(&by)
    }

    /// It no longer is.
    pub(crate) fn unprotect(&mut self, by: Protection) {
        self.protected_by.retain(|way| *way != by);
    }

    pub(crate) fn read(home: &Home) -> Result<Option<Self>, Error> {
        let path = home.config_file();
        let parsed = versioned::read(&path)?.map(|(text, _)| Self::parse(&text)).transpose();
        parsed.map_err(|refused| refused.of(path, |path, why| Error::ConfigBroken { path, why }))
    }

    pub(crate) fn write(&self, home: &Home) -> Result<(), Error> {
        versioned::write(home, &home.config_file(), self)
    }

    fn parse(text: &[u8]) -> Result<Self, Refused> {
        let config: Self = versioned::parse(text)?;
        match &config.archive_id {
            Some(id) if ArchiveId::parse(id).is_none() => {
                Err(Refused::Broken("archive_id has not 32 digits 0-9a-f".to_owned()))
            }
            _ => Ok(config),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{Config, FleetMemory, KeyPlace, KnownVault, Protection, Refused};

    const TEXT: &str = r#"{
        "version": 1,
        "archive_url": "fs:///backups",
        "archive_id": "000102030405060708090a0b0c0d0e0f",
        "key_store": {"kind": "file"},
        "protected_by": ["recovery-key"],
        "created": "2026-07-01T12:00:00Z"
    }"#;

    #[test]
    fn reads_a_configuration() {
        let config = Config::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(config.archive_url, "fs:///backups");
        assert_eq!(config.archive_id().unwrap().as_bytes()[15], 15);
        assert_eq!(config.key_store, KeyPlace::File);
        assert_eq!(config.protected_by, [Protection::RecoveryKey]);
    }

    #[test]
    fn reads_what_it_wrote_of_a_vault() {
        let mut config = Config::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(config.vault, None);
        config.vault = Some(KnownVault {
            address: format!("https://vault.example/#{}", "0a".repeat(32)).parse().unwrap(),
            token_file: "/run/token".into(),
            ca_file: None,
            fleet: FleetMemory {
                fleet: Some(coffer_vault_client::FleetId([7; 16])),
                roots: Some(coffer_vault_client::Fingerprint([8; 32])),
                version: 3,
                threshold: 1,
            },
            registration: Some("0b".repeat(16)),
        });
        let again = Config::parse(&serde_json::to_vec(&config).unwrap()).unwrap();
        assert_eq!(again.vault, config.vault);
    }

    #[test]
    fn reads_a_memory_of_before_there_were_several_fleets() {
        let vault = format!(
            r#""vault": {{"address": "https://vault.example/#{}", "token_file": "/run/token",
                "fleet": {{"version": 3, "threshold": 1}}, "registration": null}}, "created""#,
            "0a".repeat(32)
        );
        let config = Config::parse(TEXT.replacen("\"created\"", &vault, 1).as_bytes()).unwrap();
        assert_eq!(config.vault.unwrap().fleet, FleetMemory { fleet: None, roots: None, version: 3, threshold: 1 });
    }

    #[test]
    fn refuses_a_field_of_a_vault_that_it_does_not_know() {
        let vault = r#""vault": {"address": "", "password": ""}, "created""#;
        let text = TEXT.replacen("\"created\"", vault, 1);
        assert!(matches!(Config::parse(text.as_bytes()), Err(Refused::Broken(_))));
    }

    #[test]
    fn refuses_a_later_version_whatever_else_it_holds() {
        let text = br#"{"version": 2, "archives": []}"#;
        assert_eq!(Config::parse(text).unwrap_err(), Refused::TooNew(2));
    }

    #[test]
    fn refuses_a_field_that_it_does_not_know() {
        let text = TEXT.replacen("\"created\"", "\"note\": \"\", \"created\"", 1);
        assert!(matches!(Config::parse(text.as_bytes()), Err(Refused::Broken(_))));
    }

    #[test]
    fn refuses_an_archive_id_that_is_none() {
        let text = TEXT.replacen("000102", "00010z", 1);
        assert!(matches!(Config::parse(text.as_bytes()), Err(Refused::Broken(_))));
    }
}
