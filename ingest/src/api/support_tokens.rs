//! `/chat/support-tokens`: what a widget's embed carries, made and rotated by admins.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use shared::domain::ids::SupportTokenId;
use shared::domain::time::rfc3339;
use shared::store::SupportToken;

use super::Tag;
use crate::auth::Admin;
use crate::chat::Trace;
use crate::desk::IssuedToken;
use crate::http::{ApiError, Id, OptionalJson, StrictJson};
use crate::services::Services;

pub(super) struct SupportTokensApi;

/// A token to be made.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct SupportTokenIn {
    /// For people.
    #[oai(validator(max_length = 256))]
    name: Option<String>,
    /// Where the widget stands, such as `https://www.example.com`; at most 50. None: anywhere.
    #[oai(validator(max_items = 50))]
    allowed_origins: Option<Vec<String>>,
}

/// How a token is rotated.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct RotationIn {
    /// How long the old secrets stay valid: 0, the default, to 2592000 (30 days). At 0 the token's sessions end.
    #[oai(validator(maximum(value = "2592000")))]
    grace_seconds: Option<u32>,
}

/// A token with its secrets, which are shown this once.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct IssuedTokenOut {
    token_id: String,
    name: Option<String>,
    /// For the widget's embed.
    support_token: String,
    /// For the account's own servers: signs identities. Used as the UTF-8 bytes of this text.
    identity_secret: String,
    allowed_origins: Vec<String>,
    created_at: String,
}

impl From<IssuedToken> for IssuedTokenOut {
    fn from(issued: IssuedToken) -> Self {
        let token = issued.token;
        Self {
            token_id: token.token_id.to_string(),
            name: token.name,
            support_token: issued.support_token,
            identity_secret: issued.identity_secret.expose().to_owned(),
            allowed_origins: token.allowed_origins,
            created_at: rfc3339(token.created_at),
        }
    }
}

/// A token without its secrets.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct SupportTokenOut {
    token_id: String,
    name: Option<String>,
    allowed_origins: Vec<String>,
    created_at: String,
    rotated_at: Option<String>,
    /// Until when the secrets before the last rotation are valid.
    grace_until: Option<String>,
}

impl From<SupportToken> for SupportTokenOut {
    fn from(token: SupportToken) -> Self {
        Self {
            token_id: token.token_id.to_string(),
            name: token.name,
            allowed_origins: token.allowed_origins,
            created_at: rfc3339(token.created_at),
            rotated_at: token.rotated_at.map(rfc3339),
            grace_until: token.previous.map(|previous| rfc3339(previous.until)),
        }
    }
}

/// The account's tokens.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct SupportTokensOut {
    support_tokens: Vec<SupportTokenOut>,
}

#[derive(ApiResponse)]
enum IssuedOut {
    /// It is valid from now on.
    #[oai(status = 201)]
    Issued(StrictJson<IssuedTokenOut>),
}

#[derive(ApiResponse)]
enum DeletedOut {
    /// It is gone.
    #[oai(status = 204)]
    Deleted,
}

#[OpenApi(tag = "Tag::SupportTokens")]
impl SupportTokensApi {
    /// Makes a support token. Admins only.
    ///
    /// Its secrets are shown in this answer and never again.
    #[oai(path = "/chat/support-tokens", method = "post", operation_id = "supportTokens.create")]
    async fn create(
        &self,
        admin: Admin,
        body: StrictJson<SupportTokenIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<IssuedOut, ApiError> {
        let origins = body.0.allowed_origins.unwrap_or_default();
        let issued = services.desk.issue_token(&admin, &trace, body.0.name, &origins).await?;
        Ok(IssuedOut::Issued(StrictJson(issued.into())))
    }

    /// Lists the account's support tokens, newest first. Admins only.
    #[oai(path = "/chat/support-tokens", method = "get", operation_id = "supportTokens.list")]
    async fn list(
        &self,
        admin: Admin,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<SupportTokensOut>, ApiError> {
        let tokens = services.desk.support_tokens(&admin).await?;
        Ok(StrictJson(SupportTokensOut { support_tokens: tokens.into_iter().map(Into::into).collect() }))
    }

    /// Replaces a support token's secrets. Admins only.
    ///
    /// The old ones stay valid for `graceSeconds`. Without grace they end at once, and so do the token's sessions.
    #[oai(path = "/chat/support-tokens/:id/rotate", method = "post", operation_id = "supportTokens.rotate")]
    async fn rotate(
        &self,
        admin: Admin,
        id: Path<Id<SupportTokenId>>,
        body: OptionalJson<RotationIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<IssuedTokenOut>, ApiError> {
        let grace_secs = body.0.and_then(|rotation| rotation.grace_seconds).unwrap_or(0);
        let issued = services.desk.rotate_token(&admin, &trace, &id.0.0, grace_secs).await?;
        Ok(StrictJson(issued.into()))
    }

    /// Deletes a support token; its widgets and sessions are refused from now on. Admins only.
    #[oai(path = "/chat/support-tokens/:id", method = "delete", operation_id = "supportTokens.delete")]
    async fn delete(
        &self,
        admin: Admin,
        id: Path<Id<SupportTokenId>>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeletedOut, ApiError> {
        services.desk.delete_token(&admin, &trace, &id.0.0).await?;
        Ok(DeletedOut::Deleted)
    }
}
