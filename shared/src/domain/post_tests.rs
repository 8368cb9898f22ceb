//! Each rule of `createMessage` by name, and what holds for any sequence of posts.

use mongodb::bson::doc;
use proptest::prelude::*;

use super::actor::{Role, Roles};
use super::message::{Attachment, ContentType, Draft, MessageType, Source};
use super::post::{Commit, post};
use super::reading::Place;
use super::rejection::Rejection;
use super::samples::{actor, thread, uid};
use super::thread::{Thread, ThreadKind};
use super::time::Time;

const NOW: i64 = 5_000;

fn text(body: &str) -> Draft {
    Draft { body: body.to_owned(), ..Draft::default() }
}

fn typed(kind: MessageType) -> Draft {
    Draft { kind: Some(kind), ..text("hello") }
}

fn source(value: &str) -> Option<Source> {
    Some(Source::parse(value).expect("a sample source"))
}

fn with_people(participants: &[&str]) -> Thread {
    let mut t = thread();
    t.participant_ids = participants.iter().map(|p| uid(p)).collect();
    t.public_participant_ids = t.participant_ids.clone();
    t
}

fn as_agent(t: &Thread, draft: Draft) -> Result<Commit, Rejection> {
    post(t, &Roles::default(), draft, &actor("host", Role::Agent), Time::from_millis(NOW))
}

fn as_service(t: &Thread, draft: Draft) -> Result<Commit, Rejection> {
    post(t, &Roles::default(), draft, &actor("ota", Role::Service), Time::from_millis(NOW))
}

fn job_names(commit: &Commit) -> Vec<&'static str> {
    commit.jobs.iter().map(|j| j.kind.name).collect()
}

#[test]
fn defaults_are_hububb_message_text() {
    let m = as_agent(&thread(), text("hi")).expect("posts").message;
    assert_eq!(
        (m.source.as_str(), m.kind, m.content_type),
        ("hububb", MessageType::Message, ContentType::Text)
    );
    assert_eq!(m.author_id, uid("host"));
    assert_eq!(m.created_at, Time::from_millis(NOW));
}

#[test]
fn the_sender_is_added_to_the_participants_once() {
    let first = as_agent(&with_people(&["guest"]), text("hi")).expect("posts").thread;
    let second = as_agent(&first, text("again")).expect("posts").thread;
    assert_eq!(second.participant_ids, [uid("guest"), uid("host")]);
}

#[test]
fn everybody_else_needs_attention_and_the_author_does_not() {
    let mut t = with_people(&["guest", "host", "cohost"]);
    t.assigned_agent_ids = vec![uid("lead")];
    let after = as_agent(&t, text("hi")).expect("posts").thread;
    assert_eq!(after.needs_attention, [uid("guest"), uid("cohost"), uid("lead")]);
    assert_eq!(after.needs_attention_map, doc! { "guest": true, "cohost": true, "lead": true });
}

#[test]
fn posting_clears_the_authors_own_attention() {
    let t = with_people(&["guest", "host"]);
    let asked = post(&t, &Roles::default(), text("?"), &actor("guest", Role::Guest), Time::from_millis(NOW));
    let answered = as_agent(&asked.expect("posts").thread, text("!")).expect("posts").thread;
    assert_eq!(answered.needs_attention, [uid("guest")]);
}

#[test]
fn a_note_raises_attention_for_staff_only() {
    let t = with_people(&["guest", "cohost", "stranger"]);
    let roles: Roles = [(uid("cohost"), Role::Agent), (uid("guest"), Role::Guest)].into_iter().collect();
    let after =
        post(&t, &roles, typed(MessageType::Note), &actor("host", Role::Agent), Time::from_millis(NOW));
    assert_eq!(after.expect("posts").thread.needs_attention, [uid("cohost")]);
}

#[test]
fn a_note_leaves_no_trace_in_what_guests_see() {
    let before = as_agent(&with_people(&["guest"]), text("hi")).expect("posts").thread;
    let late = actor("cohost", Role::Agent);
    let commit = post(&before, &Roles::default(), typed(MessageType::Note), &late, Time::from_millis(9_000));
    let commit = commit.expect("posts");
    let after = &commit.thread;
    assert_eq!(commit.message.public_seq, None);
    assert_eq!(after.last_public_message, before.last_public_message);
    assert_eq!(after.public_seq, before.public_seq);
    assert_eq!(after.public_updated_at, before.public_updated_at);
    assert_eq!(after.public_participant_ids, before.public_participant_ids);
    assert_eq!(after.last_message.as_ref().map(|m| m.kind), Some(MessageType::Note));
    assert_eq!(job_names(&commit), ["index_message", "audit_message"]);
}

#[test]
fn a_guest_who_is_no_participant_may_not_post() {
    let result =
        post(&thread(), &Roles::default(), text("hi"), &actor("eve", Role::Guest), Time::from_millis(NOW));
    assert_eq!(result, Err(Rejection::NotParticipant));
}

#[test]
fn guests_may_not_post_notes_phone_messages_or_as_operations() {
    let t = with_people(&["guest"]);
    for kind in [MessageType::Note, MessageType::WhatsappMessage, MessageType::SmsMessage] {
        let result =
            post(&t, &Roles::default(), typed(kind), &actor("guest", Role::Guest), Time::from_millis(NOW));
        assert!(matches!(result, Err(Rejection::Forbidden(_))), "{kind:?}");
    }
    let draft = Draft { source: source("operations"), ..text("x") };
    let result = post(&t, &Roles::default(), draft, &actor("guest", Role::Guest), Time::from_millis(NOW));
    assert!(matches!(result, Err(Rejection::Forbidden(_))));
}

#[test]
fn nobody_but_a_service_forges_a_guests_message() {
    let forged = [
        Draft { source: source("whatsapp"), ..text("x") },
        Draft { external_message_id: Some("wamid.1".to_owned()), ..text("x") },
        Draft { author_id: Some(uid("guest")), ..text("x") },
    ];
    for draft in forged {
        assert!(matches!(as_agent(&thread(), draft.clone()), Err(Rejection::Forbidden(_))), "{draft:?}");
        assert!(as_service(&thread(), draft).is_ok());
    }
}

#[test]
fn whatsapp_is_sent_only_for_a_hububb_whatsapp_message_without_external_id() {
    let sends = |d: Draft| {
        as_service(&thread(), d).expect("posts").jobs.iter().any(|j| j.kind.name == "deliver_whatsapp")
    };
    assert!(sends(typed(MessageType::WhatsappMessage)));
    assert!(!sends(Draft { source: source("whatsapp"), ..typed(MessageType::WhatsappMessage) }));
    assert!(!sends(Draft { source: source("operations"), ..typed(MessageType::WhatsappMessage) }));
    assert!(!sends(Draft { external_message_id: Some("w1".into()), ..typed(MessageType::WhatsappMessage) }));
    assert!(!sends(typed(MessageType::Message)));
}

#[test]
fn sms_is_sent_unless_it_came_from_a_phone() {
    let sends =
        |d: Draft| as_service(&thread(), d).expect("posts").jobs.iter().any(|j| j.kind.name == "deliver_sms");
    assert!(sends(typed(MessageType::SmsMessage)));
    assert!(sends(Draft { source: source("operations"), ..typed(MessageType::SmsMessage) }));
    for inbound in ["sms", "twilio", "whatsapp"] {
        assert!(!sends(Draft { source: source(inbound), ..typed(MessageType::SmsMessage) }), "{inbound}");
    }
    assert!(!sends(Draft { external_message_id: Some("SM1".into()), ..typed(MessageType::SmsMessage) }));
}

#[test]
fn threads_of_the_guest_platform_are_forwarded_but_not_back_to_where_they_came_from() {
    let mut t = thread();
    t.source = Source::parse("hububb-guest").expect("a source");
    let forwards =
        |d: Draft| as_service(&t, d).expect("posts").jobs.iter().any(|j| j.kind.name == "forward_to_guest");
    assert!(forwards(text("hi")));
    assert!(!forwards(typed(MessageType::Note)));
    assert!(!forwards(Draft { source: source("hububb-guest"), ..text("hi") }));
    let both = as_agent(&t, typed(MessageType::WhatsappMessage)).expect("posts");
    assert_eq!(job_names(&both), ["index_message", "audit_message", "forward_to_guest", "deliver_whatsapp"]);
    assert_eq!(both.message.delivery.expect("an intent").channel.as_str(), "whatsapp");
}

#[test]
fn whatsapp_times_are_kept_apart_for_both_directions() {
    let out = as_agent(&thread(), typed(MessageType::WhatsappMessage)).expect("posts").thread;
    assert_eq!(out.last_whatsapp_message_sent_at, Some(Time::from_millis(NOW)));
    assert_eq!(out.last_whatsapp_inbound_at, None);
    let inbound = Draft { source: source("whatsapp"), ..typed(MessageType::WhatsappMessage) };
    let back = as_service(&thread(), inbound).expect("posts").thread;
    assert_eq!(back.last_whatsapp_inbound_at, Some(Time::from_millis(NOW)));
    assert_eq!(back.last_whatsapp_message_sent_at, None);
}

#[test]
fn an_empty_body_needs_payment_content_or_an_attachment() {
    assert!(matches!(as_agent(&thread(), text("")), Err(Rejection::Unprocessable(_))));
    let attached = Draft { attachments: vec![Attachment::from_url("file-1".into())], ..text("") };
    assert!(as_agent(&thread(), attached).is_ok());
    let paid = |content_type| Draft {
        content_type: Some(content_type),
        payment_content: Some(doc! { "amount": 5 }),
        ..text("")
    };
    assert!(as_agent(&thread(), paid(ContentType::Payment)).is_ok());
    assert!(as_agent(&thread(), paid(ContentType::PaymentProcessed)).is_ok());
    assert!(matches!(as_agent(&thread(), paid(ContentType::Text)), Err(Rejection::Unprocessable(_))));
    let no_content = Draft { content_type: Some(ContentType::Payment), ..text("") };
    assert!(matches!(as_agent(&thread(), no_content), Err(Rejection::Unprocessable(_))));
}

#[test]
fn limits_hold_where_there_is_something_to_send_and_count_characters() {
    let long = |kind, n: usize| Draft { kind: Some(kind), ..text(&"ü".repeat(n)) };
    assert!(as_agent(&thread(), long(MessageType::WhatsappMessage, 4096)).is_ok());
    assert!(as_agent(&thread(), long(MessageType::WhatsappMessage, 4097)).is_err());
    assert!(as_agent(&thread(), long(MessageType::SmsMessage, 1600)).is_ok());
    assert!(as_agent(&thread(), long(MessageType::SmsMessage, 1601)).is_err());
    let inbound = Draft { source: source("whatsapp"), ..long(MessageType::WhatsappMessage, 5000) };
    assert!(as_service(&thread(), inbound).is_ok(), "nothing inbound is dropped");
    assert!(as_agent(&thread(), text(&"x".repeat(32 * 1024))).is_ok());
    assert!(as_agent(&thread(), text(&"x".repeat(32 * 1024 + 1))).is_err());
}

#[test]
fn an_assigned_support_room_admits_its_agents_admins_and_services_only() {
    let mut t = thread();
    t.kind = ThreadKind::Support;
    t.assigned_agent_ids = vec![uid("lead")];
    assert_eq!(as_agent(&t, text("hi")), Err(Rejection::NotAssigned));
    assert!(as_service(&t, text("hi")).is_ok());
    assert!(
        post(&t, &Roles::default(), text("x"), &actor("boss", Role::Admin), Time::from_millis(NOW)).is_ok()
    );
    assert!(
        post(&t, &Roles::default(), text("x"), &actor("lead", Role::Agent), Time::from_millis(NOW)).is_ok()
    );
}

#[test]
fn the_first_agent_to_reply_is_assigned_but_a_note_or_an_admin_assigns_nobody() {
    let mut t = thread();
    t.kind = ThreadKind::Support;
    t.awaiting_first_reply = true;
    let replied = as_agent(&t, text("hi")).expect("posts").thread;
    assert_eq!(replied.assigned_agent_ids, [uid("host")]);
    assert!(!replied.awaiting_first_reply);
    let noted = as_agent(&t, typed(MessageType::Note)).expect("posts").thread;
    assert!(noted.assigned_agent_ids.is_empty() && noted.awaiting_first_reply);
    let admin = post(&t, &Roles::default(), text("x"), &actor("boss", Role::Admin), Time::from_millis(NOW));
    assert!(admin.expect("posts").thread.assigned_agent_ids.is_empty());
}

fn up_to(seq: i64) -> Place {
    Place { seq, customer_seq: 0 }
}

#[test]
fn in_a_support_room_each_side_is_told_by_mail_of_what_the_other_wrote_and_of_a_note_nobody() {
    let mut room = with_people(&["guest", "host"]);
    room.kind = ThreadKind::Support;
    let roles: Roles = [(uid("host"), Role::Agent), (uid("guest"), Role::Guest)].into_iter().collect();
    let mailed = |draft: Draft, who: &str, role: Role| {
        let commit = post(&room, &roles, draft, &actor(who, role), Time::from_millis(NOW)).expect("posts");
        let mails = commit.jobs.into_iter().filter(|job| job.kind.queue == crate::queue::Queue::Email);
        mails.map(|job| (job.kind.name, job.lane.unwrap_or_default())).collect::<Vec<_>>()
    };
    let agents = || vec![("notify_agents", format!("email:{}", room.key))];
    let customer = || vec![("notify_customer", format!("email:{}/customer", room.key))];
    assert_eq!(mailed(text("?"), "guest", Role::Guest), agents());
    assert_eq!(mailed(text("!"), "host", Role::Agent), customer());
    assert_eq!(mailed(text("!"), "bot", Role::Service), customer());
    let for_guest = Draft { author_id: Some(uid("guest")), ..text("by another channel") };
    assert_eq!(mailed(for_guest, "bot", Role::Service), agents());
    assert_eq!(mailed(typed(MessageType::Note), "host", Role::Agent), []);
    assert_eq!(mailed(typed(MessageType::WhatsappMessage), "host", Role::Agent), [], "it has its own way");
}

#[test]
fn outside_support_rooms_nobody_is_mailed() {
    let names = job_names(&as_agent(&with_people(&["guest"]), text("hi")).expect("posts"));
    assert_eq!(names, ["index_message", "audit_message"]);
}

#[test]
fn attention_is_cleared_only_when_the_mark_reaches_what_raised_it() {
    let t = with_people(&["guest"]);
    let t = as_agent(&t, text("1")).expect("posts").thread;
    let t = as_agent(&t, text("2")).expect("posts").thread;
    let partly = t.read_by(&uid("guest"), up_to(1)).expect("moves the mark");
    assert_eq!(partly.needs_attention, [uid("guest")]);
    let all = partly.read_by(&uid("guest"), up_to(2)).expect("moves the mark");
    assert!(all.needs_attention.is_empty());
    assert!(all.read_by(&uid("guest"), up_to(1)).is_none(), "a mark never goes back");
}

#[test]
fn the_same_content_has_one_hash_however_it_is_spelled() {
    let explicit = Draft { source: source("hububb"), kind: Some(MessageType::Message), ..text("hi") };
    let hash = |d| as_agent(&thread_named("t1"), d).expect("posts").message.content_hash;
    assert_eq!(hash(text("hi")), hash(explicit));
    assert_ne!(hash(text("hi")), hash(text("ho")));
    let paid = |d| Draft { content_type: Some(ContentType::Payment), payment_content: Some(d), ..text("") };
    assert_eq!(
        hash(paid(doc! {"a": 1, "b": {"c": 2, "d": 3}})),
        hash(paid(doc! {"b": {"d": 3, "c": 2}, "a": 1}))
    );
}

fn thread_named(id: &str) -> Thread {
    let mut t = thread();
    t.key = format!("acme/{id}");
    t
}

#[derive(Debug, Clone)]
struct Step {
    who: &'static str,
    role: Role,
    kind: MessageType,
    at: i64,
}

fn any_step() -> impl Strategy<Value = Step> {
    let people = prop::sample::select(vec![
        ("host", Role::Agent),
        ("cohost", Role::Agent),
        ("guest", Role::Guest),
        ("ota", Role::Service),
    ]);
    let kinds = prop::sample::select(vec![
        MessageType::Message,
        MessageType::Note,
        MessageType::WhatsappMessage,
        MessageType::SmsMessage,
    ]);
    (people, kinds, 0i64..10_000).prop_map(|((who, role), kind, at)| Step { who, role, kind, at })
}

proptest! {
    #[test]
    fn any_sequence_of_posts_keeps_the_counters_gapless_and_the_author_out_of_attention(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut t = with_people(&["guest"]);
        let (mut seq, mut public) = (0, 0);
        for step in steps {
            let result = post(&t, &Roles::default(), typed(step.kind), &actor(step.who, step.role), Time::from_millis(step.at));
            let Ok(commit) = result else { continue };
            seq += 1;
            prop_assert_eq!(commit.message.seq, seq);
            prop_assert_eq!(commit.thread.version, t.version + 1);
            prop_assert!(commit.message.created_at >= t.updated_at, "time never contradicts seq");
            prop_assert!(!commit.thread.needs_attention.contains(&uid(step.who)));
            prop_assert!(commit.thread.participant_ids.contains(&uid(step.who)));
            if step.kind == MessageType::Note {
                prop_assert!(!commit.thread.needs_attention.contains(&uid("guest")) || t.needs_attention.contains(&uid("guest")));
            } else {
                public += 1;
                prop_assert_eq!(commit.message.public_seq, Some(public));
            }
            t = commit.thread;
        }
        prop_assert_eq!(t.needs_attention_map.len(), t.needs_attention.len());
        prop_assert_eq!((t.seq, t.public_seq), (seq, public));
    }
}
