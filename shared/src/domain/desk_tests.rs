//! The rules of the support desk: types, conversations, rooms, and what is unread.

use proptest::prelude::*;

use super::access::check_entitled;
use super::actor::{Actor, Role, Roles};
use super::desk::{DeskType, SenderType};
use super::ids::{AccountId, ThreadId};
use super::message::{Attachment, Draft, Message, MessageType};
use super::post::{Commit, post};
use super::rejection::Rejection;
use super::samples::{actor, uid};
use super::thread::{Thread, ThreadKind};
use super::time::Time;

fn room() -> Thread {
    let account = AccountId::parse("acme").expect("a sample account");
    let id = ThreadId::parse("room-1").expect("a sample id");
    Thread::room(&account, Some(id), &uid("cust"), Time::from_millis(1_000))
}

fn said(t: &Thread, who: &Actor, draft: Draft) -> Result<Commit, Rejection> {
    post(t, &Roles::default(), draft, who, Time::from_millis(2_000))
}

fn of_type(desk_type: DeskType, content: &str, files: &[&str]) -> Draft {
    Draft {
        body: content.to_owned(),
        kind: Some(desk_type.kind()),
        desk_type: Some(desk_type),
        attachments: files.iter().map(|url| Attachment::from_url((*url).to_owned())).collect(),
        ..Draft::default()
    }
}

#[test]
fn a_room_waits_for_its_first_reply_and_belongs_to_its_customer() {
    let t = room();
    assert_eq!((t.kind, t.awaiting_first_reply, t.version), (ThreadKind::Support, true, 1));
    assert_eq!(t.participant_ids, [uid("cust")]);
    assert!(check_entitled(&t, &actor("cust", Role::Guest)).is_ok());
    assert!(check_entitled(&t, &actor("eve", Role::Guest)).is_err());
    assert!(check_entitled(&t, &actor("anna", Role::Agent)).is_ok());
    let other = Thread::room(&t.account_id, Some(t.thread_id.clone()), &uid("other"), t.created_at);
    assert_ne!(t.content_hash, other.content_hash);
}

#[test]
fn the_sender_is_the_customer_or_an_agent() {
    let first =
        said(&room(), &actor("cust", Role::Guest), of_type(DeskType::Text, "hi", &[])).expect("posts");
    assert_eq!(first.thread.sender_of(&first.message), SenderType::Customer);
    let reply = said(&first.thread, &actor("anna", Role::Agent), of_type(DeskType::Text, "hello", &[]));
    let reply = reply.expect("posts");
    assert_eq!(reply.thread.sender_of(&reply.message), SenderType::Agent);
    assert_eq!(reply.thread.assigned_agent_ids, [uid("anna")]);
}

#[test]
fn a_message_keeps_the_conversation_of_its_author() {
    let named = Actor { conversation_id: "conv-7".to_owned(), ..actor("anna", Role::Agent) };
    let message = said(&room(), &named, of_type(DeskType::Text, "hi", &[])).expect("posts").message;
    assert_eq!((message.conversation_id(), message.author_id.as_str()), ("conv-7", "anna"));
    let plain =
        said(&room(), &actor("cust", Role::Guest), of_type(DeskType::Text, "hi", &[])).expect("posts");
    assert_eq!((plain.message.conversation_id(), plain.message.conversation_id.clone()), ("cust", None));
    let by_service = Draft { author_id: Some(uid("cust")), ..of_type(DeskType::Text, "hi", &[]) };
    let service = Actor { conversation_id: "conv-8".to_owned(), ..actor("ota", Role::Service) };
    assert_eq!(said(&room(), &service, by_service).expect("posts").message.conversation_id(), "cust");
}

#[test]
fn the_type_is_what_it_was_posted_as_else_what_it_looks_like() {
    let shown =
        |draft: Draft| said(&room(), &actor("anna", Role::Agent), draft).expect("posts").message.shown_as();
    assert_eq!(shown(of_type(DeskType::File, "", &["https://x.example/a.png"])), DeskType::File);
    assert_eq!(shown(of_type(DeskType::Text, "look", &["https://x.example/a.png"])), DeskType::Text);
    assert_eq!(shown(of_type(DeskType::Note, "psst", &[])), DeskType::Note);
    let by_a = |draft: Draft| shown(Draft { desk_type: None, ..draft });
    assert_eq!(by_a(of_type(DeskType::Note, "psst", &["https://x.example/a.png"])), DeskType::Note);
    assert_eq!(by_a(of_type(DeskType::Text, "hi", &[])), DeskType::Text);
    for (url, expected) in [
        ("https://x.example/a.PNG?size=1.pdf#x.gif", DeskType::Image),
        ("https://x.example/a.jpeg", DeskType::Image),
        ("https://x.example/a.pdf", DeskType::File),
        ("https://x.png/file", DeskType::File),
        ("file-17", DeskType::File),
    ] {
        assert_eq!(by_a(of_type(DeskType::Text, "", &[url])), expected, "{url}");
    }
    let mut typed = of_type(DeskType::Text, "", &["https://x.example/17"]);
    typed.attachments[0].media_type = Some("image/webp".to_owned());
    assert_eq!(by_a(typed), DeskType::Image);
}

#[test]
fn images_and_files_need_an_attachment_and_only_they_may_be_empty() {
    let result = |draft| said(&room(), &actor("anna", Role::Agent), draft);
    let url = "https://x.example/a.png";
    assert!(result(of_type(DeskType::Image, "", &[url])).is_ok());
    assert!(result(of_type(DeskType::File, "", &[url])).is_ok());
    for refused in [
        of_type(DeskType::Image, "x", &[]),
        of_type(DeskType::File, "x", &[]),
        of_type(DeskType::Text, "", &[]),
        of_type(DeskType::Text, "", &[url]),
        of_type(DeskType::Note, "", &[url]),
    ] {
        assert!(matches!(result(refused.clone()), Err(Rejection::Unprocessable(_))), "{refused:?}");
    }
}

#[test]
fn the_type_is_part_of_the_content_only_where_there_is_one() {
    let hash = |draft: Draft| draft.content_hash("t", &uid("anna"));
    let text = of_type(DeskType::Text, "x", &[]);
    assert_ne!(hash(text.clone()), hash(of_type(DeskType::File, "x", &[])));
    assert_ne!(hash(text.clone()), hash(Draft { desk_type: None, ..text }));
}

#[derive(Debug, Clone)]
enum Step {
    Post(&'static str, Role, MessageType),
    /// Who reads up to which part of the thread, in hundredths.
    Read(&'static str, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let people = prop::sample::select(vec![
        ("cust", Role::Guest),
        ("cust", Role::Guest),
        ("anna", Role::Agent),
        ("boss", Role::Admin),
        ("ota", Role::Service),
    ]);
    let kinds = prop::sample::select(vec![MessageType::Message, MessageType::Message, MessageType::Note]);
    let post = (people, kinds).prop_map(|((who, role), kind)| Step::Post(who, role, kind));
    let readers = prop::sample::select(vec!["anna", "boss", "cust"]);
    prop_oneof![3 => post, 1 => (readers, 0usize..=100).prop_map(|(who, part)| Step::Read(who, part))]
}

proptest! {
    #[test]
    fn unread_is_what_the_customer_wrote_above_the_mark_however_it_came_to_be(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut t = room();
        let mut messages: Vec<Message> = Vec::new();
        for step in steps {
            match step {
                Step::Post(who, role, kind) => {
                    let draft = Draft { body: "x".to_owned(), kind: Some(kind), ..Draft::default() };
                    let Ok(commit) = said(&t, &actor(who, role), draft) else { continue };
                    messages.push(commit.message);
                    t = commit.thread;
                }
                Step::Read(who, part) => {
                    let place = match messages.get(messages.len() * part / 100) {
                        Some(message) => message.place(),
                        None => t.place(),
                    };
                    t = t.read_by(&uid(who), place).unwrap_or(t);
                }
            }
            for who in ["anna", "boss", "never"] {
                let mark = t.read_up_to(&uid(who));
                let above = messages.iter().filter(|m| m.seq > mark && m.author_id == uid("cust")).count();
                prop_assert_eq!(t.unread_of_customer(&uid(who)), above as i64, "{}", who);
            }
        }
    }
}
