//! What the parts of a simulator ask of each other: waits, statuses by hand, templates, the handshake.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::record::Provider;
use super::{Sim, StatusOrder, courier, reply, statuses};

/// Where those on this machine reach a simulator that listens at `address`.
pub(super) fn own_url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", address.port());
    }
    format!("http://{address}")
}

impl Sim {
    /// Waits `ms`, or until the simulator stops.
    pub(super) async fn pause(&self, ms: Option<u64>) -> Result<(), reply::Abort> {
        let mut stop = self.stop.subscribe();
        let slept = async {
            match ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = slept => Ok(()),
            _ = stop.wait_for(|stop| *stop) => Err(reply::Abort::Close),
        }
    }

    pub(super) fn send_status(self: &Arc<Self>, order: &StatusOrder) -> Result<u32, String> {
        let by_job = |provider| {
            let job = order.message.as_str();
            let exact = job.rsplit_once('.').and_then(|(job, attempt)| {
                let attempt = attempt.parse().ok()?;
                self.record.of_job(provider, job).into_iter().find(|sent| sent.attempt == Some(attempt))
            });
            exact.or_else(|| self.record.of_job(provider, job).pop())
        };
        let found = self.record.by_provider_id(&order.message);
        let accepted = found
            .or_else(|| by_job(Provider::Whatsapp))
            .or_else(|| by_job(Provider::Twilio))
            .ok_or("no such message was accepted")?;
        let copies = order.copies.unwrap_or(1);
        for _ in 0..copies {
            let status = Cow::Owned(order.status.clone());
            let step = statuses::Step { status, after: Duration::ZERO, code: order.code };
            courier::tell(self, &accepted, step, Duration::ZERO);
        }
        Ok(copies)
    }

    pub(super) async fn verify_webhook(&self) -> Result<(), String> {
        let base = self.settings.read().webhook_base.clone().ok_or("no webhook base is set")?;
        let challenge = format!("{}", rand::random::<u32>());
        let request = self.courier.client().get(format!("{base}/webhooks/whatsapp")).query(&[
            ("hub.mode", "subscribe"),
            ("hub.verify_token", self.config.verify_token.0.as_str()),
            ("hub.challenge", challenge.as_str()),
        ]);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        let body = response.text().await.map_err(|error| error.without_url().to_string())?;
        if status == reqwest::StatusCode::OK && body == challenge {
            Ok(())
        } else {
            Err(format!("the webhook answered {status} without the challenge"))
        }
    }

    /// The number of a customer's message: 1, 2, 3 …
    pub(super) fn next_inbound(&self) -> u64 {
        self.inbound.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn template_becomes(
        self: &Arc<Self>,
        name: &str,
        language: &str,
        status: &str,
    ) -> Result<(), String> {
        let changed = self.templates.change(|all| {
            let found = all.iter_mut().find(|one| one.name == name && one.language == language)?;
            status.clone_into(&mut found.status);
            Some(found.clone())
        });
        courier::tell_template(self, changed.ok_or("there is no such template")?);
        Ok(())
    }
}
