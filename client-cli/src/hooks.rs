//! What a profile has run before and after a backup.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{BackedUp, failure_of};
use crate::profile::Hooks;

/// Backs up between the hooks. What happened goes to them as a JSON object on standard input: nothing of it is ever
/// part of a command line.
pub(crate) fn around(
    context: &Context,
    profile: &str,
    hooks: &Hooks,
    backup: impl FnOnce() -> Result<(Exit, BackedUp), Error>,
) -> Result<Exit, Error> {
    let before = |program| run("before", program, &json!({"event": "before", "profile": profile}));
    let done = hooks.before.as_deref().map_or(Ok(()), before).and_then(|()| backup());
    let (event, report) = match &done {
        Ok((Exit::Done, record)) => ("success", json!({"report": record})),
        Ok((_, record)) => ("failure", json!({"report": record})),
        Err(error) => ("failure", failure_of(error)),
    };
    let mut told = json!({"event": event, "profile": profile});
    if let (Value::Object(told), Value::Object(report)) = (&mut told, report) {
        told.extend(report);
    }
    let (name, program) = match event {
        "success" => ("after-success", &hooks.after_success),
        _ => ("after-failure", &hooks.after_failure),
    };
    let ran = program.as_ref().map_or(Ok(()), |program| run(name, program, &told));
    match (done, ran) {
        (Ok((Exit::Done, _)), Err(error)) => Err(error),
        (done, ran) => {
            // The backup's own failure is what counts.
            if let Err(error) = ran {
                context.output.warning(&error.to_string());
            }
            done.map(|(exit, _)| exit)
        }
    }
}

fn run(hook: &'static str, program: &Path, told: &Value) -> Result<(), Error> {
    let failed = |how: String| Error::HookFailed { hook, path: program.to_owned(), how };
    let cannot = |error: std::io::Error| failed(format!("cannot be run: {error}"));
    // Standard output is the command's own: it may be JSON that a program reads.
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(std::io::stderr()).spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read what it is told.
        let _ = writeln!(stdin, "{told}");
    }
    let status = child.wait().map_err(cannot)?;
    if status.success() { Ok(()) } else { Err(failed(format!("failed: {status}"))) }
}
