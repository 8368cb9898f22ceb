//! Mails an admin that the credentials of a channel are refused. One mail per flag and admin: the job is made with the
//! flag, and `laneSeq` is the flag's time. Lane `email:channel:{channel}:{uid}`; reads `channels` and `users`.

use shared::domain::actor::Role;
use shared::domain::ids::ChannelId;
use shared::domain::jobs::{JobKind, NOTIFY_FLAGGED_CHANNEL};
use shared::mail::{FlagNotice, Letter, Mailer, OptOutId, Reader, compose};
use shared::providers::SendOutcome;
use shared::store::{AccountChannel, StoreError};

use crate::context::Context;
use crate::errand::{Errand, Running};
use crate::notices::{self, CREDENTIAL, Person, Sender};
use crate::outbound::Ending;

/// See the module.
pub struct NotifyFlaggedChannel;

impl Errand for NotifyFlaggedChannel {
    const KIND: JobKind = NOTIFY_FLAGGED_CHANNEL;
    const ATTEMPTS_MAX: u32 = notices::ATTEMPTS_MAX;

    async fn run(ctx: &Context, running: &Running<'_>) -> Result<Ending, StoreError> {
        let Some(mailer) = &ctx.providers.mail else { return Ok(notices::skipped("channel_disabled")) };
        let job = running.job;
        let (Some(uid), Some(id)) = (&job.recipient, &job.channel) else {
            return Ok(notices::skipped("no_recipient"));
        };
        let scope = ctx.store.account(&job.account_id);
        let flagged = scope.channel(id).await?.and_then(|channel| notice(&channel, job.lane_seq));
        let Some(notice) = flagged else { return Ok(notices::skipped("repaired")) };
        let admin = scope.user(uid).await?.filter(|user| user.role == Some(Role::Admin));
        let Some(person) = admin.and_then(|user| Person::of(&user, Reader::Staff)) else {
            return Ok(notices::skipped("no_recipient"));
        };
        if ctx.store.has_opted_out(&OptOutId::of(&job.account_id, uid)).await? {
            return Ok(notices::skipped("opted_out"));
        }
        send(ctx, running, mailer, &person, id, &notice).await
    }
}

/// What is told of `channel`, if it still has the flag that was raised at `since`.
fn notice(channel: &AccountChannel, since: Option<i64>) -> Option<FlagNotice> {
    let flag = channel.flag.as_ref().filter(|flag| Some(flag.since.timestamp_millis()) == since)?;
    Some(FlagNotice {
        channel: channel.channel_id.clone(),
        kind: channel.settings.kind(),
        code: flag.provider_error_code.clone(),
        since: flag.since,
    })
}

async fn send(
    ctx: &Context,
    running: &Running<'_>,
    mailer: &Mailer,
    person: &Person,
    id: &ChannelId,
    notice: &FlagNotice,
) -> Result<Ending, StoreError> {
    let (account, unsubscribe) = (&running.job.account_id, &ctx.providers.unsubscribe);
    let link = unsubscribe.link(account, &person.uid);
    // Named as no room can be: a thread's key has one slash.
    let about = unsubscribe.room_tag(&format!("{account}/channels/{id}"));
    let sender = Sender::of(ctx, account, mailer).await?;
    let composed = compose(Letter {
        from: &sender.from,
        reply_to: sender.reply_to.as_ref(),
        to: &person.email,
        to_name: person.name.as_deref(),
        id: &running.job.id,
        room: &about,
        subject: &notice.subject(),
        plain: notice.plain(&link),
        html: notice.html(&link),
        unsubscribe: &link,
    });
    let Ok((mail, message_id)) = composed else { return Ok(notices::skipped("not_composed")) };
    let permit = match running.pass_circuit(CREDENTIAL) {
        Ok(permit) => permit,
        Err(ending) => return Ok(ending),
    };
    let outcome: SendOutcome = match mailer.prepare(&person.email).await {
        Ok(prepared) => {
            if !running.begin().await? {
                return Ok(Ending::Overtaken);
            }
            prepared.send(&mail, &message_id).await
        }
        Err(refused) => refused,
    };
    running.learn(CREDENTIAL, permit, &outcome);
    metrics::counter!("email_notifications_total", "result" => outcome.as_str()).increment(1);
    Ok(Ending::Answered(Box::new(outcome)))
}
