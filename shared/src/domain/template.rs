//! Message templates of WhatsApp: what is asked for, checked by form and against the catalogue, and how it reads.
//!
//! Facts: PROTOCOLS 3.1. Placeholders are `{{1}}`, `{{2}}` … or `{{guest_name}}`; a template uses one of the two kinds.

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Most components of a request: a header, a body and ten buttons.
pub const COMPONENTS_MAX: usize = 12;
/// Most parameters of a component.
pub const PARAMETERS_MAX: usize = 32;
/// Longest text of a parameter, in characters.
pub const TEXT_CHARS_MAX: usize = 1024;
/// Most buttons of a template.
const BUTTONS_MAX: u32 = 10;

/// A template with what fills it, as a message carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    pub name: String,
    /// Such as `en` or `pt_BR`.
    pub language: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// It advertises, by the catalogue: some errors treat that apart.
    #[serde(default)]
    pub marketing: bool,
}

/// Which part of a template is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Header,
    Body,
    Button,
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    QuickReply,
    Url,
    CopyCode,
}

/// One part with its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub part: Part,
    /// Buttons only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<ButtonKind>,
    /// Which button, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// A value.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// The placeholder's name, where the template names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub value: Value,
}

/// What a parameter holds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Value {
    Text { text: String },
    Image { link: String },
    Video { link: String },
    Document { link: String, filename: Option<String> },
    Payload { payload: String },
    CouponCode { code: String },
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter").field("value", &self.value).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

impl Value {
    /// The word of the Cloud API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Document { .. } => "document",
            Self::Payload { .. } => "payload",
            Self::CouponCode { .. } => "coupon_code",
        }
    }

    /// The file, where it is one.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Image { link } | Self::Video { link } | Self::Document { link, .. } => Some(link),
            _ => None,
        }
    }

    fn written(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Payload { payload } => Some(payload),
            Self::CouponCode { code } => Some(code),
            _ => None,
        }
    }
}

impl Template {
    /// The files that it shows.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.components.iter().flat_map(|component| &component.parameters).filter_map(|p| p.value.link())
    }

    /// Checks the form, before any catalogue is asked.
    ///
    /// # Errors
    /// [`Rejection::Unprocessable`] with the rule.
    pub fn check(&self) -> Result<(), Rejection> {
        let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(name) {
            return refused("a template's name has lower-case letters, digits and underscores, at most 512");
        }
        let language = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !(2..=15).contains(&self.language.len()) || !self.language.bytes().all(language) {
            return refused("a template's language is a code such as en or pt_BR");
        }
        if self.components.len() > COMPONENTS_MAX {
            return refused("a template has at most 12 components");
        }
        let mut seen = std::collections::HashSet::new();
        for component in &self.components {
            component.check()?;
            if !seen.insert((component.part, component.index)) {
                return refused("a template's component is filled twice");
            }
        }
        let names = self.parameters_of(Part::Body).filter(|parameter| parameter.name.is_some()).count();
        if names != 0 && names != self.parameters_of(Part::Body).count() {
            return refused("the parameters of a template's body are all named or none is");
        }
        Ok(())
    }

    fn parameters_of(&self, part: Part) -> impl Iterator<Item = &Parameter> {
        self.components.iter().filter(move |c| c.part == part).flat_map(|component| &component.parameters)
    }
}

impl Component {
    fn check(&self) -> Result<(), Rejection> {
        if self.parameters.len() > PARAMETERS_MAX {
            return refused("a component of a template has at most 32 parameters");
        }
        let is_button = self.part == Part::Button;
        if is_button != self.button.is_some() || is_button != self.index.is_some() {
            return refused("sub_type and index belong to each button of a template and to nothing else");
        }
        if self.index.is_some_and(|index| index >= BUTTONS_MAX) {
            return refused("a template's buttons are counted from 0 to 9");
        }
        self.parameters.iter().try_for_each(|parameter| self.check_parameter(parameter))
    }

    fn check_parameter(&self, parameter: &Parameter) -> Result<(), Rejection> {
        let value = &parameter.value;
        let fits = match (self.part, self.button) {
            (Part::Header, _) => value.link().is_some() || matches!(value, Value::Text { .. }),
            (Part::Body, _) => matches!(value, Value::Text { .. }),
            (Part::Button, Some(ButtonKind::QuickReply)) => matches!(value, Value::Payload { .. }),
            (Part::Button, Some(ButtonKind::CopyCode)) => matches!(value, Value::CouponCode { .. }),
            (Part::Button, _) => matches!(value, Value::Text { .. }),
        };
        if !fits {
            return refused("a parameter of the template is of a kind that does not go there");
        }
        let chars = value.written().map(|text| text.chars().count());
        if chars.is_some_and(|chars| chars == 0 || chars > TEXT_CHARS_MAX) {
            return refused("a parameter of the template is empty or longer than 1024 characters");
        }
        if value.link().is_some_and(|link| !link.starts_with("https://")) {
            return refused("the files of a template must be https URLs");
        }
        let name = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if parameter.name.as_deref().is_some_and(|text| !name(text)) {
            return refused("a parameter's name has lower-case letters, digits and underscores, at most 64");
        }
        Ok(())
    }
}

/// Whether a template of the catalogue may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    Approved,
    /// Waits for Meta.
    Pending,
    Rejected,
    /// Stopped for a while for its quality.
    Paused,
    Disabled,
    /// A word that is not known yet: the provider judges.
    Other,
}

/// A template as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub name: String,
    pub language: String,
    pub approval: Approval,
    pub marketing: bool,
    /// What the header shows: `text`, `image`, `video`, `document`, `location`; none without a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub header_text: String,
    pub body: String,
    /// The buttons' types in their order, in lower case: `quick_reply`, `url`, `copy_code`, `phone_number` …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<ListedButton>,
}

/// A button as the provider lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedButton {
    pub kind: String,
    /// Its address ends in a placeholder.
    #[serde(default)]
    pub takes_value: bool,
}

impl Listed {
    /// Checks that `template` fits what the catalogue says of it.
    ///
    /// # Errors
    /// [`Rejection::Unprocessable`] with the first thing that does not fit.
    pub fn check(&self, template: &Template) -> Result<(), Rejection> {
        match self.approval {
            Approval::Approved | Approval::Paused | Approval::Other => {}
            Approval::Pending => return refused("the template waits for the provider's approval"),
            Approval::Rejected => return refused("the provider has rejected the template"),
            Approval::Disabled => return refused("the provider has disabled the template"),
        }
        self.check_text(template, Part::Body, &self.body)?;
        match self.header.as_deref() {
            None if template.parameters_of(Part::Header).next().is_some() => {
                return refused("the template has no header");
            }
            Some("text") => self.check_text(template, Part::Header, &self.header_text)?,
            Some(kind @ ("image" | "video" | "document")) => {
                let given: Vec<&str> = template.parameters_of(Part::Header).map(|p| p.value.kind()).collect();
                if given != [kind] {
                    return refused("the template's header needs one file of its kind");
                }
            }
            _ => {}
        }
        self.check_buttons(template)
    }

    fn check_text(&self, template: &Template, part: Part, text: &str) -> Result<(), Rejection> {
        let wanted = placeholders(text);
        let given: Vec<&Parameter> = template.parameters_of(part).collect();
        if wanted.len() != given.len() {
            return refused("the number of parameters is not that of the template's placeholders");
        }
        let named = wanted.iter().any(|name| name.parse::<u32>().is_err());
        let fits = |name: &&str| given.iter().any(|parameter| parameter.name.as_deref() == Some(*name));
        if named && !wanted.iter().all(|name| fits(&name.as_str())) {
            return refused("the parameters are not named like the template's placeholders");
        }
        Ok(())
    }

    fn check_buttons(&self, template: &Template) -> Result<(), Rejection> {
        for component in template.components.iter().filter(|c| c.part == Part::Button) {
            let listed = component.index.and_then(|index| self.buttons.get(index as usize));
            let wanted = match component.button {
                Some(ButtonKind::QuickReply) => "quick_reply",
                Some(ButtonKind::CopyCode) => "copy_code",
                _ => "url",
            };
            if listed.is_none_or(|button| button.kind != wanted) {
                return refused("a button is not of the kind that the template has there");
            }
        }
        let filled = |index: usize| {
            template.components.iter().any(|c| c.part == Part::Button && c.index == u32::try_from(index).ok())
        };
        let missing = self.buttons.iter().enumerate().any(|(n, button)| button.takes_value && !filled(n));
        if missing {
            return refused("a button of the template needs a value");
        }
        Ok(())
    }

    /// The body as the recipient reads it.
    pub fn rendered(&self, template: &Template) -> String {
        let given: Vec<&Parameter> = template.parameters_of(Part::Body).collect();
        let value = |name: &str| {
            let place = name.parse::<usize>().ok().and_then(|n| given.get(n.checked_sub(1)?).copied());
            let parameter = place.or_else(|| given.iter().find(|p| p.name.as_deref() == Some(name)).copied());
            parameter.and_then(|parameter| parameter.value.written())
        };
        let mut text = String::with_capacity(self.body.len());
        let mut rest = self.body.as_str();
        while let Some((before, name, after)) = next_placeholder(rest) {
            text.push_str(before);
            text.push_str(value(name).unwrap_or_default());
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

/// The placeholders of `text`, each once, in their order.
fn placeholders(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, name, after)) = next_placeholder(rest) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}

/// What stands before the first placeholder, its name, and what follows.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, inner) = text.split_once("{{")?;
    let (name, after) = inner.split_once("}}")?;
    Some((before, name.trim(), after))
}

fn refused<T>(why: &'static str) -> Result<T, Rejection> {
    Err(Rejection::Unprocessable(why))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
