//! `coffer profile`: named backups.

use clap::{ArgGroup, Subcommand};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::keep::Rules;
use crate::output::{ProfileNames, ShownProfile};
use crate::profile::{Hooks, Profile, Profiles, parse_name};
use crate::schedule;
use crate::what::What;

const EXAMPLES: &str = "\
Examples:
  coffer profile add chats ~/chats --whatsapp ~/phone --exclude '*.tmp'
  coffer profile add chats ~/chats --keep-daily 7 --keep-weekly 4 --replace
  coffer profile add chats ~/chats --after-failure ~/bin/tell-me --replace
  coffer profile show chats
  coffer backup --profile chats
  coffer schedule enable --profile chats --daily 03:00

After a backup that is complete, what --keep-… does not keep is forgotten, and its space freed; after one that is not, \
nothing is.

Profiles are kept in the file profiles.json of this device's home; a program finds what it shows with --json \
there too.";

/// Name what is backed up, what is kept of it, and what is run before and after it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a profile
    Add(Box<Add>),
    /// List the profiles
    List,
    /// Show what a profile says
    Show(Name),
    /// Remove a profile; what was backed up under it stays
    Remove(Name),
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "coffer profile add [OPTIONS] <NAME> <PATH>...",
    group = ArgGroup::new("sources").required(true).multiple(true)
        .args(["paths", "whatsapp", "whatsapp_export", "signal", "telegram_export"])
)]
struct Add {
    #[command(flatten)]
    name: Name,

    #[command(flatten)]
    what: What,

    #[command(flatten)]
    keep: Rules,

    #[command(flatten)]
    hooks: Hooks,

    /// Replace the profile of that name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Its name: a-z, 0-9 and -
    #[arg(value_parser = parse_name)]
    name: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut profiles = Profiles::read(&context.home)?;
    match &args.command {
        Command::Add(add) => {
            let (backup, hooks) = (add.what.clone().absolute()?, add.hooks.clone().absolute()?);
            let profile = Profile { backup, keep: add.keep.clone(), hooks };
            // What would be refused every night is refused now.
            profile.backup.take()?;
            profiles.add(&add.name.name, profile, add.replace)?;
            profiles.write(&context.home)?;
            let hint = format!("`coffer backup --profile {}` backs it up", add.name.name);
            context.output.note(&hint);
        }
        Command::List => context.output.show(&ProfileNames::of(profiles.all()))?,
        Command::Show(Name { name }) => context.output.show(&ShownProfile(profiles.get(name)?))?,
        Command::Remove(Name { name }) => {
            profiles.remove(name)?;
            profiles.write(&context.home)?;
            if schedule::all().is_ok_and(|all| all.iter().any(|scheduled| scheduled.profile == *name)) {
                context.output.warning(&format!("{name} still has its time, and each run will fail"));
                context.output.hint(&format!("`coffer schedule disable --profile {name}` ends that"));
            }
        }
    }
    Ok(Exit::Done)
}
