//! Ids in paths, queries and bodies: `Path<Id<ThreadId>>` is checked before the handler runs and shows its
//! form in the OpenAPI document.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde_json::Value;
use shared::domain::ids::{
    AccountId, ChannelId, MalformedId, MessageId, ReservationId, SupportTokenId, ThreadId, Uid,
};

/// An id type of the domain as a type of the API.
pub trait IdForm: Sized + Clone + Send + Sync + 'static {
    /// What is accepted, as a regular expression.
    const PATTERN: &'static str;

    /// Checks the form.
    ///
    /// # Errors
    /// [`MalformedId`]
    fn read(text: &str) -> Result<Self, MalformedId>;

    /// The id as text.
    fn text(&self) -> &str;
}

macro_rules! id_form {
    ($type:ty, $pattern:literal) => {
        impl IdForm for $type {
            const PATTERN: &'static str = $pattern;

            fn read(text: &str) -> Result<Self, MalformedId> {
                Self::parse(text)
            }

            fn text(&self) -> &str {
                self.as_str()
            }
        }
    };
}

id_form!(AccountId, "^[A-Za-z0-9_-]{1,64}$");
id_form!(ThreadId, "^[A-Za-z0-9_-]{1,128}$");
id_form!(MessageId, "^[A-Za-z0-9_-]{1,128}$");
id_form!(ReservationId, "^[A-Za-z0-9_-]{1,128}$");
id_form!(ChannelId, "^[A-Za-z0-9_-]{1,128}$");
id_form!(SupportTokenId, "^[A-Za-z0-9_-]{1,64}$");
id_form!(Uid, "^[A-Za-z0-9_.:@|+-]{1,128}$");

/// An id of type `T` in a request or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id<T>(pub T);

impl<T: IdForm> Type for Id<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "id".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let schema = MetaSchema { pattern: Some(T::PATTERN.to_owned()), ..MetaSchema::new("string") };
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: IdForm> ParseFromParameter for Id<T> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        T::read(value).map(Self).map_err(ParseError::custom)
    }
}

impl<T: IdForm> ParseFromJSON for Id<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => T::read(&text).map(Self).map_err(ParseError::custom),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl<T: IdForm> ToJSON for Id<T> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.text().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_the_domain_agree() {
        fn agree<T: IdForm>() {
            let pattern = regex::Regex::new(T::PATTERN).unwrap();
            let long = "a".repeat(128);
            let longer = "a".repeat(129);
            let account = "a".repeat(65);
            for text in ["a", "a.b", "a|b@c:d+e", "A_-9", "", "a b", "ä", "a\n", &long, &longer, &account] {
                assert_eq!(pattern.is_match(text), T::read(text).is_ok(), "{} {text:?}", T::PATTERN);
            }
        }
        agree::<AccountId>();
        agree::<ThreadId>();
        agree::<MessageId>();
        agree::<ReservationId>();
        agree::<ChannelId>();
        agree::<SupportTokenId>();
        agree::<Uid>();
    }
}
