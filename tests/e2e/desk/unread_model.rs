//! Unread counts against a model: eight clients write and read some rooms at once as chance has it, and whenever they
//! pause, every count of everybody is exactly what the model says.

use std::collections::HashMap;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Call, Caller, DESK, TestApp, Widget};

/// Rooms, each with a customer who writes and reads there; as many of the staff write and read in all of them.
const ROOMS: usize = 4;
/// Reads and writes of each of the eight clients between two pauses, and how often they pause: 10,000 in all.
const TURNS: usize = 250;
const PAUSES: usize = 5;

/// What a client did.
struct Done {
    room: usize,
    uid: String,
    /// The message that was written, or up to which was read. Either moves the client's own mark there.
    message: String,
}

/// A message as the room's list shows it.
struct Listed {
    id: String,
    author: String,
    by_customer: bool,
    public: bool,
}

/// A room as it should be: its messages in order, and how many of them each person has read.
#[derive(Default)]
struct Model {
    messages: Vec<Listed>,
    marks: HashMap<String, usize>,
}

impl Model {
    fn read(&mut self, uid: &str, message: &str) {
        let at = self.messages.iter().position(|listed| listed.id == message);
        let at = at.unwrap_or_else(|| panic!("message {message} was answered and is not listed"));
        let mark = self.marks.entry(uid.to_owned()).or_default();
        *mark = (*mark).max(at + 1);
    }

    fn unread(&self, uid: &str, counts: impl Fn(&Listed) -> bool) -> usize {
        let read = self.marks.get(uid).copied().unwrap_or_default();
        self.messages[read..].iter().filter(|listed| counts(listed)).count()
    }
}

/// Everybody, what they did since the last pause, and the ids that may be read up to.
struct Stage {
    widgets: Vec<Widget>,
    staff: Vec<Caller>,
    done: Mutex<Vec<Done>>,
    /// By room: the message's id and whether its customer may know it.
    known: Vec<Mutex<Vec<(String, bool)>>>,
}

/// A read mark by staff or customer. Nothing happened where the thread changed too fast: it is sent again.
async fn mark(call: impl Fn() -> Call) -> Value {
    loop {
        let reply = call().send().await;
        match reply.status {
            200 => return reply.body,
            503 => assert_eq!(reply["error"]["code"], "unavailable", "{}", reply.text),
            other => panic!("a read mark was answered {other}: {}", reply.text),
        }
    }
}

impl Stage {
    fn staff_marks(&self, caller: &Caller, room: usize, message: &str) -> impl Fn() -> Call {
        let body = json!({ "room_id": self.widgets[room].room, "up_to": message });
        let caller = caller.clone();
        move || caller.post(&format!("{DESK}/message/read"), body.clone())
    }

    fn customer_marks(&self, room: usize, message: &str) -> impl Fn() -> Call {
        let body = json!({ "room_id": self.widgets[room].room, "up_to": message });
        let widget = self.widgets[room].clone();
        move || widget.call(Method::POST, "/message/read").json(&body)
    }

    fn wrote(&self, room: usize, uid: &str, message: &Value, public: bool) {
        let id = message["_id"].as_str().unwrap().to_owned();
        self.known[room].lock().push((id.clone(), public));
        self.done.lock().push(Done { room, uid: uid.to_owned(), message: id });
    }

    fn any(&self, room: usize, public_only: bool, dice: &mut StdRng) -> Option<String> {
        let known = self.known[room].lock();
        let allowed: Vec<_> = known.iter().filter(|(_, public)| *public || !public_only).collect();
        allowed.choose(dice).map(|(id, _)| id.clone())
    }

    fn read(&self, room: usize, uid: &str, message: String) {
        self.done.lock().push(Done { room, uid: uid.to_owned(), message });
    }

    async fn customer(&self, room: usize, mut dice: StdRng) {
        let widget = &self.widgets[room];
        for _ in 0..TURNS {
            let chosen = self.any(room, true, &mut dice).filter(|_| dice.random_bool(0.5));
            let Some(message) = chosen else {
                self.wrote(room, &widget.conversation, &widget.say("x").await, true);
                continue;
            };
            mark(self.customer_marks(room, &message)).await;
            self.read(room, &widget.conversation, message);
        }
    }

    async fn colleague(&self, caller: &Caller, mut dice: StdRng) {
        for _ in 0..TURNS {
            let room = dice.random_range(0..ROOMS);
            let (id, kind) = (&self.widgets[room].room, dice.random_range(0..10));
            let chosen = self.any(room, false, &mut dice).filter(|_| kind >= 5);
            match (chosen, kind) {
                (Some(_), 9) => drop(caller.desk_page(id, "&limit=20").expect(200).await),
                (Some(message), _) => {
                    mark(self.staff_marks(caller, room, &message)).await;
                    self.read(room, caller.uid(), message);
                }
                (None, _) => {
                    let (r#type, public) = if kind == 0 { ("note", false) } else { ("text", true) };
                    let sent = caller.desk_send(id, json!({ "type": r#type, "content": "y" })).await;
                    self.wrote(room, caller.uid(), &sent, public);
                }
            }
        }
    }

    /// The messages of a room, oldest first, without a hole in their numbers.
    async fn listed(&self, room: usize) -> Vec<Listed> {
        let (mut all, mut query) = (Vec::new(), String::new());
        loop {
            let page = self.staff[0].desk_page(&self.widgets[room].room, &format!("&limit=100{query}"));
            let page = page.expect(200).await;
            let shown = page["messages"].as_array().unwrap();
            all.extend(shown.iter().cloned());
            if page["hasMore"] == false {
                break;
            }
            query = format!("&upperRef={}", shown.last().unwrap()["_id"].as_str().unwrap());
        }
        all.reverse();
        let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
        let listed = all.iter().enumerate().map(|(at, message)| {
            assert_eq!(message["seq"], at + 1, "no hole and none twice");
            Listed {
                id: text(message, "_id"),
                author: text(message, "conversation_id"),
                by_customer: message["sender_type"] == "customer",
                public: message["type"] != "note",
            }
        });
        listed.collect()
    }

    /// Brings the models up to date with what was done.
    async fn catch_up(&self, models: &mut [Model]) {
        for (room, model) in models.iter_mut().enumerate() {
            model.messages = self.listed(room).await;
            let known = self.known[room].lock().len();
            assert_eq!(model.messages.len(), known, "what was answered is there, and nothing else");
        }
        for done in self.done.lock().drain(..) {
            models[done.room].read(&done.uid, &done.message);
        }
    }

    /// Compares every count of everybody. Asking for a count by a mark moves it at most to the first message.
    async fn check(&self, models: &mut [Model], seed: u64) {
        for (room, model) in models.iter_mut().enumerate() {
            let (widget, first) = (&self.widgets[room], model.messages[0].id.clone());
            for caller in &self.staff {
                let uid = caller.uid();
                let rooms = caller.get(&format!("{DESK}/rooms?limit=100")).expect(200).await;
                let shown = rooms["rooms"].as_array().unwrap().iter().find(|r| r["_id"] == *widget.room);
                let wanted = model.unread(uid, |listed| listed.by_customer);
                assert_eq!(shown.unwrap()["unread_count"], wanted, "{uid}, room {room}, seed {seed}");
                model.read(uid, &first);
                let path = format!("/chat/threads/{}/read", widget.room);
                let left = caller.post(&path, json!({ "upTo": first })).expect(200).await;
                let wanted = model.unread(uid, |listed| listed.author != uid);
                assert_eq!(left["unreadCount"], wanted, "{uid} by /chat, room {room}, seed {seed}");
            }
            let public = model.messages.iter().find(|listed| listed.public).unwrap().id.clone();
            model.read(&widget.conversation, &public);
            let left = mark(self.customer_marks(room, &public)).await;
            let wanted = model.unread(&widget.conversation, |listed| listed.public && !listed.by_customer);
            assert_eq!(left["unread_count"], wanted, "the customer of room {room}, seed {seed}");
        }
    }

    /// Somebody reads a room to its end.
    async fn read_out(&self, models: &mut [Model], dice: &mut StdRng) {
        let (room, caller) = (dice.random_range(0..ROOMS), self.staff.choose(dice).unwrap());
        let body = json!({ "room_id": self.widgets[room].room });
        let left = mark(|| caller.post(&format!("{DESK}/message/read"), body.clone())).await;
        assert_eq!(left["unread_count"], 0);
        let last = models[room].messages.last().unwrap().id.clone();
        models[room].read(caller.uid(), &last);
    }
}

#[tokio::test]
async fn counts_are_what_the_model_says_after_10_000_reads_and_writes_by_8_clients() {
    let app = TestApp::ingest_only().await;
    let staff = vec![app.admin("adam"), app.admin("beth"), app.agent("anna"), app.service("bot")];
    let issued = app.support_token(json!({})).await;
    let mut widgets = Vec::new();
    for n in 0..ROOMS {
        let widget = app.widget_with(&issued, &format!("device-{n}"), json!({})).await;
        let assigned = json!({ "assignedAgentIds": ["anna"] });
        staff[0].patch(&format!("/chat/threads/{}", widget.room), assigned).expect(200).await;
        widgets.push(widget);
    }
    let known = (0..ROOMS).map(|_| Mutex::default()).collect();
    let stage = Stage { widgets, staff, done: Mutex::default(), known };
    let seed = u64::from(rand::random::<u32>());
    let mut dice = StdRng::seed_from_u64(seed);
    let mut models: Vec<Model> = (0..ROOMS).map(|_| Model::default()).collect();
    for _ in 0..PAUSES {
        let customers = (0..ROOMS).map(|room| stage.customer(room, StdRng::from_rng(&mut dice)));
        let customers = futures::future::join_all(customers.collect::<Vec<_>>());
        let staff = stage.staff.iter().map(|caller| stage.colleague(caller, StdRng::from_rng(&mut dice)));
        let staff = futures::future::join_all(staff.collect::<Vec<_>>());
        tokio::join!(customers, staff);
        stage.catch_up(&mut models).await;
        stage.check(&mut models, seed).await;
        stage.read_out(&mut models, &mut dice).await;
        stage.check(&mut models, seed).await;
    }
}
