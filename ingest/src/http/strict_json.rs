//! `StrictJson<T>`: the body of a request, taken only if it is exactly what the document shows.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::RwLock;
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};

use super::error::{ApiError, Code};
use super::json;
use super::schema::Schema;

/// A JSON body of type `T`.
///
/// In: 415 for another content type; 400 for malformed JSON, wrong types (a number is no string), unknown or
/// missing fields, each named by its JSON pointer and never with its value; 422 for limits. Out: plain JSON.
#[derive(Debug, Clone)]
pub struct StrictJson<T>(pub T);

impl<T: Type> Payload for StrictJson<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let utf8 = parameters.split(';').map(str::trim).filter(|p| !p.is_empty()).all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
        media.trim().eq_ignore_ascii_case(Self::CONTENT_TYPE) && utf8
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON + 'static> StrictJson<T> {
    /// Reads `text` as a `T`.
    ///
    /// # Errors
    /// 400 or 422, naming the field.
    pub fn parse(text: &[u8]) -> Result<Self, ApiError> {
        let value = json::parse(text).map_err(|e| match text.is_empty() {
            true => ApiError::new(Code::InvalidRequest, "a JSON body is needed"),
            false => ApiError::new(Code::InvalidRequest, e.to_string()),
        })?;
        schema_of::<T>().check(&value)?;
        // What the schema cannot say is refused here; the parser's own text repeats the value.
        let parsed = T::parse_from_json(Some(value));
        parsed.map(Self).map_err(|_| ApiError::new(Code::InvalidRequest, "the body has a malformed field"))
    }
}

/// The schema of `T`, built once per type and kept.
fn schema_of<T: Type + 'static>() -> &'static Schema {
    static KNOWN: LazyLock<RwLock<HashMap<TypeId, &'static Schema>>> = LazyLock::new(RwLock::default);
    if let Some(schema) = KNOWN.read().get(&TypeId::of::<T>()) {
        return schema;
    }
    KNOWN.write().entry(TypeId::of::<T>()).or_insert_with(|| Box::leak(Box::new(Schema::of::<T>())))
}

impl<T: ParseFromJSON + 'static> ParsePayload for StrictJson<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(_request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let text = body.take()?.into_bytes().await?;
        Ok(Self::parse(&text)?)
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for StrictJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content =
            MetaMediaType { content_type: Self::CONTENT_TYPE, schema: <Self as Payload>::schema_ref() };
        Some(MetaRequest { description: None, content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !request.content_type().is_some_and(Self::check_content_type) {
            return Err(ApiError::new(Code::UnsupportedMediaType, "the body must be application/json").into());
        }
        <Self as ParsePayload>::from_request(request, body).await
    }
}

impl<T: ToJSON> ApiResponse for StrictJson<T> {
    fn meta() -> MetaResponses {
        let content =
            MetaMediaType { content_type: Self::CONTENT_TYPE, schema: <Self as Payload>::schema_ref() };
        let response = MetaResponse {
            description: "Done.",
            status: Some(200),
            status_range: None,
            content: vec![content],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON> IntoResponse for StrictJson<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json").body(self.0.to_json_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use poem_openapi::types::MaybeUndefined;
    use poem_openapi::{Enum, Object};

    use super::*;

    #[derive(Debug, Enum, PartialEq)]
    #[oai(rename_all = "kebab-case")]
    enum Kind {
        Message,
        WhatsappMessage,
    }

    #[derive(Debug, Object)]
    #[oai(deny_unknown_fields)]
    struct Inner {
        amount: f64,
        tags: Vec<String>,
    }

    #[derive(Debug, Object)]
    #[oai(rename_all = "camelCase", deny_unknown_fields)]
    struct In {
        body: String,
        kind: Option<Kind>,
        /// With a description the reference is wrapped.
        inner: Option<Inner>,
        #[oai(validator(pattern = "^[a-z]+$"))]
        message_id: Option<String>,
        #[oai(validator(max_length = 3))]
        title: Option<String>,
        patch: MaybeUndefined<String>,
        labels: Option<HashMap<String, i32>>,
        on: Option<bool>,
    }

    fn refused(text: &str) -> (u16, String) {
        let error = StrictJson::<In>::parse(text.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        (error.http_status().as_u16(), error.detail.into_owned())
    }

    #[test]
    fn each_fault_names_its_field() {
        for (text, status, detail) in [
            ("", 400, "a JSON body is needed"),
            ("{", 400, "malformed JSON at line 1, column 1"),
            ("null", 400, "the body must not be null"),
            ("[]", 400, "the body must be an object"),
            ("{}", 400, "/body is missing"),
            (r#"{"body":5}"#, 400, "/body must be a string"),
            (r#"{"body":true}"#, 400, "/body must be a string"),
            (r#"{"body":null}"#, 400, "/body must not be null"),
            (r#"{"body":{"$ne":"canary"}}"#, 400, "/body must be a string"),
            (r#"{"body":"b","bodyy":"canary"}"#, 400, "/bodyy is not a known field"),
            (r#"{"body":"b","kind":"canary"}"#, 400, r#"/kind must be one of "message", "whatsapp-message""#),
            (r#"{"body":"b","kind":7}"#, 400, r#"/kind must be one of "message", "whatsapp-message""#),
            (r#"{"body":"b","inner":{"amount":"canary","tags":[]}}"#, 400, "/inner/amount must be a number"),
            (
                r#"{"body":"b","inner":{"amount":1,"tags":["x",false]}}"#,
                400,
                "/inner/tags/1 must be a string",
            ),
            (r#"{"body":"b","inner":{"amount":1}}"#, 400, "/inner/tags is missing"),
            (
                r#"{"body":"b","inner":{"amount":1,"tags":[],"a/b":1}}"#,
                400,
                "/inner/a~1b is not a known field",
            ),
            (r#"{"body":"b","messageId":"CANARY canary"}"#, 400, "/messageId must have the form ^[a-z]+$"),
            (r#"{"body":"b","title":"long canary"}"#, 422, "/title must have at most 3 characters"),
            (r#"{"body":"b","patch":1}"#, 400, "/patch must be a string"),
            (r#"{"body":"b","labels":{"x":"1"}}"#, 400, "/labels/x must be a whole number"),
            (r#"{"body":"b","labels":{"x":9999999999}}"#, 400, "/labels/x is out of range"),
            (r#"{"body":"b","on":"true"}"#, 400, "/on must be true or false"),
        ] {
            assert_eq!(refused(text), (status, detail.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_right_is_taken_and_null_is_absent() {
        let parse = |text: &str| StrictJson::<In>::parse(text.as_bytes()).unwrap().0;
        let full = parse(
            r#"{"body":"\u0000é","kind":"whatsapp-message","inner":{"amount":1.5,"tags":["a"]},
                "messageId":"abc","title":"äöü","patch":"x","labels":{"n":-1},"on":false}"#,
        );
        assert_eq!((full.body.as_str(), full.kind), ("\0é", Some(Kind::WhatsappMessage)));
        let inner = full.inner.unwrap();
        assert_eq!((inner.amount, inner.tags), (1.5, vec!["a".to_owned()]));
        assert_eq!((full.message_id.unwrap().as_str(), full.on), ("abc", Some(false)));
        assert_eq!((full.title.unwrap().as_str(), full.labels.unwrap()["n"]), ("äöü", -1));
        let nulls = parse(r#"{"body":"b","kind":null,"inner":null,"title":null,"patch":null,"labels":null}"#);
        assert!(nulls.kind.is_none() && nulls.inner.is_none() && nulls.title.is_none());
        assert!(nulls.patch.is_null() && parse(r#"{"body":"b"}"#).patch.is_undefined());
    }

    #[test]
    fn content_types_are_json_in_utf8_only() {
        let ok = <StrictJson<String> as Payload>::check_content_type;
        assert!(
            ok("application/json")
                && ok("Application/JSON; charset=UTF-8")
                && ok("application/json;charset=\"utf-8\"")
        );
        assert!(
            !ok("text/plain")
                && !ok("application/json; charset=latin1")
                && !ok("application/jsonx")
                && !ok("")
        );
    }
}
