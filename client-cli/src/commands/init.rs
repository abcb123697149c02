//! `coffer init`: makes an archive, or takes part in one.

use coffer_archive::{Archive, Error as ArchiveError, OpenOptions};
use coffer_keys::{ArchiveId, BackupKey, RandomnessError};

use crate::address;
use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::key_store::{Choice, KeyPlace};
use crate::opening::{self, Found, Joined};
use crate::output::{SetUp, TriedOut};
use crate::vault::PasswordWay;

const EXAMPLES: &str = "\
Examples:
  coffer init /mnt/disk/backups          make an archive in a folder
  coffer init s3://bucket/backups        make one with Amazon S3
  coffer init --check webdav://host/dav  see first whether that would work
  coffer init --join /mnt/disk/backups   take part in one; asks for the 64 digits
  coffer init --join /mnt/disk/backups --vault ADDRESS --token-file FILE
                                         the same with the password

On a device that takes part already, --join puts a lost key back, or tells it that the archive has moved.";

/// Make an archive and its key, or take part in an archive that is there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "coffer init [OPTIONS] <URL>")]
pub(crate) struct Args {
    /// Where the archive is to lie: a folder, or a place with a service (docs/clouds.md)
    url: String,

    /// Only try out whether an archive could lie there, and remove what was written
    #[arg(long, conflicts_with = "join")]
    check: bool,

    /// Where this device keeps the key
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = Choice::Auto)]
    key_store: Choice,

    /// Take part in the archive that lies there; it is opened with the 64 digits, from a prompt or
    /// --recovery-key-file; or with the password, if --vault names the vault that guards it
    #[arg(long)]
    join: bool,

    #[command(flatten)]
    by_password: PasswordWay,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    address::parse(&args.url)?;
    if args.check {
        return try_out(args, context);
    }
    let unfinished = match Config::read(&context.home)? {
        Some(config) => match config.archive_id() {
            Some(id) => return repair(args, context, config, id),
            None => Some(config),
        },
        // Nothing says what this key is for, so it must not be overwritten.
        None if context.home.key_file().exists() => {
            return Err(Error::KeyLeftBehind { path: context.home.key_file() });
        }
        None => None,
    };
    let (config, snapshots) =
        if args.join { join(args, context)? } else { make(args, context, unfinished).map(|config| (config, 0))? };
    report(args, context, &config, snapshots)
}

/// Reports on a place. The exit code is that of the failure, if there is one.
fn try_out(args: &Args, context: &Context) -> Result<Exit, Error> {
    let destination = address::destination(context, &args.url)?;
    let report = destination.check()?;
    context.output.show(&TriedOut::of(&report, destination.url()))?;
    match report.failed {
        Some((_, error)) => Err(error.into()),
        None => Ok(Exit::Done),
    }
}

fn report(args: &Args, context: &Context, config: &Config, snapshots: usize) -> Result<Exit, Error> {
    context.output.summary(&SetUp {
        archive_url: config.archive_url.clone(),
        archive_id: config.archive_id().map(|id| id.to_string()).unwrap_or_default(),
        joined: args.join,
        key_place: config.key_store.shown(&context.home).to_string(),
        snapshots,
    })?;
    if !config.is_protected() && context.output.is_for_people() {
        context.output.hint("if this device is lost, so is the key: run `coffer protect recovery-key` next");
    }
    Ok(Exit::Done)
}

fn make(args: &Args, context: &Context, unfinished: Option<Config>) -> Result<Config, Error> {
    let destination = address::destination(context, &args.url)?;
    match Archive::identify(&destination) {
        Err(ArchiveError::NoArchive { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(id) => return finish_interrupted(context, Found { destination, id }, unfinished),
    }
    let key = BackupKey::generate().map_err(|RandomnessError { .. }| ArchiveError::Randomness)?;
    let config = begin(args, context, destination.url(), &key)?;
    let id = Archive::init(destination, &key)?;
    finish(context, config, id)
}

/// There is an archive. If an interrupted run of this command made it, its key is here; then all is well.
fn finish_interrupted(context: &Context, found: Found, unfinished: Option<Config>) -> Result<Config, Error> {
    let url = found.destination.url().to_owned();
    let exists = Error::Archive(ArchiveError::ArchiveExists { url: url.clone() });
    let Some(config) = unfinished.filter(|config| config.archive_url == url) else {
        return Err(exists);
    };
    let Ok(key) = config.key_store.load(&context.home) else {
        return Err(exists);
    };
    match opening::open_with(context, &found, &key) {
        Ok(_) => finish(context, config, found.id),
        Err(Error::Archive(ArchiveError::WrongKey)) => Err(exists),
        Err(error) => Err(error),
    }
}

/// The device takes part in an archive. If it is the one to join, and the device lost its key or knows another address
/// of it, that is put right. What the device remembers of it stays, and is held against what lies there.
fn repair(args: &Args, context: &Context, mut config: Config, id: ArchiveId) -> Result<Exit, Error> {
    let already = Error::AlreadySetUp { url: config.archive_url.clone(), home: context.home.folder().to_owned() };
    if !args.join {
        return Err(already);
    }
    let found = opening::identify(context, &args.url).map_err(Error::of_known_archive)?;
    if found.id != id {
        return Err(already);
    }
    let has_key = holds_key(context, &found, &config.key_store)?;
    if has_key && config.archive_url == found.destination.url() {
        return Err(already);
    }
    let Joined { archive, key, vault } = opening::open_to_join(context, &found, &args.by_password, Some(&config))?;
    if !has_key {
        let place = KeyPlace::choose(args.key_store)?;
        // Nothing says what another archive's key is doing there, so it must not be overwritten. One that this archive
        // was rotated from opens nothing any more.
        let is_rotated =
            || Ok::<_, Error>(config.key_store == KeyPlace::File && Archive::is_rotated(&found.destination)?);
        if place == KeyPlace::File && !is_free(context, &found)? && !is_rotated()? {
            return Err(Error::KeyLeftBehind { path: context.home.key_file() });
        }
        place.keep(&key, &context.home)?;
        config.key_store = place;
    }
    archive.url().clone_into(&mut config.archive_url);
    config.join(vault);
    config.write(&context.home)?;
    report(args, context, &config, archive.snapshots().len())
}

/// Whether the archive's key is kept there.
fn holds_key(context: &Context, found: &Found, place: &KeyPlace) -> Result<bool, Error> {
    match place.load(&context.home) {
        Ok(key) => opens(found, &key),
        Err(Error::KeyMissing { .. } | Error::KeyBroken { .. } | Error::PlatformStore { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the key file may be written: it is not there, holds no key, or holds this archive's.
fn is_free(context: &Context, found: &Found) -> Result<bool, Error> {
    match KeyPlace::File.load(&context.home) {
        Ok(key) => opens(found, &key),
        Err(Error::KeyMissing { .. } | Error::KeyBroken { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

fn opens(found: &Found, key: &BackupKey) -> Result<bool, Error> {
    match Archive::open(found.destination.clone(), key, OpenOptions::default()) {
        Ok(_) => Ok(true),
        Err(ArchiveError::WrongKey) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn join(args: &Args, context: &Context) -> Result<(Config, usize), Error> {
    let found = opening::identify(context, &args.url)?;
    let Joined { archive, key, vault } = opening::open_to_join(context, &found, &args.by_password, None)?;
    let mut config = begin(args, context, archive.url(), &key)?;
    config.join(vault);
    Ok((finish(context, config, found.id)?, archive.snapshots().len()))
}

/// First what is about to happen, then the key: an interruption leaves a key that the configuration explains.
fn begin(args: &Args, context: &Context, url: &str, key: &BackupKey) -> Result<Config, Error> {
    let config = Config::begin(url, KeyPlace::choose(args.key_store)?);
    config.write(&context.home)?;
    config.key_store.keep(key, &context.home)?;
    Ok(config)
}

fn finish(context: &Context, mut config: Config, id: ArchiveId) -> Result<Config, Error> {
    config.finish(id);
    config.write(&context.home)?;
    Ok(config)
}
