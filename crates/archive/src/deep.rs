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
