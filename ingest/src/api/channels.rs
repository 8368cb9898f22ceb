//! `/chat/channels`: the account's own numbers and addresses, set by its admins.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};
use shared::domain::ids::ChannelId;

use super::Tag;
use super::channel_shapes::{AccountChannelOut, AccountChannelsOut, ChannelIn};
use crate::auth::Admin;
use crate::chat::Trace;
use crate::http::{ApiError, Id, StrictJson};
use crate::services::Services;

pub(super) struct ChannelsApi;

#[derive(ApiResponse)]
enum PutOut {
    /// It is new.
    #[oai(status = 201)]
    New(StrictJson<AccountChannelOut>),
    /// It was there and is replaced.
    #[oai(status = 200)]
    Replaced(StrictJson<AccountChannelOut>),
}

#[derive(ApiResponse)]
enum DeletedOut {
    /// It is gone.
    #[oai(status = 204)]
    Deleted,
}

#[OpenApi(tag = "Tag::Channels")]
impl ChannelsApi {
    /// Stores a channel of the account. Admins only.
    ///
    /// What is left out is removed, but secrets: one that is stored already stays. New credentials clear the flag of a
    /// channel whose old ones were refused, and the messages that waited for them are sent. Of several enabled
    /// channels of a kind the one whose id comes first is used.
    #[oai(path = "/chat/channels/:id", method = "put", operation_id = "channels.put")]
    async fn put(
        &self,
        admin: Admin,
        id: Path<Id<ChannelId>>,
        body: StrictJson<ChannelIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<PutOut, ApiError> {
        let stored = services.channels.put(&admin, &trace, &id.0.0, body.0.try_into()?).await?;
        let out = StrictJson(stored.channel.into());
        Ok(if stored.new { PutOut::New(out) } else { PutOut::Replaced(out) })
    }

    /// Shows a channel without its secrets. Admins only.
    #[oai(path = "/chat/channels/:id", method = "get", operation_id = "channels.get")]
    async fn get(
        &self,
        admin: Admin,
        id: Path<Id<ChannelId>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<AccountChannelOut>, ApiError> {
        Ok(StrictJson(services.channels.get(&admin, &id.0.0).await?.into()))
    }

    /// Lists the account's channels in the order of their ids, without their secrets. Admins only.
    #[oai(path = "/chat/channels", method = "get", operation_id = "channels.list")]
    async fn list(
        &self,
        admin: Admin,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<AccountChannelsOut>, ApiError> {
        let channels = services.channels.list(&admin).await?;
        Ok(StrictJson(AccountChannelsOut { channels: channels.into_iter().map(Into::into).collect() }))
    }

    /// Deletes a channel with its secrets. Admins only.
    ///
    /// The account sends by its next channel of the kind, else by that of the installation.
    #[oai(path = "/chat/channels/:id", method = "delete", operation_id = "channels.delete")]
    async fn delete(
        &self,
        admin: Admin,
        id: Path<Id<ChannelId>>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeletedOut, ApiError> {
        services.channels.delete(&admin, &trace, &id.0.0).await?;
        Ok(DeletedOut::Deleted)
    }
}
