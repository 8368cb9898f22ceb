//! Makes a provider's error text safe to keep: no phone number, message text, token or address in it.

/// The longest text kept, in characters.
const CHARS_MAX: usize = 200;
/// Words longer than this are tokens or addresses, not words.
const WORD_CHARS_MAX: usize = 24;
/// A run with so many digits may be a phone number; error codes have at most six.
const DIGITS_MAX: usize = 6;

/// `text` on one line, without the `private` texts, without anything quoted, and with numbers, long words,
/// mail addresses and URLs replaced by `…`.
pub(crate) fn scrub(text: &str, private: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in private.iter().filter(|secret| !secret.trim().is_empty()) {
        text = text.replace(secret, "…");
    }
    let text = without_quotes(&text);
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let mut out = String::new();
    for (i, word) in words.iter().enumerate().filter(|(_, word)| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(if is_private(word) || in_number(&words, i) { "…" } else { word });
    }
    out.chars().take(CHARS_MAX).collect()
}

fn is_private(word: &str) -> bool {
    let digits = word.chars().filter(|c| c.is_numeric()).count();
    let spells = word.contains('@') || word.contains("://");
    spells
        || digits > DIGITS_MAX
        || (word.starts_with('+') && digits > 0)
        || word.chars().count() > WORD_CHARS_MAX
}

/// Whether the word at `i` belongs to a number written in groups, such as `+49 151 123 456`.
fn in_number(words: &[&str], i: usize) -> bool {
    let group = |word: &&str| {
        word.is_empty()
            || (word.chars().any(char::is_numeric)
                && word.chars().all(|c| c.is_numeric() || "+-().,;:/".contains(c)))
    };
    if !group(&words[i]) {
        return false;
    }
    let from = words[..i].iter().rposition(|w| !group(w)).map_or(0, |at| at + 1);
    let to = words[i..].iter().position(|w| !group(w)).map_or(words.len(), |at| i + at);
    words[from..to].iter().flat_map(|w| w.chars()).filter(|c| c.is_numeric()).count() > DIGITS_MAX
}

/// Providers quote the offending value; what stands between two quotes goes.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut closing = None;
    let mut previous = ' ';
    for c in text.chars() {
        match closing {
            Some(end) if c == end => {
                out.push('…');
                closing = None;
            }
            Some(_) => {}
            None => match c {
                '"' => closing = Some('"'),
                '“' => closing = Some('”'),
                '`' => closing = Some('`'),
                // An apostrophe inside a word opens nothing.
                '\'' if !previous.is_alphanumeric() => closing = Some('\''),
                _ => out.push(c),
            },
        }
        previous = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_plain_explanations() {
        let text = "(#131008) Required parameter is missing: the template's body needs 2 parameters";
        assert_eq!(scrub(text, &[]), text);
    }

    #[test]
    fn drops_numbers_tokens_quotes_and_private_texts() {
        let cases = [
            ("The 'To' number +15005550009 is not valid", "The … number … is not valid"),
            ("number 1500-555-0009 and 49 151 123 456 89 bad", "number … and … … … … … bad"),
            ("Malformed access token EAAGm0PX4ZCpsBAKZCabcdefgh", "Malformed access token …"),
            ("see https://x.y/z or mail a@b.c", "see … or mail …"),
            ("value \"secret words\" refused", "value … refused"),
            ("text hello there refused", "text … refused"),
            ("unterminated 'hello there", "unterminated "),
            ("two\nlines\u{0}here", "two lines here"),
        ];
        for (text, wanted) in cases {
            assert_eq!(scrub(text, &["hello there"]).trim(), wanted.trim(), "{text}");
        }
        assert!(scrub(&"word ".repeat(1_000), &[]).chars().count() <= CHARS_MAX);
    }
}
