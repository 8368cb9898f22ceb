//! Finding threads by words: candidates from Elasticsearch and from what it does not hold yet, decided by MongoDB.
//!
//! Elasticsearch names at most 1,000 threads; messages of the last moments are matched here by the same folding.
//! Entitlement, view, filters, order and cursor are MongoDB's, so that they are never stale.

use std::collections::{HashMap, HashSet};

use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::ThreadId;
use shared::domain::time::plus_millis;
use shared::search::{
    CANDIDATES_MAX, Candidates, MessageDoc, Question, SearchDown, ThreadDoc, Visibility, WordQuery,
};
use shared::store::{Recent, ThreadFilter};
use tokio::time::{Instant, timeout_at};

use super::views::last_message_keys;
use super::{Chat, ThreadView};
use crate::http::ApiError;

/// Longest question, in characters.
const QUESTION_CHARS_MAX: usize = 256;
/// How far back messages are looked at even if nothing waits: what is indexed shows after about a second.
const LOOK_BACK_MS: i64 = 2_000;
/// How far the clocks of two machines may differ.
const CLOCKS_DIFFER_MS: i64 = 1_000;
/// Most threads of a guest that a question is limited to.
const GUEST_THREADS_MAX: usize = 10_001;
/// Most highlights of one thread.
const HIGHLIGHTS_MAX: usize = 3;

/// A page of threads that were found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each with pieces of text that hold the words.
    pub(crate) threads: Vec<(ThreadView, Vec<String>)>,
    pub(crate) next_cursor: Option<String>,
    /// More threads have the words than are looked at.
    pub(crate) truncated: bool,
    /// How long the oldest change that the index does not hold has waited.
    pub(crate) index_lag_ms: u64,
}

/// Pieces of text by thread id.
type Highlights = HashMap<String, Vec<String>>;

impl Chat {
    /// A page of the threads in which the words of `question` stand.
    pub(crate) async fn search_threads(
        &self,
        actor: &Actor,
        mut filter: ThreadFilter,
        cursor: Option<&str>,
        question: &str,
    ) -> Result<Found, ApiError> {
        let words = words_of(question)?;
        let scope = self.store.account(&actor.account);
        filter.after = self.place(actor, cursor)?;
        let oldest = self.lag.oldest(&actor.account).await.map_err(ApiError::unavailable)?;
        let index_lag_ms = oldest.map_or(0, age_ms);
        let Some(words) = words else { return Ok(Found { index_lag_ms, ..Found::default() }) };
        let deadline = Instant::now() + self.search.search_timeout();
        let since = overlaid_since(oldest);
        let (candidates, (fresh_ids, mut fresh)) = futures::try_join!(
            self.candidates(actor, &words, deadline),
            self.overlay(actor, &filter, &words, since),
        )?;
        let ids = candidates.thread_ids().into_iter().chain(fresh_ids).collect::<HashSet<_>>();
        filter.within = Some(ids.iter().filter_map(|id| ThreadId::parse(id).ok()).collect());
        let page = scope.threads(actor, &filter).await?;
        let indexed = self.highlights(actor, &words, &page.threads, deadline).await?;
        for (thread, pieces) in indexed {
            fresh.entry(thread).or_default().extend(pieces);
        }
        let deliveries = scope.deliveries(&last_message_keys(&page.threads)).await?;
        let shown = page.threads.into_iter().map(|thread| {
            let pieces = fresh.remove(thread.thread_id.as_str()).unwrap_or_default();
            (ThreadView::of(thread, actor, &deliveries), distinct(pieces))
        });
        Ok(Found {
            threads: shown.collect(),
            next_cursor: page.next.map(|cursor| cursor.encode()),
            truncated: candidates.truncated,
            index_lag_ms,
        })
    }

    /// What the index names.
    async fn candidates(
        &self,
        actor: &Actor,
        words: &WordQuery,
        deadline: Instant,
    ) -> Result<Candidates, ApiError> {
        let own = match actor.role {
            // Else the threads of others with the same words would use up the candidates.
            Role::Guest => {
                let scope = self.store.account(&actor.account);
                Some(scope.thread_ids(actor, &ThreadFilter::default(), GUEST_THREADS_MAX).await?)
            }
            _ => None,
        };
        let question = Question { within: own.as_deref(), ..asked(actor, words) };
        in_time(deadline, self.search.find_candidates(question, CANDIDATES_MAX)).await
    }

    /// Threads of the view with the words in something new, and the pieces that hold them. Nothing on pages that are
    /// past all that is new.
    async fn overlay(
        &self,
        actor: &Actor,
        filter: &ThreadFilter,
        words: &WordQuery,
        since: Time,
    ) -> Result<(Vec<String>, Highlights), ApiError> {
        let (mut ids, mut pieces) = (Vec::new(), Highlights::new());
        if filter.after.as_ref().is_some_and(|after| after.at < since) {
            return Ok((ids, pieces));
        }
        let view = ThreadFilter { after: None, within: None, ..filter.clone() };
        let Recent { threads, messages } =
            self.store.account(&actor.account).recent(actor, &view, since).await?;
        for message in &messages {
            // Of one thread the newest is shown, as of what is indexed.
            let known = pieces.contains_key(message.thread_id.as_str());
            if !known && MessageDoc::of(message).matches(words) {
                let piece = words.highlight(&message.body);
                pieces.insert(message.thread_id.to_string(), piece.into_iter().collect());
                ids.push(message.thread_id.to_string());
            }
        }
        for thread in &threads {
            if ThreadDoc::of(thread, None).matches(words) {
                let shown = pieces.entry(thread.thread_id.to_string()).or_default();
                shown.extend(words.highlight(&thread.title));
                ids.push(thread.thread_id.to_string());
            }
        }
        Ok((ids, pieces))
    }

    /// Pieces of what is indexed, for the threads of a page.
    async fn highlights(
        &self,
        actor: &Actor,
        words: &WordQuery,
        page: &[shared::domain::thread::Thread],
        deadline: Instant,
    ) -> Result<Highlights, ApiError> {
        let ids: Vec<String> = page.iter().map(|thread| thread.thread_id.to_string()).collect();
        in_time(deadline, self.search.highlights(asked(actor, words), &ids)).await
    }
}

fn asked<'a>(actor: &'a Actor, words: &'a WordQuery) -> Question<'a> {
    let visibility = if actor.role.is_staff() { Visibility::Staff } else { Visibility::Public };
    Question { account: actor.account.as_str(), words, visibility, within: None }
}

/// What a person typed; none when it holds no word.
fn words_of(question: &str) -> Result<Option<WordQuery>, ApiError> {
    let question = question.trim();
    if question.is_empty() || question.chars().nth(QUESTION_CHARS_MAX).is_some() {
        return Err(ApiError::invalid_parameter("q", "must have 1 to 256 characters"));
    }
    Ok(WordQuery::parse(question))
}

/// The time since which the index may lack messages.
fn overlaid_since(oldest: Option<Time>) -> Time {
    let always = plus_millis(Time::now(), -LOOK_BACK_MS);
    plus_millis(oldest.map_or(always, |oldest| oldest.min(always)), -CLOCKS_DIFFER_MS)
}

fn age_ms(at: Time) -> u64 {
    u64::try_from(Time::now().timestamp_millis() - at.timestamp_millis()).unwrap_or(0)
}

async fn in_time<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, SearchDown>>,
) -> Result<T, ApiError> {
    match timeout_at(deadline, answer).await {
        Ok(answer) => answer.map_err(ApiError::search_unavailable),
        Err(_) => Err(ApiError::search_unavailable(SearchDown::Timeout)),
    }
}

/// The first few, each once: a message may be new and indexed already.
fn distinct(mut pieces: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    pieces.retain(|piece| seen.insert(piece.clone()));
    pieces.truncate(HIGHLIGHTS_MAX);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_1_to_256_characters_without_the_blanks_round_it() {
        for good in ["a", &"é".repeat(256), &format!("  {}\t", "x".repeat(256))] {
            assert!(words_of(good).is_ok_and(|words| words.is_some()));
        }
        assert_eq!(words_of("?!* \"\\").map_err(|error| error.code), Ok(None));
        for bad in ["", "   ", &"x".repeat(257)] {
            assert!(words_of(bad).is_err());
        }
    }

    #[test]
    fn the_overlay_looks_back_to_the_oldest_waiting_job_and_two_seconds_at_least() {
        let now = Time::now().timestamp_millis();
        assert!(overlaid_since(None).timestamp_millis() <= now - 2_000);
        assert!(overlaid_since(Some(Time::from_millis(now))).timestamp_millis() <= now - 2_000);
        assert_eq!(overlaid_since(Some(Time::from_millis(7_000))), Time::from_millis(6_000));
    }

    #[test]
    fn a_piece_is_shown_once_and_few_are() {
        let pieces = ["a", "b", "a", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(distinct(pieces), ["a", "b", "c"]);
    }
}
