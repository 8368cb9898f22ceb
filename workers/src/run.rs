//! `workers run`: an apalis worker per queue, the dispatcher, the admin listener, and a graceful end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use apalis::prelude::*;
use shared::config::Config;
use shared::queue::Queue;
use shared::search::IndexKind;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::backend::{Nack, RedisStreams, StreamConfig, Wakeup};
use crate::catalogue;
use crate::context::{Context, PROJECTION_TIMEOUT};
use crate::dispatcher;
use crate::effect;
use crate::error_classes;
use crate::jobs::EFFECT_MARGIN;
use crate::projection;
use crate::reconcile;
use crate::registry::{Registry, has_effects};

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Queues of this process; all when empty.
    pub queues: Vec<Queue>,
    /// Jobs at once, by queue; the configuration's where absent.
    pub concurrency: BTreeMap<Queue, usize>,
}

/// What a handler needs.
#[derive(Clone)]
struct Shop {
    queue: Queue,
    ctx: Context,
    registry: Arc<Registry>,
    worker: Arc<str>,
}

/// Runs workers until `stop`, then lets running jobs end within the configured grace.
///
/// # Errors
/// When a URL cannot be read, the admin address cannot be bound, or a worker cannot be built.
pub async fn run(config: Arc<Config>, options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let ctx = Context::open(Arc::clone(&config)).await?;
    prepare(&ctx, &stop).await;
    let admin_stop = CancellationToken::new();
    let bound = admin::serve(ctx.clone(), config.workers.listen, admin_stop.clone()).await?;
    let queues = if options.queues.is_empty() { Queue::ALL.to_vec() } else { options.queues.clone() };
    let names: Vec<&str> = queues.iter().map(|q| q.as_str()).collect();
    tracing::info!(listen = %bound, queues = names.join(","), "workers run");
    error_classes::keep_fresh(&ctx, &stop);
    let dispatching =
        shared::task::spawn("dispatcher", dispatcher::run(ctx.clone(), Registry::all(), stop.clone()));
    shared::task::spawn("reconcile", reconcile::run(ctx.clone(), stop.clone()));
    if queues.contains(&Queue::Inbound) {
        shared::task::spawn("templates", catalogue::run(ctx.clone(), stop.clone()));
    }
    if queues.contains(&Queue::Search) {
        shared::task::spawn("search-indices", prepare_search(ctx.clone(), stop.clone()));
    }
    let result = work(&ctx, &queues, &options, stop).await;
    let _ = dispatching.await; // ends with `stop`
    ctx.batcher.close().await;
    admin_stop.cancel();
    result
}

/// Makes the search indices ahead of the first message, tried until they are there: making them takes seconds.
async fn prepare_search(ctx: Context, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ctx.index.ensure().await {
            Ok(made) => return tell_of_empty_indices(&ctx, &made).await,
            Err(error) => tracing::warn!(%error, "elasticsearch is not ready; trying again"),
        }
        let pause = tokio::time::sleep(Duration::from_secs(5));
        tokio::select! { () = pause => {}, () = stop.cancelled() => {} }
    }
}

/// Says what to do where indices were lost: filling them again is begun by a person, who knows how big they are.
async fn tell_of_empty_indices(ctx: &Context, made: &[IndexKind]) {
    match shared::reindex::is_wanted(&ctx.store, made).await {
        Ok(true) => tracing::warn!("the search indices are empty, MongoDB is not; run `workers reindex`"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "whether a reindex is wanted is not known"),
    }
}

/// Indexes of MongoDB, tried until they are there.
async fn prepare(ctx: &Context, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match ctx.store.ensure_indexes().await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "mongodb is not ready; trying again"),
        }
        let pause = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! { () = pause => {}, () = stop.cancelled() => {} }
    }
}

async fn work(
    ctx: &Context,
    queues: &[Queue],
    options: &Options,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let registry = Arc::new(Registry::all());
    let mut monitor =
        Monitor::new().shutdown_timeout(ctx.config.shutdown.grace).should_restart(|_, error| {
            tracing::error!(%error, "a worker ended; starting it again");
            true
        });
    for queue in queues {
        let configured = ctx.config.workers.concurrency.get(queue.as_str()).copied().unwrap_or(1);
        let concurrency = options.concurrency.get(queue).copied().unwrap_or(configured);
        let stream = stream_config(ctx, *queue, concurrency);
        RedisStreams::new(stream.clone()).context("prepare redis")?;
        monitor = register(monitor, stream, ctx, &registry, *queue, concurrency);
    }
    let signal = async move {
        stop.cancelled().await;
        Ok::<(), std::io::Error>(())
    };
    monitor.run_with_signal(signal).await.context("run workers")
}

fn stream_config(ctx: &Context, queue: Queue, concurrency: usize) -> StreamConfig {
    let redis = &ctx.config.redis;
    let mut config = StreamConfig::new(redis.url.expose(), &*redis.prefix, queue);
    config.cap = redis.stream_cap;
    // Projections are gathered into batches, for which enough must be at hand; a waiting effect is better taken by
    // another process than held here.
    config.prefetch = if has_effects(queue) { concurrency.clamp(2, 64) } else { concurrency.max(2) };
    config
}

fn register(
    monitor: Monitor,
    stream: StreamConfig,
    ctx: &Context,
    registry: &Arc<Registry>,
    queue: Queue,
    concurrency: usize,
) -> Monitor {
    let (ctx, registry) = (ctx.clone(), Arc::clone(registry));
    let limit =
        if has_effects(queue) { ctx.config.delivery.timeout + EFFECT_MARGIN } else { PROJECTION_TIMEOUT * 2 };
    monitor.register(move |restart| {
        let name = format!("{queue}-{}-{restart}", ctx.process);
        let shop = Shop {
            queue,
            ctx: ctx.clone(),
            registry: Arc::clone(&registry),
            worker: Arc::from(name.as_str()),
        };
        let builder = WorkerBuilder::new(name)
            .backend(RedisStreams::new(stream.clone()).expect("the same settings were taken at start"))
            .data(shop)
            .parallelize(|job| shared::task::spawn("job", job))
            .concurrency(concurrency)
            .timeout(limit)
            .catch_panic();
        builder.build(handle)
    })
}

async fn handle(wakeup: Wakeup, shop: Data<Shop>) -> Result<(), BoxDynError> {
    let result: Result<(), BoxDynError> = if has_effects(shop.queue) {
        effect::handle(&shop.ctx, &shop.registry, &wakeup, &shop.worker).await.map_err(Into::into)
    } else {
        projection::handle(&shop.ctx, &shop.registry, &wakeup).await.map_err(Into::into)
    };
    result.map_err(|error| {
        tracing::warn!(%error, job.id = %wakeup.job_id, "the ledger cannot be reached");
        Nack::new(error).into()
    })
}
