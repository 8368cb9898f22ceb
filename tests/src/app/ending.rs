//! The end of a [`TestApp`]: nothing of it is left on the servers, and what went wrong unseen fails the test.

use std::sync::atomic::Ordering;
use std::thread;

use mongodb::bson::{Document, doc};
use shared::config::Config;
use shared::queue::{Queue, dead_key, marker_key, stream_key};
use shared::search::SearchIndex;
use shared::store::Store;

use super::TestApp;

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop.cancel();
            workers.ended.abort();
        }
        let (config, searched) = ((*self.config).clone(), self.queues.contains(&Queue::Search));
        // The test's own runtime is busy or ending.
        let cleaned = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(clean(&config, searched))
        });
        let dead = cleaned.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the cleaning panicked")));
        if thread::panicking() {
            return;
        }
        let expected = self.dead_expected.load(Ordering::Relaxed);
        let dead = dead.expect("the servers can be cleaned");
        assert!(dead.len() == expected, "{expected} dead jobs expected, these are left: {dead:#?}");
        let logged = self.watch.found();
        assert!(logged.is_empty(), "logged what must not be: {logged:#?}");
    }
}

/// Deletes what the app wrote into Redis and Elasticsearch, and tells which jobs are dead.
async fn clean(config: &Config, searched: bool) -> anyhow::Result<Vec<String>> {
    use futures::TryStreamExt as _;
    if searched {
        SearchIndex::new(config.elasticsearch.url.expose(), &config.elasticsearch.prefix)?.drop_all().await?;
    }
    forget_redis(config).await?;
    let store = Store::connect(&config.mongodb).await?;
    let dead = store.raw().collection::<Document>("jobs").find(doc! { "state": "dead" }).await?;
    let dead: Vec<Document> = dead.try_collect().await?;
    Ok(dead.iter().map(ToString::to_string).collect())
}

/// Deletes every key of ours.
pub(super) async fn forget_redis(config: &Config) -> anyhow::Result<()> {
    let client = redis::Client::open(config.redis.url.expose())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let prefix = &config.redis.prefix;
    let streams: Vec<String> = Queue::ALL.iter().map(|queue| stream_key(prefix, *queue)).collect();
    let dead = streams.iter().map(|stream| dead_key(stream));
    let keys: Vec<String> = dead.chain([marker_key(prefix)]).chain(streams.iter().cloned()).collect();
    let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut connection).await?;
    Ok(())
}
