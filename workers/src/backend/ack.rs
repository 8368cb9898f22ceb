//! The layer around all others that acknowledges an entry once its handler has ended.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use futures::FutureExt;
use futures::future::BoxFuture;
use tower::{Layer, Service};

use super::Wakeup;
use super::held::Held;

/// The handler could not even record its failure: leave the entry pending, so that it is delivered again after
/// `min_idle`. For any other error the entry is acknowledged.
#[derive(Debug, thiserror::Error)]
#[error("not acknowledged: {0}")]
pub struct Nack(#[source] BoxDynError);

impl Nack {
    /// Because of `cause`.
    pub fn new(cause: impl Into<BoxDynError>) -> Self {
        Self(cause.into())
    }

    /// Whether `error` is one or was caused by one; layers may have wrapped it.
    fn is_in(error: &BoxDynError) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = Some(error.as_ref());
        while let Some(error) = next {
            if error.is::<Nack>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// The middleware of [`RedisStreams`](super::RedisStreams); apalis puts it around all layers of the worker, so that
/// it sees the final result, after retries, timeouts and caught panics.
#[derive(Clone)]
pub struct AckLayer {
    pub(super) held: Arc<Held>,
}

impl<S> Layer<S> for AckLayer {
    type Service = AckService<S>;

    fn layer(&self, inner: S) -> AckService<S> {
        AckService { inner, held: self.held.clone() }
    }
}

/// See [`AckLayer`].
#[derive(Clone)]
pub struct AckService<S> {
    inner: S,
    held: Arc<Held>,
}

impl<S> Service<Task<Wakeup>> for AckService<S>
where
    S: Service<Task<Wakeup>>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<S::Response, BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Wakeup>) -> Self::Future {
        let entry_id = task.task_id().map(ToString::to_string).unwrap_or_default();
        let held = self.held.clone();
        let handled = self.inner.call(task);
        async move {
            let result = handled.await.map_err(Into::into);
            match &result {
                Err(error) if Nack::is_in(error) => held.remove([entry_id.as_str()]),
                _ => held.finish(&entry_id),
            }
            result
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use apalis_core::error::AbortError;

    use super::*;

    #[test]
    fn a_nack_is_found_under_what_layers_wrap_around_it() {
        assert!(Nack::is_in(&Nack::new("the ledger is away").into()));
        assert!(Nack::is_in(&AbortError::new(Nack::new("the ledger is away")).into()));
        assert!(!Nack::is_in(&"anything else".into()));
    }
}
