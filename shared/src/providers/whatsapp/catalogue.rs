//! The templates of a business account, as Meta lists them.

use serde_json::Value;

use super::{Client, WhatsappChannel};
use crate::domain::template::{Approval, Listed, ListedButton};
use crate::providers::transport::{self, Lost};

/// Templates in one answer, and answers: Meta allows some thousand templates an account.
const PAGE: usize = 100;
const PAGES_MAX: usize = 100;

/// The catalogue could not be read; it may be asked for again at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// No answer, or not a readable one.
    #[error("template catalogue: no readable answer")]
    Unreadable,
    /// Another status than 200.
    #[error("template catalogue: status {0}")]
    Status(u16),
    /// The channel's address is not allowed.
    #[error("template catalogue: address refused")]
    Blocked,
}

impl Client {
    /// All templates of business account `id`, with the token of `channel`.
    ///
    /// # Errors
    /// [`CatalogueError`]; a part of a catalogue is never answered.
    pub async fn templates(
        &self,
        channel: &WhatsappChannel,
        id: &str,
    ) -> Result<Vec<Listed>, CatalogueError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.template_page(channel, id, after.as_deref()).await?;
            let rows = page.get("data").and_then(Value::as_array).ok_or(CatalogueError::Unreadable)?;
            all.extend(rows.iter().filter_map(listed));
            after = match page.pointer("/paging/next").and_then(Value::as_str) {
                Some(_) => page.pointer("/paging/cursors/after").and_then(Value::as_str).map(str::to_owned),
                None => return Ok(all),
            };
            if after.is_none() {
                return Ok(all);
            }
        }
        Err(CatalogueError::Unreadable)
    }

    async fn template_page(
        &self,
        channel: &WhatsappChannel,
        id: &str,
        after: Option<&str>,
    ) -> Result<Value, CatalogueError> {
        let url = transport::join(&channel.base_url, &[id, "message_templates"]);
        let mut url = url.ok_or(CatalogueError::Blocked)?;
        url.query_pairs_mut()
            .append_pair("fields", "name,language,status,category,components")
            .append_pair("limit", &PAGE.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let request = self.transport.client(channel.trust).get(url);
        let request = request.bearer_auth(channel.access_token.expose());
        let reply = self.transport.exchange(channel.trust, request).await.map_err(|lost| match lost {
            Lost::Blocked(_) => CatalogueError::Blocked,
            Lost::NotSent | Lost::AfterWrite(_) => CatalogueError::Unreadable,
        })?;
        if reply.status != 200 {
            return Err(CatalogueError::Status(reply.status));
        }
        reply.json().ok_or(CatalogueError::Unreadable)
    }
}

/// One template; `None` where name or language is missing.
fn listed(row: &Value) -> Option<Listed> {
    let word = |name: &str| row.get(name).and_then(Value::as_str);
    let mut listed = Listed {
        name: word("name")?.to_owned(),
        language: word("language")?.to_owned(),
        approval: match word("status").unwrap_or_default() {
            "APPROVED" => Approval::Approved,
            "PENDING" | "IN_APPEAL" => Approval::Pending,
            "REJECTED" => Approval::Rejected,
            "PAUSED" => Approval::Paused,
            "DISABLED" | "DELETED" | "PENDING_DELETION" => Approval::Disabled,
            _ => Approval::Other,
        },
        marketing: word("category") == Some("MARKETING"),
        header: None,
        header_text: String::new(),
        body: String::new(),
        buttons: Vec::new(),
    };
    for component in row.get("components").and_then(Value::as_array).into_iter().flatten() {
        let text = component.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        match component.get("type").and_then(Value::as_str).unwrap_or_default() {
            "HEADER" => {
                let format = component.get("format").and_then(Value::as_str).unwrap_or("TEXT");
                listed.header = Some(format.to_ascii_lowercase());
                listed.header_text = text;
            }
            "BODY" => listed.body = text,
            "BUTTONS" => {
                let buttons = component.get("buttons").and_then(Value::as_array).into_iter().flatten();
                listed.buttons = buttons.map(button).collect();
            }
            _ => {}
        }
    }
    Some(listed)
}

fn button(button: &Value) -> ListedButton {
    let kind = button.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let has_placeholder = button.get("url").and_then(Value::as_str).is_some_and(|url| url.contains("{{"));
    ListedButton { takes_value: has_placeholder || kind == "copy_code", kind }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_of_the_catalogue_is_read_whatever_it_leaves_out() {
        let row = json!({"name": "welcome", "language": "pt_BR", "status": "APPROVED", "category": "MARKETING",
            "components": [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello {{1}}"},
                {"type": "FOOTER", "text": "bye"},
                {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Yes"},
                    {"type": "URL", "text": "Pay", "url": "https://a.example/{{1}}"}]}]});
        let read = listed(&row).unwrap();
        assert_eq!(
            (read.header.as_deref(), read.body.as_str(), read.marketing),
            (Some("image"), "Hello {{1}}", true)
        );
        assert_eq!(read.approval, Approval::Approved);
        assert!(!read.buttons[0].takes_value && read.buttons[1].takes_value);
        let bare = listed(&json!({"name": "x", "language": "en", "status": "LIMIT_EXCEEDED"})).unwrap();
        assert_eq!(bare.approval, Approval::Other);
        assert_eq!(listed(&json!({"name": "x"})), None);
    }
}
