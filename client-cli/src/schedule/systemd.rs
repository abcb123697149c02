//! A timer and a service of systemd's, in the user's own folder of units.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Job, Scheduled, State, TimeOfDay, When, named, remove, write};
use crate::error::Error;

const BEGIN: &str = "coffer-backup-";
/// What a user's timers are started with.
const WANTED_BY: &str = "timers.target";

fn units() -> Result<PathBuf, Error> {
    Ok(dirs::config_dir().ok_or(Error::NoHome)?.join("systemd/user"))
}

pub(super) fn enable(job: &Job<'_>, when: When) -> Result<Option<String>, Error> {
    let (units, name) = (units()?, format!("{BEGIN}{}", job.profile));
    write(&units.join(format!("{name}.service")), &service(job)?)?;
    let timer = format!("{name}.timer");
    write(&units.join(&timer), &timer_text(job.profile, when))?;
    // What `systemctl enable` does, so that it holds where no systemd runs just now.
    let wanted = units.join(format!("{WANTED_BY}.wants")).join(&timer);
    remove(&wanted)?;
    let linked =
        wanted.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| symlink(format!("../{timer}"), &wanted));
    linked.map_err(|source| Error::File { action: "write", path: wanted, source })?;
    let started = systemctl(&["daemon-reload"]).and_then(|_| systemctl(&["restart", &timer]));
    Ok(started
        .err()
        .map(|why| format!("systemd for this user does not run it yet ({why}): it will from the next login on")))
}

pub(super) fn disable(profile: &str) -> Result<bool, Error> {
    let (units, name) = (units()?, format!("{BEGIN}{profile}"));
    let timer = format!("{name}.timer");
    // Where no systemd runs there is nothing to be stopped.
    let _ = systemctl(&["stop", &timer]);
    let was_there = remove(&units.join(format!("{WANTED_BY}.wants")).join(&timer))?;
    let was_there = remove(&units.join(&timer))? || was_there;
    let was_there = remove(&units.join(format!("{name}.service")))? || was_there;
    let _ = systemctl(&["daemon-reload"]);
    Ok(was_there)
}

pub(super) fn all() -> Result<Vec<Scheduled>, Error> {
    let timers = named(&units()?, BEGIN, ".timer").into_iter();
    Ok(timers
        .map(|(profile, path)| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let when = text.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap_or_default().to_owned();
            let state = state(&profile);
            Scheduled { profile, when, state }
        })
        .collect())
}

fn state(profile: &str) -> Option<State> {
    let shown = |unit: &str, property: &str| {
        systemctl(&["show", "--value", "--property", property, &format!("{BEGIN}{profile}.{unit}")]).ok()
    };
    shown("timer", "ActiveState").filter(|state| state == "active")?;
    Some(State {
        next: shown("timer", "NextElapseUSecRealtime")?,
        last: shown("timer", "LastTriggerUSec")?,
        result: shown("service", "Result")?,
    })
}

/// Asks the user's systemd; why not, if it cannot be asked.
fn systemctl(arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).output();
    let output = run.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no systemctl".to_owned(),
        _ => error.to_string(),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("systemctl failed").to_owned())
}

fn service(job: &Job<'_>) -> Result<String, Error> {
    let (program, home) = (quoted(job.program)?, quoted(job.home)?);
    let archive = job.archive.map(|archive| quoted(archive.as_ref())).transpose()?;
    let archive = archive.map(|archive| format!("--archive {archive} ")).unwrap_or_default();
    let profile = job.profile;
    Ok(format!(
        "[Unit]\nDescription=Coffer: back up the profile {profile}\n\n[Service]\nType=oneshot\n\
         ExecStart={program} --home {home} {archive}--quiet backup --profile {profile}\nNice=10\nIOSchedulingClass=idle\n"
    ))
}

fn timer_text(profile: &str, when: When) -> String {
    let calendar = match when {
        When::Hourly => "hourly".to_owned(),
        When::Daily(TimeOfDay { hour, minute }) => format!("*-*-* {hour:02}:{minute:02}:00"),
    };
    // One that was slept through is made up for.
    format!(
        "[Unit]\nDescription=Coffer: when to back up the profile {profile}\n\n[Timer]\nOnCalendar={calendar}\n\
         Persistent=true\n\n[Install]\nWantedBy={WANTED_BY}\n"
    )
}

/// A path as one word of a command line of systemd's.
fn quoted(path: &std::path::Path) -> Result<String, Error> {
    let unusable = || {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "systemd takes no such name");
        Error::File { action: "schedule", path: path.to_owned(), source }
    };
    let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(unusable)?;
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Both begin what systemd puts something else in the place of.
            '%' | '$' => quoted.extend([character, character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::path::Path;

    use super::quoted;

    #[test]
    fn a_path_stays_one_word_and_nothing_in_it_is_expanded() {
        for (path, word) in
            [("/a b/c", r#""/a b/c""#), (r#"/a"b\c"#, r#""/a\"b\\c""#), ("/100%/$HOME", r#""/100%%/$$HOME""#)]
        {
            assert_eq!(quoted(Path::new(path)).unwrap(), word);
        }
    }

    #[test]
    fn a_path_with_a_line_end_is_refused() {
        assert!(quoted(Path::new("/a\nExecStart=/bin/x")).is_err());
    }
}
