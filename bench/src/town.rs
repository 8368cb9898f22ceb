//! Where messages are posted to: threads with their agents, guests and reservations.

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::load::{Kind, post_request, text};
use crate::stack::{Ingest, Stack};

/// People and places of a run.
#[derive(Debug)]
pub(crate) struct Town {
    /// Thread ids.
    pub(crate) threads: Vec<String>,
    /// One token per agent; thread `i` belongs to agent `i % agents`.
    pub(crate) tokens: Vec<String>,
}

/// Agents that post.
const AGENTS: usize = 8;
/// Requests at once while a town is built.
const BUILDERS: usize = 16;

impl Town {
    /// Makes `count` threads called `{prefix}{i}`, each with an agent, a guest and a reservation with a phone of
    /// its own, by requests to ingest number `ingest`.
    pub(crate) async fn build(
        stack: &Stack,
        ingest: usize,
        prefix: &str,
        count: usize,
    ) -> anyhow::Result<Self> {
        let mut tokens = Vec::with_capacity(AGENTS);
        for agent in 0..AGENTS {
            tokens.push(stack.token(&format!("agent-{agent}"), "agent").await?);
        }
        let service = stack.token("booking", "service").await?;
        let client = &stack.ingests[ingest].client;
        let build = |i: usize| {
            let (service, token) = (&service, &tokens[i % AGENTS]);
            async move {
                let id = format!("{prefix}{i}");
                let phone = format!("+1202{:07}", 1_000_000 + i);
                let stay = json!({ "guestName": format!("Guest {i}"), "guestPhone": phone });
                let path = format!("/chat/reservations/{id}");
                client.call("PUT", &path, Some(service), Some(&stay)).await?.expect(&[200, 201])?;
                let thread = json!({
                    "threadId": id, "title": format!("Room {i}"), "reservationId": id,
                    "participantIds": [format!("agent-{}", i % AGENTS), format!("guest-{i}")],
                });
                client
                    .call("POST", "/chat/threads", Some(token), Some(&thread))
                    .await?
                    .expect(&[200, 201])?;
                anyhow::Ok(id)
            }
        };
        let threads = futures::stream::iter(0..count).map(build).buffered(BUILDERS).try_collect().await?;
        Ok(Self { threads, tokens })
    }

    /// Posts one message to each thread, so that what is measured then is not the first sight of a thread: the raw
    /// loop, which computes nothing from a thread, never has to read one.
    pub(crate) async fn visit(&self, ingest: &Ingest, kind: Kind) -> anyhow::Result<()> {
        let client = &ingest.client;
        let post = |i: usize| async move {
            let bytes = post_request(client.address(), self, i, kind, &text());
            client.send(&bytes).await?.expect(&[201])
        };
        futures::stream::iter(0..self.threads.len())
            .map(post)
            .buffer_unordered(BUILDERS)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// The token that posts to thread number `thread`.
    pub(crate) fn token(&self, thread: usize) -> &str {
        &self.tokens[thread % AGENTS]
    }
}
