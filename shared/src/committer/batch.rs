//! Members that were committed before: recognised by message id, external id or idempotency key.

use std::collections::HashMap;

use super::{Inner, Member, PostError, Posted};
use crate::domain::actor::Roles;
use crate::domain::message::Message;
use crate::domain::post::post;
use crate::domain::time::Time;
use crate::store::{IdempotencyRow, StoreError};

/// What stands under the ids that members use.
#[derive(Default)]
struct Found {
    messages: HashMap<String, Message>,
    external: HashMap<(String, String), Message>,
    keys: HashMap<String, IdempotencyRow>,
}

impl Inner {
    /// Answers the members that are repeats or conflicts and returns the others.
    ///
    /// `all_ids` looks at every message id; otherwise only at those that clients chose.
    pub(super) async fn without_repeats(
        &self,
        members: Vec<Member>,
        all_ids: bool,
    ) -> Result<Vec<Member>, (Vec<Member>, StoreError)> {
        let found = match self.patiently(self.find_repeats(&members, all_ids)).await {
            Ok(found) => found,
            Err(error) => return Err((members, error)),
        };
        let mut new = Vec::with_capacity(members.len());
        for mut member in members {
            match self.patiently(self.judge(&member, &found)).await {
                Ok(Some(answer)) => member.answer(answer),
                Ok(None) => new.push(member),
                Err(error) => member.answer(Err(PostError::from(&error))),
            }
        }
        Ok(new)
    }

    async fn find_repeats(&self, members: &[Member], all_ids: bool) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let ids: Vec<&str> =
            members.iter().filter(|m| all_ids || m.client_id).map(|m| m.message_key.as_str()).collect();
        for message in self.store.messages_by_key(&ids).await? {
            found.messages.insert(message.key.clone(), message);
        }
        for member in members {
            let scope = self.store.account(&member.post.actor.account);
            if let Some(id) = &member.post.draft.external_message_id {
                let source = member.post.draft.source.clone().unwrap_or_default();
                if let Some(message) = scope.message_by_external_id(&source, id).await? {
                    found.external.insert((source.into(), id.clone()), message);
                }
            }
            if let Some(key) = &member.post.idempotency
                && let Some(row) = scope.idempotency(key).await?
            {
                found.keys.insert(key.scope.clone(), row);
            }
        }
        Ok(found)
    }

    async fn judge(
        &self,
        member: &Member,
        found: &Found,
    ) -> Result<Option<Result<Posted, PostError>>, StoreError> {
        let same = found.messages.get(&member.message_key);
        if let Some(message) = same.filter(|message| member.in_doubt && member.is_repeated_by(message)) {
            self.announce_found(message);
            return Ok(Some(Ok(Posted::New(message.clone()))));
        }
        if let Some(key) = &member.post.idempotency
            && let Some(row) = found.keys.get(&key.scope)
        {
            return self.judge_key(member, &key.content_hash, row).await.map(Some);
        }
        if let Some(message) = same {
            return self.judge_same(member, message).await.map(Some);
        }
        if let Some(id) = &member.post.draft.external_message_id {
            let source = member.post.draft.source.clone().unwrap_or_default();
            if let Some(message) = found.external.get(&(source.into(), id.clone())) {
                return self.judge_external(member, message).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn judge_key(
        &self,
        member: &Member,
        content_hash: &str,
        row: &IdempotencyRow,
    ) -> Result<Result<Posted, PostError>, StoreError> {
        if row.content_hash != content_hash {
            return Ok(Err(PostError::IdempotencyConflict));
        }
        let scope = self.store.account(&member.post.actor.account);
        let key = crate::domain::ids::key(scope.account(), &row.resource_id);
        Ok(match scope.message_by_key(&key).await? {
            Some(message) => Ok(Posted::Replayed { message, status: row.status as u16 }),
            None => Err(PostError::Internal),
        })
    }

    /// The id is taken: by the same author with the same content, or by something else. Only somebody who may
    /// write here is told of a conflict.
    async fn judge_same(
        &self,
        member: &Member,
        message: &Message,
    ) -> Result<Result<Posted, PostError>, StoreError> {
        if !member.is_repeated_by(message) {
            return Ok(Err(self.refusal(member).await?.unwrap_or(PostError::Conflict)));
        }
        let ours = member.in_doubt || !member.client_id;
        let message = message.clone();
        Ok(Ok(if ours { Posted::New(message) } else { Posted::Replayed { message, status: 200 } }))
    }

    /// The external id is taken: the message is shown again to those who might have posted it here.
    async fn judge_external(
        &self,
        member: &Member,
        message: &Message,
    ) -> Result<Result<Posted, PostError>, StoreError> {
        if let Some(refusal) = self.refusal(member).await? {
            return Ok(Err(refusal));
        }
        Ok(if message.thread == member.thread_key {
            Ok(Posted::Replayed { message: message.clone(), status: 200 })
        } else {
            Err(PostError::Conflict)
        })
    }

    /// Why the post would be refused if its ids were free.
    async fn refusal(&self, member: &Member) -> Result<Option<PostError>, StoreError> {
        let threads = self.threads(std::slice::from_ref(member), false).await?;
        let Some(thread) = threads.get(&member.thread_key) else {
            return Ok(Some(PostError::ThreadNotFound));
        };
        let draft = member.post.draft.clone();
        let decision = post(thread, &Roles::default(), draft, &member.post.actor, Time::now());
        Ok(decision.err().map(PostError::from))
    }
}

impl Member {
    /// Whether `message`, which has the member's id, is what the member posts.
    fn is_repeated_by(&self, message: &Message) -> bool {
        let author = self.author();
        let hash = self.post.draft.content_hash(&self.thread_key, author);
        message.author_id == *author && message.content_hash == hash
    }
}
