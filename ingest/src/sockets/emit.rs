//! Sending to sockets: to many at once, and good-bye. A socket whose buffer is full is cut off, not waited for.

use std::sync::Arc;

use serde_json::Value;
use shared::domain::ids::AccountId;
use shared::domain::thread::Thread;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{SendError, SocketError};

use super::Hall;
use super::entry::{Occupant, room};

/// Whose socket it is; none once it has left.
pub(super) fn occupant(socket: &SocketRef) -> Option<Arc<Occupant>> {
    socket.extensions.get::<Arc<Occupant>>()
}

impl Hall {
    /// The sockets that hold one of `tokens` of `account`.
    pub(super) fn holders(&self, account: &AccountId, tokens: &[String]) -> Vec<SocketRef> {
        self.within(tokens.iter().map(|token| room(account, token)).collect())
    }

    /// The sockets of guests and customers who may see `thread`.
    pub(super) fn guests_of(&self, thread: &Thread) -> Vec<SocketRef> {
        let mut guests = self.holders(&thread.account_id, &thread.guest_viewers);
        guests.retain(|socket| occupant(socket).is_some_and(|occupant| occupant.may_see(thread)));
        guests
    }

    /// The sockets in one of `rooms`.
    pub(super) fn within(&self, rooms: Vec<String>) -> Vec<SocketRef> {
        if rooms.is_empty() {
            return Vec::new(); // to the library, no room means everybody
        }
        self.io.of("/").map_or_else(Vec::new, |all| all.within(rooms).sockets())
    }

    /// Sends an event to `sockets`.
    pub(super) fn emit(&self, sockets: &[SocketRef], event: &str, payload: &Value) {
        for socket in sockets {
            if let Err(SendError::Socket(SocketError::InternalChannelFull)) = socket.emit(event, payload) {
                self.cut(socket, "slow");
            }
        }
    }

    /// Breaks the connection of `socket`: its client comes again and catches up.
    pub(super) fn cut(&self, socket: &SocketRef, why: &'static str) {
        socket.leave_all();
        if let Some(occupant) = occupant(socket)
            && !occupant.cord.is_cut()
        {
            metrics::counter!("sockets_cut_total", "why" => why).increment(1);
            occupant.cord.pull();
        }
    }

    /// Sends the client of `sid` away: its credentials are not good any more.
    pub(super) fn dismiss(&self, sid: Sid) {
        let Some(socket) = self.io.of("/").and_then(|all| all.get_socket(sid)) else { return };
        socket.leave_all();
        if socket.clone().disconnect().is_err() {
            self.cut(&socket, "dismissed");
        }
    }
}
