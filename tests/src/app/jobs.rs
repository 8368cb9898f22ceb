//! Jobs put into the ledger by hand, and what is left of them.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mongodb::bson::doc;
use shared::domain::Time;
use shared::domain::ids::AccountId;
use shared::domain::jobs::JobKind;
use shared::ledger::JobRow;
use shared::queue::Wakeups;

use super::{ACCOUNT, TestApp};

impl TestApp {
    /// Announces that `count` more dead jobs are left at the end.
    pub fn expect_dead(&self, count: usize) {
        self.dead_expected.fetch_add(count, Ordering::Relaxed);
    }

    /// A job of the account that is due now; `change` says what it is about.
    ///
    /// # Panics
    /// When the ledger does not take it.
    pub async fn add_job(&self, kind: JobKind, change: impl FnOnce(&mut JobRow)) -> JobRow {
        let account = AccountId::parse(ACCOUNT).expect("an account");
        let mut job = JobRow::new(kind, &account, Time::now(), Duration::ZERO);
        change(&mut job);
        self.ledger().add(&job).await.expect("the job is stored");
        job
    }

    /// Wakes a job up as the dispatcher does, whatever its state.
    ///
    /// # Panics
    /// When Redis is away.
    pub fn wake<'a>(&'a self, job: &'a JobRow) -> LocalBoxFuture<'a, ()> {
        async move {
            let redis = &self.config().redis;
            let wakeups =
                Wakeups::new(redis.url.expose(), &redis.prefix, redis.stream_cap).expect("a Redis URL");
            assert_eq!(wakeups.push(job.queue, &[&job.id]).await.expect("Redis"), 1);
        }
        .boxed_local()
    }

    /// Forgets how fast numbers may send, and for how long they are held.
    ///
    /// # Panics
    /// When Redis is away.
    pub fn forget_paces(&self) -> LocalBoxFuture<'_, ()> {
        async move {
            let (mut redis, prefix) = self.redis().await;
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg(format!("{prefix}:{{pace}}:*"))
                .query_async(&mut redis)
                .await
                .expect("Redis");
            for key in keys {
                let _: i64 = redis::cmd("DEL").arg(key).query_async(&mut redis).await.expect("Redis");
            }
        }
        .boxed_local()
    }

    /// Deletes all our keys in Redis, as `FLUSHALL` would.
    ///
    /// # Panics
    /// When Redis is away.
    pub fn empty_redis(&self) -> LocalBoxFuture<'_, ()> {
        async move {
            super::ending::forget_redis(self.config()).await.expect("Redis");
        }
        .boxed_local()
    }

    /// Job `id` as it is now; none when it was done and removed.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub fn job<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Option<JobRow>> {
        async move { self.ledger().job(id).await.expect("the ledger") }.boxed_local()
    }

    /// How many rows of the audit trail say `action` of `target`.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub fn audit_rows<'a>(
        &'a self,
        action: &'a str,
        target: &'a str,
    ) -> LocalBoxFuture<'a, Vec<shared::store::AuditRow>> {
        async move {
            let filter = shared::store::AuditFilter {
                account: Some(AccountId::parse(ACCOUNT).expect("an account")),
                action: Some(action.to_owned()),
                target_id: Some(target.to_owned()),
                outcome: None,
                limit: 100,
            };
            self.store().audit().find(&filter).await.expect("the audit trail")
        }
        .boxed_local()
    }

    /// The audit row of the request with this id, if there is one.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub fn audit_of_request<'a>(
        &'a self,
        request_id: &'a str,
    ) -> LocalBoxFuture<'a, Vec<shared::store::AuditRow>> {
        async move {
            use futures::TryStreamExt as _;
            let rows = self.store().raw().collection::<shared::store::AuditRow>("audit");
            let found = rows.find(doc! { "requestId": request_id }).await.expect("the audit trail");
            found.try_collect().await.expect("audit rows")
        }
        .boxed_local()
    }
}
