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

use crate::harness::{PATIENCE, Sandbox, http, run};

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

/// A hook's other end, which answers deliveries with these statuses, one after the other, and then with 200.
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
    StatusCode::from_u16(answers.statuses.get(number).copied().unwrap_or(200)).expect("status")
}

async fn hook(sandbox: &Sandbox, url: &str) {
    let body = json!({
        "name": "test", "events": { "type": "EVENT_TYPE", "items": ["group.lifecycle.create"] },
        "channel": { "type": "HTTP", "version": "1.0.0", "config": {
            "uri": url, "authScheme": { "type": "HEADER", "key": "Authorization", "value": "the secret" },
        } },
    });
    let hook = json_of(call(sandbox, Method::POST, "/api/v1/eventHooks", Some(body)).await).await;
    assert!(hook["verificationStatus"] == "UNVERIFIED" && hook["channel"]["config"]["authScheme"]["value"].is_null());
    let path = format!("/api/v1/eventHooks/{}/lifecycle/verify", hook["id"].as_str().expect("id"));
    let verified = json_of(call(sandbox, Method::POST, &path, None).await).await;
    assert_eq!(verified["verificationStatus"], "VERIFIED");
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

#[tokio::test]
async fn polling_the_system_log_follows_next_links_to_an_empty_page_and_beyond() {
    let sandbox = Sandbox::start();
    for name in ["One", "Two", "Three"] {
        create_group(&sandbox, name).await;
    }
    let next_of = |response: &reqwest::Response| {
        let links = response.headers().get_all("link").into_iter().map(|link| link.to_str().expect("text"));
        let next = links.filter_map(|link| link.strip_suffix(">; rel=\"next\"")?.strip_prefix('<')).next();
        next.expect("a next link is always there").to_owned()
    };
    let mut url = "/api/v1/logs?limit=2&filter=eventType+eq+%22group.lifecycle.create%22".to_owned();
    let mut names = Vec::new();
    loop {
        let response = call(&sandbox, Method::GET, &url, None).await;
        url = next_of(&response);
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
