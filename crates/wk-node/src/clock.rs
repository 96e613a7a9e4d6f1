//! The only place that reads the wall clock.

use std::sync::Arc;

use wk_types::UtcMs;

/// A clock that can be handed on.
pub type Clock = Arc<dyn Fn() -> UtcMs + Send + Sync>;

/// The wall clock's time; before 1970 it counts as 1970.
#[must_use]
#[expect(clippy::disallowed_types, reason = "this is the one place")]
pub fn now() -> UtcMs {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The wall clock as a value.
#[must_use]
pub fn wall() -> Clock {
    Arc::new(now)
}
