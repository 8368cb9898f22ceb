//! Sending WhatsApp templates: what is asked for, checked against the catalogue where one is known.

use shared::domain::actor::{Actor, Role};
use shared::domain::ids::ThreadId;
use shared::domain::message::Draft;
use shared::domain::template::{Listed, Template};
use shared::domain::time::Time;
use shared::providers::ssrf;

use super::failure::Attempted;
use super::{Chat, KeyForm, MessageView, Trace};
use crate::http::{ApiError, Code};

/// The templates of an account's number.
#[derive(Debug, Default)]
pub(crate) struct Catalogued {
    pub(crate) templates: Vec<Listed>,
    pub(crate) synced_at: Option<Time>,
}

impl Chat {
    /// Posts the template of `draft` as a message.
    pub(crate) async fn post_template(
        &self,
        actor: &Actor,
        trace: &Trace,
        thread: ThreadId,
        draft: Draft,
        key: Option<KeyForm>,
    ) -> Result<(MessageView, Option<u16>), ApiError> {
        let target = draft.message_id.as_ref().map_or_else(String::new, ToString::to_string);
        let checked = self.checked_template(actor, draft).await;
        let draft = match checked {
            Ok(draft) => draft,
            Err(refused) => {
                let attempted = Attempted::new("message.create", "message", &target);
                return self.audited(Err(refused), actor, trace, attempted).await;
            }
        };
        self.post_message(actor, trace, thread, draft, key).await
    }

    async fn checked_template(&self, actor: &Actor, mut draft: Draft) -> Result<Draft, ApiError> {
        if actor.role == Role::Guest {
            return Err(ApiError::new(Code::Forbidden, "guests may only post messages"));
        }
        let Some(mut template) = draft.template.take() else { return Ok(draft) };
        template.check()?;
        for link in template.links() {
            ssrf::check_url_static(link, self.allow_private).map_err(|blocked| {
                ApiError::unprocessable(format!("a file's URL cannot be used: {blocked}"))
            })?;
        }
        let listed = self.listed(actor, &template).await?;
        if let Some(listed) = &listed {
            listed.check(&template)?;
            template.marketing = listed.marketing;
        }
        if draft.body.is_empty() {
            draft.body = shown(listed.as_ref(), &template);
        }
        draft.template = Some(template);
        Ok(draft)
    }

    /// What the catalogue says of `template`; `None` where no catalogue is known: the provider judges.
    async fn listed(&self, actor: &Actor, template: &Template) -> Result<Option<Listed>, ApiError> {
        let line = self.channels.whatsapp(&actor.account).await?;
        let Some(business) = line.as_ref().and_then(|line| line.business_account_id.as_deref()) else {
            return Ok(None);
        };
        let found = self.store.template(business, &template.name, &template.language).await?;
        if found.is_none() && self.store.catalogue(business).await?.is_some() {
            return Err(ApiError::unprocessable("the catalogue has no template of this name and language"));
        }
        Ok(found)
    }

    /// The catalogue of the account's number.
    pub(crate) async fn catalogue(&self, actor: &Actor) -> Result<Catalogued, ApiError> {
        if !actor.role.is_staff() {
            return Err(ApiError::new(Code::Forbidden, "only staff may see templates"));
        }
        let line = self.channels.whatsapp(&actor.account).await?;
        let Some(business) = line.as_ref().and_then(|line| line.business_account_id.as_deref()) else {
            return Ok(Catalogued::default());
        };
        let catalogue = self.store.catalogue(business).await?;
        let templates = self.store.templates(business).await?;
        Ok(Catalogued { templates, synced_at: catalogue.map(|catalogue| catalogue.synced_at) })
    }
}

/// How it reads, or its name where nobody knows.
fn shown(listed: Option<&Listed>, template: &Template) -> String {
    let text = listed.map(|listed| listed.rendered(template)).unwrap_or_default();
    if text.is_empty() { format!("[{}]", template.name) } else { text }
}
