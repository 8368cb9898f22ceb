//! Stream entries as Redis sends them, and what a handler gets.

use redis::{FromRedisValue, ParsingError, Value};
use serde::{Deserialize, Serialize};
use shared::queue::JOB_FIELD;

/// The longest job id, in bytes, that is believed to be one.
const JOB_ID_BYTES_MAX: usize = 200;

/// What a handler gets: look at this job now.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wakeup {
    /// The job's id in the ledger.
    pub job_id: String,
    /// An earlier delivery of this entry was never acknowledged: its process may have died over it. False for
    /// entries that a stopping worker handed back unstarted.
    pub redelivered: bool,
}

impl Wakeup {
    /// A first wake-up for `job_id`.
    pub fn new(job_id: impl Into<String>) -> Self {
        Self { job_id: job_id.into(), redelivered: false }
    }
}

/// An entry as it stands in the stream: its id, and field names and values in turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawEntry {
    pub(super) id: String,
    pub(super) fields: Vec<Vec<u8>>,
}

/// An entry that can be handed to a handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) wakeup: Wakeup,
}

/// An entry taken over from another consumer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reclaimed {
    pub(super) raw: RawEntry,
    pub(super) redelivered: bool,
}

impl RawEntry {
    /// The entry as a wake-up; gives itself back when it holds no job id.
    pub(super) fn decode(self, redelivered: bool) -> Result<Entry, RawEntry> {
        match self.job_id() {
            Some(job_id) => Ok(Entry { wakeup: Wakeup { job_id, redelivered }, id: self.id }),
            None => Err(self),
        }
    }

    fn job_id(&self) -> Option<String> {
        let (pairs, _odd) = self.fields.as_chunks::<2>();
        let [_, value] = pairs.iter().find(|[name, _]| name == JOB_FIELD.as_bytes())?;
        let text = std::str::from_utf8(value).ok()?;
        let plausible =
            (1..=JOB_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        plausible.then(|| text.to_owned())
    }
}

impl FromRedisValue for RawEntry {
    /// `[id, [name, value, …]]`
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, fields) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { id, fields })
    }
}

impl FromRedisValue for Reclaimed {
    /// `[id, [name, value, …], deliveries before this one]`
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, fields, deliveries): (String, Vec<Vec<u8>>, i64) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { raw: RawEntry { id, fields }, redelivered: deliveries > 0 })
    }
}

/// The entries in the answer of an `XREADGROUP` over one stream; none when it waited in vain.
pub(super) fn read_answer(answer: Value) -> Result<Vec<RawEntry>, ParsingError> {
    let Value::Array(streams) = answer else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    for stream in streams {
        let (_key, of_stream): (Vec<u8>, Vec<Value>) = FromRedisValue::from_redis_value(stream)?;
        for entry in of_stream {
            entries.push(RawEntry::from_redis_value(entry)?);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(fields: &[&[u8]]) -> RawEntry {
        RawEntry { id: "1-0".to_owned(), fields: fields.iter().map(|field| field.to_vec()).collect() }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn the_job_id_is_found_among_other_fields() {
        let entry = raw(&[b"x", b"1", b"j", b"01ARZ3NDEKTSV4RRFFQ69G5FAV"]).decode(true).unwrap();
        assert_eq!(entry.id, "1-0");
        assert_eq!(
            entry.wakeup,
            Wakeup { job_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), redelivered: true }
        );
    }

    #[test]
    fn what_holds_no_job_id_is_given_back() {
        let long = vec![b'a'; JOB_ID_BYTES_MAX + 1];
        let odd: [&[&[u8]]; 7] = [
            &[],
            &[b"j"],
            &[b"k", b"v"],
            &[b"j", b""],
            &[b"j", &[0xff, 0xfe]],
            &[b"j", b"two words"],
            &[b"j", &long],
        ];
        for fields in odd {
            assert!(raw(fields).decode(false).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn an_answer_keeps_its_order() {
        let entry =
            |id: &str, job: &str| Value::Array(vec![bulk(id), Value::Array(vec![bulk("j"), bulk(job)])]);
        let stream =
            Value::Array(vec![bulk("p:{q:sms}"), Value::Array(vec![entry("1-0", "a"), entry("1-1", "b")])]);
        let entries = read_answer(Value::Array(vec![stream])).unwrap();
        let jobs: Vec<_> = entries.into_iter().map(|raw| raw.decode(false).unwrap().wakeup.job_id).collect();
        assert_eq!(jobs, ["a", "b"]);
        assert!(read_answer(Value::Nil).unwrap().is_empty());
    }

    #[test]
    fn a_reclaimed_entry_knows_whether_it_was_delivered_before() {
        let answer = |count| {
            Value::Array(vec![bulk("1-0"), Value::Array(vec![bulk("j"), bulk("a")]), Value::Int(count)])
        };
        assert!(!Reclaimed::from_redis_value(answer(0)).unwrap().redelivered);
        assert!(Reclaimed::from_redis_value(answer(1)).unwrap().redelivered);
    }
}
