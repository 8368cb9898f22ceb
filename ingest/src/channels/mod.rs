//! What the endpoints of `/chat/channels` do: an account's own numbers and addresses, set by its admins.
//!
//! Secrets come in and never go out. A change of credentials clears the channel's flag and lets the account's messages
//! go on that wait for it.

mod put;

use std::time::Duration;

use mongodb::bson::doc;
use shared::channels::ChannelBook;
use shared::domain::Time;
use shared::domain::actor::Actor;
use shared::domain::delivery::Reason;
use shared::domain::ids::{ChannelId, key};
use shared::secrets::Vault;
use shared::store::{AccountChannel, Added, Scope, StoreError};

use crate::chat::{Attempted, Chat, Trace};
use crate::http::{ApiError, Code};

pub(crate) use put::{ChannelPut, EmailPut, GuestPut, SettingsPut, SmsPut, WhatsappPut};

/// Times that a change is tried again after another was faster.
const TRIES: usize = 4;
/// Steps of a release within the request; what is more goes on behind it.
const STEPS_AT_ONCE: usize = 4;
/// After which other processes know of a change, and what they parked until then is released too.
const KNOWN_EVERYWHERE: Duration = Duration::from_secs(5);
/// Why messages wait that new credentials may let go.
const REPAIRED: [Reason; 2] = [Reason::NeedsOperator, Reason::ChannelDisabled];

/// The channels of accounts.
#[derive(Clone)]
pub(crate) struct Channels {
    chat: Chat,
    book: ChannelBook,
    vault: Vault,
}

/// A channel as it is stored now.
pub(crate) struct Stored {
    pub(crate) channel: AccountChannel,
    pub(crate) new: bool,
    /// What signs in is another than before, or is used again.
    renewed: bool,
}

impl Channels {
    /// The channels behind `chat`, which `book` reads.
    pub(crate) fn new(chat: &Chat, book: &ChannelBook, vault: &Vault) -> Self {
        Self { chat: chat.clone(), book: book.clone(), vault: vault.clone() }
    }

    /// Stores channel `id`.
    pub(crate) async fn put(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ChannelId,
        put: ChannelPut,
    ) -> Result<Stored, ApiError> {
        let about = doc! { "kind": put.settings.kind(), "enabled": put.enabled };
        let result = self.try_put(actor, id, &put).await;
        let attempted = Attempted::new("channel.put", "channel", id.as_str()).with(about);
        let stored = self.chat.witnessed(result, actor, trace, attempted).await?;
        if stored.renewed && stored.channel.enabled {
            self.release(&stored.channel).await?;
        }
        Ok(stored)
    }

    async fn try_put(&self, actor: &Actor, id: &ChannelId, put: &ChannelPut) -> Result<Stored, ApiError> {
        put.check(self.chat.allow_private)?;
        let scope = self.scope(actor);
        for _ in 0..TRIES {
            let before = scope.channel(id).await?;
            let stored = self.next(actor, id, put, before.as_ref())?;
            if store(&scope, &stored).await? {
                self.book.forget();
                return Ok(stored);
            }
        }
        Err(ApiError::new(Code::Conflict, "the channel is being changed by somebody else"))
    }

    /// The channel after `put`.
    fn next(
        &self,
        actor: &Actor,
        id: &ChannelId,
        put: &ChannelPut,
        before: Option<&AccountChannel>,
    ) -> Result<Stored, ApiError> {
        let account = &actor.account;
        let settings =
            put.settings.sealed(&self.vault, account, id, before.map(|before| &before.settings))?;
        let (now, version) = (Time::now(), before.map_or(1, |before| before.version + 1));
        let same = before.filter(|before| before.settings.signs_in_as(&settings));
        let renewed = same.is_none_or(|before| put.enabled && !before.enabled);
        let channel = AccountChannel {
            key: key(account, id),
            account_id: account.clone(),
            channel_id: id.clone(),
            enabled: put.enabled,
            unknown_policy: put.unknown_policy,
            flag: same.filter(|_| !renewed).and_then(|before| before.flag.clone()),
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
            version,
            credentials: same.filter(|_| !renewed).map_or(version, |before| before.credentials),
            settings,
        };
        Ok(Stored { channel, new: before.is_none(), renewed })
    }

    /// Channel `id`.
    pub(crate) async fn get(&self, actor: &Actor, id: &ChannelId) -> Result<AccountChannel, ApiError> {
        self.scope(actor).channel(id).await?.ok_or_else(unknown)
    }

    /// The account's channels in the order of their ids.
    pub(crate) async fn list(&self, actor: &Actor) -> Result<Vec<AccountChannel>, ApiError> {
        Ok(self.scope(actor).channels().await?)
    }

    /// Deletes channel `id`: the account sends by its next one, or by the default.
    pub(crate) async fn delete(&self, actor: &Actor, trace: &Trace, id: &ChannelId) -> Result<(), ApiError> {
        let result = match self.scope(actor).delete_channel(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(unknown()),
            Err(error) => Err(error.into()),
        };
        self.book.forget();
        let attempted = Attempted::new("channel.delete", "channel", id.as_str());
        self.chat.witnessed(result, actor, trace, attempted).await
    }

    /// Lets the messages go on that wait for `channel`, now and once more when every process knows of the change: one
    /// may park a message by what it read before.
    async fn release(&self, channel: &AccountChannel) -> Result<(), ApiError> {
        let rest = release_some(&self.chat, channel, STEPS_AT_ONCE, String::new()).await?;
        let (chat, channel) = (self.chat.clone(), channel.clone());
        shared::task::spawn("channels.release", async move {
            if let Err(error) = release_rest(&chat, &channel, rest).await {
                tracing::warn!(%error, "messages may wait for the next change of a channel");
            }
        });
        Ok(())
    }

    fn scope(&self, actor: &Actor) -> Scope {
        self.chat.store.account(&actor.account)
    }
}

/// Whether it stood as it was read, and is stored now.
async fn store(scope: &Scope, stored: &Stored) -> Result<bool, ApiError> {
    if !stored.new {
        return Ok(scope.replace_channel(&stored.channel).await?);
    }
    match scope.add_channel(&stored.channel).await? {
        Added::Yes => Ok(true),
        Added::Exists => Ok(false),
        Added::TooMany => Err(ApiError::unprocessable("an account has at most 50 channels")),
    }
}

/// Releases what is left after `rest`, and later what was parked meanwhile, unless the new credentials were refused as
/// well.
async fn release_rest(chat: &Chat, channel: &AccountChannel, rest: Option<String>) -> Result<(), StoreError> {
    if let Some(rest) = rest {
        release_some(chat, channel, usize::MAX, rest).await?;
    }
    tokio::time::sleep(KNOWN_EVERYWHERE).await;
    let stored = chat.store.account(&channel.account_id).channel(&channel.channel_id).await?;
    let good = |now: &AccountChannel| now.credentials == channel.credentials && now.flag.is_none();
    if stored.as_ref().is_some_and(good) {
        release_some(chat, channel, usize::MAX, String::new()).await?;
    }
    Ok(())
}

/// Releases up to `steps` steps after the job `after`; answers after which one there may be more.
async fn release_some(
    chat: &Chat,
    channel: &AccountChannel,
    steps: usize,
    mut after: String,
) -> Result<Option<String>, StoreError> {
    let (account, kind) = (&channel.account_id, channel.settings.kind());
    for _ in 0..steps {
        let Some(step) = chat.ledger.release_parked(account, kind, &REPAIRED, &after).await? else {
            return Ok(None);
        };
        metrics::counter!("jobs_released_total", "cause" => "channel").increment(step.jobs);
        after = step.last;
    }
    Ok(Some(after))
}

fn unknown() -> ApiError {
    ApiError::not_found("channel")
}
