//! What the receiver promises Okta, over a real socket.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::journal::{Limits, StoredEvent};
use crate::metrics::Metrics;
use crate::proto::EventHookHealth;

const SECRET: &str = "correct horse battery staple";

struct Door {
    dir: TempDir,
    address: SocketAddr,
    registry: Registry,
    journal: Journal,
    metrics: Metrics,
    client: Client,
}

impl Door {
    async fn open() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let journal = Journal::open(dir.path().join("journal.db"), Limits::default()).unwrap();
        let registry = Registry::new();
        registry.insert("hook_1", hook(&[(SECRET, None)]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::default();
        let router = router(registry.clone(), journal.clone(), metrics.clone(), options);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { dir, address, registry, journal, metrics, client: Client::builder().no_proxy().build().unwrap() }
    }

    fn url(&self, hook: &str) -> String {
        format!("http://{}/hooks/{hook}", self.address)
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
        self.post_as(Some(SECRET), body).await
    }

    async fn post_as(&self, secret: Option<&str>, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
        let request = self.client.post(self.url("hook_1")).body(body);
        let request = match secret {
            Some(secret) => request.header("authorization", secret),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }

    /// Sends a request as it is written, and answers the status line as far as the number.
    async fn raw(&self, secret: &str, rest: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST /hooks/hook_1 HTTP/1.1\r\nhost: x\r\nauthorization: {secret}\r\n{rest}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn stored(&self) -> Vec<StoredEvent> {
        self.journal.read(0, usize::MAX, usize::MAX).await.unwrap()
    }

    fn health(&self) -> EventHookHealth {
        self.registry.health("hook_1").unwrap()
    }
}

fn hook(secrets: &[(&str, Option<SystemTime>)]) -> Hook {
    let secrets = secrets.iter().map(|(secret, until)| AcceptedSecret { secret: (*secret).into(), until: *until });
    Hook { connection_id: "conn_1".to_owned(), secrets: secrets.collect() }
}

async fn answer(response: Response) -> (StatusCode, String) {
    (response.status(), response.text().await.unwrap())
}

fn delivery(events: &[&str]) -> String {
    format!(r#"{{"eventId":"e1","eventTime":"2026-01-02T03:04:05Z","data":{{"events":[{}]}}}}"#, events.join(","))
}

fn event(uuid: &str) -> String {
    format!(r#"{{"uuid":"{uuid}","eventType":"user.lifecycle.create"}}"#)
}

#[tokio::test]
async fn a_challenge_is_answered_for_hooks_that_are_ours() {
    let door = Door::open().await;
    let challenge = |hook: &str, value: Option<String>| {
        let request = door.client.get(door.url(hook));
        match value {
            Some(value) => request.header("x-okta-verification-challenge", value).send(),
            None => request.send(),
        }
    };
    let response = challenge("hook_1", Some("q1w2e3".to_owned())).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(answer(response).await, (StatusCode::OK, json!({ "verification": "q1w2e3" }).to_string()));
    assert_eq!(challenge("hook_2", Some("q".to_owned())).await.unwrap().status(), StatusCode::NOT_FOUND);
    let (status, why) = answer(challenge("hook_1", None).await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(why.contains("x-okta-verification-challenge"), "{why}");
    assert_eq!(challenge("hook_1", Some("x".repeat(1025))).await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_delivery_is_stored_exactly_and_answered_204() {
    let door = Door::open().await;
    let odd = r#"{"uuid":"u1", "n": 12345678901234567890.10, "n":2, "s":"\ud800 \u00e9 é", "deep":[[[[{}]]]]}"#;
    let body = format!("\n {} \n", delivery(&[odd, &event("u2"), &event("u1")]));
    assert_eq!(door.post(body).await, (StatusCode::NO_CONTENT, String::new()));
    let stored = door.stored().await;
    assert_eq!(stored.iter().map(|event| event.uuid.as_str()).collect::<Vec<_>>(), ["u1", "u2"]);
    assert_eq!((stored[0].raw.as_str(), stored[0].connection_id.as_str()), (odd, "conn_1"));
    assert_eq!(stored[0].envelope, r#"{"eventId":"e1","eventTime":"2026-01-02T03:04:05Z"}"#);
    let health = door.health();
    assert_eq!((health.deliveries_accepted, health.events_stored, health.events_repeated), (1, 2, 1));
    assert!(health.last_delivery.is_some() && health.last_error.is_empty());
    assert_eq!(door.post(delivery(&[])).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_sender_without_the_secret_gets_401_and_stores_nothing() {
    let door = Door::open().await;
    let wrong =
        [None, Some(""), Some("Bearer correct horse battery staple"), Some("correct horse battery stapl"), Some("é")];
    for secret in wrong {
        assert_eq!(door.post_as(secret, delivery(&[&event("u")])).await.0, StatusCode::UNAUTHORIZED, "{secret:?}");
    }
    let request = door.client.post(door.url("hook_1")).header("authorization", SECRET).header("authorization", "x");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "which of the two is meant?");
    let unknown = door.client.post(door.url("hook_2")).header("authorization", SECRET).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(door.stored().await.is_empty());
    assert_eq!(door.health().deliveries_refused, 6);
}

#[tokio::test]
async fn every_accepted_secret_opens_the_door_until_it_runs_out() {
    let door = Door::open().await;
    let (past, future) = (SystemTime::now() - Duration::from_secs(1), SystemTime::now() + Duration::from_secs(600));
    door.registry.set_secrets("hook_1", hook(&[("new", None), ("old", Some(future)), ("ancient", Some(past))]).secrets);
    for (secret, status) in [
        ("new", StatusCode::NO_CONTENT),
        ("old", StatusCode::NO_CONTENT),
        ("ancient", StatusCode::UNAUTHORIZED),
        (SECRET, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(door.post_as(Some(secret), delivery(&[&event("u")])).await.0, status, "{secret}");
    }
    assert!(door.registry.remove("hook_1"));
    assert_eq!(door.post_as(Some("new"), delivery(&[&event("u")])).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_secret_is_checked_before_the_body_is_awaited() {
    let door = Door::open().await;
    assert_eq!(door.raw("wrong", "content-length: 1000000\r\n\r\n").await, "HTTP/1.1 401");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let door = Door::with(Options { body_timeout: Duration::from_millis(50), ..Options::default() }).await;
    assert_eq!(door.raw(SECRET, "content-length: 10\r\n\r\n{").await, "HTTP/1.1 408");
}

#[tokio::test]
async fn what_is_too_large_gets_413() {
    let door = Door::with(Options { max_body_bytes: 200_000, ..Options::default() }).await;
    let padded = |bytes: usize| format!("{}{}", delivery(&[&event("u")]), " ".repeat(bytes));
    assert_eq!(door.post(padded(200_000)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let unannounced = format!("transfer-encoding: chunked\r\n\r\n30d41\r\n{}", " ".repeat(200_001));
    assert_eq!(door.raw(SECRET, &unannounced).await, "HTTP/1.1 413");
    assert_eq!(door.post(delivery(&vec!["{}"; 10_001])).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let envelope = format!(r#"{{"x":"{}","data":{{"events":[{{}}]}}}}"#, "x".repeat(17_000));
    assert_eq!(door.post(envelope).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(door.stored().await.is_empty());
    assert_eq!(door.post(padded(190_000)).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_cannot_be_read_gets_400_and_a_sentence() {
    let door = Door::open().await;
    for (body, sentence) in [
        (&b""[..], "not a JSON object"),
        (b"{\"data\":", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"{}{}", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b"{\"data\":\"\xff\"}", "not UTF-8"),
        (b"{}", "data.events"),
        (b"{\"data\":null}", "data.events"),
        (b"{\"data\":[]}", "data.events"),
        (b"{\"data\":{}}", "data.events"),
        (b"{\"data\":{\"events\":{}}}", "data.events"),
        (b"{\"data\":{\"events\":[1,null,\"x\"]}}", "none of the events"),
    ] {
        let (status, why) = door.post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(body));
        assert!(why.contains(sentence), "{why}");
    }
    assert!(door.stored().await.is_empty());
    assert_eq!(door.health().deliveries_refused, 12);
    assert!(door.health().last_error.contains("none of the events"));
}

#[tokio::test]
async fn deep_nesting_is_kept() {
    let door = Door::open().await;
    let deep = format!(r#"{{"uuid":"u","deep":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(door.post(delivery(&[&deep])).await.0, StatusCode::NO_CONTENT);
    let stored = door.stored().await.remove(0);
    assert_eq!(stored.raw, deep);
    assert_eq!(crate::events::decode("journal", stored).event.full_details_json, deep);
}

#[tokio::test]
async fn unreadable_events_do_not_take_the_good_ones_with_them() {
    let door = Door::open().await;
    let body = delivery(&[&event("u1"), "7", &event("u2"), "null", "{}"]);
    assert_eq!(door.post(body).await.0, StatusCode::NO_CONTENT);
    assert_eq!(door.stored().await.len(), 3);
    assert_eq!(door.health().events_unreadable, 2);
}

#[tokio::test]
async fn what_could_not_be_stored_gets_503_and_is_welcome_again() {
    let door = Door::open().await;
    let saboteur = rusqlite::Connection::open(door.dir.path().join("journal.db")).unwrap();
    saboteur.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    assert_eq!(door.post(delivery(&[&event("u")])).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(door.health().deliveries_failed, 1);
    saboteur.execute_batch("ALTER TABLE gone RENAME TO events").unwrap();
    assert_eq!(door.post(delivery(&[&event("u")])).await.0, StatusCode::NO_CONTENT);
    assert_eq!(door.stored().await.len(), 1);
}

#[tokio::test]
async fn every_delivery_is_counted_by_its_outcome() {
    let door = Door::open().await;
    door.post(delivery(&[&event("u")])).await;
    door.post("nonsense").await;
    door.post_as(Some("wrong"), delivery(&[])).await;
    for hook in ["hook_2", "hook_3", "hook_4"] {
        door.client.post(door.url(hook)).send().await.unwrap();
    }
    let text = door.metrics.text();
    for (outcome, count) in [("accepted", 1), ("refused", 2), ("unknown_hook", 3)] {
        let line = format!("okta_connector_hook_deliveries_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[test]
fn a_secret_is_forgotten_when_its_time_is_over() {
    let (now, registry) = (SystemTime::now(), Registry::new());
    let (soon, later) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
    registry.insert("hook_1", hook(&[("own", None), ("old", Some(later))]));
    registry.insert("hook_2", hook(&[("own", None), ("older", Some(soon))]));
    assert_eq!(registry.next_end(), Some(soon));
    registry.forget_ended(soon);
    assert_eq!(registry.next_end(), Some(later));
    registry.forget_ended(later);
    assert_eq!(registry.next_end(), None);
    assert_eq!(registry.admit("hook_1", Some(b"own"), later), registry::Admission::Granted("conn_1".into()));
}

#[test]
fn a_registry_shows_no_secret() {
    let registry = Registry::new();
    registry.insert("hook_1", hook(&[(SECRET, None)]));
    assert!(!format!("{registry:?} {:?}", hook(&[(SECRET, None)])).contains("horse"));
}

mod properties {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::delivery::Delivery;
    use crate::events::decode;
    use crate::journal::StoredEvent;

    /// JSON that is nearly right: a piece of a delivery, cut and glued.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(r#"{"data":{"events":["#.to_owned()),
            Just(r#"{"uuid":"u","eventType":"group.user_membership.add","target":["#.to_owned()),
            Just(r#"{"id":1,"type":"AppInstance","detailEntry":{"name":[]}},"#.to_owned()),
            Just(r#""actor":{"id":"\ud800"},"debugContext":{"debugData":null}"#.to_owned()),
            Just(r#""published":"2026-01-01T00:00:00Z","#.to_owned()),
            Just("]".to_owned()),
            Just("}".to_owned()),
            Just(",".to_owned()),
            ".{0,6}",
        ];
        prop_oneof![
            proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..64),
        ]
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body in nearly()) {
            let _ = Delivery::read(&Arc::from("c"), &body);
        }

        #[test]
        fn no_event_is_too_odd_to_be_decoded(raw in nearly(), envelope in nearly()) {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let raw = text(raw);
            let stored = StoredEvent {
                sequence: 1,
                connection_id: "c".to_owned(),
                uuid: "u".to_owned(),
                source: crate::journal::Source::Hook,
                received: crate::journal::now(),
                envelope: text(envelope),
                raw: raw.clone(),
            };
            prop_assert_eq!(decode("j", stored).event.full_details_json, raw);
        }
    }
}
