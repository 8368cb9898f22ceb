//! The 24-hour customer service window of WhatsApp (PROTOCOLS: it opens or resets with each customer message).

use super::time::{Time, plus_millis};

/// Length of the window.
pub const WINDOW_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Whether a free text may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// No inbound message was ever seen here: send, the provider judges.
    NeverOpened,
    /// The customer wrote less than 24 hours ago.
    Open { until: Time },
    /// The last inbound message is too old: only templates.
    Closed { since: Time },
}

impl Window {
    /// The window at `now`, given the last inbound message.
    pub fn at(last_inbound: Option<Time>, now: Time) -> Self {
        let Some(last) = last_inbound else { return Window::NeverOpened };
        let until = plus_millis(last, WINDOW_MILLIS);
        if now < until { Window::Open { until } } else { Window::Closed { since: until } }
    }

    /// Whether a free text may be sent.
    pub fn can_reply_freeform(self) -> bool {
        !matches!(self, Window::Closed { .. })
    }

    /// When the window closes or closed; none when it never opened.
    pub fn expires_at(self) -> Option<Time> {
        match self {
            Window::NeverOpened => None,
            Window::Open { until } => Some(until),
            Window::Closed { since } => Some(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_exactly_24_hours_after_the_last_inbound_message() {
        let inbound = Time::from_millis(1_000);
        assert!(Window::at(None, inbound).can_reply_freeform());
        assert!(Window::at(Some(inbound), Time::from_millis(999 + WINDOW_MILLIS)).can_reply_freeform());
        assert!(!Window::at(Some(inbound), Time::from_millis(1_000 + WINDOW_MILLIS)).can_reply_freeform());
    }
}
