//! `coffer schedule`: backups at their time.

use clap::Subcommand;

use crate::address;
use crate::config::Config;
use crate::context::Context;
use crate::credentials;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{ScheduleRecord, Schedules};
use crate::profile::{Profiles, parse_name};
use crate::schedule::{self, Job, TimeOfDay, When};

const EXAMPLES: &str = "\
Examples:
  coffer profile add chats ~/chats
  coffer schedule enable --profile chats --daily 03:00
  coffer schedule status
  coffer schedule disable --profile chats

On Linux it is a timer of systemd's for this user (`systemctl --user list-timers`), which makes up for a time that was \
slept through. It runs while you are logged in; `loginctl enable-linger` has it run always. On a Mac it is an agent \
of launchd's.";

/// Back up a profile every day or hour
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Back up a profile at its time from now on
    Enable(Enable),
    /// Do so no more
    Disable(Profile),
    /// Show what is backed up when
    Status,
}

#[derive(Debug, clap::Args)]
struct Enable {
    #[command(flatten)]
    profile: Profile,

    #[command(flatten)]
    when: Time,
}

#[derive(Debug, clap::Args)]
struct Profile {
    /// The profile
    #[arg(long = "profile", value_name = "NAME", value_parser = parse_name)]
    name: String,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Time {
    /// Every day at this time
    #[arg(long, value_name = "HH:MM")]
    daily: Option<TimeOfDay>,

    /// Every hour
    #[arg(long)]
    hourly: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match &args.command {
        Command::Enable(enable) => {
            let profile = &enable.profile.name;
            Profiles::read(&context.home)?.get(profile)?;
            let found = std::env::current_exe();
            let program = found.map_err(|source| Error::File { action: "find", path: "coffer".into(), source })?;
            let when = enable.when.daily.map_or(When::Hourly, When::Daily);
            // The timer knows nothing of where and with what settings this runs.
            let archive =
                context.options.archive.as_deref().map(address::parse).transpose()?.map(|url| url.to_string());
            let job = Job { program: &program, home: context.home.folder(), archive: archive.as_deref(), profile };
            let hindered = schedule::enable(&job, when)?;
            context.output.note(&format!("{profile} is backed up {when}"));
            if let Some(why) = hindered {
                context.output.warning(&why);
            }
            warn_of_credentials(archive.as_deref(), context)?;
            Ok(Exit::Done)
        }
        Command::Disable(Profile { name }) => {
            let text =
                if schedule::disable(name)? { "is not backed up by itself any more" } else { "was not scheduled" };
            context.output.note(&format!("{name} {text}"));
            Ok(Exit::Done)
        }
        Command::Status => {
            let schedules = schedule::all()?.into_iter().map(ScheduleRecord::of).collect();
            context.output.show(&Schedules { schedules })?;
            Ok(Exit::Done)
        }
    }
}

/// What stands in this environment is unknown to the timer.
fn warn_of_credentials(archive: Option<&str>, context: &Context) -> Result<(), Error> {
    let config = Config::read(&context.home)?;
    let Some(url) = archive.or(config.as_ref().map(|config| config.archive_url.as_str())) else { return Ok(()) };
    // What is wrong with them is the backup's to say.
    if credentials::are_of_environment(context, &address::parse(url)?).unwrap_or_default() {
        context.output.warning(
            "the credentials for the archive are in this environment, which a scheduled run does not see: put them \
             into the file credentials in the home",
        );
    }
    Ok(())
}
