//! What an admin is told of a channel whose credentials are refused: which one, since when, what to do. No number and
//! no secret.

use super::words::{escape, one_line};
use crate::domain::ids::ChannelId;
use crate::domain::time::{Time, rfc3339};

/// Longest code of a provider that is shown, in characters.
const CODE_CHARS_MAX: usize = 64;

/// A flagged channel.
#[derive(Debug, Clone)]
pub struct FlagNotice {
    pub channel: ChannelId,
    /// `whatsapp`, `sms` or `guest`.
    pub kind: &'static str,
    /// The provider's.
    pub code: Option<String>,
    pub since: Time,
}

impl FlagNotice {
    /// One line: which channel.
    pub fn subject(&self) -> String {
        format!("The channel {} needs new credentials", self.channel)
    }

    /// The body as plain text; `unsubscribe` is the link at its end.
    pub fn plain(&self, unsubscribe: &str) -> String {
        let told = self.told().join("\n");
        format!("{}\n\n{told}\n\n--\n{WHY}\nStop these e-mails: {unsubscribe}\n", self.subject())
    }

    /// The body as HTML without styles, images or scripts.
    pub fn html(&self, unsubscribe: &str) -> String {
        let subject = escape(&self.subject());
        let told: String = self.told().iter().map(|line| format!("<p>{}</p>\n", escape(line))).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title></head><body>\n\
             <p><strong>{subject}</strong></p>\n{told}<hr>\n<p><small>{WHY} \
             <a href=\"{}\">Stop these e-mails</a></small></p>\n</body></html>\n",
            escape(unsubscribe)
        )
    }

    fn told(&self) -> [String; 2] {
        let provider = match self.kind {
            "whatsapp" => "WhatsApp",
            "sms" => "Twilio",
            _ => "The guest platform",
        };
        let code = self.code.as_deref().map(|code| format!(" (code {})", one_line(code, CODE_CHARS_MAX)));
        let at = rfc3339(self.since);
        [
            format!(
                "{provider} no longer accepts the credentials of this channel{}, since {} {} UTC.",
                code.unwrap_or_default(),
                &at[..10],
                &at[11..16]
            ),
            format!(
                "Its messages wait. Set new credentials with PUT /chat/channels/{}: they are sent then by themselves.",
                self.channel
            ),
        ]
    }
}

const WHY: &str = "You get this because you are an admin of the account.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_which_channel_since_when_and_what_to_do() {
        let notice = FlagNotice {
            channel: ChannelId::parse("main").expect("an id"),
            kind: "whatsapp",
            code: Some("190<b>".to_owned()),
            since: Time::from_millis(1_760_000_000_000),
        };
        insta::assert_snapshot!(notice.plain("https://x/u"), @r"
        The channel main needs new credentials

        WhatsApp no longer accepts the credentials of this channel (code 190<b>), since 2025-10-09 08:53 UTC.
        Its messages wait. Set new credentials with PUT /chat/channels/main: they are sent then by themselves.

        --
        You get this because you are an admin of the account.
        Stop these e-mails: https://x/u
        ");
        let html = notice.html("https://x/u?a=\"");
        assert!(html.contains("190&lt;b&gt;") && !html.contains("<b>") && !html.contains("=\"\""), "{html}");
    }
}
