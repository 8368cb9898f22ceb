//! Words of folded text, and what a person asked for: the one tokeniser of the index, the overlay and message search.
//!
//! Elasticsearch gets the words joined by blanks and only splits at the blanks again, so that it and Rust can
//! never disagree about what a word is.

use std::collections::HashSet;

use super::fold::{fold, is_kept_mark};

/// Longest word in characters; a longer run is cut into words of this length (Elasticsearch cuts at 255 units).
pub(super) const WORD_CHARS_MAX: usize = 120;

/// Most distinct words of a question that count. 256 characters, the longest question clients may send, hold 128.
pub const QUERY_WORDS_MAX: usize = 128;

/// Shortest unfinished word that is looked up in ids: nearly every id begins like a shorter one.
const ID_PREFIX_CHARS_MIN: usize = 4;

/// The words of `text`, folded, in order and with repetitions.
///
/// A word is a run of letters, digits and their marks; each ideograph, hiragana and pictograph is one of its own, as
/// in Elasticsearch's standard analyser. Unlike there `.`, `_`, `'` and `:` separate, so that `hotel` finds
/// `l'hôtel` and `example` finds `me@example.com`.
pub fn words(text: &str) -> Vec<String> {
    split(&fold(text)).map(|(_, word)| word.to_owned()).collect()
}

/// The words of `text` joined by blanks: the form that is indexed.
pub fn words_joined(text: &str) -> String {
    let folded = fold(text);
    let mut joined = String::with_capacity(folded.len());
    for (_, word) in split(&folded) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

/// True when `folded_text` holds all words of `query`, the last one as a prefix; false for a query without words.
pub fn matches_all_words(folded_text: &str, query: &str) -> bool {
    WordQuery::parse(query).is_some_and(|query| query.matches(folded_text))
}

/// A question: all these words, in any order, the last as a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordQuery {
    exact: Vec<String>,
    prefix: String,
}

impl WordQuery {
    /// Reads what a person typed; `None` when it holds no word. Nothing in it is syntax.
    ///
    /// Of more than [`QUERY_WORDS_MAX`] distinct words the first and the last count.
    pub fn parse(query: &str) -> Option<Self> {
        let mut all = words(query);
        let prefix = all.pop()?;
        let mut seen = HashSet::new();
        all.retain(|word| seen.insert(word.clone()));
        all.truncate(QUERY_WORDS_MAX - 1);
        Some(Self { exact: all, prefix })
    }

    /// The words to be found whole, distinct.
    pub fn exact(&self) -> &[String] {
        &self.exact
    }

    /// The last word, to be found as the beginning of one.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// True when `folded_text` (from [`fold`] or [`words_joined`]) holds all of it.
    pub fn matches(&self, folded_text: &str) -> bool {
        self.matches_with_ids(folded_text, "")
    }

    /// The same for a text with its ids: each word may stand in either, an unfinished one in ids from four characters on.
    pub fn matches_with_ids(&self, folded_text: &str, folded_ids: &str) -> bool {
        let mut missing: HashSet<&str> = self.exact.iter().map(String::as_str).collect();
        let mut prefix_found = false;
        for (_, word) in split(folded_text) {
            missing.remove(word);
            prefix_found = prefix_found || word.starts_with(&self.prefix);
        }
        for (_, word) in split(folded_ids) {
            missing.remove(word);
            prefix_found = prefix_found
                || word == self.prefix
                || (self.prefix_reaches_ids() && word.starts_with(&self.prefix));
        }
        prefix_found && missing.is_empty()
    }

    pub(super) fn prefix_reaches_ids(&self) -> bool {
        self.prefix.chars().count() >= ID_PREFIX_CHARS_MIN
    }

    /// True when this one word of a text is among those asked for.
    pub(super) fn wants(&self, word: &str) -> bool {
        word.starts_with(&self.prefix) || self.exact.iter().any(|exact| exact == word)
    }
}

/// Words of a folded text with their byte offsets.
pub(super) fn split(folded: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = folded.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = rest.by_ref().find(|(_, letter)| class(*letter) != Class::Separator)?;
        let mut end = start + first.len_utf8();
        let mut length = 1;
        while length < WORD_CHARS_MAX
            && let Some((at, letter)) = rest.next_if(|(_, next)| {
                is_kept_mark(*next) || (class(first), class(*next)) == (Class::Run, Class::Run)
            })
        {
            end = at + letter.len_utf8();
            length += 1;
        }
        Some((start, &folded[start..end]))
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Joins with its neighbours to a word.
    Run,
    /// A word by itself.
    Single,
    Separator,
}

fn class(letter: char) -> Class {
    match letter {
        'a'..='z' | '0'..='9' => Class::Run,
        '\0'..='\u{7F}' => Class::Separator,
        '\u{3041}'..='\u{309F}' // hiragana
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' // ideographs
        | '\u{2600}'..='\u{27BF}' | '\u{1F000}'..='\u{1FAFF}' => Class::Single, // pictographs
        other if other.is_alphanumeric() || is_kept_mark(other) => Class::Run,
        _ => Class::Separator,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_falls_into_words() {
        for (text, expected) in [
            ("Hello, wörld!", vec!["hello", "world"]),
            ("l'hôtel don’t", vec!["l", "hotel", "don", "t"]),
            ("me@example.com a_b 3.14", vec!["me", "example", "com", "a", "b", "3", "14"]),
            ("日本のカメラ", vec!["日", "本", "の", "カメラ"]),
            ("ok 👍🏽!", vec!["ok", "👍", "🏽"]),
            ("हिन्दी भाषा", vec!["हिन्दी", "भाषा"]),
            (" \t\n…—«»", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
        let long = words(&"x".repeat(250));
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [120, 120, 10]);
    }

    #[test]
    fn all_words_are_wanted_and_the_last_may_be_unfinished() {
        let text = fold("The Crème brûlée is at the front desk");
        for (query, found) in [
            ("creme", true),
            ("desk brulee", true),
            ("front de", true),
            ("fro desk", false),
            ("creme soup", false),
            ("  CRÈME,  ", true),
            ("", false),
            ("***", false),
            ("*sk", false),
            (".*", false),
            ("text:desk", false),
        ] {
            assert_eq!(matches_all_words(&text, query), found, "{query:?}");
        }
    }

    #[test]
    fn ids_are_found_whole_or_by_a_long_beginning() {
        for (query, found) in [
            ("65f0c1", true),
            ("65f", false),
            ("RES-7", true),
            ("late 65f0", true),
            ("late 9", false),
            ("la 65f0c1", false),
        ] {
            let query = WordQuery::parse(query).expect("words");
            assert_eq!(query.matches_with_ids("arriving late", "65f0c1d2 res 7"), found, "{query:?}");
        }
    }

    #[test]
    fn a_question_of_thousands_of_words_is_bounded() {
        let many: String = (0..5000).map(|n| format!("w{n} ")).collect();
        let query = WordQuery::parse(&many).expect("words");
        assert_eq!(query.exact().len(), QUERY_WORDS_MAX - 1);
        assert_eq!(query.prefix(), "w4999");
    }

    proptest! {
        #[test]
        fn words_survive_being_joined_and_split_again(text in any::<String>()) {
            let joined = words_joined(&text);
            prop_assert_eq!(words(&joined), words(&text));
            prop_assert_eq!(joined.split(' ').filter(|w| !w.is_empty()).count(), words(&text).len());
            prop_assert!(words(&text).iter().all(|w| w.encode_utf16().count() <= 255 && !w.contains(char::is_whitespace)));
        }

        #[test]
        fn a_text_is_found_by_itself(text in any::<String>()) {
            prop_assume!(words(&text).len() <= QUERY_WORDS_MAX);
            prop_assert_eq!(matches_all_words(&fold(&text), &text), !words(&text).is_empty());
        }
    }
}
