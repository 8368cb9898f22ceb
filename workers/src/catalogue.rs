//! Keeping the template catalogues of WhatsApp business accounts up to date.

use std::collections::HashSet;
use std::time::Duration;

use shared::channels::WhatsappLine;
use shared::domain::time::{Time, plus_millis};
use shared::store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Between two looks at what is out of date.
const LOOK: Duration = Duration::from_secs(5);
/// How long one process leads.
const HOLD: Duration = Duration::from_secs(60);

/// Reads catalogues until `stop`; one process of all does.
pub async fn run(ctx: Context, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ctx.ledger.lead("templates", &ctx.process, HOLD).await {
            Ok(Some(now)) => {
                if let Err(error) = refresh(&ctx, now).await {
                    tracing::warn!(%error, "template catalogues are not read");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "no leader"),
        }
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = stop.cancelled() => {} }
    }
    // Another may take over at once; a failure only delays it.
    let _ = ctx.ledger.resign("templates", &ctx.process).await;
}

/// Reads every catalogue that is older than the configuration allows.
///
/// # Errors
/// [`StoreError`].
pub async fn refresh(ctx: &Context, now: Time) -> Result<(), StoreError> {
    let age = i64::try_from(ctx.config.delivery.template_refresh.as_millis()).unwrap_or(i64::MAX);
    let mut seen = HashSet::new();
    for line in ctx.channels.whatsapp_lines().await? {
        let Some(business) = line.business_account_id.clone() else { continue };
        if !seen.insert(business.clone()) {
            continue;
        }
        let known = ctx.store.catalogue(&business).await?;
        if known.is_none_or(|known| known.synced_at < plus_millis(now, -age)) {
            read(ctx, &line, &business, now).await?;
        }
    }
    Ok(())
}

async fn read(ctx: &Context, line: &WhatsappLine, business: &str, now: Time) -> Result<(), StoreError> {
    match ctx.providers.whatsapp.templates(&line.channel, business).await {
        Ok(listed) => {
            ctx.store.replace_templates(&line.owner.of_contacts(), business, &listed, now).await?;
            metrics::counter!("templates_read_total", "result" => "ok").increment(1);
            tracing::info!(templates = listed.len(), "template catalogue read");
        }
        Err(error) => {
            metrics::counter!("templates_read_total", "result" => "failed").increment(1);
            tracing::warn!(%error, "a template catalogue cannot be read; the last one stands");
        }
    }
    Ok(())
}
