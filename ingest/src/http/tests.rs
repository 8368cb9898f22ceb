//! The edge around a small API: each fault gets its documented answer, whatever caused it.

use std::time::Duration;

use poem::http::{Method, StatusCode, header};
use poem::{Body, Endpoint, EndpointExt as _, Request, Response, Route};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::{Value, json};
use shared::config::{Config, Secret};
use shared::domain::actor::Role;
use shared::domain::ids::ThreadId;

use super::*;
use crate::auth::{Authenticator, Caller, Operator, TokenRequest, issue};
use crate::desk::KnownSessions;
use crate::http::edge::{Edge, Gate};

struct Api;

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct NoteIn {
    text: String,
}

#[OpenApi]
impl Api {
    #[oai(path = "/chat/notes/:id", method = "post", operation_id = "notes.write")]
    async fn write(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        limit: Query<Option<u32>>,
        body: StrictJson<NoteIn>,
    ) -> Result<StrictJson<String>, ApiError> {
        Ok(StrictJson(format!("{} {} {:?} {}", caller.uid, id.0.0, limit.0, body.0.text.len())))
    }

    #[oai(path = "/ops/queues", method = "get", operation_id = "ops.queues")]
    async fn queues(&self, operator: Operator) -> Result<StrictJson<bool>, ApiError> {
        Ok(StrictJson(operator.sees_every_account()))
    }

    #[oai(path = "/chat/panic", method = "get", operation_id = "panic")]
    async fn panic(&self) -> Result<StrictJson<String>, ApiError> {
        panic!("canary")
    }

    #[oai(path = "/chat/slow", method = "get", operation_id = "slow")]
    async fn slow(&self) -> Result<StrictJson<String>, ApiError> {
        std::future::pending().await
    }

    #[oai(path = "/chat/broken", method = "get", operation_id = "broken")]
    async fn broken(&self) -> Result<StrictJson<String>, ApiError> {
        Err(ApiError::internal(anyhow::anyhow!("canary at db-7")))
    }

    #[oai(path = "/api/conversation-v2/gone", method = "get", operation_id = "gone")]
    async fn gone(&self) -> Result<StrictJson<String>, DeskError> {
        Err(ApiError::not_found("room").into())
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.auth.hs256_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
    config.http.request_timeout = Duration::from_millis(200);
    config
}

async fn edge(config: &Config) -> impl Endpoint<Output = Response> + use<> {
    let service = OpenApiService::new(Api, "test", "1");
    let document: Value = serde_json::from_str(&service.spec()).unwrap();
    let auth = Authenticator::start(&config.auth).await.unwrap();
    let gate = Gate::start(config, auth, KnownSessions::default(), Routes::of(&document));
    Edge { gate, inner: Route::new().nest("/", service).map_to_response() }
}

fn token(role: Role) -> String {
    let request = TokenRequest {
        account: "a1".to_owned().try_into().unwrap(),
        uid: "u1".to_owned().try_into().unwrap(),
        role,
        conversation: None,
        name: None,
        ttl: Duration::from_secs(60),
    };
    format!("Bearer {}", issue(&config().auth, &request).unwrap())
}

fn post(body: impl Into<Body>) -> Request {
    let request = Request::builder().method(Method::POST).uri_str("/chat/notes/t1");
    request.content_type("application/json").header("authorization", token(Role::Agent)).body(body)
}

fn get(path: &str) -> Request {
    Request::builder().uri_str(path).finish()
}

async fn answer(endpoint: &impl Endpoint<Output = Response>, request: Request) -> (u16, Value, Response) {
    let mut response = endpoint.call(request).await.unwrap();
    let text = response.take_body().into_string().await.unwrap();
    assert!(!text.contains("canary"), "{text}");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    (response.status().as_u16(), body, response)
}

#[tokio::test]
async fn every_fault_is_a_problem() {
    let edge = edge(&config()).await;
    let noted = answer(&edge, post(r#"{"text":"hi"}"#)).await;
    assert_eq!((noted.0, noted.1), (200, json!("u1 t1 None 2")));
    let mut text = post("{}");
    text.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    let mut anonymous = post("{}");
    anonymous.headers_mut().remove(header::AUTHORIZATION);
    let mut forged = post("{}");
    forged.headers_mut().insert(header::AUTHORIZATION, "Bearer canary".parse().unwrap());
    let mut bad_id = post(r#"{"text":"hi"}"#);
    *bad_id.uri_mut() = "/chat/notes/a%20canary".parse().unwrap();
    let mut bad_query = post(r#"{"text":"hi"}"#);
    *bad_query.uri_mut() = "/chat/notes/t1?limit=canary".parse().unwrap();
    let mut delete = get("/chat/notes/t1");
    delete.set_method(Method::DELETE);
    for (request, status, code, detail) in [
        (get("/nowhere"), 404, "not_found", "no such path"),
        (delete, 405, "method_not_allowed", "the path knows other methods, see Allow"),
        (anonymous, 401, "unauthenticated", "a bearer token is needed"),
        (forged, 401, "unauthenticated", "the token is malformed"),
        (bad_id, 400, "invalid_request", "parameter id is malformed"),
        (bad_query, 400, "invalid_request", "parameter limit is missing, malformed or out of range"),
        (post("{"), 400, "invalid_request", "malformed JSON at line 1, column 1"),
        (post(r#"{"text":5}"#), 400, "invalid_request", "/text must be a string"),
        (
            post(r#"{"text":"a","canary":1}"#.replace("canary", "more")),
            400,
            "invalid_request",
            "/more is not a known field",
        ),
        (post(vec![b' '; body::BODY_MAX + 1]), 413, "payload_too_large", "the body is larger than 1024 KiB"),
        (text, 415, "unsupported_media_type", "the body must be application/json"),
        (get("/chat/panic"), 500, "internal", "something went wrong on our side"),
        (get("/chat/broken"), 500, "internal", "something went wrong on our side"),
        (get("/chat/slow"), 503, "unavailable", "the request took too long, try again"),
    ] {
        let (got, problem, response) = answer(&edge, request).await;
        assert_eq!((got, &problem["code"], &problem["detail"]), (status, &json!(code), &json!(detail)));
        assert_eq!(
            (&problem["status"], response.content_type()),
            (&json!(status), Some("application/problem+json"))
        );
        assert_eq!(problem["requestId"], response.headers()["x-request-id"].to_str().unwrap());
        assert_eq!(problem["type"], format!("urn:bellhop:problem:{code}"));
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        assert_eq!(response.headers().contains_key("allow"), status == 405);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn the_desk_has_its_own_form() {
    let edge = edge(&config()).await;
    let (status, body, response) = answer(&edge, get("/api/conversation-v2/gone")).await;
    assert_eq!((status, response.content_type()), (404, Some("application/json")));
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(
        body,
        json!({"success": false, "error": {"code": "not_found", "message": "no such room"}, "requestId": id})
    );
    let (status, body, _) = answer(&edge, get("/api/conversation-v2/nowhere")).await;
    assert_eq!((status, &body["success"]), (404, &json!(false)));
}

#[tokio::test]
async fn roles_are_let_in_where_they_belong() {
    let edge = edge(&config()).await;
    let as_role = |mut request: Request, role| {
        request.headers_mut().insert(header::AUTHORIZATION, token(role).parse().unwrap());
        request
    };
    let (status, body, _) = answer(&edge, as_role(post(r#"{"text":"a"}"#), Role::Operator)).await;
    assert_eq!((status, &body["code"]), (403, &json!("forbidden")));
    for (role, expected) in [
        (Role::Operator, (200, json!(true))),
        (Role::Admin, (200, json!(false))),
        (Role::Agent, (403, json!("forbidden"))),
        (Role::Guest, (403, json!("forbidden"))),
        (Role::Service, (403, json!("forbidden"))),
    ] {
        let (status, body, _) = answer(&edge, as_role(get("/ops/queues"), role)).await;
        let shown = body.get("code").cloned().unwrap_or(body);
        assert_eq!((status, shown), expected, "{role:?}");
    }
}

#[tokio::test]
async fn s28_a_caller_who_is_too_fast_is_told_when_to_come_back() {
    let mut config = config();
    config.http.rate_limit = "1/m".parse().unwrap();
    config.http.rate_burst = 2.try_into().unwrap();
    let edge = edge(&config).await;
    let (first, _, response) = answer(&edge, get("/nowhere")).await;
    assert_eq!(
        (first, response.headers().contains_key("ratelimit")),
        (404, false),
        "unknown paths are not counted"
    );
    for remaining in ["1", "0"] {
        let (_, _, response) = answer(&edge, post(r#"{"text":"a"}"#)).await;
        assert_eq!(
            (response.status(), &response.headers()["ratelimit-remaining"]),
            (StatusCode::OK, &remaining.parse().unwrap())
        );
    }
    let (status, body, response) = answer(&edge, post(r#"{"text":"a"}"#)).await;
    assert_eq!((status, &body["code"]), (429, &json!("rate_limited")));
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let (status, _, _) = answer(&edge, get("/chat/broken")).await;
    assert_eq!(status, 500, "another caller goes on");
}

#[tokio::test]
async fn s32_options_cors_and_trace() {
    let edge = edge(&config()).await;
    let call = |method: Method, path: &'static str, origin: Option<&'static str>, preflight: bool| {
        let mut request = Request::builder().method(method).uri_str(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if preflight {
            request = request.header("access-control-request-method", "POST");
        }
        request.finish()
    };
    let (status, _, response) = answer(&edge, call(Method::OPTIONS, "/chat/notes/t1", None, false)).await;
    assert_eq!((status, &response.headers()["allow"]), (204, &"OPTIONS, POST".parse().unwrap()));
    let origin = Some("https://shop.example");
    let (status, _, response) = answer(&edge, call(Method::OPTIONS, "/chat/notes/t1", origin, true)).await;
    assert_eq!((status, &response.headers()["access-control-allow-origin"]), (204, &"*".parse().unwrap()));
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    for (path, origin) in [("/ops/queues", origin), ("/chat/notes/t1", Some("null"))] {
        let (_, _, response) = answer(&edge, call(Method::OPTIONS, path, origin, true)).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let (status, _, _) = answer(&edge, call(Method::TRACE, "/chat/notes/t1", None, false)).await;
    assert_eq!(status, 405);
    let odd = Method::from_bytes(b"BREW").unwrap();
    assert_eq!(answer(&edge, call(odd, "/chat/notes/t1", None, false)).await.0, 405);
}

#[tokio::test]
async fn request_ids_are_taken_over_only_when_plain() {
    let edge = edge(&config()).await;
    let sent = |id: &'static str| Request::builder().uri_str("/nowhere").header("x-request-id", id).finish();
    assert_eq!(answer(&edge, sent("abc-1")).await.1["requestId"], "abc-1");
    assert_ne!(answer(&edge, sent("a b")).await.1["requestId"], "a b");
}
