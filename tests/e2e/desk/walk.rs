//! Walking through a room: up and down, by any mix of limits and sorts and from any place, each visible message is
//! met once, in order, while others go on writing.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tests::app::{Call, Caller, Reply, TestApp, Widget};

/// Who walks.
enum Walker {
    Agent(Caller, String),
    Customer(Widget),
}

impl Walker {
    fn page(&self, query: &str) -> Call {
        match self {
            Self::Agent(caller, room) => caller.desk_page(room, query),
            Self::Customer(widget) => widget.page(query),
        }
    }

    /// A page in ascending order, however it was asked for.
    async fn ask(&self, dice: &mut StdRng, refs: &str) -> (Vec<Value>, bool) {
        let (limit, ascending) = (dice.random_range(1..=9), dice.random_bool(0.5));
        let sort = if ascending { "asc" } else { "desc" };
        let reply: Reply = self.page(&format!("&limit={limit}&sort={sort}{refs}")).expect(200).await;
        let mut messages = reply["messages"].as_array().unwrap().clone();
        assert!(messages.len() <= limit);
        if !ascending {
            messages.reverse();
        }
        (messages, reply["hasMore"].as_bool().unwrap())
    }

    /// All above `from`, by pages upwards, until `until` of them are met.
    async fn up(&self, dice: &mut StdRng, from: &Value, until: usize) -> Vec<Value> {
        let (mut met, mut last) = (Vec::new(), from.clone());
        while met.len() < until {
            let (page, more) = self.ask(dice, &format!("&lowerRef={}", text(&last["_id"]))).await;
            assert!(!more || !page.is_empty(), "what is more must come");
            last = page.last().unwrap_or(&last).clone();
            met.extend(page);
        }
        met
    }

    /// All below `from`, or from the newest, by pages downwards; ascending.
    async fn down(&self, dice: &mut StdRng, from: Option<&Value>) -> Vec<Value> {
        let mut refs = from.map_or(String::new(), |from| format!("&upperRef={}", text(&from["_id"])));
        let mut met: Vec<Value> = Vec::new();
        loop {
            let (mut page, more) = self.ask(dice, &refs).await;
            let Some(oldest) = page.first() else {
                assert!(!more);
                return met;
            };
            refs = format!("&upperRef={}", text(&oldest["_id"]));
            page.append(&mut met);
            met = page;
            if !more {
                return met;
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn seqs(messages: &[Value]) -> Vec<i64> {
    messages.iter().map(|message| message["seq"].as_i64().unwrap()).collect()
}

/// Writes as agents and the customer do, notes in between, and tells what was written in order of `seq`.
async fn write(app: &TestApp, widget: &Widget, count: usize, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let adam = app.admin("adam");
    for n in 0..count {
        match dice.random_range(0..5) {
            0 | 1 => drop(widget.say(&format!("question {n}")).await),
            2 => drop(adam.reply(&widget.room, &format!("answer {n}")).await),
            _ => {
                let note = json!({ "type": "note", "content": format!("note {n}") });
                adam.desk_send(&widget.room, note).await;
            }
        }
    }
}

/// Checks one walk of `walker`, while `WRITTEN` more messages come.
async fn walk(app: &TestApp, widget: &Widget, walker: &Walker, seed: u64) {
    const WRITTEN: usize = 24;
    let mut dice = StdRng::seed_from_u64(seed);
    let before = walker.down(&mut dice, None).await;
    assert_eq!(seqs(&before), (1..=before.len() as i64).collect::<Vec<_>>(), "no hole, seed {seed}");
    let (start, top) = (dice.random_range(0..before.len()), before.len());
    // Both walks go on while others write.
    let mut dice_up = StdRng::seed_from_u64(seed + 1);
    let first = &before[start];
    let (below, above, ()) = tokio::join!(
        walker.down(&mut dice, Some(first)),
        walker.up(&mut dice_up, first, top - start - 1),
        write(app, widget, WRITTEN, seed),
    );
    assert_eq!(seqs(&below), (1..=start as i64).collect::<Vec<_>>(), "seed {seed}");
    let place = start as i64 + 1;
    let expected: Vec<i64> = (place + 1..).take(above.len()).collect();
    assert_eq!(seqs(&above), expected, "what comes meanwhile comes behind, seed {seed}");
    let all = walker.down(&mut dice, None).await;
    let bottom = walker.up(&mut dice_up, &all[0], all.len() - 1).await;
    assert_eq!(all[1..], bottom, "down and up meet the same, seed {seed}");
    let mut ids: Vec<&str> = all.iter().map(|message| text(&message["_id"])).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "each once, seed {seed}");
    if matches!(walker, Walker::Customer(_)) {
        assert!(all.iter().all(|message| message["type"] != "note"), "seed {seed}");
    }
}

#[tokio::test]
async fn a_walk_meets_every_visible_message_once_while_others_write() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    widget.say("first").await;
    let seed: u64 = rand::random::<u32>().into();
    write(&app, &widget, 40, seed).await;
    let agent = Walker::Agent(app.admin("reader"), widget.room.clone());
    let customer = Walker::Customer(widget.clone());
    for round in 0..4 {
        walk(&app, &widget, &agent, seed + 10 * round).await;
        walk(&app, &widget, &customer, seed + 10 * round + 5).await;
    }
}

#[tokio::test]
async fn pages_between_two_references_follow_the_sort() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(text(&widget.say(&format!("{n}")).await["_id"]).to_owned());
        app.admin("adam").desk_send(&widget.room, json!({ "type": "note", "content": "x" })).await;
    }
    let between = format!("&lowerRef={}&upperRef={}&limit=2", ids[1], ids[6]);
    let ascending = widget.page(&format!("{between}&sort=asc")).expect(200).await;
    assert_eq!(ascending.each("messages", "content"), [json!("2"), json!("3")]);
    let descending = widget.page(&between).expect(200).await;
    assert_eq!(descending.each("messages", "content"), [json!("5"), json!("4")]);
    assert_eq!((&ascending["hasMore"], &descending["hasMore"]), (&json!(true), &json!(true)));
    let all = widget.page(&format!("&lowerRef={}&upperRef={}&limit=4", ids[1], ids[6])).expect(200).await;
    assert_eq!(
        (all.each("messages", "seq").len(), &all["hasMore"]),
        (4, &json!(false)),
        "notes do not count"
    );
}

#[tokio::test]
async fn a_notes_id_is_no_reference_for_a_customer() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    widget.say("hi").await;
    let note = app.agent("anna").desk_send(&widget.room, json!({ "type": "note", "content": "x" })).await;
    for reference in ["upperRef", "lowerRef"] {
        let query = format!("&{reference}={}", text(&note["_id"]));
        let by_note = widget.page(&query).desk_refused(400, "invalid_ref").await;
        let random = widget.page(&format!("&{reference}=random")).desk_refused(400, "invalid_ref").await;
        assert_eq!(by_note["error"], random["error"]);
        app.agent("anna").desk_page(&widget.room, &query).expect(200).await;
    }
}
