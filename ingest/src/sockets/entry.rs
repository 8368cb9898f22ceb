//! Who is let in: the credentials of a connecting client, its seat, its rooms, and when it must leave.

use std::sync::{Arc, Weak};
use std::time::Duration;

use poem::http::header;
use serde_json::Value;
use shared::domain::actor::{Actor, Role};
use shared::domain::thread::Thread;
use shared::domain::{Time, access};
use shared::telemetry::RequestId;
use socketioxide::ParserError;
use socketioxide::extract::SocketRef;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::cord::{Attached, Cord};
use super::pace::Pace;
use super::refusal::Refusal;
use super::seats::Seat;
use super::{Hall, inbound};
use crate::desk::CustomerCredentials;
use crate::http::{ApiError, Code, log_cause};

/// How long checking credentials may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Catching up at once, per socket.
const RESUMES_MAX: usize = 2;

/// Whose socket it is; lies in the socket's extensions while it is connected.
pub(super) struct Occupant {
    pub(super) actor: Actor,
    /// The session of a customer of the desk, to whom only its own rooms exist.
    pub(super) session: Option<String>,
    pub(super) pace: Pace,
    pub(super) resumes: Semaphore,
    pub(super) cord: Arc<Cord>,
    _seat: Seat,
    _end: Timer,
}

impl Occupant {
    /// Whether it came as a customer of the desk.
    pub(super) fn is_customer(&self) -> bool {
        self.session.is_some()
    }

    /// Whether `thread` exists for it.
    pub(super) fn may_see(&self, thread: &Thread) -> bool {
        let foreign = self.is_customer() && !thread.is_customer(&self.actor.uid);
        !foreign && access::check_entitled(thread, &self.actor).is_ok()
    }
}

/// Somebody with valid credentials.
struct Visitor {
    actor: Actor,
    session: Option<String>,
    expires_at: Time,
}

/// A task that goes with its owner.
struct Timer(JoinHandle<()>);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets a client in, or tells it why not. When this returns, its socket is in its rooms and heard, before the client
/// is told that it is connected: nothing falls in between.
pub(super) async fn enter(
    hall: Option<Arc<Hall>>,
    socket: SocketRef,
    auth: Result<Value, ParserError>,
) -> Result<(), Refusal> {
    let id = RequestId::new();
    let span = tracing::info_span!("socket", request.id = %id);
    let admitted = match hall {
        Some(hall) => {
            let admitting = tokio::time::timeout(PATIENCE, admit(&hall, &socket, auth));
            admitting.instrument(span.clone()).await.unwrap_or_else(|_| Err(late()))
        }
        None => Err(late()),
    };
    let Err(error) = admitted else { return Ok(()) };
    span.in_scope(|| {
        log_cause(&error);
        tracing::info!(code = error.code.as_str(), "socket refused");
    });
    metrics::counter!("sockets_refused_total", "code" => error.code.as_str()).increment(1);
    Err(Refusal::new(&error, &id))
}

fn late() -> ApiError {
    ApiError::new(Code::Unavailable, "a needed server is away, try again")
}

async fn admit(
    hall: &Arc<Hall>,
    socket: &SocketRef,
    auth: Result<Value, ParserError>,
) -> Result<(), ApiError> {
    let auth = auth.map_err(|_| ApiError::new(Code::InvalidRequest, "the credentials are not JSON"))?;
    if hall.is_closing() {
        return Err(late());
    }
    let visitor = identify(hall, socket, &auth).await?;
    if visitor.actor.role == Role::Operator {
        return Err(ApiError::new(Code::Forbidden, "operators have no part in conversations"));
    }
    let seat = hall.seats.take(&visitor.actor)?;
    let attached = socket.req_parts().extensions.get::<Attached>();
    let cord = attached.map_or_else(|| hall.cords.of(socket.id.as_str()), |cord| Arc::clone(&cord.0));
    socket.join(rooms(&visitor));
    inbound::listen(&Arc::downgrade(hall), socket);
    let occupant = Occupant {
        pace: Pace::new(hall.config.event_rate),
        resumes: Semaphore::new(RESUMES_MAX),
        cord,
        _seat: seat,
        _end: leave_at(visitor.expires_at, Arc::downgrade(hall), socket),
        session: visitor.session,
        actor: visitor.actor,
    };
    tracing::debug!(account.id = %occupant.actor.account, role = occupant.actor.role.as_str(), "socket connected");
    socket.extensions.insert(Arc::new(occupant));
    Ok(())
}

/// Reads `{token}`, or `{supportToken, supportSession, deviceId}`, and checks it.
async fn identify(hall: &Hall, socket: &SocketRef, auth: &Value) -> Result<Visitor, ApiError> {
    let text = |field: &str| auth.get(field).and_then(Value::as_str).map(str::to_owned);
    if let Some(token) = text("token") {
        let identity = hall.auth.verify(&token).await.map_err(ApiError::refused_token)?;
        hall.chat.note_caller(&identity.actor, identity.name.as_deref()).await?;
        return Ok(Visitor { actor: identity.actor, session: None, expires_at: identity.expires_at });
    }
    let (Some(support_token), Some(support_session), Some(device_id)) =
        (text("supportToken"), text("supportSession"), text("deviceId"))
    else {
        let wanted = "auth must be {token}, or {supportToken, supportSession, deviceId}";
        return Err(ApiError::new(Code::Unauthenticated, wanted));
    };
    let origin = socket.req_parts().headers.get(header::ORIGIN);
    let origin = origin.map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
    let credentials = CustomerCredentials { support_token, support_session, device_id, origin };
    let customer = hall.desk.authenticate(&credentials).await?;
    Ok(Visitor { actor: customer.actor, session: Some(customer.session_id), expires_at: customer.expires_at })
}

/// The room of a token of `account`.
pub(super) fn room(account: impl std::fmt::Display, token: impl std::fmt::Display) -> String {
    format!("{account}/{token}")
}

/// Rooms of what somebody may see, of its own sockets, of its session and of everybody of the account.
fn rooms(visitor: &Visitor) -> Vec<String> {
    let actor = &visitor.actor;
    let mut rooms: Vec<String> =
        access::tokens(actor).iter().map(|token| room(&actor.account, token)).collect();
    rooms.push(format!("account_{}", actor.account));
    if actor.role.is_staff() {
        rooms.push(room(&actor.account, format_args!("s:{}", actor.uid)));
    }
    if let Some(session) = &visitor.session {
        rooms.push(room(&actor.account, format_args!("session:{session}")));
    }
    rooms
}

/// Ends the socket when its credentials do.
fn leave_at(at: Time, hall: Weak<Hall>, socket: &SocketRef) -> Timer {
    let left = at.timestamp_millis() - Time::now().timestamp_millis();
    let (left, sid) = (Duration::from_millis(left.max(0).unsigned_abs()), socket.id);
    Timer(shared::task::spawn("socket.expiry", async move {
        tokio::time::sleep(left).await;
        let Some(hall) = hall.upgrade() else { return };
        // Another task, since this one ends with the socket.
        shared::task::spawn("socket.leave", async move { hall.dismiss(sid) });
    }))
}
