//! A mail as it goes over the wire: headers that cannot be injected into, two bodies, ASCII throughout.

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::{Address, error::Error};

use super::words::one_line;

/// Longest name of a recipient, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Everything a mail is made of. Not `Debug`: it holds addresses and texts.
pub struct Letter<'a> {
    pub from: &'a Mailbox,
    pub reply_to: Option<&'a Mailbox>,
    pub to: &'a Address,
    pub to_name: Option<&'a str>,
    /// Unique and the same for every try, of the characters `[A-Za-z0-9.-]`: a mail server or reader that knows it
    /// drops the second.
    pub id: &'a str,
    /// The same for all mails about one thing, of the same characters: mail readers show them as one conversation.
    pub room: &'a str,
    pub subject: &'a str,
    pub plain: String,
    pub html: String,
    /// Ends the mails by a POST without further ado (RFC 8058).
    pub unsubscribe: &'a str,
}

/// The bytes of a mail, with its `Message-ID`.
///
/// # Errors
/// When a part cannot be encoded, which the cleaning of names and texts before should have made impossible.
pub fn compose(letter: Letter<'_>) -> Result<(Vec<u8>, String), Error> {
    let host = letter.from.email.domain();
    let (id, room) = (format!("<{}@{host}>", letter.id), format!("<{}@{host}>", letter.room));
    let name = letter.to_name.map(|name| one_line(name, NAME_CHARS_MAX)).filter(|name| !name.is_empty());
    let message = match letter.reply_to {
        Some(reply_to) => Message::builder().reply_to(reply_to.clone()),
        None => Message::builder(),
    };
    let message = message
        .from(letter.from.clone())
        .to(Mailbox::new(name, letter.to.clone()))
        .subject(one_line(letter.subject, usize::MAX))
        .message_id(Some(id.clone()))
        .in_reply_to(room.clone())
        .references(room)
        .header(AutoSubmitted)
        .header(ListUnsubscribe(format!("<{}>", letter.unsubscribe)))
        .header(ListUnsubscribePost)
        .multipart(MultiPart::alternative_plain_html(letter.plain, letter.html))?;
    Ok((message.formatted(), id))
}

macro_rules! header {
    ($(#[$doc:meta])* $name:ident $(($field:ty))?, $text:literal, $value:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        struct $name $(($field))?;

        impl Header for $name {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($text)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err("it is only written".into())
            }

            fn display(&self) -> HeaderValue {
                let value: fn(&Self) -> String = $value;
                HeaderValue::new(Self::name(), value(self))
            }
        }
    };
}

header!(
    /// No vacation notice answers it (RFC 3834).
    AutoSubmitted, "Auto-Submitted", |_| "auto-generated".to_owned());
header!(
    /// RFC 2369.
    ListUnsubscribe(String), "List-Unsubscribe", |header| header.0.clone());
header!(
    /// RFC 8058.
    ListUnsubscribePost, "List-Unsubscribe-Post", |_| "List-Unsubscribe=One-Click".to_owned());

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to_name: &str, subject: &str) -> String {
        let (from, to) = ("Acme <support@acme.example>".parse().expect("a box"), "a@b.example".parse());
        let long = format!("https://chat.example/email/unsubscribe?token={}", "a".repeat(120));
        let letter = Letter {
            from: &from,
            reply_to: Some(&"Desk <desk@acme.example>".parse().expect("a box")),
            to: &to.expect("an address"),
            to_name: Some(to_name),
            id: "01ABC",
            room: "room.77",
            subject,
            plain: "Grüezi\n.\n".into(),
            html: "<p>Grüezi</p>".into(),
            unsubscribe: &long,
        };
        let (bytes, id) = compose(letter).expect("a mail");
        assert_eq!(id, "<01ABC@acme.example>");
        assert!(bytes.is_ascii());
        String::from_utf8(bytes).expect("ASCII")
    }

    /// The header's lines, unfolded.
    fn header(mail: &str, name: &str) -> Vec<String> {
        let (head, _) = mail.split_once("\r\n\r\n").expect("a body");
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}: ", name.to_ascii_lowercase());
        let fits = |line: &&str| line.to_ascii_lowercase().starts_with(&prefix);
        unfolded.split("\r\n").filter(fits).map(|line| line[prefix.len()..].trim().to_owned()).collect()
    }

    #[test]
    fn it_says_what_it_is_and_how_to_end_it() {
        let mail = letter("Anna Ärgerlich", "1 new message");
        let url = format!("<https://chat.example/email/unsubscribe?token={}>", "a".repeat(120));
        assert_eq!(header(&mail, "list-unsubscribe"), [url], "{mail}");
        assert_eq!(header(&mail, "Reply-To"), ["Desk <desk@acme.example>"]);
        assert_eq!(header(&mail, "List-Unsubscribe-Post"), ["List-Unsubscribe=One-Click"]);
        assert_eq!(header(&mail, "Auto-Submitted"), ["auto-generated"]);
        assert_eq!(header(&mail, "Message-ID"), ["<01ABC@acme.example>"]);
        assert_eq!(header(&mail, "References"), ["<room.77@acme.example>"]);
        assert_eq!(header(&mail, "In-Reply-To"), ["<room.77@acme.example>"]);
        assert_eq!((header(&mail, "Date").len(), header(&mail, "From").len()), (1, 1));
    }

    #[test]
    fn no_name_or_subject_makes_a_header() {
        let evil = "Eve\"\r\nBcc: all@example.com\r\n\r\n<b>";
        let mail = letter(evil, evil);
        assert_eq!(header(&mail, "Bcc"), [] as [&str; 0], "{mail}");
        assert_eq!(header(&mail, "To").len(), 1);
        let (head, _) = mail.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains("Auto-Submitted"), "the headers end where they should: {mail}");
    }
}
