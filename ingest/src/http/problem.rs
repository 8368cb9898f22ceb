//! The two bodies an error is answered with, and their part of the OpenAPI document.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use shared::telemetry::RequestId;

use super::error::{ApiError, Code, DeskError};
use super::strict_json::StrictJson;

/// Why a request was refused (RFC 9457).
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct Problem {
    /// A name of the kind of problem.
    r#type: String,
    /// The kind of problem, for people.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request; names the field.
    detail: String,
    /// The kind of problem, for programs.
    code: Code,
    /// The request's id, as in `X-Request-Id`; finds it in our logs.
    #[oai(rename = "requestId")]
    request_id: String,
    /// The place in the body, as a JSON pointer.
    pointer: Option<String>,
}

/// Why a request to the support desk was refused.
#[derive(Debug, Object)]
struct DeskProblem {
    /// Always false.
    success: bool,
    /// What is wrong.
    error: DeskProblemDetail,
    /// The request's id, as in `X-Request-Id`; finds it in our logs.
    #[oai(rename = "requestId")]
    request_id: String,
}

/// What is wrong with a request to the support desk.
#[derive(Debug, Object)]
struct DeskProblemDetail {
    /// The kind of problem, for programs.
    code: Code,
    /// What is wrong with this request; names the field.
    message: String,
}

/// Which body a path answers errors with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Problem,
    Desk,
}

impl Form {
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/api/conversation-v2/") { Self::Desk } else { Self::Problem }
    }
}

/// Answers `error` in the form that its path uses.
pub(super) fn answer(error: &ApiError, form: Form, request_id: &RequestId) -> Response {
    let (content_type, body) = match form {
        Form::Problem => (ProblemJson::CONTENT_TYPE, problem(error, request_id).to_json_string()),
        Form::Desk => (StrictJson::<DeskProblem>::CONTENT_TYPE, desk(error, request_id).to_json_string()),
    };
    let mut response = Response::builder().status(error.http_status()).content_type(content_type).body(body);
    let headers = response.headers_mut();
    if let Some(after) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if error.code == Code::Unauthenticated {
        let challenge = match error.token_refused {
            true => "Bearer realm=\"bellhop\", error=\"invalid_token\"",
            false => "Bearer realm=\"bellhop\"",
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn problem(error: &ApiError, request_id: &RequestId) -> Problem {
    Problem {
        r#type: format!("urn:bellhop:problem:{}", error.code.as_str()),
        title: error.code.title().to_owned(),
        status: error.http_status().as_u16(),
        detail: error.detail.clone().into_owned(),
        code: error.code,
        request_id: request_id.to_string(),
        pointer: error.pointer.clone(),
    }
}

fn desk(error: &ApiError, request_id: &RequestId) -> DeskProblem {
    let error = DeskProblemDetail { code: error.code, message: error.detail.clone().into_owned() };
    DeskProblem { success: false, error, request_id: request_id.to_string() }
}

struct ProblemJson;

impl ProblemJson {
    const CONTENT_TYPE: &'static str = "application/problem+json";
}

/// The statuses that any operation may be refused with.
const REFUSALS: [(u16, &str); 11] = [
    (400, "Malformed JSON, a wrong type, an unknown or missing field, a bad id, reference or parameter."),
    (401, "No or bad credentials."),
    (403, "The right account, but not entitled."),
    (404, "Not there, or of another account."),
    (409, "The same id or key with other content, or not possible in this state."),
    (413, "The request is larger than 1 MiB."),
    (415, "The body is not `application/json`."),
    (422, "Well-formed but not acceptable: a limit, an empty body, a combination that makes no sense."),
    (429, "Too many requests of this caller; `Retry-After` says when to come back."),
    (500, "Our fault; `requestId` finds it in the logs."),
    (503, "A needed server is away; `Retry-After` says when to try again."),
];

fn refusals<T: Type>(content_type: &'static str) -> MetaResponses {
    let response = |(status, description): (u16, &'static str)| MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type, schema: T::schema_ref() }],
        headers: headers_of(status),
    };
    MetaResponses { responses: REFUSALS.into_iter().map(response).collect() }
}

fn headers_of(status: u16) -> Vec<MetaHeader> {
    let header = |name: &str, description: &str, schema: MetaSchemaRef| MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema,
    };
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => {
            vec![header("WWW-Authenticate", "How to sign in.", String::schema_ref())]
        }
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            vec![header("Retry-After", "Seconds to wait.", u32::schema_ref())]
        }
        _ => Vec::new(),
    }
}

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        refusals::<Problem>(ProblemJson::CONTENT_TYPE)
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

impl ApiResponse for DeskError {
    fn meta() -> MetaResponses {
        refusals::<DeskProblem>(StrictJson::<DeskProblem>::CONTENT_TYPE)
    }

    fn register(registry: &mut Registry) {
        DeskProblem::register(registry);
    }
}
