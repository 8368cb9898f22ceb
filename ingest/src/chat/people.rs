//! Users and reservations.

use shared::domain::Time;
use shared::domain::actor::{Actor, Role};
use shared::domain::ids::{ReservationId, Uid, key};
use shared::providers::Phone;
use shared::store::{Reservation, User};

use super::failure::Attempted;
use super::{Chat, Trace};
use crate::http::{ApiError, Code};

/// What `PUT` says of a reservation; what is absent is removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReservationPut {
    pub(crate) guest_name: Option<String>,
    pub(crate) guest_phone: Option<String>,
    pub(crate) guest_email: Option<String>,
    pub(crate) guest_uid: Option<Uid>,
    pub(crate) status: Option<String>,
    pub(crate) check_in: Option<String>,
    pub(crate) check_out: Option<String>,
}

/// What `PUT` says of a user.
#[derive(Debug, Clone)]
pub(crate) struct UserPut {
    pub(crate) name: String,
    pub(crate) avatar_url: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) role: Option<Role>,
}

impl Chat {
    /// Stores a reservation; answers whether it is new. Services and admins.
    pub(crate) async fn put_reservation(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ReservationId,
        put: ReservationPut,
    ) -> Result<(Reservation, bool), ApiError> {
        let result = self.try_put_reservation(actor, trace, id, put).await;
        let attempted = Attempted::new("reservation.put", "reservation", id.as_str());
        self.audited(result, actor, trace, attempted).await
    }

    async fn try_put_reservation(
        &self,
        actor: &Actor,
        trace: &Trace,
        id: &ReservationId,
        put: ReservationPut,
    ) -> Result<(Reservation, bool), ApiError> {
        may_put(actor)?;
        check_phone(put.guest_phone.as_deref())?;
        check_email(put.guest_email.as_deref())?;
        let scope = self.store.account(&actor.account);
        let now = Time::now();
        let reservation = Reservation {
            key: key(&actor.account, id),
            account_id: actor.account.clone(),
            reservation_id: id.clone(),
            guest_name: put.guest_name,
            guest_phone: put.guest_phone,
            guest_email: put.guest_email,
            guest_uid: put.guest_uid,
            status: put.status,
            check_in: put.check_in,
            check_out: put.check_out,
            created_at: now,
            updated_at: now,
        };
        let threads = scope.threads_of_reservation(id).await?;
        let jobs: Vec<_> = threads.iter().map(|thread| self.index_job(thread, trace)).collect();
        let new = scope.put_reservation(&reservation, &jobs).await?;
        self.push(jobs);
        let stored = scope.reservation(id).await?.unwrap_or(reservation);
        Ok((stored, new))
    }

    /// Reservation `id`; guests see none.
    pub(crate) async fn reservation(
        &self,
        actor: &Actor,
        id: &ReservationId,
    ) -> Result<Reservation, ApiError> {
        if !actor.role.is_staff() {
            return Err(ApiError::new(Code::Forbidden, "guests see no reservations"));
        }
        let reservation = self.store.account(&actor.account).reservation(id).await?;
        reservation.ok_or_else(|| ApiError::not_found("reservation"))
    }

    /// Stores a user; answers whether it is new. Services and admins.
    pub(crate) async fn put_user(
        &self,
        actor: &Actor,
        trace: &Trace,
        uid: &Uid,
        put: UserPut,
    ) -> Result<(User, bool), ApiError> {
        let result = self.try_put_user(actor, uid, put).await;
        let attempted = Attempted::new("user.put", "user", uid.as_str());
        self.audited(result, actor, trace, attempted).await
    }

    async fn try_put_user(&self, actor: &Actor, uid: &Uid, put: UserPut) -> Result<(User, bool), ApiError> {
        may_put(actor)?;
        if put.role == Some(Role::Operator) {
            return Err(ApiError::unprocessable("a user of an account is agent, admin, guest or service"));
        }
        check_email(put.email.as_deref())?;
        let scope = self.store.account(&actor.account);
        let known = scope.user(uid).await?;
        let user = User {
            key: key(&actor.account, uid),
            account_id: actor.account.clone(),
            uid: uid.clone(),
            name: Some(put.name),
            name_is_set: true,
            avatar_url: put.avatar_url,
            email: put.email,
            role: put.role.or(known.and_then(|user| user.role)),
            updated_at: Time::now(),
        };
        let new = scope.put_user(&user).await?;
        self.directory.forget(&actor.account, uid);
        Ok((user, new))
    }

    /// User `uid`. Guests see themselves and the people of their threads.
    pub(crate) async fn user(&self, actor: &Actor, uid: &Uid) -> Result<User, ApiError> {
        let scope = self.store.account(&actor.account);
        let user = scope.user(uid).await?;
        if actor.role == Role::Guest && actor.uid != *uid && !scope.shares_thread(&actor.uid, uid).await? {
            return Err(ApiError::not_found("user"));
        }
        user.ok_or_else(|| ApiError::not_found("user"))
    }
}

fn may_put(actor: &Actor) -> Result<(), ApiError> {
    match actor.role {
        Role::Service | Role::Admin => Ok(()),
        _ => Err(ApiError::new(Code::Forbidden, "only services and admins may do this")),
    }
}

/// Refuses what no guest can be called by: numbers that are not E.164, and those that no numbering plan has.
fn check_phone(phone: Option<&str>) -> Result<(), ApiError> {
    match phone.map(str::parse::<Phone>) {
        None => Ok(()),
        Some(Ok(phone)) if phone.is_possible() => Ok(()),
        Some(Ok(_)) => Err(ApiError::unprocessable(
            "guestPhone is a number that cannot exist: look at its length and country code",
        )),
        Some(Err(_)) => Err(ApiError::unprocessable("guestPhone must be E.164, such as +41791234567")),
    }
}

/// Refuses what cannot be an e-mail address.
pub(crate) fn check_email(address: Option<&str>) -> Result<(), ApiError> {
    let plausible = |a: &str| {
        a.len() <= 254
            && a.split_once('@').is_some_and(|(local, host)| !local.is_empty() && host.contains('.'))
            && !a.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    match address {
        Some(address) if !plausible(address) => {
            Err(ApiError::unprocessable("the e-mail address is malformed"))
        }
        _ => Ok(()),
    }
}
