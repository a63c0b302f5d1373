//! What the sandbox does of its own accord, as Okta would: deliveries, and the System Log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::harness::{PATIENCE, Sandbox, http, run, wait_for};

/// A call of the sandbox's API, as an Okta SDK would make it.
async fn call(sandbox: &Sandbox, method: Method, path: &str, body: Option<Value>) -> reqwest::Response {
    let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", sandbox.url()) };
    let mut request = http().request(method, url).header("authorization", format!("SSWS {}", sandbox.api_token()));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    request.send().await.expect("answered")
}

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
}

/// A hook's other end, which answers deliveries with these statuses, one after the other, and then with 200. For 0 it never answers.
struct Receiver {
    url: String,
    deliveries: mpsc::Receiver<Value>,
}

#[derive(Clone)]
struct Answers {
    statuses: Arc<Vec<u16>>,
    next: Arc<AtomicUsize>,
    deliveries: mpsc::Sender<Value>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let (sender, deliveries) = mpsc::channel(64);
        let answers = Answers { statuses: Arc::new(statuses.to_vec()), next: Arc::default(), deliveries: sender };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}/", listener.local_addr().expect("address"));
        let routes = Router::new().route("/", get(verify).post(take)).with_state(answers);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, deliveries }
    }

    async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.deliveries.recv()).await.expect("in time").expect("a delivery")
    }
}

async fn verify(headers: HeaderMap) -> Json<Value> {
    Json(json!({ "verification": headers["x-okta-verification-challenge"].to_str().expect("text") }))
}

async fn take(State(answers): State<Answers>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["authorization"], "the secret");
    let _ = answers.deliveries.send(serde_json::from_str(&body).expect("JSON")).await;
    let number = answers.next.fetch_add(1, Ordering::SeqCst);
    if answers.statuses.get(number) == Some(&0) {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(answers.statuses.get(number).copied().unwrap_or(200)).expect("status")
}

/// A hook that is verified; its path.
async fn hook(sandbox: &Sandbox, url: &str) -> String {
    let body = json!({
        "name": "test", "events": { "type": "EVENT_TYPE", "items": ["group.lifecycle.create"] },
        "channel": { "type": "HTTP", "version": "1.0.0", "config": {
            "uri": url, "authScheme": { "type": "HEADER", "key": "Authorization", "value": "the secret" },
        } },
    });
    let hook = json_of(call(sandbox, Method::POST, "/api/v1/eventHooks", Some(body)).await).await;
    assert!(hook["verificationStatus"] == "UNVERIFIED" && hook["channel"]["config"]["authScheme"]["value"].is_null());
    let path = format!("/api/v1/eventHooks/{}", hook["id"].as_str().expect("id"));
    let verified = json_of(call(sandbox, Method::POST, &format!("{path}/lifecycle/verify"), None).await).await;
    assert_eq!(verified["verificationStatus"], "VERIFIED");
    path
}

async fn create_group(sandbox: &Sandbox, name: &str) {
    let body = json!({ "profile": { "name": name } });
    assert!(call(sandbox, Method::POST, "/api/v1/groups", Some(body)).await.status().is_success());
}

fn group_of(delivery: &Value) -> &str {
    delivery["data"]["events"][0]["target"][0]["displayName"].as_str().expect("name")
}

#[tokio::test]
async fn a_delivery_is_tried_again_once_after_a_5xx_and_never_after_a_4xx() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[500, 503, 404]).await;
    hook(&sandbox, &receiver.url).await;
    create_group(&sandbox, "First").await;
    let (one, two) = (receiver.next().await, receiver.next().await);
    assert_eq!((group_of(&one), &one["eventId"]), ("First", &two["eventId"]), "the same delivery, once more");
    create_group(&sandbox, "Second").await;
    assert_eq!(group_of(&receiver.next().await), "Second");
    create_group(&sandbox, "Third").await;
    assert_eq!(group_of(&receiver.next().await), "Third", "nothing came in between");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn deliveries_can_be_lost_and_doubled_on_purpose() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[]).await;
    hook(&sandbox, &receiver.url).await;
    sandbox.control(Method::POST, "deliveries", Some(json!({ "lose": true }))).await;
    create_group(&sandbox, "Lost").await;
    sandbox.control(Method::POST, "deliveries", Some(json!({ "repeat": 1 }))).await;
    create_group(&sandbox, "Doubled").await;
    for _ in 0..2 {
        assert_eq!(group_of(&receiver.next().await), "Doubled");
    }
    sandbox.0.stop().await;
}

/// Waits until so many events wait for their delivery.
async fn waiting(sandbox: &Sandbox, events: u64) {
    wait_for("deliveries to wait", async || {
        let told: Value = serde_json::from_str(&sandbox.control(Method::GET, "deliveries", None).await).expect("JSON");
        (told["unseen"] == 0 && told["waiting"] == events).then_some(())
    })
    .await;
}

#[tokio::test]
async fn deliveries_that_were_held_back_go_in_batches_when_they_are_let_go() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[]).await;
    hook(&sandbox, &receiver.url).await;
    sandbox.control(Method::POST, "deliveries/hold", None).await;
    let five = json!({ "event_type": "group.lifecycle.create", "times": 5 });
    sandbox.control(Method::POST, "events", Some(five)).await;
    waiting(&sandbox, 5).await;
    let batches = json!({ "batch": 2, "times": 3, "wait_ms": 10 });
    sandbox.control(Method::POST, "deliveries", Some(batches)).await;
    sandbox.control(Method::POST, "deliveries/release", None).await;
    let mut numbers = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let delivery = receiver.next().await;
        let events = delivery["data"]["events"].as_array().expect("events").clone();
        sizes.push(events.len());
        numbers.extend(events.iter().map(|event| event["debugContext"]["debugData"]["number"].clone()));
    }
    sizes.sort_unstable();
    numbers.sort_unstable_by_key(Value::to_string);
    assert_eq!((sizes, json!(numbers)), (vec![1, 2, 2], json!(["0", "1", "2", "3", "4"])));
    waiting(&sandbox, 0).await;
    sandbox.0.stop().await;
}

#[tokio::test]
async fn events_that_come_one_by_one_share_a_delivery_that_waits_for_them() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[]).await;
    hook(&sandbox, &receiver.url).await;
    let batch = json!({ "batch": 3, "reorder": "shuffle", "wait_ms": 300_000 });
    sandbox.control(Method::POST, "deliveries", Some(batch)).await;
    for name in ["One", "Two", "Three"] {
        create_group(&sandbox, name).await;
    }
    let delivery = receiver.next().await;
    let events = delivery["data"]["events"].as_array().expect("events");
    let mut names: Vec<&str> =
        events.iter().map(|event| event["target"][0]["displayName"].as_str().expect("name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["One", "Three", "Two"]);
    sandbox.0.stop().await;
}

#[tokio::test]
async fn neighbouring_deliveries_change_places_on_purpose() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[]).await;
    hook(&sandbox, &receiver.url).await;
    let turned = json!({ "reorder": "reverse", "times": 3, "wait_ms": 300_000 });
    sandbox.control(Method::POST, "deliveries", Some(turned)).await;
    for name in ["One", "Two", "Three"] {
        create_group(&sandbox, name).await;
    }
    for name in ["Three", "Two", "One"] {
        assert_eq!(group_of(&receiver.next().await), name);
    }
    create_group(&sandbox, "Four").await;
    assert_eq!(group_of(&receiver.next().await), "Four");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_hook_that_does_not_answer_in_time_gets_the_delivery_once_more() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[0, 0]).await;
    hook(&sandbox, &receiver.url).await;
    sandbox.control(Method::POST, "hooks", Some(json!({ "timeout_ms": 100 }))).await;
    create_group(&sandbox, "Slow").await;
    let (one, two) = (receiver.next().await, receiver.next().await);
    assert_eq!((group_of(&one), &one["eventId"]), ("Slow", &two["eventId"]));
    create_group(&sandbox, "Next").await;
    assert_eq!(group_of(&receiver.next().await), "Next", "two tries are all there is");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_hook_that_fails_too_often_is_switched_off_where_that_is_set() {
    let sandbox = Sandbox::start();
    let mut receiver = Receiver::start(&[404, 200, 404, 500, 500]).await;
    let path = hook(&sandbox, &receiver.url).await;
    let status = async || json_of(call(&sandbox, Method::GET, &path, None).await).await["status"].clone();
    sandbox.control(Method::POST, "hooks", Some(json!({ "deactivate_after_failures": 2 }))).await;
    for (name, tries) in [("Fails", 1), ("Arrives", 1), ("Fails again", 1), ("Fails twice", 2)] {
        assert_eq!(status().await, "ACTIVE", "before {name}");
        create_group(&sandbox, name).await;
        for _ in 0..tries {
            assert_eq!(group_of(&receiver.next().await), name);
        }
        waiting(&sandbox, 0).await;
    }
    wait_for("the hook to be switched off", async || (status().await == "INACTIVE").then_some(())).await;
    create_group(&sandbox, "Unheard").await;
    waiting(&sandbox, 0).await;
    call(&sandbox, Method::POST, &format!("{path}/lifecycle/activate"), None).await;
    create_group(&sandbox, "Heard").await;
    assert_eq!(group_of(&receiver.next().await), "Heard");
    let settings: Value = serde_json::from_str(&sandbox.control(Method::GET, "hooks", None).await).expect("JSON");
    assert_eq!((&settings["deactivate_after_failures"], &settings["timeout_ms"]), (&json!(2), &json!(3000)));
    sandbox.0.stop().await;
}

/// The URL of the next page.
fn next_of(response: &reqwest::Response) -> Option<String> {
    let mut links = response.headers().get_all("link").into_iter().map(|link| link.to_str().expect("text"));
    links.find_map(|link| Some(link.strip_suffix(">; rel=\"next\"")?.strip_prefix('<')?.to_owned()))
}

#[tokio::test]
async fn what_comes_late_into_the_log_is_polled_and_is_missing_from_what_was_bounded() {
    let sandbox = Sandbox::start();
    let filter = "filter=eventType+eq+%22test.late%22";
    let polled = call(&sandbox, Method::GET, &format!("/api/v1/logs?{filter}"), None).await;
    let url = next_of(&polled).expect("a next link");
    let ago = |seconds| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    };
    let (hour_ago, minute_ago) = (ago(3600), ago(60));
    let late = json!({ "event_type": "test.late", "published": hour_ago, "times": 3 });
    sandbox.control(Method::POST, "events", Some(late)).await;
    let page = json_of(call(&sandbox, Method::GET, &url, None).await).await;
    assert_eq!(page.as_array().expect("list").len(), 3);
    assert_eq!(page[0]["published"], hour_ago.as_str());

    let ask = async |query: &str| {
        let url = format!("/api/v1/logs?{filter}&{query}");
        let response = call(&sandbox, Method::GET, &url, None).await;
        let next = next_of(&response);
        (json_of(response).await.as_array().expect("list").len(), next)
    };
    assert_eq!(ask(&format!("since={minute_ago}")).await.0, 3);
    assert_eq!(ask(&format!("since={minute_ago}&until=2099-01-01T00:00:00Z")).await, (0, None));
    assert_eq!(ask(&format!("since={hour_ago}&until={minute_ago}")).await.0, 3);
    let (first, next) = ask("sortOrder=DESCENDING&limit=2").await;
    let rest = call(&sandbox, Method::GET, &next.expect("a second page"), None).await;
    assert_eq!((first, next_of(&rest), json_of(rest).await.as_array().expect("list").len()), (2, None, 1));
    sandbox.0.stop().await;
}

#[tokio::test]
async fn queries_that_okta_refuses_are_refused_with_its_codes() {
    let sandbox = Sandbox::start();
    for (query, code) in [
        ("limit=1001", "E0000001"),
        ("limit=many", "E0000001"),
        ("since=foobar", "E0000001"),
        ("since=2026-01-02&until=2026-01-01T00:00:00Z", "E0000001"),
        ("sortOrder=UP", "E0000001"),
        ("filter=display_message+eqq+%22x%22", "E0000053"),
        ("q=0123456789012345678901234567890123456789x", "E0000001"),
    ] {
        let refused = call(&sandbox, Method::GET, &format!("/api/v1/logs?{query}"), None).await;
        assert_eq!(refused.status(), 400, "{query}");
        assert_eq!(json_of(refused).await["errorCode"], code, "{query}");
    }
    let wrong =
        http().post(format!("{}/_sandbox/deliveries", sandbox.url())).header("content-type", "application/json");
    assert_eq!(wrong.body(r#"{"batch":0}"#).send().await.expect("answered").status(), 400);
    let explained = sandbox.control(Method::GET, "", None).await;
    for named in ["deliveries/hold", "deactivate_after_failures", "reorder", "published", "\"POST /_sandbox/faults\""] {
        assert!(explained.contains(named), "{named}");
    }
    sandbox.0.stop().await;
}

#[tokio::test]
async fn polling_the_system_log_follows_next_links_to_an_empty_page_and_beyond() {
    let sandbox = Sandbox::start();
    for name in ["One", "Two", "Three"] {
        create_group(&sandbox, name).await;
    }
    let mut url = "/api/v1/logs?limit=2&filter=eventType+eq+%22group.lifecycle.create%22".to_owned();
    let mut names = Vec::new();
    loop {
        let response = call(&sandbox, Method::GET, &url, None).await;
        url = next_of(&response).expect("a next link is always there");
        let page = json_of(response).await;
        let page = page.as_array().expect("list").clone();
        if page.is_empty() {
            break;
        }
        names.extend(page.iter().map(|event| event["target"][0]["displayName"].as_str().expect("name").to_owned()));
    }
    assert_eq!(names, ["One", "Two", "Three"]);
    create_group(&sandbox, "Four").await;
    let later = json_of(call(&sandbox, Method::GET, &url, None).await).await;
    assert_eq!(later[0]["target"][0]["displayName"], "Four");
    sandbox.0.stop().await;
}

#[tokio::test]
async fn a_rate_limit_that_is_spent_answers_429_until_its_reset() {
    let sandbox = Sandbox::start();
    sandbox.control(Method::POST, "rate-limits", Some(json!({ "/api/v1/groups": 1 }))).await;
    assert_eq!(call(&sandbox, Method::GET, "/api/v1/groups?limit=1", None).await.status(), 200);
    let refused = call(&sandbox, Method::GET, "/api/v1/groups?limit=1", None).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-rate-limit-remaining"]),
        (429, &"0".parse().expect("header"))
    );
    assert!(refused.headers().contains_key("x-rate-limit-reset") && refused.headers().contains_key("date"));
    assert_eq!(json_of(refused).await["errorCode"], "E0000047");
    assert_eq!(call(&sandbox, Method::GET, "/api/v1/users?limit=1", None).await.status(), 200, "another bucket");
    sandbox.0.stop().await;
}

#[test]
fn a_seed_that_cannot_be_is_refused_with_its_place() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("seed.json");
    let file = path.to_str().expect("UTF-8");
    for (seed, says) in [
        ("{", "line 1"),
        (r#"{"company":"A","users":[]}"#, "no user"),
        (r#"{"company":"A","users":[{"profile":{"login":"a@b.c"}}]}"#, "a@b.c"),
        (r#"{"company":"A","usres":[]}"#, "usres"),
    ] {
        std::fs::write(&path, seed).expect("written");
        let (code, stdout, stderr) = run(&["sandbox", "--addr", "127.0.0.1:0", "--seed", file], &[]);
        assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
        assert!(stderr.contains(says) && stderr.contains(file), "{stderr}");
    }
    assert_eq!(run(&["sandbox", "--addr", "0.0.0.0:0"], &[]).0, 64);
}
