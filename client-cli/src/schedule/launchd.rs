//! An agent of launchd's. Its text is tested; on a Mac it was never run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Job, Scheduled, TimeOfDay, When, named, remove, write};
use crate::error::Error;

const BEGIN: &str = "coffer.backup.";

fn agents() -> Result<PathBuf, Error> {
    Ok(dirs::home_dir().ok_or(Error::NoHome)?.join("Library/LaunchAgents"))
}

pub(super) fn enable(job: &Job<'_>, when: When) -> Result<Option<String>, Error> {
    let path = agents()?.join(format!("{BEGIN}{}.plist", job.profile));
    write(&path, &agent(job, when))?;
    launchctl("unload", &path);
    Ok((!launchctl("load", &path)).then(|| "launchd does not run it yet: it will from the next login on".to_owned()))
}

pub(super) fn disable(profile: &str) -> Result<bool, Error> {
    let path = agents()?.join(format!("{BEGIN}{profile}.plist"));
    launchctl("unload", &path);
    remove(&path)
}

pub(super) fn all() -> Result<Vec<Scheduled>, Error> {
    let agents = named(&agents()?, BEGIN, ".plist").into_iter();
    Ok(agents.map(|(profile, path)| Scheduled { profile, when: path.display().to_string(), state: None }).collect())
}

/// Whether launchd did it.
fn launchctl(verb: &str, agent: &Path) -> bool {
    let run = Command::new("launchctl").arg(verb).arg(agent).stdin(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

fn agent(job: &Job<'_>, when: When) -> String {
    let at = match when {
        When::Hourly => "    <key>Minute</key>\n    <integer>0</integer>\n".to_owned(),
        When::Daily(TimeOfDay { hour, minute }) => format!(
            "    <key>Hour</key>\n    <integer>{hour}</integer>\n    <key>Minute</key>\n    <integer>{minute}</integer>\n"
        ),
    };
    let (program, home) = (job.program.to_string_lossy(), job.home.to_string_lossy());
    let archive = job.archive.map(|archive| ["--archive", archive]);
    let words = [&*program, "--home", &*home].into_iter().chain(archive.into_iter().flatten());
    let words = words.chain(["--quiet", "backup", "--profile", job.profile]);
    let words: String = words.map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{BEGIN}{}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n\
         \x20 <key>StartCalendarInterval</key>\n  <dict>\n{at}  </dict>\n\
         \x20 <key>LowPriorityIO</key>\n  <true/>\n  <key>Nice</key>\n  <integer>10</integer>\n</dict>\n</plist>\n",
        job.profile
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Job, TimeOfDay, When, agent};

    #[test]
    fn an_agent_reads_as_launchd_wants_it() {
        let (program, home) = (Path::new("/usr/local/bin/coffer"), Path::new("/Users/anna/A & B"));
        let job = Job { program, home, archive: None, profile: "chats" };
        let text = agent(&job, When::Daily(TimeOfDay { hour: 3, minute: 5 }));
        let words = "    <string>/usr/local/bin/coffer</string>\n    <string>--home</string>\n    \
                     <string>/Users/anna/A &amp; B</string>\n    <string>--quiet</string>\n    <string>backup</string>\n    \
                     <string>--profile</string>\n    <string>chats</string>\n";
        assert!(text.contains(words), "{text}");
        assert!(
            text.contains("<key>Hour</key>\n    <integer>3</integer>\n    <key>Minute</key>\n    <integer>5</integer>")
        );
        assert!(
            text.contains("<string>coffer.backup.chats</string>") && text.ends_with("</dict>\n</plist>\n"),
            "{text}"
        );
        assert!(!agent(&job, When::Hourly).contains("<key>Hour</key>"));
    }
}
