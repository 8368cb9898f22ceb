//! [`Customer`], the permission value of the widget's endpoints: a handler that has one knows that the support
//! token, the session and the device belong together.

use std::ops::Deref;
use std::sync::Arc;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use shared::domain::actor::Actor;

use super::known::session_header;
use super::{CustomerCaller, CustomerCredentials};
use crate::chat::Trace;
use crate::http::ApiError;
use crate::services::Services;
use crate::unheard::Recognised;

/// The name of the first scheme in the OpenAPI document, which brings the others along.
const SCHEME: &str = "supportToken";

/// The schemes: name in the document, header, what it is.
const HEADERS: [(&str, &str, &str); 3] = [
    (
        SCHEME,
        "support-token",
        "The token of the widget's embed. Goes with `support_session` and `device-id`.",
    ),
    (
        "supportSession",
        "support_session",
        "The session that `POST /api/conversation-v2/support/session` answered; `support-session` is the same.",
    ),
    ("deviceId", "device-id", "The device that the session is bound to."),
];

/// A customer at a widget.
#[derive(Debug, Clone)]
pub(crate) struct Customer(CustomerCaller);

impl Deref for Customer {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0.actor
    }
}

impl CustomerCredentials {
    /// What `request` carries; nothing stands for what is missing.
    fn of(request: &Request) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            support_token: text(request.header("support-token")),
            support_session: text(session_header(request)),
            device_id: text(request.header("device-id")),
            origin: request.header("origin").map(str::to_owned),
        }
    }
}

impl<'a> ApiExtractor<'a> for Customer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        for (name, header, description) in HEADERS {
            registry.create_security_scheme(name, scheme(header, description));
        }
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let services = request.data::<Arc<Services>>();
        let services =
            services.ok_or_else(|| ApiError::internal(anyhow::anyhow!("the request has no services")))?;
        let caller = services.desk.admit(&CustomerCredentials::of(request), &Trace::of(request)).await?;
        if let Some(recognised) = request.data::<Recognised>() {
            recognised.note(&caller.actor);
        }
        Ok(Self(caller))
    }
}

fn scheme(header: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "apiKey",
        description: Some(description),
        name: Some(header),
        key_in: Some("header"),
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}
