//! `coffer-vault set-fence`

use std::io::Write as _;

use crate::config::Config;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::records;

/// Which cell, and what is known of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// The cell's number in the manifest
    #[arg(long, value_name = "CELL")]
    cell: u16,
    /// The fence that stands there; left out for a new cell, where none does
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
}

/// Sets a cell's fence to what the manifest says.
pub(crate) fn run(config: &Config, asked: &Asked) -> Result<(), Error> {
    let (Some(fleet), Some(etcd)) = (&config.fleet, &config.etcd) else {
        return Err(Error::Argument("fleet.manifest_file says which fence, and etcd.members where: both are needed"));
    };
    let manifest = Manifest::read(fleet)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::System("the executor", error.to_string()))?;
    runtime.block_on(async {
        let set = records::open(etcd, &manifest).await?.set_fence(asked.cell, asked.from).await;
        set.map_err(|error| Error::System("the record store", error.to_string()))
    })?;
    let _ = writeln!(std::io::stdout(), "Cell {} has the fence of manifest {}.", asked.cell, manifest.version);
    Ok(())
}
