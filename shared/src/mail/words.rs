//! Texts of strangers made fit for a mail: without control characters, cut, escaped.

/// `text` on one line, without control and direction characters, at most `chars_max` characters.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let visible: String =
        text.chars().map(|c| if breaks(c) { ' ' } else { c }).filter(|c| !hides(*c)).collect();
    cut(&visible.split_whitespace().collect::<Vec<_>>().join(" "), chars_max)
}

/// `text` with its lines, otherwise as [`one_line`].
pub(super) fn lines(text: &str, chars_max: usize) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    let visible: String =
        text.chars().filter(|c| *c == '\n' || *c == '\t' || !(c.is_control() || hides(*c))).collect();
    cut(visible.trim(), chars_max)
}

/// `text` as it may stand in HTML, between tags or in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that turn the direction of what follows, by which a text can pose as another.
fn hides(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_begin_a_new_line() {
        assert_eq!(one_line("Eve\r\nBcc: all@example.com\u{2028}x\0", 80), "Eve Bcc: all@example.com x");
        assert_eq!(one_line("  a \t b\u{202e}c ", 80), "a bc");
        assert_eq!(one_line("ääääää", 4), "äää…");
        assert_eq!(one_line("", 4), "");
    }

    #[test]
    fn a_text_keeps_its_lines_and_nothing_else_that_steers() {
        assert_eq!(lines("a\r\nb\rc\u{2029}d\u{1b}[31m", 80), "a\nb\nc\nd[31m");
        assert_eq!(lines("abcdef", 3), "ab…");
    }

    #[test]
    fn html_of_strangers_is_text() {
        assert_eq!(escape(r#"<a href="x">&'"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
