//! `OptionalJson<T>`: as `StrictJson`, for a body that may be left out.

use poem::{Request, RequestBody};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaRequest, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::error::{ApiError, Code};
use super::strict_json::StrictJson;

/// A JSON body of type `T`, or none. An empty body is none, whatever its content type; everything else is as [`StrictJson`].
#[derive(Debug, Clone)]
pub struct OptionalJson<T>(pub Option<T>);

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for OptionalJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <StrictJson<T> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        <StrictJson<T> as ApiExtractor>::request_meta().map(|meta| MetaRequest { required: false, ..meta })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let text = body.take()?.into_bytes().await?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        if !request.content_type().is_some_and(<StrictJson<T> as Payload>::check_content_type) {
            return Err(ApiError::new(Code::UnsupportedMediaType, "the body must be application/json").into());
        }
        Ok(Self(Some(StrictJson::parse(&text)?.0)))
    }
}
