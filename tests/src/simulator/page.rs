//! `GET /`: what the simulator holds, in one look.

use serde_json::json;

use super::Sim;
use super::reply::Reply;

/// Entries of each log that are shown.
const NEWEST: usize = 20;

pub(super) fn show(sim: &Sim) -> Reply {
    let accepted = sim.record.len();
    let newest = sim.record.after(accepted.saturating_sub(NEWEST) as u64, NEWEST);
    let newest: Vec<&super::Accepted> = newest.iter().map(|one| &**one).collect();
    let (requests, webhooks) = (sim.seen.read(newest_of), sim.deliveries.read(newest_of));
    let templates: Vec<_> = sim
        .templates
        .all()
        .iter()
        .map(|one| json!({"name": one.name, "language": one.language, "status": one.status}))
        .collect();
    let body = json!({
        "what": "the provider simulator of Bellhop; docs/SIMULATOR.md tells more",
        "accepted": {"count": accepted, "newest": newest},
        "duplicates": sim.record.repeated(),
        "requests": requests,
        "webhooks": webhooks,
        "customers": sim.people.shown(),
        "media": sim.media.count(),
        "templates": templates,
        "faults": sim.faults.list(),
        "settings": *sim.settings.read(),
    });
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    Reply::raw(200, "application/json", text.into_bytes())
}

fn newest_of<T: Clone>(all: &[T]) -> Vec<T> {
    all[all.len().saturating_sub(NEWEST)..].to_vec()
}
