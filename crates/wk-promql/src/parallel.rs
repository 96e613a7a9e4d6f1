//! Work on many series, by two threads where there is much of it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::QueryError;

/// Below this many elementary operations a second thread costs more than it saves.
const WORK_SHARED_MIN: usize = 1 << 18;

/// Applies `function` to each item, in the order of the items whatever thread does it. `work` is about how many
/// elementary operations all of them take; `function` gets a hook that tells whether to stop.
///
/// # Errors
/// The caller's hook says stop, or the first error of the function.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    work: usize,
    cancelled: &dyn Fn() -> bool,
    function: impl Fn(&T, &dyn Fn() -> bool) -> Result<R, QueryError> + Sync,
) -> Result<Vec<R>, QueryError> {
    let run = |items: &[T], stop: &dyn Fn() -> bool| -> Result<Vec<R>, QueryError> {
        let one = |item| if stop() { Err(QueryError::Cancelled) } else { function(item, stop) };
        items.iter().map(one).collect()
    };
    if work < WORK_SHARED_MIN || items.len() < 2 {
        return run(items, cancelled);
    }
    let stopped = AtomicBool::new(false);
    let (mine, theirs) = items.split_at(items.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run(theirs, &|| stopped.load(Ordering::Relaxed)));
        let found = run(mine, cancelled);
        stopped.store(found.is_err(), Ordering::Relaxed);
        let others = match other.join() {
            Ok(others) => others,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let mut found = found?;
        found.extend(others?);
        Ok(found)
    })
}
