//! Browsers of other origins: any may call with a token of its own, none is given credentials.
//!
//! A preflight carries no token, so it cannot be judged by account; what may call is enforced on the request
//! itself. `/ops` is not for other origins, and an opaque origin (`null`) gets nothing.

use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, x-request-id, support-token, support_session, support-session, device-id",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, idempotent-replayed, retry-after, ratelimit, ratelimit-policy, ratelimit-limit, ratelimit-remaining, ratelimit-reset",
);
const ANY: HeaderValue = HeaderValue::from_static("*");
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What a request of a browser's other origin is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cors {
    /// No other origin, or not for it.
    None,
    Preflight,
    Request,
}

impl Cors {
    pub(super) fn of(request: &Request) -> Self {
        let origin = request.headers().get(header::ORIGIN);
        let refused =
            origin.is_none_or(|origin| origin == "null") || request.uri().path().starts_with("/ops");
        match request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            _ if refused => Self::None,
            true => Self::Preflight,
            false => Self::Request,
        }
    }

    pub(super) fn announce(self, headers: &mut HeaderMap) {
        let fields: &[(HeaderName, &HeaderValue)] = match self {
            Self::None => &[],
            Self::Preflight => &[
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, &ANY),
                (header::ACCESS_CONTROL_ALLOW_METHODS, &METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, &HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, &MAX_AGE),
            ],
            Self::Request => &[
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, &ANY),
                (header::ACCESS_CONTROL_EXPOSE_HEADERS, &EXPOSED),
            ],
        };
        for (name, value) in fields {
            headers.insert(name, (*value).clone());
        }
    }
}
