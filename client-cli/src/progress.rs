//! A progress bar, for a person who waits at a terminal.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use coffer_archive::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// How often the bar looks at the progress.
const EVERY: Duration = Duration::from_millis(100);

/// Runs an operation, and meanwhile shows how far it has come, if anybody is there to see it.
pub(crate) fn shown<T>(output: &Output, what: &'static str, operation: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    if !output.is_for_people() || !io::stderr().is_terminal() {
        return operation(&progress);
    }
    thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        let progress = &progress;
        scope.spawn(move || follow(progress, what, &ended));
        let result = operation(progress);
        drop(end);
        result
    })
}

fn follow(progress: &Progress, what: &'static str, ended: &mpsc::Receiver<()>) {
    let bar = ProgressBar::new_spinner().with_prefix(what);
    let mut is_bounded = None;
    // The sender says nothing; it is dropped when the operation ends, or panics.
    while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let (_, expected) = progress.expected();
        // A backup's expectation is what the last one held: there may be more.
        let fits = expected > 0 && progress.bytes() <= expected;
        if is_bounded != Some(fits) {
            bar.set_style(style(fits));
            is_bounded = Some(fits);
        }
        if fits {
            bar.set_length(expected);
        }
        bar.set_position(progress.bytes());
        bar.set_message(progress.files().to_string());
        bar.tick();
    }
    bar.finish_and_clear();
}

const BOUNDED: &str =
    "{prefix} {wide_bar} {msg} files, {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const UNBOUNDED: &str = "{prefix} {spinner} {msg} files, {decimal_bytes}, {decimal_bytes_per_sec}";

fn style(bounded: bool) -> ProgressStyle {
    let template = if bounded { BOUNDED } else { UNBOUNDED };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::{BOUNDED, ProgressStyle, UNBOUNDED};

    #[test]
    fn the_templates_are_valid() {
        for template in [BOUNDED, UNBOUNDED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
