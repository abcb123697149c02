//! `coffer mount`: snapshots as folders.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::mounted::{Asked, Tree, answer};
use crate::opening;

const EXAMPLES: &str = "\
Examples:
  mkdir /tmp/backups && coffer mount /tmp/backups
  cp -a /tmp/backups/latest/chats/anna ~/anna

Each snapshot is a folder that goes by its number, and `latest` leads to the newest. All of it is read-only, and \
fetched when it is read. Ctrl-C ends it, and so does `umount`. Who is not root needs fusermount3 (Debian: fuse3).";

/// Show the snapshots as folders, read-only
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An empty folder
    dir: PathBuf,
}

/// Questions that wait for an answer.
const WAITING: usize = 64;
/// How often to look whether it is over.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let failed = |source| Error::File { action: "mount on", path: args.dir.clone(), source };
    // What lies there would be hidden, and a backup of it would be one of the mount.
    if fs::read_dir(&args.dir).map_err(failed)?.next().is_some() {
        return Err(failed(io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let archive = opening::open(context)?;
    let latest = archive.snapshot("latest").ok();
    let tree = Tree::new(archive.browse()?, archive.snapshots(), latest);
    let mut config = Config::default();
    let name = MountOption::FSName("coffer".to_owned());
    config.mount_options = vec![MountOption::RO, MountOption::NoSuid, MountOption::NoDev, name];
    let (send, receive) = sync_channel(WAITING);
    let receive = Mutex::new(receive);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| answer(&receive, &tree));
        }
        // Who ends it early must find it mounted: the signals are awaited first.
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(failed)?;
        }
        let session = fuser::spawn_mount(Asked(send), &args.dir, &config).map_err(failed)?;
        context.output.note(&format!("mounted on {}; Ctrl-C ends it", args.dir.display()));
        // Somebody else may unmount it too.
        while !is_over.load(Ordering::Relaxed) && !session.guard.is_finished() {
            thread::sleep(EVERY);
        }
        unmount(session, args, context).map_err(failed)
    })?;
    Ok(Exit::Done)
}

fn unmount(session: BackgroundSession, args: &Args, context: &Context) -> io::Result<()> {
    if session.guard.is_finished() {
        return session.join();
    }
    match session.umount_and_join() {
        // Somebody still works in it: it leaves the tree of folders now, and ends when they have closed their files.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            context.output.warning("it is still in use, and ends when the last file is closed");
            Command::new("umount").arg("--lazy").arg(&args.dir).status().map(drop)
        }
        other => other,
    }
}
