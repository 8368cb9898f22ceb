//! A small storm by seed; the full one is `dev/chaos`.

use std::time::Duration;

use tests::chaos::storm::{Plan, run};

const SEED: u64 = 20_261_122;

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_nothing_is_lost_repeated_disordered_or_told_wrongly() {
    let plan = Plan {
        seed: SEED,
        messages: 200,
        threads: 20,
        rate: 40,
        patience: Duration::from_secs(120),
        ..Plan::default()
    };
    let outcome = run(&plan).await.unwrap_or_else(|error| panic!("seed {SEED}: {error:#}"));
    outcome.check().unwrap_or_else(|wrong| panic!("seed {SEED}: {wrong}"));
    assert!(outcome.kills > 0 && outcome.faults > 10, "it was no storm: {outcome:?}");
    assert_eq!(outcome.duplicates, 0, "hold chooses none");
}
