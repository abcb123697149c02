//! `coffer-vault dev-token`

use std::io::Write as _;

use coffer_proto::{AccountId, Base64, VerifyingKey};
use coffer_vault_core::Clock as _;

use crate::config::Config;
use crate::data::DataFolder;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::period::Period;
use crate::world::SystemClock;

#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// Whose token: 1 to 128 bytes
    #[arg(long, value_parser = account)]
    account: AccountId,
    /// The device's Ed25519 public key, 32 bytes as base64url without padding
    // One key in 64 begins with a hyphen.
    #[arg(long, value_parser = device_key, allow_hyphen_values = true)]
    device_key: VerifyingKey,
    /// Make the issuer, if there is none in this folder: jwks.json there is what several sites are then given as tokens.jwks_file
    #[arg(long)]
    new_issuer: bool,
    /// How long it is valid
    #[arg(long, default_value = "30d")]
    valid_for: Period,
}

fn account(text: &str) -> Result<AccountId, coffer_proto::AccountError> {
    AccountId::new(text)
}

fn device_key(text: &str) -> Result<VerifyingKey, coffer_proto::Base64Error> {
    Base64::parse(text)
}

pub(crate) fn run(config: &Config, asked: &Asked) -> Result<(), Error> {
    if config.tokens.jwks_file.is_some() {
        return Err(Error::Argument("this vault takes the tokens of another issuer: see tokens.jwks_file"));
    }
    let data = DataFolder::open(&config.data)?;
    let issuer = if asked.new_issuer { Some(Issuer::open_or_make(&data)?) } else { Issuer::open(&data)? };
    let issuer = issuer.ok_or(Error::Argument("there is no issuer yet: start the vault once, with the same --data"))?;
    let (now, valid_for) = (SystemClock.now(), asked.valid_for.0);
    let token = issuer.issue(&config.tokens, &asked.account, &asked.device_key, now, valid_for)?;
    let _ = writeln!(std::io::stdout(), "{token}");
    Ok(())
}
