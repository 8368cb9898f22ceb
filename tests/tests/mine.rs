#[path = "../e2e/commit/mod.rs"]
mod commit;
#[path = "../e2e/ledger/mod.rs"]
mod ledger;
