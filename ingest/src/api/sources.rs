//! The form of a source in requests.

use shared::domain::ids::MalformedId;
use shared::domain::message::Source;

use crate::http::IdForm;

/// `[a-z0-9-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceForm(Source);

impl IdForm for SourceForm {
    const PATTERN: &'static str = "^[a-z0-9-]{1,64}$";

    fn read(text: &str) -> Result<Self, MalformedId> {
        Source::parse(text).map(Self)
    }

    fn text(&self) -> &str {
        self.0.as_str()
    }
}

impl From<SourceForm> for Source {
    fn from(form: SourceForm) -> Self {
        form.0
    }
}
