//! Support tokens: made, shown, rotated and deleted by admins.

use shared::credentials::{self, KeptSecret, StoredSecret};
use shared::domain::Time;
use shared::domain::actor::Actor;
use shared::domain::ids::{AccountId, SupportTokenId, key};
use shared::domain::time::plus_millis;
use shared::live::LiveEvent;
use shared::store::{PreviousToken, SupportToken};

use super::{Desk, origins};
use crate::chat::{Attempted, Trace};
use crate::http::{ApiError, Code};

/// Times that a rotation is tried again after another was faster.
const TRIES: usize = 4;

/// A token with its secrets, which are shown this once. Not to be printed.
pub(crate) struct IssuedToken {
    pub(crate) token: SupportToken,
    pub(crate) support_token: String,
    pub(crate) identity_secret: StoredSecret,
}

impl Desk {
    /// Makes a token for widgets that stand at `origins`; none: anywhere.
    pub(crate) async fn issue_token(
        &self,
        actor: &Actor,
        trace: &Trace,
        name: Option<String>,
        origins: &[String],
    ) -> Result<IssuedToken, ApiError> {
        let result = self.try_issue(actor, name, origins).await;
        let id = result.as_ref().map_or_else(|_| String::new(), |issued| issued.token.token_id.to_string());
        let attempted = Attempted::new("supportToken.create", "supportToken", &id);
        self.chat.witnessed(result, actor, trace, attempted).await
    }

    async fn try_issue(
        &self,
        actor: &Actor,
        name: Option<String>,
        origins: &[String],
    ) -> Result<IssuedToken, ApiError> {
        let support_token = credentials::generate("st_");
        let identity_secret = StoredSecret::new(credentials::generate("si_"));
        let token_id = SupportTokenId::generate();
        let mut token = SupportToken {
            key: key(&actor.account, &token_id),
            account_id: actor.account.clone(),
            token_id,
            name,
            hash: credentials::digest(&support_token),
            identity_secret: KeptSecret::Readable(identity_secret.clone()),
            previous: None,
            allowed_origins: listed(origins)?,
            generation: 1,
            created_at: Time::now(),
            rotated_at: None,
        };
        token.identity_secret = self.kept(&token, &identity_secret)?;
        match self.scope(actor).add_support_token(&token).await? {
            true => Ok(IssuedToken { token, support_token, identity_secret }),
            false => Err(ApiError::unprocessable("an account has at most 100 support tokens")),
        }
    }

    /// The account's tokens, newest first.
    pub(crate) async fn support_tokens(&self, actor: &Actor) -> Result<Vec<SupportToken>, ApiError> {
        Ok(self.scope(actor).support_tokens().await?)
    }

    /// Replaces a token's secrets. The old ones are valid for `grace_secs` more; without grace they end at once, and
    /// so do the sessions opened with them.
    pub(crate) async fn rotate_token(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &SupportTokenId,
        grace_secs: u32,
    ) -> Result<IssuedToken, ApiError> {
        let result = self.try_rotate(actor, id, grace_secs).await;
        let attempted = Attempted::new("supportToken.rotate", "supportToken", id.as_str());
        let issued = self.chat.witnessed(result, actor, trace, attempted).await?;
        if grace_secs == 0 {
            self.drop_sessions(&actor.account, id, issued.token.generation);
        }
        Ok(issued)
    }

    async fn try_rotate(
        &self,
        actor: &Actor,
        id: &SupportTokenId,
        grace_secs: u32,
    ) -> Result<IssuedToken, ApiError> {
        let scope = self.scope(actor);
        for _ in 0..TRIES {
            let token = scope.support_token(id).await?.ok_or_else(unknown)?;
            let support_token = credentials::generate("st_");
            let identity_secret = StoredSecret::new(credentials::generate("si_"));
            let kept = self.kept(&token, &identity_secret)?;
            let next = rotated(&token, &support_token, kept, grace_secs, Time::now());
            if scope.replace_support_token(&next, &token).await? {
                return Ok(IssuedToken { token: next, support_token, identity_secret });
            }
        }
        Err(ApiError::new(Code::Conflict, "the token is being rotated by somebody else"))
    }

    /// `secret` as it is stored with `token`.
    fn kept(&self, token: &SupportToken, secret: &StoredSecret) -> Result<KeptSecret, ApiError> {
        KeptSecret::keep(&self.vault, token.place(), secret).map_err(ApiError::internal)
    }

    /// Deletes a token; widgets that embed it and their sessions are refused from now on.
    pub(crate) async fn delete_token(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &SupportTokenId,
    ) -> Result<(), ApiError> {
        let result = match self.scope(actor).delete_support_token(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(unknown()),
            Err(error) => Err(error.into()),
        };
        let attempted = Attempted::new("supportToken.delete", "supportToken", id.as_str());
        self.chat.witnessed(result, actor, trace, attempted).await?;
        self.drop_sessions(&actor.account, id, i64::MAX);
        Ok(())
    }

    /// Removes what is left of a token's sessions and closes their sockets, off the request's path: requests with them
    /// are refused already, since a session is only as valid as its token and that token's generation.
    fn drop_sessions(&self, account: &AccountId, id: &SupportTokenId, generation: i64) {
        let (scope, id) = (self.chat.store.account(account), id.clone());
        let (account, live) = (account.clone(), self.chat.live.clone());
        shared::task::spawn("desk.revoke", async move {
            loop {
                match scope.drop_sessions(&id, generation).await {
                    Ok(revoked) if revoked.is_empty() => return,
                    Ok(revoked) => {
                        metrics::counter!("desk_sessions_revoked_total").increment(revoked.len() as u64);
                        for session_id in revoked {
                            live.publish(LiveEvent::SessionRevoked { account: account.clone(), session_id });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "revoked sessions are left to their expiry");
                        return;
                    }
                }
            }
        });
    }
}

/// The token after a rotation.
fn rotated(
    token: &SupportToken,
    support_token: &str,
    identity_secret: KeptSecret,
    grace_secs: u32,
    now: Time,
) -> SupportToken {
    let previous = (grace_secs > 0).then(|| PreviousToken {
        hash: token.hash.clone(),
        identity_secret: token.identity_secret.clone(),
        until: plus_millis(now, i64::from(grace_secs) * 1000),
    });
    SupportToken {
        hash: credentials::digest(support_token),
        identity_secret,
        generation: token.generation + i64::from(previous.is_none()),
        previous,
        rotated_at: Some(now),
        ..token.clone()
    }
}

/// The origins as browsers write them, each once.
fn listed(origins: &[String]) -> Result<Vec<String>, ApiError> {
    let mut listed: Vec<String> = Vec::with_capacity(origins.len());
    for (index, origin) in origins.iter().enumerate() {
        let origin = origins::normalized(origin).ok_or_else(|| {
            let wanted = "must be an origin such as https://www.example.com";
            let mut error = ApiError::invalid_field(format!("/allowedOrigins/{index}"), wanted);
            error.code = Code::Unprocessable;
            error
        })?;
        if !listed.contains(&origin) {
            listed.push(origin);
        }
    }
    Ok(listed)
}

fn unknown() -> ApiError {
    ApiError::not_found("support token")
}
