//! `/chat/threads/{id}/whatsapp-templates` and `/chat/whatsapp-templates`: sending approved templates, and which
//! there are.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Header, Path};
use poem_openapi::{Enum, Object, OpenApi};
use shared::domain::ids::{MessageId, ThreadId};
use shared::domain::message::{Draft, MessageType};
use shared::domain::template::{
    Approval, ButtonKind, COMPONENTS_MAX, Component, Listed, Parameter, Part, Template, Value,
};
use shared::domain::time::rfc3339;

use super::Tag;
use super::messages::PostedOut;
use crate::auth::Caller;
use crate::chat::{Catalogued, KeyForm, Trace};
use crate::http::{ApiError, Id, StrictJson};
use crate::services::Services;

pub(super) struct TemplatesApi;

/// A template to be sent.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct TemplateIn {
    /// As the provider lists it: lower-case letters, digits and underscores.
    name: String,
    /// Such as `en` or `pt_BR`.
    language: String,
    /// What fills it; at most 12.
    components: Option<Vec<ComponentIn>>,
    /// How it is shown in the thread; by default the template's own text with its parameters.
    body: Option<String>,
    /// The client's own id, by which a repeated post is recognised.
    message_id: Option<Id<MessageId>>,
}

/// A part of a template with its values, as the Cloud API writes it.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct ComponentIn {
    r#type: PartIn,
    /// Buttons only, and there needed.
    sub_type: Option<ButtonIn>,
    /// Which button, 0 to 9; buttons only, and there needed.
    #[oai(validator(maximum(value = "9")))]
    index: Option<u32>,
    parameters: Option<Vec<ParameterIn>>,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
enum PartIn {
    Header,
    Body,
    Button,
}

/// What a button does.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum ButtonIn {
    QuickReply,
    Url,
    CopyCode,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum ParameterKindIn {
    Text,
    Image,
    Video,
    Document,
    Payload,
    CouponCode,
}

/// A value; the field of its type is needed, no other may stand there.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ParameterIn {
    r#type: ParameterKindIn,
    /// The placeholder's name, where the template names them.
    parameter_name: Option<String>,
    text: Option<String>,
    image: Option<FileIn>,
    video: Option<FileIn>,
    document: Option<FileIn>,
    payload: Option<String>,
    coupon_code: Option<String>,
}

impl std::fmt::Debug for ParameterIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParameterIn").field("type", &self.r#type).finish_non_exhaustive()
    }
}

/// A file that the provider fetches.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct FileIn {
    /// An https URL.
    link: String,
    /// Documents only.
    filename: Option<String>,
}

impl TemplateIn {
    fn template(&mut self) -> Result<Template, ApiError> {
        let components = self.components.take().unwrap_or_default();
        if components.len() > COMPONENTS_MAX {
            return Err(ApiError::unprocessable("a template has at most 12 components"));
        }
        let components = components.into_iter().enumerate().map(|(n, component)| component.read(n));
        Ok(Template {
            name: std::mem::take(&mut self.name),
            language: std::mem::take(&mut self.language),
            components: components.collect::<Result<_, _>>()?,
            marketing: false,
        })
    }
}

impl ComponentIn {
    fn read(self, place: usize) -> Result<Component, ApiError> {
        let parameters = self.parameters.unwrap_or_default().into_iter().enumerate();
        let parameters = parameters.map(|(n, parameter)| {
            let pointer = format!("/components/{place}/parameters/{n}");
            let name = parameter.parameter_name.clone();
            parameter.value().map(|value| Parameter { name, value }).ok_or_else(|| {
                ApiError::invalid_field(pointer, "must hold the field that its type names, and no other")
            })
        });
        Ok(Component {
            part: match self.r#type {
                PartIn::Header => Part::Header,
                PartIn::Body => Part::Body,
                PartIn::Button => Part::Button,
            },
            button: self.sub_type.map(|button| match button {
                ButtonIn::QuickReply => ButtonKind::QuickReply,
                ButtonIn::Url => ButtonKind::Url,
                ButtonIn::CopyCode => ButtonKind::CopyCode,
            }),
            index: self.index,
            parameters: parameters.collect::<Result<_, _>>()?,
        })
    }
}

impl ParameterIn {
    /// The value, if it is the only one and of the type that is named.
    fn value(self) -> Option<Value> {
        let texts = [&self.text, &self.payload, &self.coupon_code].map(Option::is_some);
        let files = [&self.image, &self.video, &self.document].map(Option::is_some);
        if texts.into_iter().chain(files).filter(|given| *given).count() != 1 {
            return None;
        }
        let plain = |file: FileIn| file.filename.is_none().then_some(file.link);
        Some(match self.r#type {
            ParameterKindIn::Text => Value::Text { text: self.text? },
            ParameterKindIn::Payload => Value::Payload { payload: self.payload? },
            ParameterKindIn::CouponCode => Value::CouponCode { code: self.coupon_code? },
            ParameterKindIn::Image => Value::Image { link: plain(self.image?)? },
            ParameterKindIn::Video => Value::Video { link: plain(self.video?)? },
            ParameterKindIn::Document => {
                let FileIn { link, filename } = self.document?;
                Value::Document { link, filename }
            }
        })
    }
}

/// Whether a template may be sent.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
enum ApprovalOut {
    Approved,
    Pending,
    Rejected,
    Paused,
    Disabled,
    /// A state that is not known yet.
    Other,
}

/// A template as the provider lists it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ListedOut {
    name: String,
    language: String,
    status: ApprovalOut,
    /// It advertises.
    marketing: bool,
    /// text, image, video, document or location; absent without a header.
    header: Option<String>,
    /// With placeholders such as `{{1}}` or `{{guest_name}}`.
    body: String,
    /// The kinds of its buttons, in their order: quick_reply, url, copy_code, phone_number …
    buttons: Vec<String>,
}

/// The catalogue of the account's WhatsApp number.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct CatalogueOut {
    templates: Vec<ListedOut>,
    /// When it was read from the provider; absent before the first time, and where the number has no catalogue.
    synced_at: Option<String>,
}

impl From<Listed> for ListedOut {
    fn from(listed: Listed) -> Self {
        Self {
            name: listed.name,
            language: listed.language,
            status: match listed.approval {
                Approval::Approved => ApprovalOut::Approved,
                Approval::Pending => ApprovalOut::Pending,
                Approval::Rejected => ApprovalOut::Rejected,
                Approval::Paused => ApprovalOut::Paused,
                Approval::Disabled => ApprovalOut::Disabled,
                Approval::Other => ApprovalOut::Other,
            },
            marketing: listed.marketing,
            header: listed.header,
            body: listed.body,
            buttons: listed.buttons.into_iter().map(|button| button.kind).collect(),
        }
    }
}

impl From<Catalogued> for CatalogueOut {
    fn from(found: Catalogued) -> Self {
        Self {
            templates: found.templates.into_iter().map(Into::into).collect(),
            synced_at: found.synced_at.map(rfc3339),
        }
    }
}

#[OpenApi(tag = "Tag::Messages")]
impl TemplatesApi {
    /// Sends a WhatsApp template, inside or outside the 24-hour window. Staff only.
    ///
    /// It is a message of the thread like any other (201, or 200 when repeated). Where the account's catalogue is
    /// known, name, language, state and parameters are checked against it first.
    #[oai(
        path = "/chat/threads/:id/whatsapp-templates",
        method = "post",
        operation_id = "messages.sendTemplate"
    )]
    async fn send(
        &self,
        caller: Caller,
        id: Path<Id<ThreadId>>,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<TemplateIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<PostedOut, ApiError> {
        let mut input = body.0;
        let draft = Draft {
            template: Some(input.template()?),
            message_id: input.message_id.map(|id| id.0),
            body: input.body.unwrap_or_default(),
            kind: Some(MessageType::WhatsappMessage),
            ..Draft::default()
        };
        let posted = services.chat.post_template(&caller, &trace, id.0.0, draft, key.0.map(|k| k.0)).await?;
        Ok(PostedOut::of((&posted.0).into(), posted.1))
    }

    /// Lists the templates of the account's WhatsApp number. Staff only.
    #[oai(path = "/chat/whatsapp-templates", method = "get", operation_id = "templates.list")]
    async fn list(
        &self,
        caller: Caller,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<CatalogueOut>, ApiError> {
        Ok(StrictJson(services.chat.catalogue(&caller).await?.into()))
    }
}
