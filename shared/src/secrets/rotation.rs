//! Seals everything that is stored anew under the current key, while others read and write.
//!
//! Each record is read, its secrets sealed again, and put back where it is still the one that was read; where it is
//! not, it is read again. What is under the current key already is left alone, so that a run that was stopped is
//! simply run again.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{SecretsError, Vault};
use crate::domain::ids::{AccountId, ChannelId, SupportTokenId};
use crate::store::{AccountChannel, Store, StoreError, SupportToken};

/// Records of one read.
const PAGE: i64 = 200;
/// Times that a record is read again after somebody else changed it.
const TRIES: usize = 8;

/// What was done to the records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Records looked at.
    pub seen: u64,
    /// Secrets sealed anew.
    pub sealed: u64,
    /// Records with a secret that does not open: its key is not configured, or it was changed.
    pub unreadable: u64,
    /// Records that were changed by others each time.
    pub overtaken: u64,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    pub channels: Count,
    pub support_tokens: Count,
    /// It came to its end; else it was stopped.
    pub complete: bool,
}

impl Rotation {
    /// Whether everything is under the current key now.
    pub fn is_clean(&self) -> bool {
        let clean = |count: &Count| count.unreadable == 0 && count.overtaken == 0;
        self.complete && clean(&self.channels) && clean(&self.support_tokens)
    }
}

/// Why a rotation ended early.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is no current key.
    #[error(transparent)]
    Key(#[from] SecretsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of one look at a record.
enum Looked {
    /// So many of its secrets were sealed anew; 0 when it needed nothing, or is gone.
    Done(u64),
    Unreadable,
    Overtaken,
}

impl Count {
    fn note(&mut self, looked: &Looked) {
        self.seen += 1;
        match looked {
            Looked::Done(sealed) => self.sealed += sealed,
            Looked::Unreadable => self.unreadable += 1,
            Looked::Overtaken => self.overtaken += 1,
        }
    }
}

/// Seals all stored secrets under the current key, until the end or `stop`; `tell` hears of each page.
///
/// # Errors
/// [`RotationError`]; what was done until then stays.
pub async fn rotate(
    store: &Store,
    vault: &Vault,
    stop: &CancellationToken,
    mut tell: impl FnMut(&Rotation),
) -> Result<Rotation, RotationError> {
    if !vault.can_seal() {
        return Err(SecretsError::NoKey.into());
    }
    let rotator = Rotator { store, vault };
    let mut done = Rotation::default();
    let mut after = String::new();
    while !stop.is_cancelled() {
        let page = store.channels_after(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.key);
        for channel in page {
            done.channels.note(&rotator.channel(channel).await?);
        }
        tell(&done);
    }
    after.clear();
    while !stop.is_cancelled() {
        let page = store.support_tokens_after(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.key);
        for token in page {
            done.support_tokens.note(&rotator.token(token).await?);
        }
        tell(&done);
    }
    done.complete = !stop.is_cancelled();
    Ok(done)
}

struct Rotator<'a> {
    store: &'a Store,
    vault: &'a Vault,
}

impl Rotator<'_> {
    async fn channel(&self, read: AccountChannel) -> Result<Looked, StoreError> {
        let scope = self.store.account(&read.account_id);
        let id = read.channel_id.clone();
        let mut standing = Some(read);
        for _ in 0..TRIES {
            let Some(mut channel) = standing else { return Ok(Looked::Done(0)) };
            let sealed = match self.renew_channel(&mut channel) {
                Ok(0) => return Ok(Looked::Done(0)),
                Ok(sealed) => sealed,
                Err(error) => return Ok(unreadable("channel", &channel.account_id, id.as_str(), error)),
            };
            channel.version += 1;
            if scope.replace_channel(&channel).await? {
                return Ok(Looked::Done(sealed));
            }
            standing = scope.channel(&id).await?;
        }
        Ok(Looked::Overtaken)
    }

    /// Seals what is under an old key; answers how many.
    fn renew_channel(&self, channel: &mut AccountChannel) -> Result<u64, SecretsError> {
        let (account, id): (&AccountId, &ChannelId) = (&channel.account_id, &channel.channel_id);
        let mut count = 0;
        for (field, sealed) in channel.settings.secrets_mut() {
            if let Some(renewed) = self.vault.reseal(AccountChannel::place(account, id, field), sealed)? {
                *sealed = renewed;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn token(&self, read: SupportToken) -> Result<Looked, StoreError> {
        let scope = self.store.account(&read.account_id);
        let id: SupportTokenId = read.token_id.clone();
        let mut standing = Some(read);
        for _ in 0..TRIES {
            let Some(token) = standing else { return Ok(Looked::Done(0)) };
            let (next, sealed) = match self.renewed_token(&token) {
                Ok((_, 0)) => return Ok(Looked::Done(0)),
                Ok(renewed) => renewed,
                Err(error) => return Ok(unreadable("supportToken", &token.account_id, id.as_str(), error)),
            };
            if scope.replace_support_token(&next, &token).await? {
                return Ok(Looked::Done(sealed));
            }
            standing = scope.support_token(&id).await?;
        }
        Ok(Looked::Overtaken)
    }

    /// The token with what was readable or under an old key sealed anew, and how many that were.
    fn renewed_token(&self, token: &SupportToken) -> Result<(SupportToken, u64), SecretsError> {
        let (mut next, mut count) = (token.clone(), 0);
        let previous = next.previous.as_mut().map(|previous| &mut previous.identity_secret);
        for secret in std::iter::once(&mut next.identity_secret).chain(previous) {
            if let Some(renewed) = secret.renewed(self.vault, token.place())? {
                *secret = renewed;
                count += 1;
            }
        }
        Ok((next, count))
    }
}

fn unreadable(kind: &'static str, account: &AccountId, id: &str, error: SecretsError) -> Looked {
    tracing::error!(account.id = %account, record = kind, record.id = id, %error, "left as it is");
    Looked::Unreadable
}
