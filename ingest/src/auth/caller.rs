//! The permission values that handlers take: [`Caller`] for `/chat`, [`Staff`] for the agents' side of the support
//! desk, [`Admin`] for what only admins set, [`Operator`] for `/ops`. A handler that has one knows that its token is
//! valid and its role is let in.

use std::ops::Deref;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use shared::domain::actor::{Actor, Role};

use super::{AuthError, Identity};
use crate::http::{ApiError, Code};

/// The name of the scheme in the OpenAPI document.
const SCHEME: &str = "bearer";

/// The outcome of looking at a request's token, left in the request before it is routed.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// No `Authorization: Bearer` header.
    Absent,
    /// A valid token.
    Valid(Identity),
    /// A token that is not accepted.
    Refused(AuthError),
}

/// A user, guest or service of an account; operators are refused with 403.
#[derive(Debug, Clone)]
pub struct Caller(Identity);

/// An operator of the installation, or an admin for its own account; others are refused with 403.
#[derive(Debug, Clone)]
pub struct Operator(Identity);

/// An agent, admin or service of an account; guests and operators are refused with 403.
#[derive(Debug, Clone)]
pub struct Staff(Identity);

/// An admin of an account; others are refused with 403.
#[derive(Debug, Clone)]
pub struct Admin(Identity);

impl Caller {
    /// The display name of the token.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The actor, for the domain.
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    fn admit(identity: Identity) -> Result<Self, ApiError> {
        match identity.actor.role {
            Role::Operator => Err(ApiError::new(Code::Forbidden, "operators have no part in conversations")),
            _ => Ok(Self(identity)),
        }
    }
}

impl Operator {
    /// The actor, for the domain.
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// Whether every account may be seen; otherwise only the actor's own.
    pub fn sees_every_account(&self) -> bool {
        self.0.actor.role == Role::Operator
    }

    fn admit(identity: Identity) -> Result<Self, ApiError> {
        match identity.actor.role {
            Role::Operator | Role::Admin => Ok(Self(identity)),
            _ => Err(ApiError::new(Code::Forbidden, "this is for operators and admins")),
        }
    }
}

impl Staff {
    fn admit(identity: Identity) -> Result<Self, ApiError> {
        match identity.actor.role.is_staff() {
            true => Ok(Self(identity)),
            false => Err(ApiError::new(Code::Forbidden, "this is for agents, admins and services")),
        }
    }
}

impl Admin {
    fn admit(identity: Identity) -> Result<Self, ApiError> {
        match identity.actor.role {
            Role::Admin => Ok(Self(identity)),
            _ => Err(ApiError::new(Code::Forbidden, "this is for admins of the account")),
        }
    }
}

fn identity(request: &Request) -> Result<Identity, ApiError> {
    match request.data::<Credentials>() {
        Some(Credentials::Valid(identity)) => Ok(identity.clone()),
        Some(Credentials::Refused(error)) => Err(ApiError::refused_token(*error)),
        Some(Credentials::Absent) | None => Err(ApiError::unauthenticated()),
    }
}

macro_rules! bearer_extractor {
    ($type:ty) => {
        impl Deref for $type {
            type Target = Actor;

            fn deref(&self) -> &Actor {
                &self.0.actor
            }
        }

        impl<'a> ApiExtractor<'a> for $type {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                registry.create_security_scheme(SCHEME, scheme());
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![SCHEME]
            }

            async fn from_request(
                request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok(Self::admit(identity(request)?)?)
            }
        }
    };
}

bearer_extractor!(Caller);
bearer_extractor!(Operator);
bearer_extractor!(Staff);
bearer_extractor!(Admin);

fn scheme() -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some(
            "A JWT signed with HS256, RS256, ES256 or EdDSA. Claims: `iss`, `aud`, `exp`, `sub` (the user), \
             `account_id`, `role` (agent, admin, guest, service, operator), optional `conversation: {id}` and `name`.",
        ),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: Some("JWT"),
        flows: None,
        openid_connect_url: None,
    }
}
