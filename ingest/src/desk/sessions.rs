//! Who a widget speaks for: its token leads to the account, its session to the customer, on one device only.

use shared::credentials;
use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{ThreadId, Uid};
use shared::domain::time::plus_millis;
use shared::secrets::{SecretsError, Vault};
use shared::store::{SupportSession, SupportToken};

use super::{Desk, origins};
use crate::chat::{Attempted, Trace};
use crate::http::{ApiError, Code};

/// What a widget shows, by headers or when a socket connects. Not to be printed: two of them are secrets.
pub(crate) struct CustomerCredentials {
    pub(crate) support_token: String,
    pub(crate) support_session: String,
    pub(crate) device_id: String,
    /// The `Origin` of the browser; other programs have none.
    pub(crate) origin: Option<String>,
}

/// A customer whose credentials are valid.
#[derive(Debug, Clone)]
pub(crate) struct CustomerCaller {
    /// Role guest, uid = conversation.
    pub(crate) actor: Actor,
    /// No secret; by it the sockets of a session are closed when it is revoked.
    pub(crate) session_id: String,
    /// When the session ends unless it is used again.
    pub(crate) expires_at: Time,
}

/// A token that was shown and is valid.
pub(super) struct ValidToken {
    pub(super) token: SupportToken,
}

impl ValidToken {
    /// Whether `signature` is that of the account's own servers for `id`. The secret before a
    /// rotation counts for its time of grace, whichever token is shown: servers and pages change apart.
    ///
    /// # Errors
    /// [`SecretsError`]: the key that a secret was sealed with is gone.
    pub(super) fn is_signed(
        &self,
        vault: &Vault,
        id: &str,
        signature: &str,
        now: Time,
    ) -> Result<bool, SecretsError> {
        let before = self.token.previous.as_ref().filter(|previous| previous.until > now);
        let kept = before.map(|previous| &previous.identity_secret).into_iter();
        let mut signed = false;
        for kept in kept.chain([&self.token.identity_secret]) {
            signed |= credentials::signs(&kept.open(vault, self.token.place())?, id, signature);
        }
        Ok(signed)
    }
}

impl Desk {
    /// The customer with these credentials, at a socket.
    ///
    /// # Errors
    /// 401 when token, session or device are not valid together, 403 for a foreign origin, 503 when MongoDB is away.
    pub(crate) async fn authenticate(
        &self,
        credentials: &CustomerCredentials,
    ) -> Result<CustomerCaller, ApiError> {
        self.admit(credentials, &Trace::unknown()).await
    }

    /// As [`Desk::authenticate`], for the request of `trace`.
    pub(crate) async fn admit(
        &self,
        shown: &CustomerCredentials,
        trace: &Trace,
    ) -> Result<CustomerCaller, ApiError> {
        if shown.support_token.is_empty() || shown.support_session.is_empty() || shown.device_id.is_empty() {
            let needed = "support token, support session and device id are needed";
            return Err(ApiError::new(Code::Unauthenticated, needed));
        }
        let valid = self.token(&shown.support_token, shown.origin.as_deref()).await?;
        let mut session = self.session(&valid, &shown.support_session, &shown.device_id, trace).await?;
        let now = Time::now();
        if now > plus_millis(session.renewed_at, millis(self.session_renewal)) {
            self.renew(&mut session, now).await?;
        }
        self.known.note(session.hash.clone(), &session.session_id);
        Ok(CustomerCaller {
            actor: customer_of(&session),
            session_id: session.session_id,
            expires_at: session.expires_at,
        })
    }

    /// The token `text`, if `origin` may use it.
    pub(super) async fn token(&self, text: &str, origin: Option<&str>) -> Result<ValidToken, ApiError> {
        let unknown = || ApiError::new(Code::Unauthenticated, "the support token is not valid");
        let hash = credentials::digest_of_ours(text).ok_or_else(unknown)?;
        let now = Time::now();
        let token = self.chat.store.support_token_by_hash(&hash, now).await?.ok_or_else(unknown)?;
        let before = token.previous.as_ref().filter(|previous| previous.until > now);
        let fits = credentials::same(&token.hash, &hash)
            || before.is_some_and(|previous| credentials::same(&previous.hash, &hash));
        if !fits {
            return Err(unknown());
        }
        if !origins::allows(&token.allowed_origins, origin) {
            return Err(ApiError::new(Code::Forbidden, "the widget may not be used from this origin"));
        }
        Ok(ValidToken { token })
    }

    /// The session with this secret, if it was opened with the token and on the device. Another device is written
    /// down: the secret has travelled.
    pub(super) async fn session(
        &self,
        valid: &ValidToken,
        secret: &str,
        device_id: &str,
        trace: &Trace,
    ) -> Result<SupportSession, ApiError> {
        let refused = || ApiError::new(Code::Unauthenticated, "the session is not valid");
        let token = &valid.token;
        let hash = credentials::digest_of_ours(secret).ok_or_else(refused)?;
        let scope = self.chat.store.account(&token.account_id);
        let session = scope.support_session(session_id(&hash)).await?.ok_or_else(refused)?;
        let of_token = session.token_id == token.token_id && session.generation == token.generation;
        if !credentials::same(&session.hash, &hash) || !of_token || session.expires_at <= Time::now() {
            return Err(refused());
        }
        if credentials::same(&session.device_hash, &credentials::digest(device_id)) {
            return Ok(session);
        }
        let attempted = Attempted::new("session.use", "session", &session.session_id);
        let attempted = attempted.with(mongodb::bson::doc! { "reason": "another_device" });
        self.chat.audited(Err(refused()), &customer_of(&session), trace, attempted).await
    }

    /// Moves the end of a session that is in use.
    pub(super) async fn renew(&self, session: &mut SupportSession, now: Time) -> Result<(), ApiError> {
        let until = plus_millis(now, millis(self.session_ttl));
        let scope = self.chat.store.account(&session.account_id);
        scope.renew_session(&session.session_id, now, until).await?;
        (session.renewed_at, session.expires_at) = (now, until.max(session.expires_at));
        Ok(())
    }

    /// A new session of a customer on a device, with its secret, which is not stored.
    pub(super) fn new_session(
        &self,
        valid: &ValidToken,
        conversation_id: &Uid,
        room_id: &ThreadId,
        device_id: &str,
    ) -> (String, SupportSession) {
        let (secret, now) = (credentials::generate("ss_"), Time::now());
        let hash = credentials::digest(&secret);
        let account = &valid.token.account_id;
        let session = SupportSession {
            key: shared::domain::ids::key(account, session_id(&hash)),
            account_id: account.clone(),
            session_id: session_id(&hash).to_owned(),
            hash,
            token_id: valid.token.token_id.clone(),
            generation: valid.token.generation,
            conversation_id: conversation_id.clone(),
            room_id: room_id.clone(),
            device_hash: credentials::digest(device_id),
            created_at: now,
            renewed_at: now,
            expires_at: plus_millis(now, millis(self.session_ttl)),
        };
        (secret, session)
    }
}

/// The part of a secret's digest that names its session: 128 bits, from which the rest does not follow.
fn session_id(hash: &str) -> &str {
    &hash[..32]
}

/// The customer as an actor.
pub(super) fn customer_of(session: &SupportSession) -> Actor {
    Actor {
        account: session.account_id.clone(),
        uid: session.conversation_id.clone(),
        role: Role::Guest,
        conversation_id: session.conversation_id.to_string(),
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
