//! Pages of messages: refs are exclusive ids, `hasMore` counts what is visible, `sort` only orders the page.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tests::app::{Caller, TestApp};

/// A message as the model knows it.
#[derive(Clone)]
struct Known {
    id: String,
    body: String,
    note: bool,
}

/// What is asked for, by places in what the caller sees.
struct Asked {
    upper: Option<usize>,
    lower: Option<usize>,
    limit: usize,
    ascending: bool,
    search: bool,
}

/// The page that the contract promises, and whether there is more.
fn page(seen: &[&Known], asked: &Asked) -> (Vec<String>, bool) {
    let from = asked.lower.map_or(0, |place| place + 1);
    let to = asked.upper.unwrap_or(seen.len()).max(from);
    let found = seen[from..to].iter().filter(|known| !asked.search || known.body.starts_with("Gr"));
    let between: Vec<String> = found.map(|known| known.id.clone()).collect();
    let from_below = asked.lower.is_some() && (asked.upper.is_none() || asked.ascending);
    let mut page = match from_below {
        true => between[..between.len().min(asked.limit)].to_vec(),
        false => between[between.len().saturating_sub(asked.limit)..].to_vec(),
    };
    if !asked.ascending {
        page.reverse();
    }
    (page, between.len() > asked.limit)
}

async fn filled(app: &TestApp, count: usize) -> (String, Vec<Known>) {
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let mut all = Vec::new();
    for n in 0..count {
        let note = n % 4 == 2;
        let body = format!("{} number {n}", if n % 3 == 0 { "Größe" } else { "other" });
        let kind = if note { "note" } else { "message" };
        let posted = app.agent("anna").post_message(&thread, json!({ "body": body, "type": kind })).await;
        all.push(Known { id: posted["messageId"].as_str().unwrap().to_owned(), body, note });
    }
    (thread, all)
}

async fn ask(caller: &Caller, thread: &str, query: &str) -> (Vec<String>, bool) {
    let reply = caller.messages(thread, query).await;
    let ids = reply.each("messages", "messageId").iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    (ids, reply["hasMore"].as_bool().unwrap())
}

#[tokio::test]
async fn any_mix_of_refs_limit_sort_and_search_is_the_page_of_the_contract() {
    let app = TestApp::ingest_only().await;
    let (thread, all) = filled(&app, 26).await;
    let seed = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    for round in 0..200 {
        let guest = dice.random_bool(0.5);
        let caller = if guest { app.guest("gina") } else { app.agent("anna") };
        let seen: Vec<&Known> = all.iter().filter(|known| !(guest && known.note)).collect();
        let pick = |dice: &mut StdRng| dice.random_bool(0.5).then(|| dice.random_range(0..seen.len()));
        let asked = Asked {
            upper: pick(&mut dice),
            lower: pick(&mut dice),
            limit: dice.random_range(1..=30),
            ascending: dice.random_bool(0.5),
            search: dice.random_bool(0.25),
        };
        let mut query =
            format!("?limit={}&sort={}", asked.limit, if asked.ascending { "asc" } else { "desc" });
        for (name, place) in [("upperRef", asked.upper), ("lowerRef", asked.lower)] {
            if let Some(place) = place {
                query += &format!("&{name}={}", seen[place].id);
            }
        }
        if asked.search {
            query += "&search=NUMBER%20gro";
        }
        let answered = ask(&caller, &thread, &query).await;
        assert_eq!(answered, page(&seen, &asked), "seed {seed}, round {round}, guest {guest}: {query}");
    }
}

#[tokio::test]
async fn a_walk_with_refs_meets_every_message_once() {
    let app = TestApp::ingest_only().await;
    let (thread, all) = filled(&app, 23).await;
    let ids: Vec<String> = all.iter().map(|known| known.id.clone()).collect();
    let anna = app.agent("anna");
    let (mut older, mut query) = (Vec::new(), "?limit=5".to_owned());
    loop {
        let (page, more) = ask(&anna, &thread, &query).await;
        query = format!("?limit=5&upperRef={}", page.last().unwrap());
        older.extend(page);
        if !more {
            break;
        }
    }
    older.reverse();
    assert_eq!(older, ids);
    let (mut newer, mut query) = (vec![ids[0].clone()], format!("?limit=7&sort=asc&lowerRef={}", ids[0]));
    loop {
        let (page, more) = ask(&anna, &thread, &query).await;
        query = format!("?limit=7&sort=asc&lowerRef={}", page.last().unwrap());
        newer.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(newer, ids);
}

#[tokio::test]
async fn twenty_messages_newest_first_are_a_page_and_100_the_most() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    for n in 0..102 {
        anna.say(&thread, &format!("{n}")).await;
    }
    let page = anna.messages(&thread, "").await;
    let expected: Vec<_> = (83..=102).rev().map(|n| json!(n)).collect();
    assert_eq!((page.each("messages", "seq"), &page["hasMore"]), (expected, &json!(true)));
    let most = anna.messages(&thread, "?limit=100").await;
    assert_eq!((most.each("messages", "seq").len(), &most["hasMore"]), (100, &json!(true)));
}

#[tokio::test]
async fn crossing_refs_are_an_empty_page_and_an_unknown_one_is_invalid_ref() {
    let app = TestApp::ingest_only().await;
    let (thread, all) = filled(&app, 6).await;
    let (other, _) = filled(&app, 1).await;
    let anna = app.agent("anna");
    let crossing = format!("?upperRef={}&lowerRef={}", all[1].id, all[4].id);
    assert_eq!(ask(&anna, &thread, &crossing).await, (vec![], false));
    let same = format!("?upperRef={0}&lowerRef={0}", all[3].id);
    assert_eq!(ask(&anna, &thread, &same).await, (vec![], false));
    for (thread, reference) in [(&thread, "absent"), (&other, all[0].id.as_str())] {
        let path = format!("/chat/threads/{thread}/messages?upperRef={reference}");
        anna.get(&path).refused(400, "invalid_ref").await;
    }
}

#[tokio::test]
async fn each_message_of_a_page_has_its_author() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let put =
        json!({ "name": "Anna Muster", "avatarUrl": "https://x.example/a.png", "email": "anna@example.com" });
    app.service("ota").put("/chat/users/anna", put).expect(201).await;
    app.agent("anna").say(&thread, "hello").await;
    app.service("ota").post_message(&thread, json!({ "body": "x", "authorId": "ghost" })).await;
    for caller in [app.agent("ben"), app.guest("gina")] {
        let page = caller.messages(&thread, "?sort=asc").await;
        let known = json!({ "uid": "anna", "name": "Anna Muster", "avatarUrl": "https://x.example/a.png" });
        assert_eq!(page.each("messages", "author"), [known.clone(), json!({ "uid": "ghost" })]);
        let id = page["messages"][0]["messageId"].as_str().unwrap();
        let one = caller.get(&format!("/chat/threads/{thread}/messages/{id}")).expect(200).await;
        assert_eq!(one["author"], known);
    }
}

#[tokio::test]
async fn a_search_needs_all_words_folded_and_the_last_as_a_prefix() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let texts = ["Müller fährt nach Zürich", "muller bleibt", "Zürich im Regen, sagt Herr MÜLLER", "nichts"];
    for text in texts {
        anna.say(&thread, text).await;
    }
    for (search, found) in [
        ("muller", vec![0, 1, 2]),
        ("MÜLLER zur", vec![0, 2]),
        ("zur muller", vec![]),
        ("zurich mull", vec![0, 2]),
        ("zur müll", vec![]),
        ("mull", vec![0, 1, 2]),
        ("regen", vec![2]),
        ("body:nichts", vec![]),
        ("*", vec![]),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(search.as_bytes()).collect();
        let page = anna.messages(&thread, &format!("?sort=asc&search={query}")).await;
        let bodies: Vec<_> = found.iter().map(|n: &usize| json!(texts[*n])).collect();
        assert_eq!(page.each("messages", "body"), bodies, "{search}");
    }
}
