//! `coffer key`: the key on this device.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::ShownKey;

const EXAMPLES: &str = "\
Examples:
  coffer key show          the 64 digits, four rows of four groups
  coffer key show --qr     and as a QR code, for another device's camera";

/// Look at the key that this device keeps
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the 64 digits of the recovery key: whoever sees them can read the archive
    Show {
        /// Show a QR code of the digits too
        #[arg(long)]
        qr: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Action::Show { qr } = args.action;
    let (_, key) = opening::device_key(context)?;
    context.output.show(&ShownKey::new(&key.recovery_key(), qr))?;
    Ok(Exit::Done)
}
