//! People outside, one document per number of ours and person; see [`crate::domain::contact`].
//!
//! Found by `phoneKey` (`{line}|{phone}`) and `businessKey` (`{line}|{business-scoped id}`), each unique.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::{Document, deserialize_from_document, doc, serialize_to_bson};
use mongodb::options::ReturnDocument;
use ulid::Ulid;

use super::{Store, StoreError, duplicate_index};
use crate::domain::contact::{Contact, Exchange, OptOut};
use crate::domain::ids::AccountId;
use crate::domain::time::Time;

/// Times that an upsert is tried when another makes the same contact.
const TRIES: usize = 4;

/// Who it is, as far as the provider says. Not to be printed.
#[derive(Clone, Copy, Default)]
pub struct Sighting<'a> {
    /// E.164.
    pub phone: Option<&'a str>,
    /// What the provider calls the phone, where that differs.
    pub provider_form: Option<&'a str>,
    pub business_id: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// What `contacts` are found by: `{line}|{phone or business-scoped id}`.
pub fn contact_key(line: &str, id: &str) -> String {
    format!("{line}|{id}")
}

impl Store {
    /// Contacts by [`contact_key`] of their phones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contacts_by_phone(&self, keys: &[String]) -> Result<HashMap<String, Contact>, StoreError> {
        let contacts = self.collection::<Document>("contacts");
        let found = contacts.find(doc! { "phoneKey": { "$in": keys } }).await?;
        let found: Vec<Document> = found.try_collect().await?;
        let read = |document: Document| {
            let key = document.get_str("phoneKey").unwrap_or_default().to_owned();
            Ok((key, deserialize_from_document(document)?))
        };
        found.into_iter().map(read).collect()
    }

    /// The contact that `who` is for our `line`, if it was met before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact(&self, line: &str, who: Sighting<'_>) -> Result<Option<Contact>, StoreError> {
        match known_by(line, who) {
            Some(filter) => Ok(self.collection::<Contact>("contacts").find_one(filter).await?),
            None => Ok(None),
        }
    }

    /// Meets `who` on `line` of `account`: makes the contact where it is new, adds what is known now. With
    /// `inbound_at` the window opens from there, unless it was opened later.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Refused`] when `who` has neither phone nor business-scoped id.
    pub async fn meet_contact(
        &self,
        account: &AccountId,
        line: &str,
        who: Sighting<'_>,
        inbound_at: Option<Time>,
        now: Time,
    ) -> Result<Contact, StoreError> {
        let Some(filter) = known_by(line, who) else {
            return Err(mongodb::error::Error::custom("a contact without a name").into());
        };
        let mut set = doc! { "updatedAt": now };
        for (field, value) in [("providerForm", who.provider_form), ("name", who.name), ("phone", who.phone)]
        {
            if let Some(value) = value {
                set.insert(field, value);
            }
        }
        if let Some(phone) = who.phone {
            set.insert("phoneKey", contact_key(line, phone));
        }
        if let Some(id) = who.business_id {
            set.insert("businessId", id);
            set.insert("businessKey", contact_key(line, id));
        }
        let new = doc! {
            "_id": Ulid::new().to_string(), "accountId": account.as_str(), "line": line, "createdAt": now,
        };
        let mut update = doc! { "$set": set, "$setOnInsert": new };
        if let Some(at) = inbound_at {
            update.insert("$max", doc! { "lastInboundAt": at });
        }
        let contacts = self.collection::<Contact>("contacts");
        let mut tries = 0;
        loop {
            let found = contacts.find_one_and_update(filter.clone(), update.clone()).upsert(true);
            match found.return_document(ReturnDocument::After).await {
                Ok(Some(contact)) => return Ok(contact),
                Ok(None) => return Err(mongodb::error::Error::custom("an upsert answers").into()),
                // Another made it at the same time; or phone and business id were two contacts until now.
                Err(error) if duplicate_index(&error).is_some() && tries < TRIES => {
                    tries += 1;
                    if tries > 1 {
                        self.part_with_business_id(line, who).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a business-scoped id from the contact that has it without `who`'s phone: it moved to that phone.
    async fn part_with_business_id(&self, line: &str, who: Sighting<'_>) -> Result<(), StoreError> {
        let (Some(phone), Some(id)) = (who.phone, who.business_id) else { return Ok(()) };
        let other = doc! {
            "businessKey": contact_key(line, id), "phoneKey": { "$ne": contact_key(line, phone) },
        };
        let update = doc! { "$unset": { "businessKey": "", "businessId": "" } };
        self.collection::<Document>("contacts").update_one(other, update).await?;
        Ok(())
    }

    /// Notes who spoke with contact `id` last; an earlier exchange does not replace a later one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_exchange(&self, id: &str, exchange: &Exchange) -> Result<(), StoreError> {
        let filter = doc! {
            "_id": id,
            "$or": [{ "lastExchange": { "$exists": false } }, { "lastExchange.at": { "$lt": exchange.at } }],
        };
        let update = doc! { "$set": { "lastExchange": serialize_to_bson(exchange)? } };
        self.collection::<Document>("contacts").update_one(filter, update).await?;
        Ok(())
    }

    /// Notes that contact `id` wants no more messages, or with `None` that it does again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_opt_out(&self, id: &str, opt_out: Option<&OptOut>) -> Result<(), StoreError> {
        let update = match opt_out {
            Some(opt_out) => doc! { "$set": { "optOut": serialize_to_bson(opt_out)? } },
            None => doc! { "$unset": { "optOut": "" } },
        };
        self.collection::<Document>("contacts").update_one(doc! { "_id": id }, update).await?;
        Ok(())
    }
}

/// By phone where there is one: it is what stays when the business-scoped id changes.
fn known_by(line: &str, who: Sighting<'_>) -> Option<Document> {
    match (who.phone, who.business_id) {
        (Some(phone), _) => Some(doc! { "phoneKey": contact_key(line, phone) }),
        (None, Some(id)) => Some(doc! { "businessKey": contact_key(line, id) }),
        (None, None) => None,
    }
}
