//! Errors as clients see them: a closed list of codes, RFC 9457 problems, and the support desk's own form.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem_openapi::Enum;
use shared::domain::Rejection;

use crate::auth::AuthError;

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Code {
    /// 400: malformed JSON, a wrong type, an unknown or missing field, a bad id or parameter.
    InvalidRequest,
    /// 401: no or bad credentials.
    Unauthenticated,
    /// 403: not entitled.
    Forbidden,
    /// 403: no participant of the thread.
    NotParticipant,
    /// 403: assigned to other agents.
    NotAssigned,
    /// 404: not there, or of another account.
    NotFound,
    /// 405: the path knows other methods, see `Allow`.
    MethodNotAllowed,
    /// 409: the same id with other content.
    Conflict,
    /// 409: the same `Idempotency-Key` with other content.
    IdempotencyConflict,
    /// 400: a paging reference or read mark that is not there.
    InvalidRef,
    /// 413: the request is larger than 1 MiB.
    PayloadTooLarge,
    /// 415: the body is not `application/json`.
    UnsupportedMediaType,
    /// 422: well-formed but not acceptable.
    Unprocessable,
    /// 429: too many requests, see `Retry-After`.
    RateLimited,
    /// 503: a needed server is away, see `Retry-After`.
    Unavailable,
    /// 503: search is away, everything else works.
    SearchUnavailable,
    /// 409: the message's delivery is neither failed, parked nor unknown.
    NotResendable,
    /// 401: the webhook's signature does not fit.
    BadSignature,
    /// 500: our fault; the request id finds it in the logs.
    Internal,
}

impl Code {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        self.describe().0
    }

    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        self.describe().1
    }

    /// A short text for people.
    pub fn title(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "Invalid request"),
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED, "No valid credentials"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "Not entitled"),
            Self::NotParticipant => ("not_participant", S::FORBIDDEN, "Not a participant"),
            Self::NotAssigned => ("not_assigned", S::FORBIDDEN, "Assigned to others"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Conflict => ("conflict", S::CONFLICT, "Conflict"),
            Self::IdempotencyConflict => {
                ("idempotency_conflict", S::CONFLICT, "Idempotency key used for other content")
            }
            Self::InvalidRef => ("invalid_ref", S::BAD_REQUEST, "Unknown reference"),
            Self::PayloadTooLarge => ("payload_too_large", S::PAYLOAD_TOO_LARGE, "Request too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::Unprocessable => ("unprocessable", S::UNPROCESSABLE_ENTITY, "Not acceptable"),
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "Temporarily unavailable"),
            Self::SearchUnavailable => {
                ("search_unavailable", S::SERVICE_UNAVAILABLE, "Search temporarily unavailable")
            }
            Self::NotResendable => ("not_resendable", S::CONFLICT, "Not resendable"),
            Self::BadSignature => ("bad_signature", S::UNAUTHORIZED, "Bad signature"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// An error to be answered. Its detail is ours, never the caller's data nor a driver's text.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// For programs.
    pub code: Code,
    /// For people: one sentence.
    pub detail: Cow<'static, str>,
    /// Where in the body, as a JSON pointer.
    pub pointer: Option<String>,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
    /// Another status than the code's own.
    pub(super) status: Option<StatusCode>,
    /// What a 401 tells of the token: `WWW-Authenticate: Bearer error=…`.
    pub(super) token_refused: bool,
    /// A failure row of the audit trail tells of it.
    pub(crate) audited: bool,
    /// What really happened; logged once, at the edge, and never answered.
    pub(super) cause: Option<Arc<anyhow::Error>>,
}

impl ApiError {
    /// An error with a sentence of ours.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = match code {
            Code::RateLimited | Code::Unavailable | Code::SearchUnavailable => Some(Duration::from_secs(1)),
            _ => None,
        };
        Self {
            code,
            detail: detail.into(),
            pointer: None,
            retry_after,
            status: None,
            token_refused: false,
            audited: false,
            cause: None,
        }
    }

    /// 404; `what` names the kind of thing, such as `"thread"`.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("no such {what}"))
    }

    /// 400 for a field of the body; `pointer` is a JSON pointer.
    pub fn invalid_field(pointer: impl Into<String>, wanted: impl fmt::Display) -> Self {
        let pointer = pointer.into();
        let detail = format!("{pointer} {wanted}");
        Self { pointer: Some(pointer), ..Self::new(Code::InvalidRequest, detail) }
    }

    /// 400 for a parameter of the path, query or headers.
    pub fn invalid_parameter(name: &str, wanted: impl fmt::Display) -> Self {
        Self::new(Code::InvalidRequest, format!("parameter {name} {wanted}"))
    }

    /// 422 with a sentence of ours.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unprocessable, detail)
    }

    /// 503: a needed server is away; `cause` is logged.
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Self {
        let error = Self::new(Code::Unavailable, "a needed server is away, try again");
        Self { cause: Some(Arc::new(cause.into())), ..error }
    }

    /// 503: search is away, everything else works; `cause` is logged.
    pub fn search_unavailable(cause: impl Into<anyhow::Error>) -> Self {
        let error = Self::new(Code::SearchUnavailable, "search is away, lists without q still work");
        Self { cause: Some(Arc::new(cause.into())), ..error }
    }

    /// 500; `cause` is logged.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let error = Self::new(Code::Internal, "something went wrong on our side");
        Self { cause: Some(Arc::new(cause.into())), ..error }
    }

    /// 401: the request has no token.
    pub fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "a bearer token is needed")
    }

    /// 401: the token is not accepted.
    pub(crate) fn refused_token(error: AuthError) -> Self {
        Self { token_refused: true, ..Self::new(Code::Unauthenticated, error.to_string()) }
    }

    /// Sets when it may be tried again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Answers with another status than the code's own.
    #[must_use]
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// The status it is answered with.
    pub fn http_status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.code.status())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.http_status()
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection {
            Rejection::Forbidden(_) => Code::Forbidden,
            Rejection::NotParticipant => Code::NotParticipant,
            Rejection::NotAssigned => Code::NotAssigned,
            Rejection::Invalid(_) => Code::InvalidRequest,
            Rejection::Unprocessable(_) => Code::Unprocessable,
        };
        Self::new(code, rejection.to_string())
    }
}

/// An [`ApiError`] of the support desk (`/api/conversation-v2/`): the same, documented in its own form
/// `{success: false, error: {code, message}, requestId}`.
#[derive(Debug, Clone)]
pub struct DeskError(pub ApiError);

impl fmt::Display for DeskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DeskError {}

impl ResponseError for DeskError {
    fn status(&self) -> StatusCode {
        self.0.http_status()
    }
}

impl<E: Into<ApiError>> From<E> for DeskError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_written_as_documented() {
        for code in [Code::InvalidRequest, Code::NotResendable, Code::PayloadTooLarge, Code::Internal] {
            assert_eq!(code.to_json(), Some(json!(code.as_str())));
        }
    }

    #[test]
    fn the_cause_is_not_shown() {
        let error = ApiError::internal(anyhow::anyhow!("canary at db-7"));
        assert!(!error.to_string().contains("canary") && error.cause.is_some());
        assert_eq!(error.http_status(), 500);
    }
}
