//! The template catalogues of WhatsApp business accounts, as they were last read from Meta.
//!
//! `templates` has a document per template and language, `catalogues` one per business account. What Meta no longer
//! lists goes with the next reading.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc, serialize_to_document};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Store, StoreError};
use crate::domain::ids::AccountId;
use crate::domain::template::Listed;
use crate::domain::time::Time;

/// When a catalogue was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalogue {
    /// Meta's id of the business account.
    #[serde(rename = "_id")]
    pub business: String,
    pub account_id: AccountId,
    pub synced_at: Time,
    pub count: i64,
}

impl Store {
    /// When the catalogue of `business` was read last; `None` before the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn catalogue(&self, business: &str) -> Result<Option<Catalogue>, StoreError> {
        Ok(self.collection::<Catalogue>("catalogues").find_one(doc! { "_id": business }).await?)
    }

    /// A template of the catalogue of `business`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn template(
        &self,
        business: &str,
        name: &str,
        language: &str,
    ) -> Result<Option<Listed>, StoreError> {
        let filter = doc! { "_id": key(business, name, language) };
        Ok(self.collection::<Listed>("templates").find_one(filter).await?)
    }

    /// The whole catalogue of `business`, by name and language.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn templates(&self, business: &str) -> Result<Vec<Listed>, StoreError> {
        let templates = self.collection::<Listed>("templates");
        Ok(templates.find(doc! { "business": business }).sort(doc! { "_id": 1 }).await?.try_collect().await?)
    }

    /// Replaces the catalogue of `business`; readers see each template in its old or its new form.
    ///
    /// # Errors
    /// [`StoreError`]: some templates may be new already.
    pub async fn replace_templates(
        &self,
        account: &AccountId,
        business: &str,
        listed: &[Listed],
        now: Time,
    ) -> Result<(), StoreError> {
        let reading = Ulid::new().to_string();
        let templates = self.collection::<Document>("templates");
        for one in listed {
            let mut row = serialize_to_document(one)?;
            row.extend(doc! { "business": business, "accountId": account.as_str(), "reading": &reading });
            let filter = doc! { "_id": key(business, &one.name, &one.language) };
            templates.replace_one(filter, row).upsert(true).await?;
        }
        templates.delete_many(doc! { "business": business, "reading": { "$ne": &reading } }).await?;
        let row = doc! { "accountId": account.as_str(), "syncedAt": now, "count": listed.len() as i64 };
        let catalogues = self.collection::<Document>("catalogues");
        catalogues.replace_one(doc! { "_id": business }, row).upsert(true).await?;
        Ok(())
    }

    /// Has the catalogue of `business` read again soon: a template was not what it says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn doubt_catalogue(&self, business: &str) -> Result<(), StoreError> {
        let update = doc! { "$set": { "syncedAt": Time::from_millis(0) } };
        self.collection::<Document>("catalogues").update_one(doc! { "_id": business }, update).await?;
        Ok(())
    }
}

fn key(business: &str, name: &str, language: &str) -> String {
    format!("{business}/{name}/{language}")
}
