//! Highlights: the piece of an original text round the words that were found, safe to show as HTML.

use super::fold::{fold, is_kept_mark};
use super::words::{WordQuery, split};

/// Characters of original text in a highlight, about.
const SNIPPET_CHARS: usize = 160;
/// Characters shown before the first hit.
const LEAD_CHARS: usize = 40;

impl WordQuery {
    /// A piece of `original` with the found words in `<em>…</em>`; `None` when none of them is in it.
    ///
    /// Everything else is HTML-escaped, so that the message's own markup stays text. A cut is shown as `…`.
    pub fn highlight(&self, original: &str) -> Option<String> {
        let (folded, pieces) = fold_in_pieces(original);
        let hits: Vec<(usize, usize)> = split(&folded)
            .filter(|(_, word)| self.wants(word))
            .map(|(at, word)| (pieces.original_start(at), pieces.original_end(at + word.len() - 1)))
            .collect();
        let first = hits.first()?.0;
        let start = back_by(original, first, LEAD_CHARS);
        let end = forth_by(original, start, SNIPPET_CHARS);
        let mut shown = String::with_capacity(end - start + 64);
        if start > 0 {
            shown.push('…');
        }
        let mut at = start;
        for (from, to) in hits {
            let (from, to) = (from.max(at), to.min(end));
            if from >= to {
                continue;
            }
            escape_into(&mut shown, &original[at..from]);
            shown.push_str("<em>");
            escape_into(&mut shown, &original[from..to]);
            shown.push_str("</em>");
            at = to;
        }
        escape_into(&mut shown, &original[at..end]);
        if end < original.len() {
            shown.push('…');
        }
        Some(shown)
    }
}

/// Where each folded byte came from, as (folded start, original start, original end) of each cluster.
struct Pieces(Vec<(usize, usize, usize)>);

impl Pieces {
    fn of(&self, folded_at: usize) -> (usize, usize, usize) {
        let after = self.0.partition_point(|(start, ..)| *start <= folded_at);
        self.0.get(after.saturating_sub(1)).copied().unwrap_or_default()
    }

    fn original_start(&self, folded_at: usize) -> usize {
        self.of(folded_at).1
    }

    fn original_end(&self, folded_at: usize) -> usize {
        self.of(folded_at).2
    }
}

/// Folds letter by letter (each with its marks), so that offsets can be mapped back.
fn fold_in_pieces(original: &str) -> (String, Pieces) {
    let mut folded = String::with_capacity(original.len());
    let mut pieces = Vec::with_capacity(original.len());
    let mut letters = original.char_indices().peekable();
    while let Some((start, letter)) = letters.next() {
        let mut end = start + letter.len_utf8();
        while let Some((at, mark)) = letters.next_if(|(_, next)| is_kept_mark(*next)) {
            end = at + mark.len_utf8();
        }
        let piece = fold(&original[start..end]);
        if !piece.is_empty() {
            pieces.push((folded.len(), start, end));
            folded.push_str(&piece);
        }
    }
    (folded, Pieces(pieces))
}

fn back_by(text: &str, from: usize, chars: usize) -> usize {
    text[..from].char_indices().rev().take(chars).last().map_or(from, |(at, _)| at)
}

fn forth_by(text: &str, from: usize, chars: usize) -> usize {
    text[from..].char_indices().nth(chars).map_or(text.len(), |(at, _)| from + at)
}

fn escape_into(shown: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn highlighted(query: &str, text: &str) -> Option<String> {
        WordQuery::parse(query).and_then(|query| query.highlight(text))
    }

    #[test]
    fn found_words_are_marked_in_the_original_spelling() {
        for (query, text, expected) in [
            ("creme bru", "Une Crème brûlée !", Some("Une <em>Crème</em> <em>brûlée</em> !")),
            ("strasse", "Große Straße 5", Some("Große <em>Straße</em> 5")),
            ("b", "a <b>&</b>", Some("a &lt;<em>b</em>&gt;&amp;&lt;/<em>b</em>&gt;")),
            ("soup", "Crème", None),
            ("***", "Crème", None),
        ] {
            assert_eq!(highlighted(query, text).as_deref(), expected, "{query:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_round_the_first_hit() {
        let text = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let shown = highlighted("needle", &text).expect("a hit");
        assert!(
            shown.starts_with('…') && shown.ends_with('…') && shown.contains("<em>needle</em>"),
            "{shown}"
        );
        assert!(shown.chars().count() < SNIPPET_CHARS + 20);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_markup_never_passes(text in any::<String>(), query in any::<String>()) {
            if let Some(shown) = highlighted(&query, &text) {
                let bare = shown.replace("<em>", "").replace("</em>", "");
                prop_assert!(!bare.contains(['<', '>', '"', '\'']));
            }
        }

        #[test]
        fn a_text_highlights_its_own_words(text in "[a-zäöüß<>&é' ]{1,80}") {
            prop_assert_eq!(highlighted(&text, &text).is_some(), !super::super::words::words(&text).is_empty());
        }
    }
}
