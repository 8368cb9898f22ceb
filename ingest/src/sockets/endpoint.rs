//! `/socket.io` inside poem: polling through the library's own service, websockets by handing it the upgraded
//! connection, which poem's adapter loses on the way.

use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, Upgraded};
use sha1::{Digest as _, Sha1};
use tower::Service;

use super::Hall;
use super::cord::{Attached, Cord};
use super::refusal;
use super::wire::Wire;

/// What a server adds to the key of a websocket (RFC 6455).
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The endpoint.
pub(super) struct SocketEndpoint<P, W> {
    pub(super) polling: P,
    pub(super) websocket: W,
    pub(super) hall: Arc<Hall>,
}

impl<P, W> Endpoint for SocketEndpoint<P, W>
where
    P: Endpoint<Output = Response>,
    W: Service<(Wire<Upgraded>, poem::http::Request<()>)> + Clone + Send + Sync + 'static,
    W::Future: Send,
    W::Error: Debug + Send,
{
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if *request.method() == Method::OPTIONS {
            return Ok(StatusCode::NO_CONTENT.into());
        }
        let sid = session(&request);
        if sid.is_none() && self.hall.is_closing() {
            // Not a refusal in the protocol's terms, after which clients would stay away.
            let answer = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
            return Ok(answer.header(header::RETRY_AFTER, 1).finish());
        }
        let is_websocket = request.headers().get(header::UPGRADE);
        if is_websocket.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            return self.upgrade(request, sid.as_deref());
        }
        if sid.as_ref().is_some_and(|sid| self.hall.cords.is_cut(sid)) {
            let unknown =
                Response::builder().status(StatusCode::BAD_REQUEST).content_type("application/json");
            return Ok(unknown.body(r#"{"code":1,"message":"Session ID unknown"}"#));
        }
        with_data(self.polling.call(request).await?).await
    }
}

impl<P, W> SocketEndpoint<P, W>
where
    W: Service<(Wire<Upgraded>, poem::http::Request<()>)> + Clone + Send + Sync + 'static,
    W::Future: Send,
    W::Error: Debug + Send,
{
    fn upgrade(&self, request: Request, sid: Option<&str>) -> poem::Result<Response> {
        let Some(accept) = request.headers().get("sec-websocket-key").and_then(accept_key) else {
            return Ok(StatusCode::BAD_REQUEST.into());
        };
        let upgrade = request.take_upgrade()?;
        let cord = sid.map_or_else(Cord::loose, |sid| self.hall.cords.of(sid));
        let mut head = poem::http::Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.original_uri().clone(); // session and transport stand in the query
        *head.headers_mut() = request.headers().clone();
        *head.extensions_mut() = request.extensions().clone();
        head.extensions_mut().insert(Attached(Arc::clone(&cord)));
        let (mut websocket, patience) = (self.websocket.clone(), self.hall.config.ping_timeout);
        shared::task::spawn("socket.upgrade", async move {
            // A client that went away meanwhile needs no answer, and one that speaks another protocol gets none.
            if let Ok(stream) = upgrade.await {
                let _ = websocket.call((Wire::new(stream, cord, patience), head)).await;
            }
        });
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let answer = answer.header(header::UPGRADE, "websocket").header(header::CONNECTION, "Upgrade");
        Ok(answer.header(header::SEC_WEBSOCKET_ACCEPT, accept).finish())
    }
}

/// The session that a request names.
fn session(request: &Request) -> Option<String> {
    let query = request.original_uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("sid=")).map(str::to_owned)
}

/// What a server answers to a websocket's key.
fn accept_key(key: &HeaderValue) -> Option<HeaderValue> {
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(WEBSOCKET_GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).ok()
}

/// Gives a refusal in the answer to a poll its data.
async fn with_data(mut response: Response) -> poem::Result<Response> {
    let body = response.take_body().into_bytes().await?;
    match refusal::with_data(&body) {
        Some(rewritten) => response.set_body(rewritten),
        None => response.set_body(body),
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_the_standard_shows() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_key(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
