//! What every error of the workspace can say about itself.

/// What sort of failure an error is; decides exit codes, HTTP statuses and whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller sent something that can never be accepted.
    InvalidInput,
    /// The thing named does not exist.
    NotFound,
    /// A peer, the disk or a bound stands in the way; the same call may succeed later.
    Unavailable,
    /// The call contradicts the present state.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// Stored bytes are not what was written.
    Corrupt,
    /// A programming error of ours.
    Bug,
}

impl ErrorKind {
    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable)
    }
}
