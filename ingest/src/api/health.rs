//! Health on the public port, without detail.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi};

use super::Tag;
use crate::http::{ApiError, Code, StrictJson};
use crate::services::Services;

/// Whether the program is there.
pub(super) struct HealthApi;

/// The answer of a program that is well.
#[derive(Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum Well {
    /// All is well.
    Ok,
}

/// How the program is.
#[derive(Debug, Object)]
struct HealthOut {
    /// Always `ok`; otherwise an error is answered.
    status: Well,
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Tells that the program runs.
    #[oai(path = "/healthz", method = "get", operation_id = "health.live")]
    async fn live(&self) -> Result<StrictJson<HealthOut>, ApiError> {
        Ok(StrictJson(HealthOut { status: Well::Ok }))
    }

    /// Tells whether requests can be served.
    ///
    /// 503 while MongoDB is away or the program is stopping; the other servers may be away.
    #[oai(path = "/readyz", method = "get", operation_id = "health.ready")]
    async fn ready(&self, services: Data<&Arc<Services>>) -> Result<StrictJson<HealthOut>, ApiError> {
        match services.health.report().await.ready {
            true => Ok(StrictJson(HealthOut { status: Well::Ok })),
            false => Err(ApiError::new(Code::Unavailable, "not ready")),
        }
    }
}
