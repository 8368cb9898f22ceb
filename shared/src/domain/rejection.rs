//! Why the core refuses a write. Texts are constant, so that no error echoes the caller's data.

/// A refusal. `detail` is shown to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 403: the role may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 403: a guest who is no participant.
    #[error("only participants of the thread may do this")]
    NotParticipant,
    /// 403: the support thread is assigned to others.
    #[error("the thread is assigned to other agents")]
    NotAssigned,
    /// 400: a field has a form that is never acceptable.
    #[error("{0}")]
    Invalid(&'static str),
    /// 422: well-formed but not acceptable.
    #[error("{0}")]
    Unprocessable(&'static str),
}
