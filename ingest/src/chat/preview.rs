//! Who would get a message, by which number, and why not.

use shared::domain::actor::{Actor, Role};
use shared::domain::contact::Contact;
use shared::domain::delivery::{Channel, Reason};
use shared::domain::ids::ThreadId;
use shared::domain::message::MessageType;
use shared::domain::thread::Thread;
use shared::domain::time::Time;
use shared::domain::window::Window;
use shared::providers::Phone;
use shared::store::Sighting;

use super::Chat;
use crate::http::{ApiError, Code};

/// What a message of a type would lead to.
#[derive(Debug)]
pub(crate) struct Preview {
    /// None for a message that goes nowhere.
    pub(crate) channel: Option<Channel>,
    pub(crate) would_send: bool,
    pub(crate) to: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) window: Window,
    pub(crate) reason: Option<Reason>,
}

/// A number of ours.
struct From {
    shown: String,
    line: String,
}

impl Chat {
    /// What a message of type `kind` in `thread` would lead to now. Staff only.
    pub(crate) async fn preview(
        &self,
        actor: &Actor,
        thread: &ThreadId,
        kind: MessageType,
    ) -> Result<Preview, ApiError> {
        if actor.role == Role::Guest {
            return Err(ApiError::new(Code::Forbidden, "only staff may ask who would get a message"));
        }
        let thread = self.entitled_thread(actor, thread).await?;
        let mut preview = Preview {
            channel: shared::domain::post::channel_for(&thread, kind),
            would_send: false,
            to: None,
            from: None,
            window: thread.window(Time::now()),
            reason: None,
        };
        match preview.channel {
            Some(Channel::Guest) => {
                preview.would_send = self.channels.guest(&actor.account).await?.is_some();
                preview.reason = (!preview.would_send).then_some(Reason::ChannelDisabled);
            }
            Some(channel) => self.preview_phone(&thread, channel, &mut preview).await?,
            None => {}
        }
        Ok(preview)
    }

    async fn preview_phone(
        &self,
        thread: &Thread,
        channel: Channel,
        preview: &mut Preview,
    ) -> Result<(), ApiError> {
        let phone = self.guest_phone(thread).await?;
        preview.to.clone_from(&phone);
        let from = self.sender(thread, channel).await?;
        preview.from = from.as_ref().map(|from| from.shown.clone());
        let contact = match (&from, &phone) {
            (Some(from), Some(phone)) => {
                let who = Sighting { phone: Some(phone), ..Sighting::default() };
                self.store.contact(&from.line, who).await?
            }
            _ => None,
        };
        let of_contact = contact.as_ref().and_then(|contact| contact.last_inbound_at);
        preview.window = Window::at(of_contact.max(thread.last_whatsapp_inbound_at), Time::now());
        preview.reason = why_not(channel, from.as_ref(), phone.as_deref(), contact.as_ref(), preview.window);
        preview.would_send = preview.reason.is_none();
        Ok(())
    }

    async fn sender(&self, thread: &Thread, channel: Channel) -> Result<Option<From>, ApiError> {
        let account = &thread.account_id;
        if channel == Channel::Whatsapp {
            let line = self.channels.whatsapp(account).await?;
            let from = |id: &str, line: String| From { shown: id.to_owned(), line };
            return Ok(line.map(|line| from(&line.channel.phone_number_id, line.name())));
        }
        let line = self.channels.sms(account).await?;
        Ok(line.map(|line| From { shown: line.channel.from.clone(), line: line.name() }))
    }

    async fn guest_phone(&self, thread: &Thread) -> Result<Option<String>, ApiError> {
        let Some(id) = &thread.reservation_id else { return Ok(None) };
        let reservation = self.store.account(&thread.account_id).reservation(id).await?;
        Ok(reservation.and_then(|reservation| reservation.guest_phone))
    }
}

fn why_not(
    channel: Channel,
    from: Option<&From>,
    phone: Option<&str>,
    contact: Option<&Contact>,
    window: Window,
) -> Option<Reason> {
    if from.is_none() {
        return Some(Reason::ChannelDisabled);
    }
    let Some(phone) = phone else { return Some(Reason::NoRecipient) };
    if phone.parse::<Phone>().is_err() {
        return Some(Reason::InvalidRecipient);
    }
    let opt_out = contact.and_then(|contact| contact.opt_out.as_ref());
    if opt_out.is_some_and(|opt_out| !opt_out.marketing_only) {
        return Some(Reason::OptedOut);
    }
    (channel == Channel::Whatsapp && !window.can_reply_freeform()).then_some(Reason::NeedsTemplate)
}
