//! The outermost layer of the public port: what is done for every request, whatever its path.
//!
//! In this order: request id and client address → route known (404), method known (405, OPTIONS) → token
//! looked at → rate limit (429) → body read (413) → the endpoint, under a timeout, its panics caught → every
//! error turned into the body its path documents → security headers, CORS, limits, metrics, one log line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use shared::config::{Config, Network};
use shared::telemetry::RequestId;
use tracing::Instrument as _;

use super::body;
use super::client::{self, ClientAddress};
use super::cors::Cors;
use super::error::{ApiError, Code};
use super::limit::{Bucket, Left, Limiter};
use super::problem::{self, Form};
use super::routes::{Route, Routes};
use super::translate::translate;
use crate::auth::{Authenticator, Credentials};
use crate::desk::KnownSessions;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How often idle rate limits are dropped.
const SWEEP: Duration = Duration::from_secs(30);

/// What every request is judged by.
#[derive(Debug)]
pub(crate) struct Gate {
    routes: Routes,
    limiter: Limiter,
    auth: Arc<Authenticator>,
    sessions: KnownSessions,
    trusted_proxies: Vec<Network>,
    timeout: Duration,
    /// Whether browsers are told to stay with HTTPS.
    https: bool,
}

impl Gate {
    /// Prepares the gate; its limits are swept for as long as it lives.
    pub(crate) fn start(
        config: &Config,
        auth: Arc<Authenticator>,
        sessions: KnownSessions,
        routes: Routes,
    ) -> Arc<Self> {
        let gate = Arc::new(Self {
            routes,
            limiter: Limiter::new(config.http.rate_limit, config.http.rate_burst),
            auth,
            sessions,
            trusted_proxies: config.http.trusted_proxies.clone(),
            timeout: config.http.request_timeout,
            https: config.public_url.scheme() == "https",
        });
        let weak = Arc::downgrade(&gate);
        shared::task::spawn("http.limits", async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(gate) = weak.upgrade() else { return };
                gate.limiter.sweep();
            }
        });
        gate
    }
}

/// The name of the operation that a request means, left in the request for what comes behind the edge.
#[derive(Debug, Clone)]
pub(crate) struct Operation(pub(crate) Arc<str>);

/// `inner` behind a gate.
pub(crate) struct Edge<E> {
    pub(crate) gate: Arc<Gate>,
    pub(crate) inner: E,
}

/// What is remembered of a request until it is answered.
struct Visit {
    start: Instant,
    id: RequestId,
    form: Form,
    cors: Cors,
    operation: Arc<str>,
    left: Option<Left>,
}

impl<E: Endpoint<Output = Response>> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let start = Instant::now();
        let sent = request.headers().get(&X_REQUEST_ID).and_then(|id| id.to_str().ok());
        let id = RequestId::accept(sent);
        let route = self.gate.routes.find(request.uri().path());
        let operation = route.and_then(|route| route.operation(request.method()));
        let mut visit = Visit {
            start,
            form: Form::of(request.uri().path()),
            cors: Cors::of(&request),
            operation: operation.map_or_else(|| Arc::from("none"), Arc::clone),
            left: None,
            id,
        };
        let span = tracing::info_span!(
            "request", request.id = %visit.id, http.request.method = %request.method(), http.operation = %visit.operation
        );
        request.set_data(visit.id.clone());
        request.set_data(Operation(Arc::clone(&visit.operation)));
        request.set_data(client::address(&request, &self.gate.trusted_proxies));
        let outcome = self.pass(&mut visit, route, request).instrument(span.clone()).await;
        Ok(span.in_scope(|| visit.end(&self.gate, outcome)))
    }
}

impl<E: Endpoint<Output = Response>> Edge<E> {
    async fn pass(
        &self,
        visit: &mut Visit,
        route: Option<&Route>,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        let route = route.ok_or_else(|| ApiError::new(Code::NotFound, "no such path"))?;
        if !route.is_open() && route.operation(request.method()).is_none() {
            return Ok(other_method(visit, route, request.method()));
        }
        let path = request.uri().path();
        let is_webhook = path.starts_with("/webhooks/");
        let is_limited = !is_webhook && path != "/healthz" && path != "/readyz";
        let credentials = self.credentials(&request).await;
        if is_limited {
            self.limit(visit, &credentials, &request)?;
        }
        check_key(&request)?;
        request.set_data(credentials);
        if route.is_open() {
            return self.run(request, route).await;
        }
        body::buffer(&mut request, if is_webhook { body::WEBHOOK_MAX } else { body::BODY_MAX }).await?;
        match tokio::time::timeout(self.gate.timeout, self.run(request, route)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ApiError::new(Code::Unavailable, "the request took too long, try again")),
        }
    }

    async fn credentials(&self, request: &Request) -> Credentials {
        let Some(header) = request.headers().get(header::AUTHORIZATION) else { return Credentials::Absent };
        let text = header.to_str().unwrap_or_default();
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                match self.gate.auth.verify(token.trim_start()).await {
                    Ok(identity) => Credentials::Valid(identity),
                    Err(error) => Credentials::Refused(error),
                }
            }
            _ => Credentials::Absent,
        }
    }

    fn limit(&self, visit: &mut Visit, credentials: &Credentials, request: &Request) -> Result<(), ApiError> {
        let actor = match credentials {
            Credentials::Valid(identity) => Some(&identity.actor),
            _ => None,
        };
        let ClientAddress(address) =
            request.data::<ClientAddress>().copied().expect("the edge has set the client's address");
        let bucket = match self.gate.sessions.of(request) {
            Some(session) if actor.is_none() => Bucket::Session(session),
            _ => Bucket::of(actor, address),
        };
        let left = self.gate.limiter.take(&bucket);
        visit.left = Some(left);
        if left.wait.is_zero() {
            return Ok(());
        }
        Err(ApiError::new(Code::RateLimited, "too many requests, slow down").retry_after(left.wait))
    }

    async fn run(&self, request: Request, route: &Route) -> Result<Response, ApiError> {
        match AssertUnwindSafe(self.inner.call(request)).catch_unwind().await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_from_response() => Ok(error.into_response()),
            Ok(Err(error)) => Err(translate(error, route)),
            Err(_) => Err(ApiError::internal(anyhow::anyhow!("the handler panicked"))),
        }
    }
}

/// The framework takes a header that is no text for one that is absent, and would let a repetition through.
fn check_key(request: &Request) -> Result<(), ApiError> {
    let mut keys = request.headers().get_all("idempotency-key").iter();
    let first = keys.next();
    if keys.next().is_some() || first.is_some_and(|key| key.to_str().is_err()) {
        return Err(ApiError::invalid_parameter("Idempotency-Key", "is malformed"));
    }
    Ok(())
}

/// OPTIONS tells the methods, with or without a preflight; any other unknown method is a 405.
fn other_method(visit: &Visit, route: &Route, method: &Method) -> Response {
    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into()
    } else {
        let error = ApiError::new(Code::MethodNotAllowed, "the path knows other methods, see Allow");
        problem::answer(&error, visit.form, &visit.id)
    };
    response.headers_mut().insert(header::ALLOW, route.allow.clone());
    response
}

impl Visit {
    /// Finishes the answer, counts and logs it.
    fn end(&self, gate: &Gate, outcome: Result<Response, ApiError>) -> Response {
        let mut response = outcome.unwrap_or_else(|error| {
            log_cause(&error);
            problem::answer(&error, self.form, &self.id)
        });
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(left) = self.left {
            gate.limiter.announce(left, headers);
        }
        self.cors.announce(headers);
        secure(headers, gate.https);
        self.record(response.status());
        response
    }

    fn record(&self, status: StatusCode) {
        let took = self.start.elapsed();
        let operation = || Arc::clone(&self.operation);
        metrics::counter!("ingest_requests_total", "operation" => operation(), "status" => status.as_u16().to_string())
            .increment(1);
        metrics::histogram!("ingest_request_seconds", "operation" => operation()).record(took.as_secs_f64());
        let (status, duration_ms) = (status.as_u16(), took.as_micros() as f64 / 1000.0);
        if matches!(&*self.operation, "health.live" | "health.ready") {
            tracing::debug!(http.response.status_code = status, duration_ms, "answered {status}");
        } else {
            tracing::info!(http.response.status_code = status, duration_ms, "answered {status}");
        }
    }
}

/// Writes down what really happened, which the caller is not told.
pub(crate) fn log_cause(error: &ApiError) {
    let Some(cause) = &error.cause else { return };
    let error_text = chain(cause);
    if error.code == Code::Internal {
        tracing::error!(error = error_text, "request failed");
    } else {
        tracing::warn!(error = error_text, "request not possible now");
    }
}

/// The texts of `cause` and what caused it, without those that the one before repeats.
fn chain(cause: &anyhow::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in cause.chain().map(ToString::to_string) {
        if !texts.last().is_some_and(|before| before.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// Headers that keep browsers from doing more with an answer than show it. A page may bring a policy of its own.
fn secure(headers: &mut HeaderMap, https: bool) {
    const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}
