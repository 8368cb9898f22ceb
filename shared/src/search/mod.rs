//! The door to Elasticsearch: two indices behind aliases, filled by versioned bulks, asked for candidates only.
//!
//! MongoDB is the truth; whatever is found here is read again there. Folding and word splitting happen in Rust
//! ([`fold`], [`words`]), the index only compares finished words, so that no text is ever query syntax and the
//! overlay of fresh messages agrees with the index.
//!
//! Invariant: every document and every question carries its account, as routing and as filter.
//! Invariant: a question of a customer or guest never meets a note.

mod batcher;
mod bulk;
mod connection;
mod document;
mod ensure;
mod error;
mod find;
mod fold;
mod from_store;
mod highlight;
mod inspect;
mod mapping;
mod rebuild;
mod words;

pub use batcher::{BatchLimits, Batcher};
pub use bulk::Indexed;
pub use connection::{IndexSettings, SearchIndex};
pub use document::{IndexOp, MessageDoc, ThreadDoc};
pub use error::{IndexError, SearchDown};
pub use find::{CANDIDATES_MAX, Candidates, Match, Question, Visibility};
pub use fold::fold;
pub use inspect::{Health, HealthStatus};
pub use mapping::IndexKind;
pub use rebuild::RebuildPlan;
pub use words::{QUERY_WORDS_MAX, WordQuery, matches_all_words, words, words_joined};
