//! What handlers work with, made once at start and shared: `Data<&Arc<Services>>`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use shared::channels::ChannelBook;
use shared::committer::{Committer, Directory, Pusher};
use shared::config::Config;
use shared::ledger::Ledger;
use shared::live::LivePublisher;
use shared::mail::Unsubscribe;
use shared::queue::Wakeups;
use shared::search::SearchIndex;
use shared::secrets::Vault;
use shared::store::Store;

use crate::auth::Authenticator;
use crate::channels::Channels;
use crate::chat::{Chat, IndexLag};
use crate::desk::Desk;
use crate::events::Events;
use crate::http::Health;

/// Pause between tries to make the indexes.
const INDEX_PAUSE: Duration = Duration::from_secs(1);

/// The doors that handlers use.
pub struct Services {
    /// The configuration of this process.
    pub config: Arc<Config>,
    /// MongoDB.
    pub store: Store,
    /// What the endpoints of `/chat` do.
    pub(crate) chat: Chat,
    /// What the endpoints of the support desk do.
    pub(crate) desk: Desk,
    /// What the endpoints of channels do.
    pub(crate) channels: Channels,
    /// Takes provider events in.
    pub(crate) events: Events,
    /// Reads the links by which people end the e-mails to them.
    pub(crate) unsubscribe: Unsubscribe,
    /// Verifies tokens.
    pub auth: Arc<Authenticator>,
    /// Tells live sockets what happened.
    pub live: LivePublisher,
    /// The dependencies, for `/readyz`.
    pub health: Arc<Health>,
}

impl Services {
    /// Prepares every door; no server need be there yet. What happens is told by `live`.
    ///
    /// # Errors
    /// When a door cannot be prepared: an unreadable URI or key file.
    pub async fn start(config: Config, live: LivePublisher) -> anyhow::Result<Arc<Self>> {
        let store = Store::connect(&config.mongodb).await.context("prepare mongodb")?;
        let auth = Authenticator::start(&config.auth).await.context("prepare authentication")?;
        let redis = &config.redis;
        let wakeups =
            Wakeups::new(redis.url.expose(), &redis.prefix, redis.stream_cap).context("prepare redis")?;
        let elastic = &config.elasticsearch;
        let search =
            SearchIndex::new(elastic.url.expose(), &elastic.prefix).context("prepare elasticsearch")?;
        let indexed = Arc::new(AtomicBool::new(false));
        let health = Arc::new(Self::health(&store, &wakeups, &search, &indexed));
        let pusher = Pusher::start(wakeups, config.dispatcher.account_share);
        let directory = Directory::new(&store);
        let push_grace = config.dispatcher.push_grace;
        let ledger = Ledger::new(&store, config.jobs.lease);
        let book = ChannelBook::open(&config, &store);
        let chat = Chat {
            store: store.clone(),
            lag: IndexLag::new(&ledger),
            ledger,
            search,
            committer: Committer::new(&store, &directory, &pusher, &live, &config.commit, push_grace)
                .mailing_after(config.smtp.is_some().then_some(config.email.delay)),
            directory,
            pusher: pusher.clone(),
            live: live.clone(),
            channels: book.clone(),
            push_grace,
            allow_private: config.net.allow_private,
        };
        let vault = Vault::new(&config.keys);
        let desk = Desk::new(&chat, &config.desk, &vault);
        prepare_indexes(&store, &indexed);
        let unsubscribe = Unsubscribe::new(&config);
        let config = Arc::new(config);
        let channels = Channels::new(&chat, &book, &vault);
        let events = Events { config: Arc::clone(&config), store: store.clone(), pusher, channels: book };
        Ok(Arc::new(Self { config, store, chat, desk, channels, events, unsubscribe, auth, live, health }))
    }

    fn health(store: &Store, wakeups: &Wakeups, search: &SearchIndex, indexed: &Arc<AtomicBool>) -> Health {
        let indexed = Arc::clone(indexed);
        let (store, wakeups, search) = (store.clone(), wakeups.clone(), search.clone());
        let health = Health::default().with("mongodb", true, move || {
            let store = store.clone();
            async move { Ok(store.check_writable().await?) }
        });
        let health = health.with("indexes", true, move || {
            let there = indexed.load(Ordering::Acquire);
            async move { if there { Ok(()) } else { anyhow::bail!("the indexes are not made yet") } }
        });
        let health = health.with("redis", false, move || {
            let wakeups = wakeups.clone();
            async move { Ok(wakeups.ping().await?) }
        });
        health.with("elasticsearch", false, move || {
            let search = search.clone();
            async move { search.health().await.map(drop).map_err(Into::into) }
        })
    }
}

/// Makes MongoDB's indexes, tried until they are there; not ready before.
fn prepare_indexes(store: &Store, indexed: &Arc<AtomicBool>) {
    let (store, indexed) = (store.clone(), Arc::clone(indexed));
    shared::task::spawn("indexes", async move {
        while let Err(error) = store.ensure_indexes().await {
            tracing::warn!(%error, "mongodb is not ready; trying again");
            tokio::time::sleep(INDEX_PAUSE).await;
        }
        indexed.store(true, Ordering::Release);
    });
}
