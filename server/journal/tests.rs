//! What the journal promises, on a real file.

use std::sync::Arc;

use prost_types::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::proto::ErrorReason;

fn open(dir: &TempDir) -> Journal {
    Journal::open(dir.path().join("journal.db"), Limits::default()).unwrap()
}

fn event(uuid: &str) -> NewEvent {
    at(uuid, 1_700_000_000)
}

fn at(uuid: &str, published: i64) -> NewEvent {
    NewEvent {
        connection_id: Arc::from("conn_1"),
        uuid: uuid.to_owned(),
        event_type: "user.lifecycle.create".to_owned(),
        published: Some(Timestamp { seconds: published, nanos: 0 }),
        source: Source::Hook,
        envelope: Arc::from(r#"{"eventId":"e"}"#),
        raw: format!(r#"{{ "uuid" : "{uuid}" }}"#),
    }
}

fn events(uuids: &[&str]) -> Vec<NewEvent> {
    uuids.iter().map(|uuid| event(uuid)).collect()
}

async fn uuids(journal: &Journal, after: i64) -> Vec<String> {
    let events = journal.read(after, usize::MAX, usize::MAX).await.unwrap();
    assert!(events.iter().zip(after + 1..).all(|(event, sequence)| event.sequence == sequence), "sequences are dense");
    events.into_iter().map(|event| event.uuid).collect()
}

#[tokio::test]
async fn what_was_appended_is_read_back_exactly_also_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let identity = journal.identity().id();
    assert_eq!((journal.head(), journal.earliest().await.unwrap()), (0, 1));
    let raw = "{\"uuid\":\"u\",\"a\":1.10,\"a\":123456789012345678901234567890,\n\"z\":\"\\ud800 é\"}";
    let new = NewEvent { raw: raw.to_owned(), source: Source::SystemLog, envelope: Arc::from(""), ..event("u") };
    assert_eq!(journal.append(vec![new]).await.unwrap(), Appended { stored: 1, repeated: 0 });
    journal.close().await.unwrap();
    assert_eq!(journal.append(events(&["late"])).await.unwrap_err().reason(), ErrorReason::StorageUnavailable);
    drop(journal);

    let journal = open(&dir);
    assert_eq!((journal.identity().id(), journal.head()), (identity, 1));
    let stored = journal.read(0, 10, 1).await.unwrap().remove(0);
    assert_eq!((stored.sequence, stored.raw.as_str(), stored.source), (1, raw, Source::SystemLog));
    assert_eq!((stored.connection_id.as_str(), stored.envelope.as_str()), ("conn_1", ""));
}

#[tokio::test]
async fn a_repeated_event_is_stored_once_for_each_connection() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    assert_eq!(journal.append(events(&["a", "b", "a"])).await.unwrap(), Appended { stored: 2, repeated: 1 });
    assert_eq!(journal.append(events(&["b", "c"])).await.unwrap(), Appended { stored: 1, repeated: 1 });
    let elsewhere = NewEvent { connection_id: Arc::from("conn_2"), ..event("a") };
    assert_eq!(journal.append(vec![elsewhere]).await.unwrap(), Appended { stored: 1, repeated: 0 });
    assert_eq!(uuids(&journal, 0).await, ["a", "b", "c", "a"]);
    assert_eq!(uuids(&journal, 3).await, ["a"]);
}

#[test]
fn an_event_without_a_usable_uuid_is_known_by_its_bytes() {
    let raw = r#"{"a":1}"#;
    assert_eq!(NewEvent::dedupe_uuid(Some("u"), raw), "u");
    for unusable in [None, Some(""), Some("x".repeat(129).as_str())] {
        let stand_in = NewEvent::dedupe_uuid(unusable, raw);
        assert!(stand_in.starts_with("sha256:") && stand_in.len() == 71, "{stand_in}");
        assert_ne!(stand_in, NewEvent::dedupe_uuid(unusable, r#"{"a":2}"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_at_the_same_time_share_commits_and_each_gets_its_own_answer() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let appends = (0..64).map(|task| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                let fresh = format!("{task}-{round}");
                let appended = journal.append(events(&[&fresh, "shared"])).await.unwrap();
                assert!(appended.stored >= 1 && appended.stored + appended.repeated == 2);
            }
        })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap();
    }
    assert_eq!(journal.head(), 64 * 20 + 1);
    assert_eq!(uuids(&journal, 0).await.len(), 64 * 20 + 1);
}

#[tokio::test]
async fn a_read_is_bounded_by_events_and_by_bytes_and_never_empty_before_the_end() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    journal.append(events(&["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(journal.read(0, 3, usize::MAX).await.unwrap().len(), 3);
    assert_eq!(journal.read(0, 10, 1).await.unwrap().len(), 1);
    assert_eq!(journal.read(0, 10, 40).await.unwrap().len(), 2);
    assert!(journal.read(4, 10, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_head_is_announced() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let mut head = journal.watch_head();
    journal.append(events(&["a", "b"])).await.unwrap();
    assert_eq!(*head.wait_for(|head| *head > 0).await.unwrap(), 2);
}

#[tokio::test]
async fn a_time_finds_the_first_event_published_since() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let times = [100, 300, 200, 300, 50, 400];
    let events = times.iter().enumerate().map(|(index, time)| at(&index.to_string(), *time)).collect();
    journal.append(events).await.unwrap();
    for time in 0..450 {
        let expected = times.iter().position(|published| *published >= time).map_or(7, |index| index as i64 + 1);
        let found = journal.find_by_published_time(Timestamp { seconds: time, nanos: 0 }).await.unwrap();
        assert_eq!(found, expected, "at {time}");
    }
}

#[tokio::test]
async fn an_event_of_the_far_future_does_not_spoil_the_search_by_time() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    journal.append(vec![at("odd", 250_000_000_000), at("a", 100)]).await.unwrap();
    let in_two_days = Timestamp { seconds: now().seconds + 2 * 24 * 3600, nanos: 0 };
    assert_eq!(journal.find_by_published_time(in_two_days).await.unwrap(), 3);
}

#[tokio::test]
async fn the_status_tells_bounds_and_sources() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let polled = NewEvent { connection_id: Arc::from("conn_2"), source: Source::SystemLog, ..event("p") };
    journal.append([events(&["a", "b", "a"]), vec![polled]].concat()).await.unwrap();
    let status = journal.status().await.unwrap();
    assert_eq!((status.earliest, status.head), (1, 3));
    assert!(status.size_bytes > 0 && status.oldest_received.is_some());
    let [hooked, polled] = status.sources.as_slice() else { panic!("two sources") };
    assert_eq!((hooked.events, hooked.last_hook_delivery.is_some()), (2, true));
    assert_eq!((polled.events, polled.last_hook_delivery.is_some()), (1, false));
}

#[tokio::test]
async fn a_store_that_fails_is_tried_again_without_a_restart() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    journal.append(events(&["a"])).await.unwrap();
    let saboteur = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    saboteur.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    assert_eq!(journal.append(events(&["b"])).await.unwrap_err().reason(), ErrorReason::StorageUnavailable);
    assert_eq!(journal.read(0, 1, 1).await.unwrap_err().reason(), ErrorReason::StorageUnavailable);
    saboteur.execute_batch("ALTER TABLE gone RENAME TO events").unwrap();
    journal.append(events(&["b"])).await.unwrap();
    assert_eq!(uuids(&journal, 0).await, ["a", "b"]);
}

#[test]
fn a_journal_of_a_newer_version_is_refused_clearly() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    let path = dir.path().join("journal.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Journal::open(&path, Limits::default()).unwrap_err();
    assert_eq!(error.reason(), ErrorReason::StorageUnavailable);
    assert!(error.message().contains("newer version") && error.message().contains("99"), "{error}");
}

#[test]
fn what_is_no_journal_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal.db");
    std::fs::write(&path, "this is not a database, and long enough to be taken for one".repeat(20)).unwrap();
    assert_eq!(Journal::open(&path, Limits::default()).unwrap_err().reason(), ErrorReason::StorageUnavailable);
}

#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let _journal = open(&dir);
    let mode = std::fs::metadata(dir.path().join("journal.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[tokio::test]
async fn what_was_committed_is_written_back_while_appends_go_on() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let main_file = || std::fs::metadata(dir.path().join("journal.db")).unwrap().len();
    let large = |number: usize| NewEvent { raw: "x".repeat(1 << 20), ..event(&format!("large-{number}")) };
    for number in 0..8 {
        journal.append(vec![large(number)]).await.unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while main_file() < 4 << 20 {
        assert!(std::time::Instant::now() < deadline, "the main file has {} bytes", main_file());
        journal.append(vec![event(&main_file().to_string())]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(journal.read(0, 1, 1).await.unwrap()[0].raw.len() == 1 << 20);
}

#[tokio::test]
async fn old_events_go_by_age_and_by_size_but_never_the_newest() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let keep_all = Retention { age: std::time::Duration::from_secs(3600), bytes: 1 << 40 };
    assert_eq!(journal.trim(keep_all).await.unwrap(), Trimmed { events: 0, earliest: 1 }, "an empty log");
    let many: Vec<_> = (0..5_000).map(|number| event(&number.to_string())).collect();
    journal.append(many).await.unwrap();
    assert_eq!(journal.trim(keep_all).await.unwrap().events, 0);

    let size = Retention { bytes: 300 << 10, ..keep_all };
    let trimmed = journal.trim(size).await.unwrap();
    assert!(trimmed.events > 1_000 && trimmed.earliest == trimmed.events + 1, "{trimmed:?}");
    assert_eq!(journal.earliest().await.unwrap(), trimmed.earliest);
    let status = journal.status().await.unwrap();
    assert_eq!(status.sources[0].events, 5_000 - trimmed.events);

    let age = Retention { age: std::time::Duration::ZERO, bytes: 1 << 40 };
    assert_eq!(journal.trim(age).await.unwrap().earliest, 5_000);
    assert_eq!((journal.head(), uuids(&journal, 4_999).await), (5_000, vec!["4999".to_owned()]));
    journal.close().await.unwrap();
    drop(journal);
    let journal = open(&dir);
    journal.append(events(&["next"])).await.unwrap();
    assert_eq!(journal.head(), 5_001, "the sequence goes on");
}
