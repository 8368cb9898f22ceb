//! What is found, and what never is.

use shared::search::{IndexOp, MessageDoc, Question, Visibility, WordQuery};

use super::fixture::{candidates, found, message, minute, store, thread, with_index};

fn in_thread(thread: &str, id: &str, body: &str) -> MessageDoc {
    MessageDoc { thread_id: thread.to_owned(), ..message(id, body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_without_accents_case_or_order_and_the_last_may_be_unfinished() {
    with_index(async |index| {
        store(index, vec![message("m1", "Une Crème BRÛLÉE à l'Hôtel, Straße 5 日本 👍").into()]).await;
        for question in [
            "creme",
            "CRÈME brulee",
            "brûlée crème",
            "hotel",
            "cre",
            "creme bru",
            "strasse 5",
            "日",
            "👍",
            "a l hot",
        ] {
            assert_eq!(found(index, question).await, ["t1"], "{question}");
        }
        for question in ["reme", "cre brulee", "creme soup", "日x"] {
            assert_eq!(found(index, question).await, [""; 0], "{question}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_type_is_text_and_never_syntax() {
    with_index(async |index| {
        store(index, vec![message("m1", "room service at nine").into()]).await;
        let many: String = (0..5_000).map(|n| format!("room{n} ")).collect();
        for question in [
            "*",
            "*oom",
            "?oom servic?",
            ".*",
            "/r..m/",
            "text:room",
            "accountId:b",
            "room OR pool",
            "room~2",
            "[a TO z]",
            "-room",
            "\"room nine\"",
            "{\"match_all\":{}}",
            "room\u{0}\u{FFFF}x",
            "((((",
            "\\",
            &many,
        ] {
            let answer = candidates(index, question, Visibility::Staff).await.expect("an answer");
            let expected = matches!(question, "-room" | "\"room nine\"");
            assert_eq!(!answer.matches.is_empty(), expected, "{}", &question[..question.len().min(40)]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_words_stand_in_one_message_or_in_the_threads_own_fields() {
    with_index(async |index| {
        let apart: Vec<IndexOp> = vec![
            in_thread("t1", "m1", "breakfast please").into(),
            in_thread("t1", "m2", "parking please").into(),
            thread("t2", "Late arrival").into(),
            IndexOp::from(MessageDoc {
                external_message_id: Some("OTA-998877".to_owned()),
                ..in_thread("t3", "65f0c1d2e3f4a5b6c7d8e9f0", "hi")
            }),
        ];
        store(index, apart).await;
        assert_eq!(found(index, "breakfast parking").await, [""; 0]);
        for (question, threads) in [
            ("please", vec!["t1"]),
            ("muller arrival", vec!["t2"]),
            ("zoe", vec!["t2"]),
            ("res-4711", vec!["t2"]),
            ("late 4711", vec!["t2"]),
            ("65F0C1D2E3F4A5B6C7D8E9F0", vec!["t3"]),
            ("65f0c1", vec!["t3"]),
            ("65f", vec![]),
            ("ota-9988", vec!["t3"]),
            ("secret", vec![]),
        ] {
            assert_eq!(found(index, question).await, threads, "{question}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_documents_are_never_found() {
    with_index(async |index| {
        let mut theirs = message("m1", "shared word");
        theirs.account_id = "b".to_owned();
        let mut their_thread = thread("t7", "shared word");
        their_thread.account_id = "b".to_owned();
        store(index, vec![theirs.into(), their_thread.into()]).await;
        assert_eq!(found(index, "shared word").await, [""; 0]);
        store(index, vec![message("m1", "shared word").into()]).await;
        assert_eq!(found(index, "shared").await, ["t1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_exist_for_staff_only() {
    with_index(async |index| {
        let mut note = in_thread("t1", "n1", "difficult guest");
        note.note = true;
        note.created_at = minute(9);
        let thread_of_note = thread("t1", "Room 12");
        store(index, vec![note.into(), in_thread("t1", "m1", "welcome guest").into(), thread_of_note.into()])
            .await;
        let words = WordQuery::parse("guest").expect("words");
        let question = Question { account: "a", words: &words, visibility: Visibility::Public, within: None };
        for text in ["difficult", "difficult guest", "n1", "secret", "secret note"] {
            assert_eq!(
                candidates(index, text, Visibility::Public).await.expect("an answer").matches,
                [],
                "{text}"
            );
        }
        let public = index.find_candidates(question, 10).await.expect("an answer");
        assert_eq!(public.matches[0].message_id.as_deref(), Some("m1"));
        assert_eq!(public.matches[0].at, minute(0));
        let shown = index.highlights(question, &["t1".to_owned()]).await.expect("an answer");
        assert_eq!(shown["t1"], ["welcome <em>guest</em>"]);

        let staff = candidates(index, "guest", Visibility::Staff).await.expect("an answer");
        assert_eq!(staff.matches[0].message_id.as_deref(), Some("n1"));
        assert_eq!(staff.matches[0].at, minute(9));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_come_newest_first_and_tell_when_there_were_more() {
    with_index(async |index| {
        let mut ops: Vec<IndexOp> = Vec::new();
        for n in 0..30_i64 {
            let mut doc = in_thread(&format!("t{:02}", n % 10), &format!("m{n}"), "towels");
            doc.created_at = minute(n);
            ops.push(doc.into());
        }
        let mut own = thread("t50", "towels");
        own.updated_at = minute(25);
        ops.push(own.into());
        store(index, ops).await;
        let words = WordQuery::parse("towels").expect("words");
        let question = Question { account: "a", words: &words, visibility: Visibility::Staff, within: None };
        let all = index.find_candidates(question, 11).await.expect("an answer");
        let ids = ["t09", "t08", "t07", "t06", "t05", "t50", "t04", "t03", "t02", "t01", "t00"];
        assert_eq!((all.thread_ids(), all.truncated), (ids.map(str::to_owned).to_vec(), false));
        let few = index.find_candidates(question, 4).await.expect("an answer");
        assert_eq!(
            (few.thread_ids(), few.truncated),
            (ids[..4].iter().map(|id| (*id).to_owned()).collect(), true)
        );
        let within = ["t03".to_owned(), "t99".to_owned()];
        let mine = index
            .find_candidates(Question { within: Some(&within), ..question }, 4)
            .await
            .expect("an answer");
        assert_eq!((mine.thread_ids(), mine.truncated), (vec!["t03".to_owned()], false));
        let none =
            index.find_candidates(Question { within: Some(&[]), ..question }, 4).await.expect("an answer");
        assert_eq!(none.matches, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn highlights_show_the_original_of_message_title_and_guest() {
    with_index(async |index| {
        let mut newer = message("m2", "<b>MÜLLER</b> called");
        newer.created_at = minute(2);
        store(
            index,
            vec![message("m1", "Müller wrote").into(), newer.into(), thread("t1", "For Mueller").into()],
        )
        .await;
        let words = WordQuery::parse("muller").expect("words");
        let question = Question { account: "a", words: &words, visibility: Visibility::Staff, within: None };
        let shown = index.highlights(question, &["t1".to_owned(), "t2".to_owned()]).await.expect("an answer");
        assert_eq!(shown.len(), 1);
        assert_eq!(shown["t1"], ["&lt;b&gt;<em>MÜLLER</em>&lt;/b&gt; called", "Zoë <em>Müller</em>"]);
    })
    .await;
}

/// The overlay of fresh messages matches in Rust; both must say the same of every text.
#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_and_the_matcher_in_rust_agree() {
    let texts = [
        "Crème brûlée",
        "l’hôtel d'été",
        "me@example.com",
        "3.14 1,000",
        "日本のカメラ ｶﾞｽ",
        "हिन्दी भाषा",
        "한국어 조사",
        "مُحَمَّد",
        "שָׁלוֹם",
        "Straße STRASSE",
        "İstanbul ılık",
        "👩‍👩‍👧 family 🇩🇪",
        "a_b-c/d\\e",
        "ﬁ ﬂ Ⅳ ½ ㎏",
        "\u{1F}x\u{85}y\u{2028}z",
        "e\u{301}\u{300}\u{327} x\u{0}y",
        "ไทยภาษา",
        "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝟙𝟚",
        "\u{FFFD}\u{E000}q",
    ];
    with_index(async |index| {
        let long = format!("{} end", "x".repeat(700));
        let texts: Vec<&str> = texts.iter().copied().chain([long.as_str()]).collect();
        let docs: Vec<MessageDoc> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| in_thread(&format!("t{n:02}"), &format!("m{n}"), text))
            .collect();
        store(index, docs.iter().cloned().map(IndexOp::from).collect()).await;
        let mut questions: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        for text in &texts {
            questions.extend(text.split_whitespace().map(str::to_owned));
            questions.extend(text.char_indices().take(130).step_by(3).map(|(at, _)| text[..at].to_owned()));
        }
        for question in questions {
            let Some(words) = WordQuery::parse(&question) else { continue };
            let mut in_index = found(index, &question).await;
            in_index.sort();
            let in_rust: Vec<String> =
                docs.iter().filter(|doc| doc.matches(&words)).map(|doc| doc.thread_id.clone()).collect();
            assert_eq!(in_index, in_rust, "{question:?} {words:?}");
        }
    })
    .await;
}
