//! What the e-mail jobs have in common: who may be written to, what is unread for them, and one mail about it.
//!
//! A mail covers everything unread in a room, so that most jobs find their message covered and end. Before the text
//! is written, `notifications` says up to where: whatever becomes of this mail, no other job mails the same again.
//! Invariant: notes never stand in a mail; they are not read from the store.

use std::collections::HashMap;

use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};
use shared::domain::thread::{Thread, ThreadKind};
use shared::domain::time::Time;
use shared::mail::{Address, Digest, Entry, Letter, Mailbox, Mailer, OptOutId, Reader, compose};
use shared::providers::{Class, SendOutcome};
use shared::store::{Customer, Notice, StoreError, Unread, UnreadQuery, User};

use crate::context::Context;
use crate::jobs::Sending;
use crate::outbound::Ending;

/// Attempts after which a mail is given up; the classes' time budget usually ends it before.
pub const ATTEMPTS_MAX: u32 = 200;

/// The circuit of the mail server.
pub(crate) const CREDENTIAL: &str = "smtp";

/// Somebody who may be written to. Not `Debug`: it holds an address.
pub struct Person {
    pub uid: Uid,
    pub name: Option<String>,
    pub email: Address,
    pub reader: Reader,
}

impl Person {
    /// `user` as a reader; `None` without an address that mail can be sent to.
    pub fn of(user: &User, reader: Reader) -> Option<Self> {
        let email = user.email.as_deref()?.parse().ok()?;
        Some(Self { uid: user.uid.clone(), name: user.name.clone(), email, reader })
    }

    /// A customer of the desk; `None` without a verified address that mail can be sent to.
    fn at_the_desk(customer: Customer) -> Option<Self> {
        let email = customer.email.as_deref()?.parse().ok()?;
        Some(Self { uid: customer.conversation_id, name: customer.name, email, reader: Reader::Customer })
    }
}

/// Whom the mails of an account come from: its own sender where it has one, else that of the configuration. The
/// envelope always names the latter.
pub struct Sender {
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
}

impl Sender {
    /// The sender of `account`'s mails.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(ctx: &Context, account: &AccountId, mailer: &Mailer) -> Result<Self, StoreError> {
        Ok(match ctx.channels.email(account).await? {
            Some(line) => Self { from: line.from.clone(), reply_to: line.reply_to.clone() },
            None => Self { from: mailer.sender().clone(), reply_to: None },
        })
    }
}

/// Ends a job without a mail, and counts why.
pub fn skipped(why: &'static str) -> Ending {
    metrics::counter!("email_notifications_total", "result" => why).increment(1);
    Ending::Skipped(why)
}

/// Whether the room's messages are `user`'s to answer: assigned to it, or to nobody and it is an admin.
pub fn answers_for(thread: &Thread, user: &User) -> bool {
    if thread.kind != ThreadKind::Support {
        return false;
    }
    match thread.assigned_agent_ids.as_slice() {
        [] => user.role == Some(Role::Admin),
        assigned => assigned.contains(&user.uid) && user.role.is_some_and(Role::is_staff),
    }
}

/// Those who answer for `thread` and have an address, as many as the configuration allows.
///
/// # Errors
/// [`StoreError`].
pub async fn agents_of(ctx: &Context, thread: &Thread) -> Result<Vec<User>, StoreError> {
    let scope = ctx.store.account(&thread.account_id);
    let limit = ctx.config.email.recipients_max;
    let mut users = match thread.assigned_agent_ids.as_slice() {
        [] => scope.admins_with_email(limit).await?,
        assigned => scope.users(assigned).await?,
    };
    users.retain(|user| user.email.is_some() && answers_for(thread, user));
    users.truncate(limit);
    Ok(users)
}

/// The customer of `thread`, where it has given an address that is known to be its own: that of its verified identity.
/// In a room without a customer of the desk it is the first of the public participants who is no staff and whose user
/// document, which only services and admins write, has an address.
///
/// # Errors
/// [`StoreError`].
pub async fn customer_of(ctx: &Context, thread: &Thread) -> Result<Option<Person>, StoreError> {
    let scope = ctx.store.account(&thread.account_id);
    if let Some(uid) = &thread.customer_id
        && let Some(customer) = scope.customer(uid).await?
    {
        return Ok(Person::at_the_desk(customer));
    }
    let people = &thread.public_participant_ids;
    let users = scope.users(people).await?;
    let customer = people.iter().find_map(|uid| {
        let user = users.iter().find(|user| user.uid == *uid)?;
        if user.role.is_some_and(Role::is_staff) { None } else { Person::of(user, Reader::Customer) }
    });
    Ok(customer)
}

/// Mails `person` what is unread for it in the job's room, unless there is no reason to.
///
/// # Errors
/// [`StoreError`].
pub async fn mail_unread(
    ctx: &Context,
    sending: &Sending<'_>,
    person: &Person,
) -> Result<Ending, StoreError> {
    let Some(mailer) = &ctx.providers.mail else { return Ok(skipped("channel_disabled")) };
    let (job, thread) = (sending.job, sending.thread);
    let read = thread.read_up_to(&person.uid);
    if sending.message.seq <= read {
        return Ok(skipped("read"));
    }
    let account = &job.account_id;
    if ctx.store.has_opted_out(&OptOutId::of(account, &person.uid)).await? {
        return Ok(skipped("opted_out"));
    }
    if ctx.presence.is_online(account, &person.uid).await {
        return Ok(skipped("online"));
    }
    let before = ctx.store.account(account).notice(thread, &person.uid).await?;
    let notified = match &before {
        Some(notice) if notice.job == job.id => notice.before_seq,
        Some(notice) => notice.notified_seq,
        None => 0,
    };
    if sending.message.seq <= notified {
        return Ok(skipped("covered"));
    }
    let (unread, names) = unread(ctx, sending, person, read.max(notified)).await?;
    let Some(newest) = unread.messages.last() else { return Ok(skipped("read")) };
    let notice = Notice {
        key: Notice::key(thread, &person.uid),
        account_id: account.clone(),
        notified_seq: newest.seq,
        before_seq: notified,
        job: job.id.clone(),
        at: Time::now(),
    };
    let digest = digest(ctx, sending, person, &unread, &names);
    send(ctx, sending, mailer, person, &digest, &notice).await
}

/// What is unread after `after`, and the names of those who wrote it. For staff that is what customers wrote, for a
/// customer what others wrote.
async fn unread(
    ctx: &Context,
    sending: &Sending<'_>,
    person: &Person,
    after: i64,
) -> Result<(Unread, HashMap<Uid, String>), StoreError> {
    let thread = sending.thread;
    let scope = ctx.store.account(&thread.account_id);
    let users = scope.users(&thread.participant_ids).await?;
    let not_by: Vec<Uid> = match person.reader {
        Reader::Customer => vec![person.uid.clone()],
        Reader::Staff => {
            let staff = users.iter().filter(|user| user.role.is_some_and(Role::is_staff));
            staff.map(|user| user.uid.clone()).collect()
        }
    };
    let query = UnreadQuery { after, not_by: &not_by, limit: ctx.config.email.messages_max };
    let unread = scope.unread_messages(thread, &query).await?;
    let names = users.into_iter().filter_map(|user| Some((user.uid, user.name?)));
    Ok((unread, names.collect()))
}

fn digest(
    ctx: &Context,
    sending: &Sending<'_>,
    person: &Person,
    unread: &Unread,
    names: &HashMap<Uid, String>,
) -> Digest {
    let nameless = match person.reader {
        Reader::Staff => "a customer",
        Reader::Customer => "our team",
    };
    let entry = |message: &shared::domain::Message| Entry {
        author: names.get(&message.author_id).map_or(nameless, String::as_str).to_owned(),
        at: message.created_at,
        text: message.body.clone(),
        attachments: message.attachments.len(),
    };
    Digest {
        reader: person.reader,
        room: sending.thread.title.clone(),
        entries: unread.messages.iter().map(entry).collect(),
        unread: unread.total,
        excerpt_chars: ctx.config.email.excerpt_chars,
    }
}

async fn send(
    ctx: &Context,
    sending: &Sending<'_>,
    mailer: &Mailer,
    person: &Person,
    digest: &Digest,
    notice: &Notice,
) -> Result<Ending, StoreError> {
    let (job, unsubscribe) = (sending.job, &ctx.providers.unsubscribe);
    let (link, room) =
        (unsubscribe.link(&job.account_id, &person.uid), unsubscribe.room_tag(&sending.thread.key));
    let sender = Sender::of(ctx, &job.account_id, mailer).await?;
    let composed = compose(Letter {
        from: &sender.from,
        reply_to: sender.reply_to.as_ref(),
        to: &person.email,
        to_name: person.name.as_deref(),
        id: &job.id,
        room: &room,
        subject: &digest.subject(),
        plain: digest.plain(&link),
        html: digest.html(&link),
        unsubscribe: &link,
    });
    let Ok((mail, id)) = composed else { return Ok(skipped("not_composed")) };
    let permit = match sending.pass_circuit(CREDENTIAL) {
        Ok(permit) => permit,
        Err(ending) => return Ok(ending),
    };
    let scope = ctx.store.account(&job.account_id);
    let outcome = match mailer.prepare(&person.email).await {
        Ok(prepared) => {
            scope.put_notice(notice).await?;
            if sending.begin().await?.is_none() {
                return Ok(Ending::Overtaken);
            }
            prepared.send(&mail, &id).await
        }
        Err(refused) => refused,
    };
    sending.learn(CREDENTIAL, permit, &outcome);
    if matches!(&outcome, SendOutcome::Refused(refusal) if refusal.class == Class::Permanent) {
        // The next message is worth another try, this one is not.
        scope.put_notice(notice).await?;
    }
    metrics::counter!("email_notifications_total", "result" => outcome.as_str()).increment(1);
    Ok(Ending::Answered(Box::new(outcome)))
}
