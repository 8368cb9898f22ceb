//! What becomes of an accepted message: the steps it goes through and the webhook that tells of each.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::json;
use url::form_urlencoded;

use super::Sim;
use super::codes;
use super::config::StatusPlan;
use super::record::{Accepted, Provider};
use super::signature;

/// One state of a message, and when it is reached, counted from the acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) status: Cow<'static, str>,
    pub(super) after: Duration,
    /// The error code of a failed state.
    pub(super) code: Option<u32>,
}

/// The failure that a script asks for.
pub(super) struct Failure {
    pub(super) code: u32,
    /// `failed` for WhatsApp and `undelivered` for Twilio, unless set.
    pub(super) status: Option<String>,
}

/// A webhook ready to be posted.
pub(super) struct Webhook {
    /// The URL that is signed.
    pub(super) url: String,
    pub(super) signature_header: &'static str,
    pub(super) signature: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// The states that an accepted message will reach; none at the guest platform.
pub(super) fn steps(plan: &StatusPlan, provider: Provider, failure: Option<Failure>) -> Vec<Step> {
    let step = |status: &'static str, ms: u64| Step {
        status: Cow::Borrowed(status),
        after: Duration::from_millis(ms),
        code: None,
    };
    let failed = |failure: Failure, default: &'static str, ms: u64| Step {
        status: failure.status.map_or(Cow::Borrowed(default), Cow::Owned),
        after: Duration::from_millis(ms),
        code: Some(failure.code),
    };
    match (provider, failure) {
        (Provider::Guest, _) => Vec::new(),
        (Provider::Whatsapp, Some(failure)) => vec![failed(failure, "failed", plan.sent_ms)],
        (Provider::Whatsapp, None) => {
            let mut steps = vec![step("sent", plan.sent_ms), step("delivered", plan.delivered_ms)];
            if plan.read {
                steps.push(step("read", plan.read_ms));
            }
            steps
        }
        (Provider::Twilio, failure) => {
            let last = match failure {
                Some(failure) => failed(failure, "undelivered", plan.delivered_ms),
                None => step("delivered", plan.delivered_ms),
            };
            vec![step("queued", 0), step("sent", plan.sent_ms), last]
        }
    }
}

/// When each webhook of message `n` is posted: in order, or shuffled by the plan's seed.
pub(super) fn schedule(plan: &StatusPlan, steps: &[Step], n: u64) -> Vec<Duration> {
    let mut times: Vec<Duration> = steps.iter().map(|step| step.after).collect();
    if let Some(seed) = plan.shuffle_seed {
        times.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n));
    }
    times
}

/// The state reached at `now`, for lookups; it does not depend on webhooks getting through.
pub(super) fn reached(steps: &[Step], since: DateTime<Utc>, now: DateTime<Utc>) -> (&str, Option<u32>) {
    let elapsed = (now - since).to_std().unwrap_or_default();
    let last = steps.iter().rev().find(|step| step.after <= elapsed);
    last.map_or(("queued", None), |step| (step.status.as_ref(), step.code))
}

/// The webhook that tells of one step; `None` when there is nowhere to send it.
pub(super) fn webhook(sim: &Sim, accepted: &Accepted, step: &Step) -> Option<Webhook> {
    match accepted.provider {
        Provider::Whatsapp => whatsapp(sim, accepted, step),
        Provider::Twilio => twilio(sim, accepted, step),
        Provider::Guest => None,
    }
}

fn whatsapp(sim: &Sim, accepted: &Accepted, step: &Step) -> Option<Webhook> {
    let base = sim.settings.read().webhook_base.clone()?;
    let number = sim.config.whatsapp.iter().find(|number| number.phone_number_id == accepted.from)?;
    let mut status = json!({
        "id": accepted.provider_id,
        "status": step.status,
        "timestamp": Utc::now().timestamp().to_string(),
        "recipient_id": accepted.to.trim_start_matches('+'),
    });
    if let Some(key) = &accepted.key {
        status["biz_opaque_callback_data"] = key.as_str().into();
    }
    match step.code {
        None => {
            status["pricing"] = json!({
                "billable": true, "pricing_model": "PMP", "type": "regular", "category": "service",
            });
        }
        Some(code) => {
            let title = codes::whatsapp(code).1;
            status["errors"] = json!([{
                "code": code,
                "title": title,
                "message": title,
                "error_data": {"details": title},
                "href": "/docs/whatsapp/cloud-api/support/error-codes/",
            }]);
        }
    }
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": number.display_phone_number,
            "phone_number_id": number.phone_number_id,
        },
        "statuses": [status],
    });
    let entry = json!({"id": sim.config.waba_id, "changes": [{"value": value, "field": "messages"}]});
    let body = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string().into_bytes();
    Some(Webhook {
        url: format!("{base}/webhooks/whatsapp"),
        signature_header: "X-Hub-Signature-256",
        signature: signature::whatsapp(&number.app_secret.0, &body),
        content_type: "application/json",
        body,
    })
}

fn twilio(sim: &Sim, accepted: &Accepted, step: &Step) -> Option<Webhook> {
    let url = accepted.callback.clone()?;
    let sid = accepted.echo.get("account")?;
    let account = sim.config.twilio.iter().find(|account| &account.account_sid == sid)?;
    let mut fields: Vec<(String, String)> = [
        ("ApiVersion", "2010-04-01"),
        ("AccountSid", sid),
        ("SmsSid", &accepted.provider_id),
        ("SmsStatus", &step.status),
        ("MessageSid", &accepted.provider_id),
        ("MessageStatus", &step.status),
        ("To", &accepted.to),
        ("From", &accepted.from),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(service) = accepted.echo.get("service") {
        fields.push(("MessagingServiceSid".to_owned(), service.clone()));
    }
    if let Some(code) = step.code {
        fields.push(("ErrorCode".to_owned(), code.to_string()));
    }
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    Some(Webhook {
        signature: signature::twilio(&account.auth_token.0, &url, &fields),
        url,
        signature_header: "X-Twilio-Signature",
        content_type: "application/x-www-form-urlencoded; charset=UTF-8",
        body: body.into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_replaces_the_delivery() {
        let plan = StatusPlan::default();
        let failure = || Some(Failure { code: 30_003, status: None });
        let names = |steps: Vec<Step>| steps.into_iter().map(|step| step.status).collect::<Vec<_>>();
        assert_eq!(names(steps(&plan, Provider::Twilio, failure())), ["queued", "sent", "undelivered"]);
        assert_eq!(names(steps(&plan, Provider::Whatsapp, failure())), ["failed"]);
        assert_eq!(names(steps(&plan, Provider::Whatsapp, None)), ["sent", "delivered"]);
    }

    #[test]
    fn a_shuffle_repeats_with_its_seed() {
        let plan = StatusPlan { read: true, shuffle_seed: Some(3), ..StatusPlan::default() };
        let steps = steps(&plan, Provider::Whatsapp, None);
        let drawn: Vec<_> = (1..40).map(|n| schedule(&plan, &steps, n)).collect();
        assert_eq!(drawn, (1..40).map(|n| schedule(&plan, &steps, n)).collect::<Vec<_>>());
        assert!(drawn.iter().any(|times| !times.is_sorted()));
    }

    #[test]
    fn lookups_see_the_state_of_the_moment() {
        let steps = steps(&StatusPlan::default(), Provider::Twilio, None);
        let since = Utc::now();
        let at = |ms| reached(&steps, since, since + chrono::Duration::milliseconds(ms)).0;
        assert_eq!((at(0), at(25), at(60)), ("queued", "sent", "delivered"));
    }
}
