//! Whether the product told the truth after a storm: nothing lost, in order, sent as often as the policy chose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::storm::id_of;
use crate::simulator::Accepted;

/// What the product says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: String,
    pub(super) seq: i64,
}

/// Whether the provider proved that it arrived.
pub(super) fn has_arrived(state: &str) -> bool {
    matches!(state, "delivered" | "read")
}

/// Everything that is wrong, one sentence each. `posts` are ids with their threads.
pub(super) fn judge(
    messages: usize,
    posts: &[(&str, &str)],
    said: &BTreeMap<String, Said>,
    accepted: &[Arc<Accepted>],
) -> Vec<String> {
    let sent: Vec<&str> = accepted.iter().filter_map(|one| id_of(one)).collect();
    let mut wrong = Vec::new();
    if posts.len() != messages || said.len() != messages {
        wrong.push(format!("{messages} messages, {} were answered, {} are stored", posts.len(), said.len()));
    }
    wrong.extend(untrue(posts, said, &sent));
    wrong.extend(repeated(&sent));
    wrong.extend(disordered(posts, said, &sent));
    wrong
}

/// Accepted messages must be shown as arrived; those that were not may only be held, for nobody can know.
fn untrue(posts: &[(&str, &str)], said: &BTreeMap<String, Said>, sent: &[&str]) -> Vec<String> {
    let sent: BTreeSet<&str> = sent.iter().copied().collect();
    let mut wrong = Vec::new();
    for (id, _) in posts {
        let Some(said) = said.get(*id) else {
            wrong.push(format!("{id} is lost: it was answered and is not stored"));
            continue;
        };
        match (sent.contains(id), said.state.as_str()) {
            (true, state) if has_arrived(state) => {}
            (false, "unknown") => {}
            (true, state) => wrong.push(format!("{id} was accepted and reported, and shows {state}")),
            (false, state) => wrong.push(format!("{id} was never accepted, and shows {state}")),
        }
    }
    wrong
}

/// With the policy `hold` nothing is sent twice.
fn repeated(sent: &[&str]) -> Vec<String> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in sent {
        *times.entry(id).or_default() += 1;
    }
    let often = times.into_iter().filter(|(_, times)| *times > 1);
    often.map(|(id, times)| format!("{id} was accepted {times} times")).collect()
}

/// The first acceptances of a thread follow its `seq`.
fn disordered(posts: &[(&str, &str)], said: &BTreeMap<String, Said>, sent: &[&str]) -> Vec<String> {
    let threads: BTreeMap<&str, &str> = posts.iter().copied().collect();
    let mut last: BTreeMap<&str, (i64, &str)> = BTreeMap::new();
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for id in sent {
        let (Some(thread), Some(said)) = (threads.get(id), said.get(*id)) else {
            wrong.push(format!("{id} was accepted, and nobody posted it"));
            continue;
        };
        if !seen.insert(*id) {
            continue;
        }
        if let Some((seq, before)) = last.insert(thread, (said.seq, id))
            && seq > said.seq
        {
            wrong.push(format!("{id} (seq {}) was accepted after {before} (seq {seq})", said.seq));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTS: [(&str, &str); 3] = [("a", "t"), ("b", "t"), ("c", "u")];

    fn said(states: [&str; 3]) -> BTreeMap<String, Said> {
        let said = |(n, state): (usize, &str)| Said { state: state.to_owned(), seq: n as i64 + 1 };
        POSTS.iter().map(|(id, _)| (*id).to_owned()).zip(states.into_iter().enumerate().map(said)).collect()
    }

    #[test]
    fn the_truth_is_not_wrong() {
        let told = said(["delivered", "unknown", "read"]);
        assert_eq!(untrue(&POSTS, &told, &["a", "c"]), Vec::<String>::new());
        let told = said(["delivered", "sent", "queued"]);
        assert_eq!(untrue(&POSTS, &told, &["a", "b"]).len(), 2);
        assert_eq!(untrue(&POSTS, &BTreeMap::new(), &[]).len(), 3);
    }

    #[test]
    fn what_is_sent_twice_or_out_of_order_is_told() {
        let told = said(["delivered", "delivered", "delivered"]);
        assert_eq!(repeated(&["a", "b", "a"]), ["a was accepted 2 times"]);
        assert_eq!(disordered(&POSTS, &told, &["a", "c", "b"]), Vec::<String>::new());
        assert_eq!(disordered(&POSTS, &told, &["b", "c", "a"]).len(), 1);
        assert_eq!(disordered(&POSTS, &told, &["a", "b", "a"]), Vec::<String>::new(), "a resent one");
        assert_eq!(disordered(&POSTS, &told, &["x"]).len(), 1);
    }
}
