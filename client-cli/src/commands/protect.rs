//! `coffer protect`: how the key is to survive the loss of this device.

use crate::config::Protection;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::ShownKey;

const EXAMPLES: &str = "\
Examples:
  coffer protect recovery-key          show the 64 digits to write down
  coffer protect recovery-key --qr     with a QR code of them";

/// Choose how the key survives the loss of this device
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "WAY", subcommand_help_heading = "Ways")]
pub(crate) struct Args {
    #[command(subcommand)]
    way: Way,
}

#[derive(Debug, clap::Subcommand)]
enum Way {
    /// Write down the key as 64 digits, and keep them
    RecoveryKey {
        /// Show a QR code of the digits too
        #[arg(long)]
        qr: bool,
    },
}

const ABOUT_TO_SHOW: &str = "\
This is the recovery key of your archive: 64 digits, row by row in sixteen groups of four.
";

const ABOUT_SHOWN: &str = "
Write the digits down and keep them where this device is not. With them, and with nothing else once this
device is gone, the archive can be opened: whoever has them can read it, and nobody can recover them for you.
`coffer key show` shows them again as long as this device has the key.";

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Way::RecoveryKey { qr } = args.way;
    let (mut config, key) = opening::device_key(context)?;
    context.output.explain(ABOUT_TO_SHOW);
    context.output.show(&ShownKey::new(&key.recovery_key(), qr))?;
    context.output.explain(ABOUT_SHOWN);
    config.protect(Protection::RecoveryKey);
    config.write(&context.home)?;
    Ok(Exit::Done)
}
