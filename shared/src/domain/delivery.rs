//! What is known of a message's way to its recipient, and which news may change it.
//!
//! Rank within one attempt: queued < sending < unknown < sent < delivered < read; parked stands beside queued;
//! `failed` only from below delivered. A proof of delivery or reading beats `failed` and `unknown` of whatever
//! attempt.

use serde::{Deserialize, Serialize};

use super::time::Time;

/// The way by which a message leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Whatsapp,
    Sms,
    Guest,
}

impl Channel {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Whatsapp => "whatsapp",
            Channel::Sms => "sms",
            Channel::Guest => "guest",
        }
    }
}

/// The state of a delivery as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Queued,
    Sending,
    Sent,
    Delivered,
    Read,
    Failed,
    Unknown,
    Parked,
}

impl DeliveryState {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::Sending => "sending",
            DeliveryState::Sent => "sent",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Read => "read",
            DeliveryState::Failed => "failed",
            DeliveryState::Unknown => "unknown",
            DeliveryState::Parked => "parked",
        }
    }

    fn rank(self) -> u8 {
        match self {
            DeliveryState::Queued | DeliveryState::Parked => 0,
            DeliveryState::Sending => 1,
            DeliveryState::Unknown => 2,
            DeliveryState::Sent => 3,
            DeliveryState::Failed => 4,
            DeliveryState::Delivered => 5,
            DeliveryState::Read => 6,
        }
    }

    /// Whether the provider has proved that the message arrived.
    pub fn proves_arrival(self) -> bool {
        matches!(self, DeliveryState::Delivered | DeliveryState::Read)
    }
}

/// Why a delivery failed or waits: the closed list of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NeedsTemplate,
    NeedsOperator,
    NoRecipient,
    InvalidRecipient,
    OptedOut,
    ChannelDisabled,
    ProviderRejected,
    OutcomeUnknown,
    Expired,
    Cancelled,
}

impl Reason {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NeedsTemplate => "needs_template",
            Reason::NeedsOperator => "needs_operator",
            Reason::NoRecipient => "no_recipient",
            Reason::InvalidRecipient => "invalid_recipient",
            Reason::OptedOut => "opted_out",
            Reason::ChannelDisabled => "channel_disabled",
            Reason::ProviderRejected => "provider_rejected",
            Reason::OutcomeUnknown => "outcome_unknown",
            Reason::Expired => "expired",
            Reason::Cancelled => "cancelled",
        }
    }
}

/// `delivery` of a message, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub channel: Channel,
    pub state: DeliveryState,
    /// The attempt to which `state` belongs; 0 before the first.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_error_code: Option<String>,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
}

/// One piece of news about an attempt: from our own worker or from a provider's status webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub attempt: u32,
    pub state: DeliveryState,
    pub at: Time,
    pub reason: Option<Reason>,
    pub provider_error_code: Option<String>,
}

impl News {
    /// News that is no failure.
    pub fn new(attempt: u32, state: DeliveryState, at: Time) -> Self {
        Self { attempt, state, at, reason: None, provider_error_code: None }
    }

    /// The same with its reason and the provider's code.
    pub fn because(mut self, reason: Option<Reason>, provider_error_code: Option<String>) -> Self {
        self.reason = reason;
        self.provider_error_code = provider_error_code;
        self
    }
}

impl Delivery {
    /// The state in which a message with a delivery intent is committed.
    pub fn queued(channel: Channel, at: Time) -> Self {
        Self {
            channel,
            state: DeliveryState::Queued,
            attempt: 0,
            reason: None,
            provider_error_code: None,
            updated_at: at,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed_at: None,
        }
    }

    /// The delivery after `news`, or `None` when the news is late, repeated or beaten by what is known.
    pub fn after(&self, news: &News) -> Option<Delivery> {
        if !self.accepts(news) {
            return None;
        }
        let mut next = self.clone();
        next.state = news.state;
        next.attempt = news.attempt.max(self.attempt);
        next.updated_at = news.at.max(self.updated_at);
        next.reason = news.reason;
        next.provider_error_code.clone_from(&news.provider_error_code);
        match news.state {
            DeliveryState::Sent => next.sent_at = next.sent_at.or(Some(news.at)),
            DeliveryState::Delivered => next.delivered_at = next.delivered_at.or(Some(news.at)),
            DeliveryState::Read => next.read_at = next.read_at.or(Some(news.at)),
            DeliveryState::Failed => next.failed_at = Some(news.at),
            _ => {}
        }
        Some(next)
    }

    fn accepts(&self, news: &News) -> bool {
        if self.state.proves_arrival() {
            // Arrival is final; only reading adds to it.
            return news.state == DeliveryState::Read && self.state == DeliveryState::Delivered;
        }
        if news.state.proves_arrival() {
            return true;
        }
        if news.attempt != self.attempt {
            return news.attempt > self.attempt;
        }
        match (self.state, news.state) {
            // Released from parking within the same attempt.
            (DeliveryState::Parked, DeliveryState::Queued) => true,
            // Parked instead of sent, or refused for now by a status after it was accepted.
            (from, DeliveryState::Parked) => matches!(
                from,
                DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Unknown | DeliveryState::Sent
            ),
            // What came before the refusal and arrives behind it; the next try is another attempt.
            (
                DeliveryState::Parked,
                DeliveryState::Sending | DeliveryState::Unknown | DeliveryState::Sent,
            ) => false,
            // Proved not sent: goes back to the queue for its next try.
            (DeliveryState::Sending, DeliveryState::Queued) => true,
            (from, to) => to.rank() > from.rank(),
        }
    }
}

#[cfg(test)]
mod tests {
    use DeliveryState::*;
    use proptest::prelude::*;

    use super::*;

    fn at(state: DeliveryState, attempt: u32) -> Delivery {
        Delivery { state, attempt, ..Delivery::queued(Channel::Whatsapp, Time::from_millis(0)) }
    }

    fn moves(from: DeliveryState, to: DeliveryState) -> bool {
        at(from, 1).after(&News::new(1, to, Time::from_millis(1))).is_some()
    }

    #[test]
    fn within_an_attempt_a_status_only_climbs() {
        let climb = [Queued, Sending, Unknown, Sent, Delivered, Read];
        for (i, from) in climb.iter().enumerate() {
            for (j, to) in climb.iter().enumerate() {
                let back_to_queue = *from == Sending && *to == Queued;
                assert_eq!(moves(*from, *to), j > i || back_to_queue, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn failed_only_comes_from_below_delivered() {
        for from in [Queued, Sending, Unknown, Sent, Parked] {
            assert!(moves(from, Failed), "{from:?}");
        }
        assert!(!moves(Delivered, Failed));
        assert!(!moves(Read, Failed));
        assert!(!moves(Failed, Sent));
    }

    #[test]
    fn a_message_that_was_accepted_may_still_be_parked_and_an_older_status_does_not_undo_it() {
        for from in [Queued, Sending, Unknown, Sent] {
            assert!(moves(from, Parked), "{from:?}");
        }
        for from in [Failed, Delivered, Read] {
            assert!(!moves(from, Parked), "{from:?}");
        }
        for late in [Sending, Unknown, Sent] {
            assert!(!moves(Parked, late), "{late:?}");
        }
        let retried = at(Parked, 1).after(&News::new(2, Sending, Time::from_millis(1)));
        assert_eq!(retried.map(|next| next.state), Some(Sending), "the next attempt goes on");
        assert!(moves(Parked, Delivered));
    }

    #[test]
    fn a_proof_of_arrival_of_an_earlier_attempt_beats_failed_and_unknown() {
        for beaten in [Failed, Unknown, Queued, Sending, Parked] {
            let next =
                at(beaten, 3).after(&News::new(1, Delivered, Time::from_millis(9))).expect("proof wins");
            assert_eq!((next.state, next.attempt), (Delivered, 3));
        }
    }

    #[test]
    fn a_late_failure_of_an_earlier_attempt_changes_nothing() {
        assert!(at(Sending, 2).after(&News::new(1, Failed, Time::from_millis(9))).is_none());
    }

    #[test]
    fn read_before_delivered_stays_read() {
        let read = at(Sent, 1).after(&News::new(1, Read, Time::from_millis(5))).expect("climbs");
        assert!(read.after(&News::new(1, Delivered, Time::from_millis(6))).is_none());
        assert_eq!(read.delivered_at, None);
    }

    fn any_state() -> impl Strategy<Value = DeliveryState> {
        prop::sample::select(vec![Queued, Sending, Sent, Delivered, Read, Failed, Unknown, Parked])
    }

    proptest! {
        #[test]
        fn news_in_any_order_ends_arrived_when_any_proof_was_among_it(
            news in prop::collection::vec((1u32..4, any_state()), 1..20),
        ) {
            let mut delivery = at(Queued, 0);
            for (i, (attempt, state)) in news.iter().enumerate() {
                if let Some(next) = delivery.after(&News::new(*attempt, *state, Time::from_millis(i as i64))) {
                    delivery = next;
                }
            }
            let proved = news.iter().any(|(_, s)| s.proves_arrival());
            prop_assert_eq!(delivery.state.proves_arrival(), proved);
        }

        #[test]
        fn the_same_news_twice_is_a_no_op(attempt in 0u32..3, from in any_state(), news_attempt in 0u32..3, to in any_state()) {
            let news = News::new(news_attempt, to, Time::from_millis(7));
            if let Some(next) = at(from, attempt).after(&news) {
                prop_assert!(next.after(&news).is_none());
            }
        }
    }
}
