//! Writing: bounded `_bulk` requests with external versions, one result for each document.

use elasticsearch::http::Method;
use serde::Deserialize;

use super::connection::SearchIndex;
use super::document::{IndexOp, VersionRule};
use super::error::{IndexError, SearchDown, safe_kind};
use super::mapping::IndexKind;

/// Most documents of one request.
const DOCS_MAX: usize = 500;
/// Bytes after which a request is full; a single larger document goes alone.
const BYTES_MAX: usize = 5 * 1024 * 1024;

/// What became of a document that needs no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// It was written, or was there in this version and was written again.
    Stored,
    /// A newer version is there already.
    Stale,
}

type Outcome = Result<Indexed, IndexError>;

/// A document in its two lines, with the place of its result.
struct Line {
    slot: usize,
    kind: IndexKind,
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
struct BulkItem {
    index: ItemResult,
}

#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    reason: String,
}

/// What one item of an answer means.
enum Verdict {
    Done(Outcome),
    /// The index or a field of it is missing: worth one repair.
    Repair(IndexError),
}

impl SearchIndex {
    /// Writes documents, newest version wins, and tells for each what became of it, in the order given.
    ///
    /// Repeating it is harmless. A bad document fails alone. Missing indices are made once and the documents
    /// concerned sent again; indices are never made by the writing itself. More than 500 documents or 5 MiB
    /// go as several requests, one after the other.
    ///
    /// # Errors
    /// [`SearchDown`] when a request failed as a whole; some documents may have been written.
    pub async fn bulk(&self, ops: &[IndexOp]) -> Result<Vec<Outcome>, SearchDown> {
        self.write(ops, VersionRule::LaterWrite).await
    }

    /// The same for documents made from what MongoDB held a while ago, as a rebuild does: of equal versions the
    /// document that is there stays, because it was made later (a thread's guest name has no version).
    pub async fn bulk_behind(&self, ops: &[IndexOp]) -> Result<Vec<Outcome>, SearchDown> {
        self.write(ops, VersionRule::Present).await
    }

    async fn write(&self, ops: &[IndexOp], rule: VersionRule) -> Result<Vec<Outcome>, SearchDown> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; ops.len()];
        let mut lines = Vec::with_capacity(ops.len());
        for (slot, op) in ops.iter().enumerate() {
            match op.lines(&self.alias(op.kind()), rule) {
                Ok(bytes) => lines.push(Line { slot, kind: op.kind(), bytes }),
                Err(refused) => outcomes[slot] = Some(Err(refused)),
            }
        }
        let unserved = self.send_lines(lines, &mut outcomes).await?;
        if !unserved.is_empty() {
            tracing::warn!(search.docs = unserved.len(), "search index or field missing, repairing");
            if !self.ensure().await?.is_empty() {
                tracing::warn!("an index was gone; fill it from MongoDB with `workers reindex`");
            }
            let lines = unserved.into_iter().map(|(line, _)| line).collect();
            for (line, error) in self.send_lines(lines, &mut outcomes).await? {
                outcomes[line.slot] = Some(Err(error));
            }
        }
        let unanswered = || Err(IndexError::Down(SearchDown::Unreadable));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect())
    }

    /// Sends all lines in bounded requests; returns those that want a repair.
    async fn send_lines(
        &self,
        lines: Vec<Line>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Vec<(Line, IndexError)>, SearchDown> {
        let mut unserved = Vec::new();
        let mut waiting = chunked(lines);
        while let Some(chunk) = waiting.pop() {
            let body = chunk.iter().flat_map(|line| line.bytes.iter().copied()).collect();
            match self.send_bulk(body, chunk.len()).await? {
                Sent::Items(items) => {
                    for (line, item) in chunk.into_iter().zip(items) {
                        match verdict(&item.index, line.kind) {
                            Verdict::Done(outcome) => outcomes[line.slot] = Some(outcome),
                            Verdict::Repair(error) => unserved.push((line, error)),
                        }
                    }
                }
                // Refused as a whole because of one member: halve until it stands alone.
                Sent::Refused(error) => match <[Line; 1]>::try_from(chunk) {
                    Ok([line]) => outcomes[line.slot] = Some(Err(error)),
                    Err(mut chunk) => {
                        let second = chunk.split_off(chunk.len() / 2);
                        waiting.push(second);
                        waiting.push(chunk);
                    }
                },
            }
        }
        Ok(unserved)
    }

    async fn send_bulk(&self, body: Vec<u8>, docs: usize) -> Result<Sent, SearchDown> {
        #[expect(clippy::cast_precision_loss, reason = "at most some hundred")]
        metrics::histogram!("search_bulk_docs").record(docs as f64);
        let query = [
            ("require_alias", "true"),
            ("filter_path", "items.*.status,items.*.error.type,items.*.error.reason"),
        ];
        let answer =
            self.call(Method::Post, "_bulk", &query, Some(body), self.settings.write_timeout).await?;
        if matches!(answer.status, 400 | 413) {
            let (status, kind) = (answer.status, answer.kind());
            return Ok(Sent::Refused(IndexError::Permanent { status, kind, field: None }));
        }
        let BulkAnswer { items } = answer.accepted()?;
        if items.len() == docs { Ok(Sent::Items(items)) } else { Err(SearchDown::Unreadable) }
    }
}

enum Sent {
    Items(Vec<BulkItem>),
    Refused(IndexError),
}

/// Requests of bounded size, the last one first.
fn chunked(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut chunks: Vec<Vec<Line>> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        bytes += line.bytes.len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < DOCS_MAX && bytes <= BYTES_MAX => chunk.push(line),
            _ => {
                bytes = line.bytes.len();
                chunks.push(vec![line]);
            }
        }
    }
    chunks.reverse();
    chunks
}

fn verdict(item: &ItemResult, index: IndexKind) -> Verdict {
    let status = item.status;
    let (kind, reason) =
        item.error.as_ref().map_or(("", ""), |error| (error.kind.as_str(), error.reason.as_str()));
    let permanent =
        || IndexError::Permanent { status, kind: safe_kind(kind), field: field_at_fault(reason, index) };
    let retry = || IndexError::Retry { status, kind: safe_kind(kind) };
    match status {
        200..=299 => Verdict::Done(Ok(Indexed::Stored)),
        409 => {
            metrics::counter!("index_version_conflicts_total", "index" => index.name()).increment(1);
            Verdict::Done(Ok(Indexed::Stale))
        }
        404 if kind == "index_not_found_exception" => Verdict::Repair(retry()),
        // A field that an older program did not map; ours after the repair, else the document is bad.
        400 if kind == "strict_dynamic_mapping_exception" => Verdict::Repair(permanent()),
        // The alias stands wrong, the document is good.
        400 if reason.starts_with("no write index") => Verdict::Repair(retry()),
        400 | 413 => Verdict::Done(Err(permanent())),
        _ => Verdict::Done(Err(retry())),
    }
}

/// The field that a reason names in brackets or quotes, if it is one of ours. The rest of a reason quotes the document.
fn field_at_fault(reason: &str, index: IndexKind) -> Option<String> {
    let (_, after) = reason.split_once("field [").or_else(|| reason.split_once("field=\""))?;
    let name = after.split([']', '"']).next()?;
    index.has_field(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: usize) -> Line {
        Line { slot: 0, kind: IndexKind::Messages, bytes: vec![b'x'; bytes] }
    }

    #[test]
    fn requests_are_bounded_by_documents_and_bytes() {
        let sizes = |lines: Vec<Line>| {
            let mut sizes: Vec<usize> = chunked(lines).iter().map(Vec::len).collect();
            sizes.reverse();
            sizes
        };
        assert_eq!(sizes((0..1100).map(|_| line(10)).collect()), [500, 500, 100]);
        assert_eq!(sizes(vec![line(BYTES_MAX - 1), line(10), line(2 * BYTES_MAX), line(1)]), [1, 1, 1, 1]);
        assert_eq!(sizes(vec![]), [0; 0]);
    }

    #[test]
    fn an_item_is_judged_by_status_and_name_and_never_quotes_the_document() {
        let judge = |status, kind: &str, reason: &str| {
            let error = Some(ItemError { kind: kind.to_owned(), reason: reason.to_owned() });
            match verdict(&ItemResult { status, error }, IndexKind::Messages) {
                Verdict::Done(outcome) => format!("{outcome:?}"),
                Verdict::Repair(error) => format!("repair, else {error:?}"),
            }
        };
        let secret = "failed to parse field [createdAt] of type [date]. Preview of field's value: 'hunter2'";
        insta::assert_snapshot!(
            [
                judge(409, "version_conflict_engine_exception", ""),
                judge(429, "es_rejected_execution_exception", ""),
                judge(503, "unavailable_shards_exception", ""),
                judge(404, "index_not_found_exception", ""),
                judge(400, "document_parsing_exception", secret),
                judge(400, "illegal_argument_exception", "no write index is defined for alias [x]"),
                judge(400, "strict_dynamic_mapping_exception", "hunter2"),
                judge(403, "cluster_block_exception", ""),
                judge(400, "Hunter 2", "field [hunter2]"),
            ]
            .join("\n"),
            @r#"
        Ok(Stale)
        Err(Retry { status: 429, kind: "es_rejected_execution_exception" })
        Err(Retry { status: 503, kind: "unavailable_shards_exception" })
        repair, else Retry { status: 404, kind: "index_not_found_exception" }
        Err(Permanent { status: 400, kind: "document_parsing_exception", field: Some("createdAt") })
        repair, else Retry { status: 400, kind: "illegal_argument_exception" }
        repair, else Permanent { status: 400, kind: "strict_dynamic_mapping_exception", field: None }
        Err(Retry { status: 403, kind: "cluster_block_exception" })
        Err(Permanent { status: 400, kind: "unnamed", field: None })
        "#
        );
    }
}
