//! Answers: the well-formed, the broken, and the ends of a connection that are no answer.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One piece of a huge answer, in bytes.
const CHUNK_BYTES: u64 = 65_536;

/// How a connection ends instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abort {
    /// RST, whatever is still in flight is lost.
    Reset,
    /// An orderly close.
    Close,
    /// Bytes that are no HTTP, then a close.
    NotHttp,
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection ended on purpose: {self:?}")
    }
}

impl std::error::Error for Abort {}

/// An answer before it becomes a response.
pub(super) struct Reply {
    pub(super) status: u16,
    /// The provider's error code, for the log.
    pub(super) code: Option<u32>,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string().into_bytes())
    }

    pub(super) fn raw(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self { status, code: None, headers: vec![(CONTENT_TYPE, content_type.to_owned())], body }
    }

    pub(super) fn with_code(mut self, code: Option<u32>) -> Self {
        self.code = code;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn with_retry_after(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.with_header(RETRY_AFTER, text),
            None => self,
        }
    }

    pub(super) fn with_body(mut self, body: Option<&str>) -> Self {
        if let Some(body) = body {
            self.body = body.as_bytes().to_vec();
        }
        self
    }

    /// The response as it should be.
    pub(super) fn whole(self) -> Response<Body> {
        let (response, bytes) = self.into_parts();
        response.map(|()| Full::new(bytes).boxed_unsync())
    }

    /// The response, head at once, then one byte per `interval`.
    pub(super) fn dripped(self, interval: Duration) -> Response<Body> {
        let (mut response, bytes) = self.into_parts();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let drops = stream::unfold(bytes, move |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            tokio::time::sleep(interval).await;
            Some((Ok(Frame::data(rest.split_to(1))), rest))
        });
        response.map(|()| StreamBody::new(drops).boxed_unsync())
    }

    fn into_parts(self) -> (Response<()>, Bytes) {
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().insert(name, value);
            }
        }
        (response, Bytes::from(self.body))
    }
}

/// Status 200 with a body of `total` bytes and no length.
pub(super) fn huge(total: u64) -> Response<Body> {
    let chunk = Bytes::from(vec![b' '; usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX)]);
    let chunks = stream::unfold((chunk, total), |(chunk, left)| async move {
        if left == 0 {
            return None;
        }
        let size = left.min(CHUNK_BYTES);
        let piece = chunk.slice(..usize::try_from(size).unwrap_or(usize::MAX));
        Some((Ok(Frame::data(piece)), (chunk, left - size)))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Status 200 with a body that says it is JSON and is not.
pub(super) fn garbage() -> Response<Body> {
    Reply::raw(200, "application/json", b"{\"messages\":[{\"id\":<html>\xff\xfe".to_vec()).whole()
}
