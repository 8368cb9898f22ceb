//! Asking: candidate threads for the words of a person, and highlights for the page that is shown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{Answer, SearchIndex};
use super::error::SearchDown;
use super::mapping::IndexKind;
use super::words::WordQuery;

/// Most candidate threads of one question.
pub const CANDIDATES_MAX: usize = 1_000;
/// Most thread ids a question may be limited to (Elasticsearch allows 65,536 terms).
const WITHIN_MAX: usize = 10_000;
/// Most threads that highlights are made for at once.
const HIGHLIGHTED_MAX: usize = 200;

/// Whose eyes a question is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Agents, admins, services: notes are searched too.
    Staff,
    /// Customers and guests: notes do not exist.
    Public,
}

/// A question inside one account.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Nothing of another account is ever found.
    pub account: &'a str,
    /// The words.
    pub words: &'a WordQuery,
    /// Notes or not.
    pub visibility: Visibility,
    /// Only these threads, where the asker may see few (guests): else common words of others would use up the
    /// candidates. The first 10,000 count.
    pub within: Option<&'a [String]>,
}

/// A thread in which the words were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The thread.
    pub thread_id: String,
    /// The newest message with all the words; `None` when only the thread's own fields have them.
    pub message_id: Option<String>,
    /// Time of that message, or of the thread's last change.
    pub at: DateTime<Utc>,
}

/// Threads worth reading from MongoDB, which decides about entitlement, filters and order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// One for each thread, newest match first.
    pub matches: Vec<Match>,
    /// There were more.
    pub truncated: bool,
}

impl Candidates {
    /// The ids of the threads, newest match first.
    pub fn thread_ids(&self) -> Vec<String> {
        self.matches.iter().map(|found| found.thread_id.clone()).collect()
    }
}

#[derive(Deserialize)]
struct SearchAnswer {
    timed_out: bool,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hit {
    #[serde(rename = "_source")]
    source: Option<Shown>,
    #[serde(default)]
    fields: Fields,
    #[serde(default)]
    sort: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    thread_id: Vec<String>,
    message_id: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Shown {
    body: Option<String>,
    title: Option<String>,
    guest_name: Option<String>,
}

impl SearchIndex {
    /// The threads in which all words stand within one message, or within the thread's own fields.
    ///
    /// `limit` is at least 1 and at most [`CANDIDATES_MAX`].
    ///
    /// # Errors
    /// [`SearchDown`], also when Elasticsearch could only answer in part: half an answer would look like a whole one.
    pub async fn find_candidates(
        &self,
        question: Question<'_>,
        limit: usize,
    ) -> Result<Candidates, SearchDown> {
        let limit = limit.clamp(1, CANDIDATES_MAX);
        let (in_messages, in_threads) = futures::try_join!(
            self.search(question, IndexKind::Messages, &[], Wanted::Ids { size: limit + 1 }),
            self.search(question, IndexKind::Threads, &[], Wanted::Ids { size: limit + 1 }),
        )?;
        let within_cut = question.within.is_some_and(|ids| ids.len() > WITHIN_MAX);
        let mut found: HashMap<String, Match> = HashMap::new();
        for hit in in_messages.into_iter().chain(in_threads) {
            let Some(new) = hit.into_match() else { continue };
            match found.get_mut(&new.thread_id) {
                Some(known) => known.at = known.at.max(new.at),
                None => drop(found.insert(new.thread_id.clone(), new)),
            }
        }
        let mut matches: Vec<Match> = found.into_values().collect();
        matches.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| a.thread_id.cmp(&b.thread_id)));
        let truncated = within_cut || matches.len() > limit;
        matches.truncate(limit);
        Ok(Candidates { matches, truncated })
    }

    /// Pieces of text with the words marked (see [`WordQuery::highlight`]), for the threads of one page.
    ///
    /// For each thread: of its newest matching message, of title and (for staff) guest name. At most 200 threads are looked at.
    pub async fn highlights(
        &self,
        question: Question<'_>,
        thread_ids: &[String],
    ) -> Result<HashMap<String, Vec<String>>, SearchDown> {
        let page = &thread_ids[..thread_ids.len().min(HIGHLIGHTED_MAX)];
        if page.is_empty() {
            return Ok(HashMap::new());
        }
        let size = page.len();
        let (in_messages, in_threads) = futures::try_join!(
            self.search(question, IndexKind::Messages, page, Wanted::Texts { size }),
            self.search(question, IndexKind::Threads, page, Wanted::Texts { size }),
        )?;
        let mut shown: HashMap<String, Vec<String>> = HashMap::new();
        for mut hit in in_messages.into_iter().chain(in_threads) {
            let (Some(thread_id), Some(texts)) = (hit.fields.thread_id.pop(), hit.source) else { continue };
            // Guests see no reservation, so they are not shown the name in it.
            let guest_name = texts.guest_name.filter(|_| question.visibility == Visibility::Staff);
            let marked = [texts.body, texts.title, guest_name];
            let marked = marked.into_iter().flatten().filter_map(|text| question.words.highlight(&text));
            shown.entry(thread_id).or_default().extend(marked);
        }
        Ok(shown)
    }

    async fn search(
        &self,
        question: Question<'_>,
        kind: IndexKind,
        page: &[String],
        wanted: Wanted,
    ) -> Result<Vec<Hit>, SearchDown> {
        let body = search_body(question, kind, page, wanted, self.settings.search_timeout.as_millis());
        let path = format!("{}/_search", self.alias(kind));
        let query = [("routing", question.account), ("allow_partial_search_results", "false")];
        let mut answer = self.read(&path, &query, &body).await?;
        if is_missing(&answer) {
            self.ensure().await?;
            answer = self.read(&path, &query, &body).await?;
        }
        let SearchAnswer { timed_out, hits } = answer.accepted()?;
        if timed_out { Err(SearchDown::Timeout) } else { Ok(hits.hits) }
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    Ids { size: usize },
    Texts { size: usize },
}

fn is_missing(answer: &Answer) -> bool {
    answer.status == 404 && answer.kind() == "index_not_found_exception"
}

/// The whole request. Words stand in `term` and `prefix` clauses, which have no syntax and no analysis.
fn search_body(
    question: Question<'_>,
    kind: IndexKind,
    page: &[String],
    wanted: Wanted,
    timeout_ms: u128,
) -> Value {
    let mut filter = vec![json!({ "term": { "accountId": question.account } })];
    if let Some(ids) = question.within {
        filter.push(json!({ "terms": { "threadId": &ids[..ids.len().min(WITHIN_MAX)] } }));
    }
    if !page.is_empty() {
        filter.push(json!({ "terms": { "threadId": page } }));
    }
    if kind == IndexKind::Messages && question.visibility == Visibility::Public {
        filter.push(json!({ "term": { "note": false } }));
    }
    filter.extend(word_clauses(question.words));
    let newest = match (kind, question.visibility) {
        (IndexKind::Messages, _) => "createdAt",
        (IndexKind::Threads, Visibility::Staff) => "updatedAt",
        (IndexKind::Threads, Visibility::Public) => "publicUpdatedAt",
    };
    let (size, source) = match wanted {
        Wanted::Ids { size } => (size, json!(false)),
        Wanted::Texts { size } => (size, json!(["body", "title", "guestName"])),
    };
    let fields: &[&str] = match kind {
        IndexKind::Messages => &["threadId", "messageId"],
        IndexKind::Threads => &["threadId"],
    };
    json!({
        "size": size,
        "_source": source,
        "track_total_hits": false,
        "timeout": format!("{timeout_ms}ms"),
        "query": { "bool": { "filter": filter } },
        "sort": [{ newest: "desc" }, { "threadId": "asc" }],
        "collapse": { "field": "threadId" },
        "docvalue_fields": fields,
    })
}

/// One clause for each word; mirrors `WordQuery::matches_with_ids`.
fn word_clauses(words: &WordQuery) -> impl Iterator<Item = Value> {
    let whole = |word: &str| [json!({ "term": { "text": word } }), json!({ "term": { "ids": word } })];
    let mut last = whole(words.prefix());
    last[0] = json!({ "prefix": { "text": { "value": words.prefix() } } });
    if words.prefix_reaches_ids() {
        last[1] = json!({ "prefix": { "ids": { "value": words.prefix() } } });
    }
    let each = words.exact().iter().map(move |word| whole(word)).chain([last]);
    each.map(|places| json!({ "bool": { "should": places, "minimum_should_match": 1 } }))
}

impl Hit {
    fn into_match(mut self) -> Option<Match> {
        let at = self.sort.first().and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
        Some(Match {
            thread_id: self.fields.thread_id.pop()?,
            message_id: self.fields.message_id.pop(),
            at: at.unwrap_or_default(), // a thread without any public message has no such time
        })
    }
}
