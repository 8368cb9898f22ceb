//! Reads a request's body before its handler runs, up to a limit and a time; no `Content-Length` is needed.

use std::time::Duration;

use poem::Request;
use poem::http::{StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::error::{ApiError, Code};

/// Largest body of a request, in bytes.
pub(super) const BODY_MAX: usize = 1024 * 1024;

/// Largest body of a webhook, in bytes: Meta's batches reach 3 MB.
pub(super) const WEBHOOK_MAX: usize = 4 * 1024 * 1024;

/// How long a body may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// How much of a body that is too large is read and thrown away, so that the client gets to see the answer
/// instead of a reset connection, and for how long.
const DRAIN_MAX: u64 = 8 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Replaces the body of `request` by its bytes.
///
/// # Errors
/// 413 when it is larger than `max`, 408 when it does not arrive in time, 400 when it breaks off.
pub(super) async fn buffer(request: &mut Request, max: usize) -> Result<(), ApiError> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let body = request.take_body();
    if body.is_empty() {
        return Ok(());
    }
    let mut reader = body.into_async_read();
    let too_large =
        || ApiError::new(Code::PayloadTooLarge, format!("the body is larger than {} KiB", max / 1024));
    if declared.is_some_and(|length| length > max as u64) {
        drain(reader).await;
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(declared.map_or(0, |length| length as usize));
    let mut limited = (&mut reader).take(max as u64 + 1);
    let read = tokio::time::timeout(ARRIVAL_MAX, limited.read_to_end(&mut bytes)).await;
    match read {
        Err(_) => {
            let late = ApiError::new(Code::InvalidRequest, "the body did not arrive in time");
            Err(late.with_status(StatusCode::REQUEST_TIMEOUT))
        }
        Ok(Err(_)) => Err(ApiError::new(Code::InvalidRequest, "the body broke off")),
        Ok(Ok(_)) if bytes.len() > max => {
            drain(reader).await;
            Err(too_large())
        }
        Ok(Ok(_)) => {
            request.set_body(bytes);
            Ok(())
        }
    }
}

async fn drain(reader: impl AsyncRead + Unpin) {
    let (mut rest, mut nowhere) = (reader.take(DRAIN_MAX), tokio::io::sink());
    let discarded = tokio::io::copy(&mut rest, &mut nowhere);
    // Whatever comes of it, the answer is the same.
    let _ = tokio::time::timeout(DRAIN_TIME, discarded).await;
}
