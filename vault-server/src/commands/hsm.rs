//! `coffer-vault hsm init`, `coffer-vault hsm check`

use std::io::Write as _;
use std::path::Path;

use crate::config::Config;
use crate::data::DataFolder;
use crate::error::Error;
use crate::token;

/// Makes what is not there yet.
pub(crate) fn init(config: &Config, so_pin_file: Option<&Path>) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(config, &data)?;
    token::init(config, &data, so_pin_file)?;
    check(config)
}

/// Holds the token against what the vault needs of it.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(config, &data)?;
    let findings = coffer_hsm_adapter::check(&token::describe(config, &data)?)?;
    if !findings.is_empty() {
        let findings: Vec<String> = findings.iter().map(|finding| format!("  {finding}")).collect();
        return Err(Error::Unfit(findings.join("\n")));
    }
    let _ = writeln!(std::io::stdout(), "The token {:?} has what the vault needs.", config.hsm.token_label);
    Ok(())
}
