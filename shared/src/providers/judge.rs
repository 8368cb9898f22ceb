//! Turns an exchange into an outcome by the table of classes, the same way for every provider.

use std::sync::Arc;
use std::time::Duration;

use super::classes::{Class, Classes, Decision, Provider, Signal};
use super::outcome::{Refusal, SendOutcome, UnknownCause};
use super::transport::{Lost, Reply};

/// An error as the provider's body words it.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub(super) code: Option<String>,
    /// Already scrubbed.
    pub(super) detail: String,
    /// The provider explains itself beyond the bare code.
    pub(super) has_details: bool,
    /// A wish that stands elsewhere than in `Retry-After`.
    pub(super) wait: Option<Duration>,
}

/// Decides for one provider.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) classes: Arc<Classes>,
    pub(crate) provider: Provider,
}

impl Judge {
    /// An answer that is no acceptance.
    pub(super) fn answered(&self, reply: &Reply, error: ErrorBody, marketing: bool) -> SendOutcome {
        let signal = Signal {
            code: error.code.as_deref(),
            http_status: Some(reply.status),
            in_status: false,
            marketing,
            has_details: error.has_details,
        };
        let decision = self.classes.decide(self.provider, &signal);
        // "Success" with an error nobody knows: it may have been taken.
        if reply.is_success() && !decision.known_code {
            let cause = reply.body.as_ref().err().copied().unwrap_or(UnknownCause::UnreadableAnswer);
            return self.unknown(cause, Some(reply.status), error.code, decision.alarm);
        }
        if decision.rule.class == Class::Unknown {
            return self.unknown(UnknownCause::ServerError, Some(reply.status), error.code, decision.alarm);
        }
        let mut refusal = Refusal::new(decision, error.detail);
        refusal.code = error.code;
        refusal.http_status = Some(reply.status);
        refusal.retry_after = reply.retry_after().or(error.wait);
        SendOutcome::Refused(refusal)
    }

    /// A refusal of which only the number is told, such as SMTP's: the text beside it quotes addresses.
    pub(crate) fn replied(&self, code: u16) -> SendOutcome {
        let text = code.to_string();
        let signal = Signal { code: Some(&text), http_status: Some(code), ..Signal::default() };
        let decision = self.classes.decide(self.provider, &signal);
        if decision.rule.class == Class::Unknown {
            return self.unknown(UnknownCause::ServerError, None, Some(text), decision.alarm);
        }
        let mut refusal = Refusal::new(decision, String::new());
        refusal.code = Some(text);
        SendOutcome::Refused(refusal)
    }

    /// The recipient's address is of a kind that the server cannot write to.
    pub(crate) fn unwritable(&self) -> SendOutcome {
        SendOutcome::Refused(Refusal::new(self.word("address"), String::new()))
    }

    /// No answer.
    pub(crate) fn lost(&self, lost: Lost) -> SendOutcome {
        match lost {
            Lost::NotSent => SendOutcome::Refused(Refusal::new(self.word("connect"), String::new())),
            Lost::Blocked(why) => SendOutcome::Refused(Refusal::new(self.word("blocked"), why.to_owned())),
            Lost::AfterWrite(cause) => {
                let decision = self.word("lost");
                if decision.rule.class == Class::Unknown {
                    return self.unknown(cause, None, None, decision.alarm);
                }
                SendOutcome::Refused(Refusal::new(decision, String::new()))
            }
        }
    }

    /// Counts the outcome.
    pub(crate) fn count(&self, outcome: SendOutcome) -> SendOutcome {
        let labels = [("provider", self.provider.as_str()), ("class", outcome.as_str())];
        metrics::counter!("provider_requests_total", &labels).increment(1);
        outcome
    }

    fn word(&self, word: &'static str) -> Decision {
        self.classes.decide(self.provider, &Signal { code: Some(word), ..Signal::default() })
    }

    fn unknown(
        &self,
        cause: UnknownCause,
        http_status: Option<u16>,
        code: Option<String>,
        alarm: bool,
    ) -> SendOutcome {
        SendOutcome::Unknown { cause, http_status, code, alarm }
    }
}
