//! What a notification says: who wrote, where, and the unread messages, in plain text and in HTML.

use std::fmt::Write as _;

use super::words::{escape, lines, one_line};
use crate::domain::time::{Time, rfc3339};

/// Longest name or title, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Staff,
    Customer,
}

/// An unread message. Not `Debug`: it holds the message's text.
pub struct Entry {
    /// The author's name.
    pub author: String,
    pub at: Time,
    /// The text, as it was posted.
    pub text: String,
    /// How many attachments it has.
    pub attachments: usize,
}

/// The unread messages of one room for one reader. Not `Debug`: it holds texts and names.
pub struct Digest {
    pub reader: Reader,
    /// The room's title; may be empty.
    pub room: String,
    /// The newest unread messages, oldest first, never empty.
    pub entries: Vec<Entry>,
    /// How many unread messages there are, those shown included.
    pub unread: u64,
    /// Longest part of a message that is shown, in characters.
    pub excerpt_chars: usize,
}

impl Digest {
    /// One line: how many messages, of whom, in which room.
    pub fn subject(&self) -> String {
        let last = self.entries.last().map_or("", |entry| entry.author.as_str());
        let author = one_line(last, NAME_CHARS_MAX);
        let many = match (self.reader, self.unread) {
            (Reader::Staff, 0 | 1) => format!("New message from {author}"),
            (Reader::Staff, n) => format!("{n} new messages from {author}"),
            (Reader::Customer, 0 | 1) => format!("New reply from {author}"),
            (Reader::Customer, n) => format!("{n} new replies from {author}"),
        };
        match one_line(&self.room, NAME_CHARS_MAX).as_str() {
            "" => many,
            room => format!("{many} – {room}"),
        }
    }

    /// The body as plain text; `unsubscribe` is the link at its end.
    pub fn plain(&self, unsubscribe: &str) -> String {
        let mut out = format!("{}\n\n", self.subject());
        if self.earlier() > 0 {
            put(&mut out, format_args!("({} earlier unread messages are not shown.)\n\n", self.earlier()));
        }
        for entry in &self.entries {
            let (author, text) = (one_line(&entry.author, NAME_CHARS_MAX), self.text(entry));
            put(&mut out, format_args!("{author}, {}\n{text}\n\n", shown(entry.at)));
        }
        put(&mut out, format_args!("--\n{}\nStop these e-mails: {unsubscribe}\n", self.why()));
        out
    }

    /// The body as HTML without styles, images or scripts.
    pub fn html(&self, unsubscribe: &str) -> String {
        let subject = escape(&self.subject());
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title></head><body>\n\
             <p><strong>{subject}</strong></p>\n"
        );
        if self.earlier() > 0 {
            put(
                &mut out,
                format_args!("<p>({} earlier unread messages are not shown.)</p>\n", self.earlier()),
            );
        }
        for entry in &self.entries {
            let author = escape(&one_line(&entry.author, NAME_CHARS_MAX));
            let text = escape(&self.text(entry)).replace('\n', "<br>\n");
            put(&mut out, format_args!("<p><b>{author}</b>, {}<br>\n{text}</p>\n", shown(entry.at)));
        }
        put(
            &mut out,
            format_args!(
                "<hr>\n<p><small>{} <a href=\"{}\">Stop these e-mails</a></small></p>\n</body></html>\n",
                escape(self.why()),
                escape(unsubscribe)
            ),
        );
        out
    }

    fn earlier(&self) -> u64 {
        self.unread.saturating_sub(self.entries.len() as u64)
    }

    fn text(&self, entry: &Entry) -> String {
        let text = lines(&entry.text, self.excerpt_chars);
        let attached = match entry.attachments {
            0 => String::new(),
            1 => "[1 attachment]".to_owned(),
            n => format!("[{n} attachments]"),
        };
        match (text.is_empty(), attached.is_empty()) {
            (false, false) => format!("{text}\n{attached}"),
            (true, true) => "[no text]".to_owned(),
            _ => text + &attached,
        }
    }

    fn why(&self) -> &'static str {
        match self.reader {
            Reader::Staff => {
                "You get this because the conversation is yours to answer and you had not read it."
            }
            Reader::Customer => "You get this because you asked us something and had not read the answer.",
        }
    }
}

/// The minute, UTC.
fn shown(at: Time) -> String {
    let text = rfc3339(at);
    format!("{} {} UTC", &text[..10], &text[11..16])
}

fn put(out: &mut String, piece: std::fmt::Arguments<'_>) {
    out.write_fmt(piece).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(author: &str, texts: &[&str], unread: u64) -> Digest {
        let entry = |text: &&str| Entry {
            author: author.to_owned(),
            at: Time::from_millis(1_760_000_000_000),
            text: (*text).to_owned(),
            attachments: 0,
        };
        let entries = texts.iter().map(entry).collect();
        Digest { reader: Reader::Staff, room: "Room <7>".into(), entries, unread, excerpt_chars: 20 }
    }

    #[test]
    fn a_digest_shows_the_newest_and_counts_the_others() {
        let digest = digest("Carla", &["first", "a second text that is too long"], 7);
        insta::assert_snapshot!(digest.plain("https://x/u"), @r"
        7 new messages from Carla – Room <7>

        (5 earlier unread messages are not shown.)

        Carla, 2025-10-09 08:53 UTC
        first

        Carla, 2025-10-09 08:53 UTC
        a second text that …

        --
        You get this because the conversation is yours to answer and you had not read it.
        Stop these e-mails: https://x/u
        ");
    }

    #[test]
    fn nothing_of_a_stranger_is_markup() {
        let digest = digest("<img src=x>", &["<script>alert(1)</script>"], 1);
        let html = digest.html("https://x/u?a=1&b=\"");
        for markup in ["<img", "<script", "<7>", "b=\"\""] {
            assert!(!html.contains(markup), "{markup}: {html}");
        }
        assert!(html.contains("&lt;img src=x&gt;") && html.contains("?a=1&amp;b=&quot;"));
    }

    #[test]
    fn a_message_without_text_says_what_it_holds() {
        let mut digest = digest("Carla", &[""], 1);
        assert!(digest.plain("u").contains("[no text]"));
        digest.entries[0].attachments = 2;
        assert!(digest.plain("u").contains("\n[2 attachments]\n"));
    }
}
