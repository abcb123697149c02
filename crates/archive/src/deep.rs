//! Room for recursion: paths may be two thousand folders deep.

use std::thread;

/// Address space, bytes; only what is used becomes memory.
const STACK: usize = 256 << 20;

/// Runs `work` on a stack on which any tree can be walked recursively.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let walk = thread::Builder::new().stack_size(STACK);
        #[expect(clippy::expect_used, reason = "as with thread::spawn: no thread means no program")]
        let walk = walk.spawn_scoped(scope, work).expect("a thread can be started");
        walk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Every folder on the way down is held open, and in a restore every folder that a file is still to be written to; the
/// usual limit of 1024 is soon reached.
pub(crate) fn allow_many_open_folders() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // Where it is refused, what needs more of them fails, each with its own message.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
}
