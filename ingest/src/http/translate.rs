//! Turns every error that poem, poem-openapi or a handler can produce into an [`ApiError`].

use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::StatusCode;
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use super::error::{ApiError, Code, DeskError};
use super::routes::Route;

/// The error to be answered. Texts of the frameworks are dropped: they repeat what the caller sent.
pub(super) fn translate(error: poem::Error, route: &Route) -> ApiError {
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return error.clone();
    }
    if let Some(DeskError(error)) = error.downcast_ref::<DeskError>() {
        return error.clone();
    }
    if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
        return ApiError::invalid_parameter(parameter.name, "is missing, malformed or out of range");
    }
    if let Some(parameter) = error.downcast_ref::<ParsePathError>() {
        return ApiError::invalid_parameter(route.parameter(parameter.name), "is malformed");
    }
    if error.is::<ContentTypeError>() {
        return ApiError::new(
            Code::UnsupportedMediaType,
            "the body has another content type than documented",
        );
    }
    if error.is::<ParseRequestPayloadError>() || error.is::<ReadBodyError>() {
        return ApiError::new(Code::InvalidRequest, "the body cannot be read");
    }
    if error.is::<AuthorizationError>() {
        return ApiError::unauthenticated();
    }
    if error.is::<NotFoundError>() {
        return ApiError::new(Code::NotFound, "no such path");
    }
    if error.is::<MethodNotAllowedError>() {
        return ApiError::new(Code::MethodNotAllowed, "the path knows other methods, see Allow");
    }
    by_status(error)
}

fn by_status(error: poem::Error) -> ApiError {
    match error.status() {
        StatusCode::UNAUTHORIZED => ApiError::unauthenticated(),
        StatusCode::FORBIDDEN => ApiError::new(Code::Forbidden, "not entitled"),
        StatusCode::NOT_FOUND => ApiError::new(Code::NotFound, "not there"),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::PayloadTooLarge, "the body is too large"),
        status if status.is_client_error() => ApiError::new(Code::InvalidRequest, "the request is malformed"),
        _ => ApiError::internal(anyhow::anyhow!("{error}")),
    }
}
