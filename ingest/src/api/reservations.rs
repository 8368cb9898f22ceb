//! `/chat/reservations/{id}`: the stay that leads to a guest's phone.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use shared::domain::ids::{ReservationId, Uid};
use shared::domain::time::rfc3339;
use shared::store::Reservation;

use super::Tag;
use crate::auth::Caller;
use crate::chat::{ReservationPut, Trace};
use crate::http::{ApiError, Id, StrictJson};
use crate::services::Services;

pub(super) struct ReservationsApi;

/// A reservation; what is left out is removed.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ReservationIn {
    #[oai(validator(max_length = 256))]
    guest_name: Option<String>,
    /// E.164, such as +41791234567.
    #[oai(validator(max_length = 32))]
    guest_phone: Option<String>,
    #[oai(validator(max_length = 254))]
    guest_email: Option<String>,
    /// The guest's user, who then writes the guest's messages.
    guest_uid: Option<Id<Uid>>,
    #[oai(validator(max_length = 64))]
    status: Option<String>,
    #[oai(validator(max_length = 64))]
    check_in: Option<String>,
    #[oai(validator(max_length = 64))]
    check_out: Option<String>,
}

/// A reservation as it is stored.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct ReservationOut {
    reservation_id: String,
    guest_name: Option<String>,
    guest_phone: Option<String>,
    guest_email: Option<String>,
    guest_uid: Option<String>,
    status: Option<String>,
    check_in: Option<String>,
    check_out: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Reservation> for ReservationOut {
    fn from(r: Reservation) -> Self {
        Self {
            reservation_id: r.reservation_id.to_string(),
            guest_name: r.guest_name,
            guest_phone: r.guest_phone,
            guest_email: r.guest_email,
            guest_uid: r.guest_uid.map(|uid| uid.to_string()),
            status: r.status,
            check_in: r.check_in,
            check_out: r.check_out,
            created_at: rfc3339(r.created_at),
            updated_at: rfc3339(r.updated_at),
        }
    }
}

impl From<ReservationIn> for ReservationPut {
    fn from(input: ReservationIn) -> Self {
        Self {
            guest_name: input.guest_name,
            guest_phone: input.guest_phone,
            guest_email: input.guest_email,
            guest_uid: input.guest_uid.map(|id| id.0),
            status: input.status,
            check_in: input.check_in,
            check_out: input.check_out,
        }
    }
}

#[derive(ApiResponse)]
enum PutOut {
    /// It is new.
    #[oai(status = 201)]
    New(StrictJson<ReservationOut>),
    /// It was there and is replaced.
    #[oai(status = 200)]
    Replaced(StrictJson<ReservationOut>),
}

#[OpenApi(tag = "Tag::Reservations")]
impl ReservationsApi {
    /// Stores a reservation. Services and admins.
    #[oai(path = "/chat/reservations/:id", method = "put", operation_id = "reservations.put")]
    async fn put(
        &self,
        caller: Caller,
        id: Path<Id<ReservationId>>,
        body: StrictJson<ReservationIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<PutOut, ApiError> {
        let (stored, new) = services.chat.put_reservation(&caller, &trace, &id.0.0, body.0.into()).await?;
        let out = StrictJson(stored.into());
        Ok(if new { PutOut::New(out) } else { PutOut::Replaced(out) })
    }

    /// Shows a reservation. Staff only.
    #[oai(path = "/chat/reservations/:id", method = "get", operation_id = "reservations.get")]
    async fn get(
        &self,
        caller: Caller,
        id: Path<Id<ReservationId>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<ReservationOut>, ApiError> {
        let reservation = services.chat.reservation(&caller, &id.0.0).await?;
        Ok(StrictJson(reservation.into()))
    }
}
