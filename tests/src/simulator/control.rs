//! The control API under `/_sim`: read the records, script faults, change settings, all over HTTP.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::FaultRule;
use super::judge::Request;
use super::record::{Accepted, Provider, phone_form};
use super::reply::Reply;
use super::route::query;
use super::{Sim, StatusOrder, world};

/// Entries per page, unless asked otherwise.
const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 100_000;
/// The longest a reader may wait for the record to grow.
const WAIT_MAX: Duration = Duration::from_secs(300);

pub(super) async fn handle(sim: &Arc<Sim>, path: &[&str], request: &Request) -> Reply {
    let answered = match (&request.method, path) {
        (&Method::GET, ["healthz"]) => Ok(json!({"status": "ok"})),
        (&Method::GET, ["accepted"]) => accepted(sim, request).await,
        (&Method::GET, ["duplicates"]) => Ok(json!({"duplicates": sim.record.repeated()})),
        (&Method::GET, ["requests"]) => {
            page(request).map(|(after, limit)| json!({"requests": sim.seen.after(after, limit)}))
        }
        (&Method::GET, ["webhooks"]) => {
            page(request).map(|(after, limit)| json!({"webhooks": sim.deliveries.after(after, limit)}))
        }
        (&Method::GET, ["faults"]) => Ok(json!({"faults": sim.faults.list()})),
        (&Method::POST, ["faults"]) => {
            read::<FaultRule>(request).map(|rule| json!({"id": sim.faults.add(rule)}))
        }
        (&Method::DELETE, ["faults"]) => Ok(json!({"removed": sim.faults.clear(None)})),
        (&Method::DELETE, ["faults", id]) => match id.parse() {
            Ok(id) => Ok(json!({"removed": sim.faults.clear(Some(id))})),
            Err(_) => Err("the id of a fault is a number".to_owned()),
        },
        (&Method::GET, ["config"]) => Ok(json!(*sim.settings.read())),
        (&Method::POST, ["config"]) => configure(sim, request),
        (&Method::POST, ["statuses"]) => {
            read::<StatusOrder>(request).and_then(|order| sim.send_status(&order)).map(|n| json!({"sent": n}))
        }
        (&Method::POST, ["verify"]) => sim.verify_webhook().await.map(|()| json!({"verified": true})),
        (_, ["customers" | "guest" | "templates" | "media", ..]) => world::handle(sim, path, request),
        _ => return not_there(),
    };
    match answered {
        Ok(body) => Reply::json(200, &body),
        Err(problem) => Reply::json(400, &json!({"error": problem})),
    }
}

fn not_there() -> Reply {
    Reply::json(404, &json!({"error": "no such control endpoint"}))
}

/// `?provider=&to=&key=&after=&limit=`, and `atLeast=&timeoutMs=` to wait for that many in all.
async fn accepted(sim: &Sim, request: &Request) -> Result<Value, String> {
    let (after, limit) = page(request)?;
    if let Some(count) = number(request, "atLeast")? {
        let timeout = number(request, "timeoutMs")?.unwrap_or(10_000);
        wait(sim, count, Duration::from_millis(timeout).min(WAIT_MAX)).await;
    }
    let provider = match query(request, "provider") {
        None => None,
        Some(name) => Some(
            serde_json::from_value::<Provider>(name.into())
                .map_err(|_| "provider is whatsapp, twilio or guest".to_owned())?,
        ),
    };
    let (to, key) = (query(request, "to").map(|to| phone_form(&to)), query(request, "key"));
    let candidates = match &to {
        Some(to) => sim.record.to(to),
        None if provider.is_none() && key.is_none() => sim.record.after(after, limit),
        None => sim.record.after(after, usize::MAX),
    };
    let passes = |accepted: &&Arc<Accepted>| {
        accepted.n > after
            && provider.is_none_or(|provider| provider == accepted.provider)
            && to.as_ref().is_none_or(|to| *to == accepted.to)
            && (key.is_none() || accepted.key == key || accepted.job == key)
    };
    let found: Vec<&Accepted> =
        candidates.iter().filter(passes).take(limit).map(|accepted| &**accepted).collect();
    Ok(json!({"accepted": found, "total": sim.record.len()}))
}

async fn wait(sim: &Sim, count: u64, timeout: Duration) {
    let mut grown = sim.record.watch();
    // Late or stopped, the caller is answered with what there is.
    let _late = tokio::time::timeout(timeout, grown.wait_for(|total| *total >= count)).await;
}

/// Lays the given fields over the present settings.
fn configure(sim: &Sim, request: &Request) -> Result<Value, String> {
    let change: Value = read(request)?;
    let mut settings = sim.settings.write();
    let mut merged = json!(*settings);
    merge(&mut merged, &change);
    *settings = serde_json::from_value(merged).map_err(|error| error.to_string())?;
    Ok(json!(*settings))
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

pub(super) fn read<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

fn page(request: &Request) -> Result<(u64, usize), String> {
    let limit = number(request, "limit")?.and_then(|limit| usize::try_from(limit).ok());
    Ok((number(request, "after")?.unwrap_or(0), limit.unwrap_or(LIMIT).min(LIMIT_MAX)))
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, String> {
    query(request, name).map(|text| text.parse().map_err(|_| format!("{name} is a number"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_laid_over_the_rest() {
        let mut settings = json!({"a": 1, "b": {"c": 2, "d": 3}});
        merge(&mut settings, &json!({"b": {"c": 4}}));
        assert_eq!(settings, json!({"a": 1, "b": {"c": 4, "d": 3}}));
    }
}
