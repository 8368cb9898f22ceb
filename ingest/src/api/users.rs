//! `/chat/users/{uid}`: names, avatars, addresses and roles.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use shared::domain::actor::Role;
use shared::domain::ids::Uid;
use shared::domain::time::rfc3339;
use shared::store::User;

use super::Tag;
use crate::auth::Caller;
use crate::chat::{Trace, UserPut};
use crate::http::{ApiError, Id, StrictJson};
use crate::services::Services;

pub(super) struct UsersApi;

/// What a user is in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum RoleIn {
    /// A host or support agent.
    Agent,
    /// An agent who administers the account.
    Admin,
    /// A guest.
    Guest,
    /// A program.
    Service,
}

impl From<RoleIn> for Role {
    fn from(role: RoleIn) -> Self {
        match role {
            RoleIn::Agent => Role::Agent,
            RoleIn::Admin => Role::Admin,
            RoleIn::Guest => Role::Guest,
            RoleIn::Service => Role::Service,
        }
    }
}

/// A user.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct UserIn {
    #[oai(validator(min_length = 1, max_length = 256))]
    name: String,
    #[oai(validator(max_length = 2048))]
    avatar_url: Option<String>,
    #[oai(validator(max_length = 254))]
    email: Option<String>,
    /// As it was when left out; a token of the user says it too.
    role: Option<RoleIn>,
}

/// A user as it is stored.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct UserOut {
    uid: String,
    name: Option<String>,
    avatar_url: Option<String>,
    /// Not for guests.
    email: Option<String>,
    role: Option<String>,
    updated_at: String,
}

impl UserOut {
    fn of(user: User, for_guest: bool) -> Self {
        Self {
            uid: user.uid.to_string(),
            name: user.name,
            avatar_url: user.avatar_url,
            email: user.email.filter(|_| !for_guest),
            role: user.role.filter(|_| !for_guest).map(|role| role.as_str().to_owned()),
            updated_at: rfc3339(user.updated_at),
        }
    }
}

#[derive(ApiResponse)]
enum PutOut {
    /// It is new.
    #[oai(status = 201)]
    New(StrictJson<UserOut>),
    /// It was there and is replaced.
    #[oai(status = 200)]
    Replaced(StrictJson<UserOut>),
}

#[OpenApi(tag = "Tag::Users")]
impl UsersApi {
    /// Stores a user. Services and admins.
    #[oai(path = "/chat/users/:uid", method = "put", operation_id = "users.put")]
    async fn put(
        &self,
        caller: Caller,
        uid: Path<Id<Uid>>,
        body: StrictJson<UserIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<PutOut, ApiError> {
        let put = UserPut {
            name: body.0.name,
            avatar_url: body.0.avatar_url,
            email: body.0.email,
            role: body.0.role.map(Into::into),
        };
        let (user, new) = services.chat.put_user(&caller, &trace, &uid.0.0, put).await?;
        let out = StrictJson(UserOut::of(user, false));
        Ok(if new { PutOut::New(out) } else { PutOut::Replaced(out) })
    }

    /// Shows a user. Guests see themselves and the people of their threads.
    #[oai(path = "/chat/users/:uid", method = "get", operation_id = "users.get")]
    async fn get(
        &self,
        caller: Caller,
        uid: Path<Id<Uid>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<UserOut>, ApiError> {
        let user = services.chat.user(&caller, &uid.0.0).await?;
        Ok(StrictJson(UserOut::of(user, caller.role == Role::Guest)))
    }
}
