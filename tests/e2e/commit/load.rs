//! A mixed random load from two processes over many threads; what is stored is what the pure core says.

use futures::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use shared::committer::{Post, PostError};
use shared::domain::message::{Draft, MessageType, Source};
use shared::domain::thread::{Thread, ThreadDraft, ThreadKind};

use super::desk::{Desk, commit_config, named, replica_with, text};

const THREADS: usize = 20;
const POSTS: usize = 600;
const AT_ONCE: usize = 48;
const SEED: u64 = 20_260_917;

async fn threads(desk: &Desk) -> Vec<Thread> {
    let mut threads = Vec::with_capacity(THREADS);
    for n in 0..THREADS {
        let draft = match n % 3 {
            0 => ThreadDraft { kind: Some(ThreadKind::Support), ..ThreadDraft::default() },
            1 => ThreadDraft { source: Source::parse("hububb-guest").ok(), ..ThreadDraft::default() },
            _ => ThreadDraft::default(),
        };
        threads.push(desk.thread_of(&format!("t{n}"), draft).await);
    }
    threads
}

fn any_post(desk: &Desk, rng: &mut StdRng, n: usize) -> Post {
    let who = *["host", "cohost", "boss", "guest", "stranger", "ota"].choose(rng).expect("somebody");
    // A few threads are hot.
    let thread = if rng.random_bool(0.4) { rng.random_range(0..3) } else { rng.random_range(0..THREADS) };
    let kinds =
        [MessageType::Message, MessageType::Note, MessageType::WhatsappMessage, MessageType::SmsMessage];
    let mut draft = match rng.random_range(0..10) {
        0..6 => text(&format!("message {n}")),
        6..8 => named(&format!("own-{n}"), "chosen"),
        // Ids that are used again, by anybody and anywhere.
        8 => named(&format!("shared-{}", rng.random_range(0..10)), "again"),
        _ => text(""),
    };
    draft.kind = kinds.choose(rng).copied();
    if who == "ota" && rng.random_bool(0.3) {
        let source = Source::parse("airbnb").ok();
        draft = Draft { source, external_message_id: Some(format!("e{}", rng.random_range(0..15))), ..draft };
    }
    let post = desk.post(&format!("t{thread}"), who, draft);
    if rng.random_bool(0.2) { desk.keyed(&format!("k{}", rng.random_range(0..40)), post) } else { post }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_mixture_of_posts_from_two_processes_is_stored_as_the_core_decides_in_the_order_of_seq() {
    let desk = Desk::open().await;
    let threads = threads(&desk).await;
    let replicas =
        [desk.replica(), replica_with(&desk.db.another().await.expect("a store"), &commit_config())];
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut posts: Vec<Post> = Vec::with_capacity(POSTS);
    for n in 0..POSTS {
        // Now and then a client comes again with what it, or somebody before it, has posted.
        let again = posts.choose(&mut rng).filter(|_| n % 8 == 0).cloned();
        posts.push(again.unwrap_or_else(|| any_post(&desk, &mut rng, n)));
    }
    let mut answers = futures::stream::iter(posts.into_iter().enumerate())
        .map(|(n, post)| replicas[n % 2].post(post))
        .buffer_unordered(AT_ONCE);
    let (mut new, mut replayed, mut refused) = (Vec::new(), Vec::new(), 0);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(posted) if posted.is_replay() => replayed.push(posted.message().clone()),
            Ok(posted) => new.push(posted.message().clone()),
            Err(PostError::Away | PostError::Busy | PostError::Internal) => panic!("{answer:?}"),
            Err(_) => refused += 1,
        }
    }
    let mut stored = Vec::new();
    for thread in &threads {
        let messages = desk.assert_whole(thread).await;
        let public: Vec<i64> = messages.iter().filter_map(|m| m.public_seq).collect();
        assert_eq!(public, (1..=public.len() as i64).collect::<Vec<_>>(), "no gap that a note would leave");
        stored.extend(messages);
    }
    let told = (new.len(), replayed.len(), refused);
    assert!(told.0 > 200 && told.1 > 10 && told.2 > 50, "new, replayed, refused: {told:?}");
    assert_eq!(stored.len(), new.len(), "each acknowledged message is there once, and no other");
    assert!(new.iter().chain(&replayed).all(|message| stored.contains(message)));
}
