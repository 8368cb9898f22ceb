//! What clients send: `resume` and `typing`, each acknowledged. The same rules as over REST, a pace per socket; anything
//! else is counted and not answered.

use std::future::Future;
use std::sync::{Arc, Weak};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::ids::ThreadId;
use shared::live::LiveEvent;
use socketioxide::ParserError;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::socket::DisconnectReason;

use super::emit::occupant;
use super::entry::Occupant;
use super::{Hall, payload};
use crate::chat::MessageView;
use crate::http::{ApiError, Code, log_cause};

/// Messages in one answer to `resume`.
const RESUME_MAX: usize = 100;

/// What a client misses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResumeIn {
    thread_id: String,
    /// The newest that it holds, in its own counter; 0 for all.
    after_seq: i64,
}

/// Whether a client is writing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypingIn {
    thread_id: String,
    typing: bool,
    /// `note` is shown to the staff only.
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Makes `socket` heard.
pub(super) fn listen(hall: &Weak<Hall>, socket: &SocketRef) {
    let (resuming, writing) = (hall.clone(), hall.clone());
    socket.on("resume", move |socket: SocketRef, data: TryData<Value>, ack: AckSender| {
        metrics::counter!("sockets_events_total", "event" => "resume").increment(1);
        answer(resuming, socket, ack, async move |hall, occupant| resume(&hall, &occupant, data.0).await)
    });
    socket.on("typing", move |socket: SocketRef, data: TryData<Value>, ack: AckSender| {
        metrics::counter!("sockets_events_total", "event" => "typing").increment(1);
        answer(writing, socket, ack, async move |hall, occupant| typing(&hall, &occupant, data.0).await)
    });
    socket.on_fallback(|| {
        metrics::counter!("sockets_events_total", "event" => "unknown").increment(1);
        async {}
    });
    socket.on_disconnect(|socket: SocketRef, reason: DisconnectReason| {
        metrics::counter!("sockets_closed_total", "reason" => reason_name(reason)).increment(1);
        socket.extensions.remove::<Arc<Occupant>>();
        async {}
    });
}

/// Does what a client asks within the limits, and acknowledges it.
async fn answer<F>(
    hall: Weak<Hall>,
    socket: SocketRef,
    ack: AckSender,
    act: impl FnOnce(Arc<Hall>, Arc<Occupant>) -> F,
) where
    F: Future<Output = Result<Value, ApiError>>,
{
    let (Some(hall), Some(occupant)) = (hall.upgrade(), occupant(&socket)) else { return };
    let is_customer = occupant.is_customer();
    let result = if occupant.pace.take() {
        let patience = hall.patience;
        let acting = tokio::time::timeout(patience, act(Arc::clone(&hall), occupant));
        acting.await.unwrap_or_else(|_| Err(ApiError::new(Code::Unavailable, "it took too long, try again")))
    } else {
        Err(ApiError::new(Code::RateLimited, "too many events, slow down"))
    };
    let shown = result.unwrap_or_else(|error| {
        log_cause(&error);
        payload::refused(&if is_customer { hidden(error) } else { error })
    });
    if ack.send(&shown).is_err() && socket.connected() {
        hall.cut(&socket, "slow");
    }
}

/// To a customer of the desk the rooms of others are not there.
fn hidden(error: ApiError) -> ApiError {
    match error.code {
        Code::NotParticipant | Code::NotFound => ApiError::not_found("room"),
        _ => error,
    }
}

fn read<T: DeserializeOwned>(data: Result<Value, ParserError>, wanted: &'static str) -> Result<T, ApiError> {
    let malformed = || ApiError::new(Code::InvalidRequest, wanted);
    serde_json::from_value(data.map_err(|_| malformed())?).map_err(|_| malformed())
}

/// To a customer no id is malformed: it is unknown.
fn thread_id(occupant: &Occupant, text: &str) -> Result<ThreadId, ApiError> {
    ThreadId::parse(text).map_err(|_| match occupant.is_customer() {
        true => ApiError::not_found("room"),
        false => ApiError::new(Code::InvalidRequest, "threadId is malformed"),
    })
}

async fn resume(
    hall: &Hall,
    occupant: &Occupant,
    data: Result<Value, ParserError>,
) -> Result<Value, ApiError> {
    let wanted = "resume takes {threadId, afterSeq}";
    let asked: ResumeIn = read(data, wanted)?;
    if asked.after_seq < 0 {
        return Err(ApiError::new(Code::InvalidRequest, "afterSeq must not be negative"));
    }
    let Ok(_permit) = occupant.resumes.try_acquire() else {
        return Err(ApiError::new(Code::RateLimited, "the answer before is still on its way"));
    };
    let id = thread_id(occupant, &asked.thread_id)?;
    let actor = &occupant.actor;
    let found = hall.chat.messages_after(actor, &id, asked.after_seq, RESUME_MAX).await?;
    let (thread, messages, has_more) = found;
    if !occupant.may_see(&thread) {
        return Err(ApiError::not_found("room"));
    }
    let is_mine = |view: &MessageView| (!actor.role.is_staff()).then(|| view.message.author_id == actor.uid);
    let shown: Vec<Value> =
        messages.iter().map(|view| payload::message(&thread, view, is_mine(view))).collect();
    Ok(json!({ "messages": shown, "hasMore": has_more }))
}

async fn typing(
    hall: &Hall,
    occupant: &Occupant,
    data: Result<Value, ParserError>,
) -> Result<Value, ApiError> {
    let wanted = "typing takes {threadId, typing} and, for a note, type: \"note\"";
    let asked: TypingIn = read(data, wanted)?;
    let staff_only = match asked.kind.as_deref() {
        None => false,
        Some("note") if occupant.actor.role.is_staff() => true,
        Some("note") => return Err(ApiError::new(Code::Forbidden, "notes are the staff's")),
        Some(_) => return Err(ApiError::new(Code::InvalidRequest, wanted)),
    };
    let actor = &occupant.actor;
    let thread = hall.chat.entitled_thread(actor, &thread_id(occupant, &asked.thread_id)?).await?;
    if !occupant.may_see(&thread) {
        return Err(ApiError::not_found("room"));
    }
    let event = LiveEvent::Typing {
        account: actor.account.clone(),
        thread: thread.thread_id.clone(),
        uid: actor.uid.clone(),
        typing: asked.typing,
        staff_only,
    };
    hall.chat.live.publish_with(event, Arc::new(thread));
    Ok(json!({}))
}

fn reason_name(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport_close",
        DisconnectReason::MultipleHttpPollingError => "multiple_polls",
        DisconnectReason::PacketParsingError => "malformed_packet",
        DisconnectReason::TransportError => "transport_error",
        DisconnectReason::HeartbeatTimeout => "heartbeat",
        DisconnectReason::ClientNSDisconnect => "client",
        DisconnectReason::ServerNSDisconnect => "server",
        DisconnectReason::ClosingServer => "shutdown",
    }
}
