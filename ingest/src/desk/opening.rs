//! Opening a session: a new conversation, the one that the visitor has, or the one of its verified identity.

use shared::domain::Time;
use shared::domain::actor::Role;
use shared::domain::ids::{ThreadId, Uid, key};
use shared::domain::thread::Thread;
use shared::secrets::Vault;
use shared::store::{Customer, SupportSession, VerifiedIdentity};

use super::Desk;
use super::sessions::ValidToken;
use crate::chat::{Trace, check_email};
use crate::http::{ApiError, Code};

/// Times that an identity is looked for again after another device was faster.
const TRIES: usize = 4;

/// Longest name, in characters; the rest is cut off.
const NAME_CHARS_MAX: usize = 256;

/// A request for a session. Not to be printed: it holds secrets and personal data.
pub(crate) struct Opening {
    pub(crate) support_token: String,
    pub(crate) device_id: String,
    pub(crate) support_session: Option<String>,
    pub(crate) identity: Option<IdentityClaim>,
    pub(crate) origin: Option<String>,
}

/// Who the visitor is said to be, signed by the account's own servers.
pub(crate) struct IdentityClaim {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    /// Hex of HMAC-SHA256(identity secret, id).
    pub(crate) signature: String,
}

/// A session that is open. Not to be printed.
pub(crate) struct Opened {
    pub(crate) support_session: String,
    pub(crate) conversation_id: Uid,
    pub(crate) room_id: ThreadId,
    pub(crate) expires_at: Time,
}

/// The session that the visitor has, with its secret.
type Current = Option<(String, SupportSession)>;

impl Desk {
    /// Opens or renews a session; its room and conversation are there when it returns.
    pub(crate) async fn open(&self, trace: &Trace, opening: Opening) -> Result<Opened, ApiError> {
        let valid = self.token(&opening.support_token, opening.origin.as_deref()).await?;
        let device = opening.device_id.as_str();
        let identity = opening.identity.map(|claim| verified(&self.vault, &valid, claim)).transpose()?;
        let current = match opening.support_session {
            Some(secret) => {
                let session = self.session(&valid, &secret, device, trace).await?;
                Some((secret, session))
            }
            None => None,
        };
        match (identity, current) {
            (None, Some(current)) => self.renewed(current).await,
            (None, None) => {
                let opened = self.start(&valid, None, device, trace).await?;
                opened.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a new conversation has a known id")))
            }
            (Some(identity), current) => self.open_for(&valid, &identity, current, device, trace).await,
        }
    }

    /// A session of the conversation that belongs to `identity`; an unknown visitor's own becomes it.
    async fn open_for(
        &self,
        valid: &ValidToken,
        identity: &VerifiedIdentity,
        current: Current,
        device: &str,
        trace: &Trace,
    ) -> Result<Opened, ApiError> {
        let scope = self.chat.store.account(&valid.token.account_id);
        for _ in 0..TRIES {
            if let Some(customer) = scope.customer_by_identity(identity).await? {
                self.rename(&customer, trace).await?;
                return self.join(valid, &customer, current, device).await;
            }
            if let Some((_, session)) = &current
                && scope.identify_customer(&session.conversation_id, identity).await?
            {
                continue; // found above, with its name
            }
            if let Some(opened) = self.start(valid, Some(identity), device, trace).await? {
                return Ok(opened);
            }
        }
        Err(ApiError::unavailable(anyhow::anyhow!("an identity's conversation was neither found nor made")))
    }

    /// Renews the visitor's session where it is of `customer`, else opens another.
    async fn join(
        &self,
        valid: &ValidToken,
        customer: &Customer,
        current: Current,
        device: &str,
    ) -> Result<Opened, ApiError> {
        match current {
            Some(current) if current.1.conversation_id == customer.conversation_id => {
                self.renewed(current).await
            }
            _ => {
                let (secret, session) =
                    self.new_session(valid, &customer.conversation_id, &customer.room_id, device);
                self.chat.store.account(&customer.account_id).add_session(&session).await?;
                Ok(opened(secret, session))
            }
        }
    }

    async fn renewed(&self, (secret, mut session): (String, SupportSession)) -> Result<Opened, ApiError> {
        let now = Time::now();
        self.renew(&mut session, now).await?;
        Ok(opened(secret, session))
    }

    /// Starts a conversation with its room and first session; `None` when the identity has one already.
    async fn start(
        &self,
        valid: &ValidToken,
        identity: Option<&VerifiedIdentity>,
        device: &str,
        trace: &Trace,
    ) -> Result<Option<Opened>, ApiError> {
        let account = &valid.token.account_id;
        let conversation_id = Uid::generate();
        let room = Thread::room(account, None, &conversation_id, Time::now());
        let customer = Customer {
            key: key(account, &conversation_id),
            account_id: account.clone(),
            conversation_id,
            room_id: room.thread_id.clone(),
            name: identity.and_then(|identity| identity.name.clone()),
            email: identity.and_then(|identity| identity.email.clone()),
            identity_id: identity.map(|identity| identity.id.clone()),
            created_at: room.created_at,
        };
        let (secret, session) = self.new_session(valid, &customer.conversation_id, &customer.room_id, device);
        let job = self.chat.index_job(&room, trace);
        // First, since the job that indexes the room reads it.
        self.note_name(&customer).await?;
        let scope = self.chat.store.account(account);
        if !scope.open_conversation(&customer, &room, &session, &job).await? {
            return Ok(None);
        }
        self.chat.push([job]);
        self.chat.announce_new(&room);
        Ok(Some(opened(secret, session)))
    }

    /// Takes over the name that the identity says now, also into the search index.
    async fn rename(&self, customer: &Customer, trace: &Trace) -> Result<(), ApiError> {
        let scope = self.chat.store.account(&customer.account_id);
        let known = scope.user(&customer.conversation_id).await?.and_then(|user| user.name);
        if customer.name.is_none() || customer.name == known {
            return Ok(());
        }
        self.note_name(customer).await?;
        if let Some(room) = scope.thread(&customer.room_id).await? {
            let job = self.chat.index_job(&room, trace);
            self.chat.ledger.add(&job).await?;
            self.chat.push([job]);
        }
        Ok(())
    }

    /// Keeps a customer's name where those of all authors stand.
    async fn note_name(&self, customer: &Customer) -> Result<(), ApiError> {
        let Some(name) = customer.name.as_deref() else { return Ok(()) };
        let (account, uid) = (&customer.account_id, &customer.conversation_id);
        Ok(self.chat.directory.note_caller(account, uid, Role::Guest, Some(name)).await?)
    }
}

fn opened(secret: String, session: SupportSession) -> Opened {
    Opened {
        support_session: secret,
        conversation_id: session.conversation_id,
        room_id: session.room_id,
        expires_at: session.expires_at,
    }
}

/// The identity, if the account's own servers have signed it.
fn verified(vault: &Vault, valid: &ValidToken, claim: IdentityClaim) -> Result<VerifiedIdentity, ApiError> {
    let signed = valid.is_signed(vault, &claim.id, &claim.signature, Time::now());
    if !signed.map_err(ApiError::internal)? {
        return Err(ApiError::new(Code::Unauthenticated, "the identity's signature does not fit"));
    }
    check_email(claim.email.as_deref())?;
    let name = claim.name.map(|name| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        shown.trim().to_owned()
    });
    Ok(VerifiedIdentity { id: claim.id, name: name.filter(|name| !name.is_empty()), email: claim.email })
}
