//! `/email/unsubscribe`: the end of notifications for one person, by the signed link in each of them.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Html;
use poem_openapi::{OpenApi, param::Query};
use shared::domain::Time;

use super::Tag;
use crate::http::ApiError;
use crate::services::Services;

pub(super) struct EmailApi;

#[OpenApi(tag = "Tag::Email")]
impl EmailApi {
    /// Shows a page with a button that ends the e-mails.
    ///
    /// Looking at it changes nothing: programs that look at the links of a mail unsubscribe nobody.
    #[oai(path = "/email/unsubscribe", method = "get", operation_id = "email.unsubscribePage")]
    async fn page(
        &self,
        /// As it stands in the link of a mail.
        token: Query<String>,
        services: Data<&Arc<Services>>,
    ) -> Result<Html<&'static str>, ApiError> {
        services.unsubscribe.read(&token.0).map(|_| Html(ASK)).ok_or_else(bad_token)
    }

    /// Ends the e-mails to the person for whom the link was made.
    ///
    /// Mail programs call it by themselves (`List-Unsubscribe-Post`, RFC 8058); the body is not looked at. Once more
    /// changes nothing, and the answer is the same for everybody.
    #[oai(path = "/email/unsubscribe", method = "post", operation_id = "email.unsubscribe")]
    async fn unsubscribe(
        &self,
        /// As it stands in the link of a mail.
        token: Query<String>,
        services: Data<&Arc<Services>>,
    ) -> Result<Html<&'static str>, ApiError> {
        let id = services.unsubscribe.read(&token.0).ok_or_else(bad_token)?;
        services.store.opt_out(&id, Time::now()).await?;
        metrics::counter!("email_unsubscribed_total").increment(1);
        Ok(Html(DONE))
    }
}

fn bad_token() -> ApiError {
    ApiError::invalid_parameter(
        "token",
        "is not that of a link in a mail of ours, or the link is no longer good",
    )
}

/// The form posts to the address of the page, with its token.
const ASK: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Stop e-mails</title></head><body>\n",
    "<h1>Stop e-mails</h1>\n<p>You will no longer be told by e-mail about messages that you have not read.</p>\n",
    "<form method=\"post\"><button>Stop e-mails</button></form>\n</body></html>\n",
);

const DONE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>E-mails stopped</title></head><body>\n",
    "<h1>E-mails stopped</h1>\n<p>You will get no more e-mails about unread messages.</p>\n</body></html>\n",
);
