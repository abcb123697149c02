//! `coffer verify`: whether the archive is whole.

use coffer_archive::ReadData;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Verified;
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  coffer verify                    is everything there that the snapshots need?
  coffer verify --read-data        and can every byte of it be opened?
  coffer verify --read-data=5%     a twentieth of it, drawn at random each time: cheap enough for every night";

/// Check that the archive is whole
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read and open the stored data too, not only what describes them: all, or packs drawn at random that make up this
    /// share of the bytes
    #[arg(
        long,
        value_name = "SHARE",
        num_args = 0..=1,
        default_missing_value = "100%",
        value_parser = parse_share
    )]
    read_data: Option<ReadData>,
}

/// `5%`, `0.5%`, `100%`.
fn parse_share(text: &str) -> Result<ReadData, &'static str> {
    const WRONG: &str = "a share looks like 5%, more than 0% and at most 100%";
    let number = text.strip_suffix('%').filter(|number| number.starts_with(|first: char| first.is_ascii_digit()));
    match number.and_then(|number| number.parse::<f64>().ok()).ok_or(WRONG)? {
        100.0 => Ok(ReadData::All),
        share if share > 0.0 && share < 100.0 => Ok(ReadData::Share(share / 100.0)),
        _ => Err(WRONG),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let read_data = args.read_data.unwrap_or_default();
    let verify = |progress: &_| archive.verify(read_data, progress);
    let report = progress::shown(&context.output, "verifying", verify)?;
    context.output.notes(&report.notes);
    context.output.problems(&report.problems);
    context.output.summary(&Verified::of(&report, read_data))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}

#[cfg(test)]
mod tests {
    use coffer_archive::ReadData;

    use super::parse_share;

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!(parse_share("5%"), Ok(ReadData::Share(0.05)));
        assert_eq!(parse_share("0.5%"), Ok(ReadData::Share(0.005)));
        assert_eq!(parse_share("100%"), Ok(ReadData::All));
        for wrong in ["", "5", "0%", "101%", "-5%", "%", "inf%", "NaN%", "5 %", "all"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }
}
