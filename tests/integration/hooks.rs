//! Event hooks: registered on the org, and what their deliveries meet.

mod making;
mod rotation;

use okta_connector::proto::event::Card;
use okta_connector::proto::event_hook_service_client::EventHookServiceClient;
use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{
    ActivateEventHookRequest, DeactivateEventHookRequest, DeleteEventHookRequest, Event, EventCard, EventHook,
    EventHookStatus, ListEventHooksRequest, RegisterEventHookRequest, StartPosition, SubscribeEventsRequest,
    VerifyEventHookRequest,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, http, reason};

/// A hook, and the secret that the org was told.
pub async fn registered(server: &Server, sandbox: &Sandbox) -> (EventHook, String) {
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let request = RegisterEventHookRequest { cards: vec![EventCard::CustomWebhook.into()], ..Default::default() };
    let hook = hooks.register_event_hook(request).await.expect("registered").into_inner().hooks.remove(0);
    let secret = secrets_sent(sandbox).await.pop().expect("a secret");
    (hook, secret)
}

/// Every secret that the org was told, oldest first.
pub async fn secrets_sent(sandbox: &Sandbox) -> Vec<String> {
    let sent = sandbox.requests().await;
    let secret = |sent: &Value| {
        let body: Value = serde_json::from_str(sent["body"].as_str()?).ok()?;
        Some(body["channel"]["config"]["authScheme"]["value"].as_str()?.to_owned())
    };
    sent.iter().filter_map(secret).collect()
}

/// The further secrets that a server has stored: whether each has an end. The server has its file for itself: this looks at a copy.
pub fn secrets_of(server: &Server) -> Vec<bool> {
    let copy = tempfile::TempDir::new().expect("directory");
    for name in ["connections.db", "connections.db-wal"] {
        let _ = std::fs::copy(server.path().join(name), copy.path().join(name));
    }
    let file = rusqlite::Connection::open(copy.path().join("connections.db")).expect("opened");
    let mut ends = file.prepare("SELECT until IS NOT NULL FROM event_hook_secrets ORDER BY id").expect("prepared");
    let ends = ends.query_map([], |row| row.get(0)).expect("read");
    ends.collect::<Result<_, _>>().expect("read")
}

/// Delivers a body as Okta would.
pub async fn deliver(hook: &EventHook, secret: Option<&str>, body: impl Into<reqwest::Body>) -> StatusCode {
    let mut request = http().post(&hook.uri).header("content-type", "application/json").body(body);
    if let Some(secret) = secret {
        request = request.header("authorization", secret);
    }
    request.send().await.expect("answered").status()
}

/// Every event of the log.
pub async fn log(server: &Server) -> Vec<Event> {
    let request = SubscribeEventsRequest {
        start: Some(Start::Position(StartPosition::Earliest.into())),
        stop_when_caught_up: true,
        ..Default::default()
    };
    let mut frames = server.events().await.subscribe_events(request).await.expect("opened").into_inner();
    let mut events = Vec::new();
    while let Some(response) = frames.message().await.expect("frame") {
        if let Some(Frame::Event(event)) = response.frame {
            events.push(event);
        }
    }
    events
}

fn body(uuids: &[&str]) -> String {
    let event = |uuid: &&str| json!({ "uuid": uuid, "eventType": "user.session.start" });
    json!({ "eventId": "e1", "data": { "events": uuids.iter().map(event).collect::<Vec<_>>() } }).to_string()
}

#[tokio::test]
async fn one_call_registers_and_verifies_a_hook() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    assert!(hook.verified && hook.status() == EventHookStatus::Active && secret.len() > 40);
    assert_eq!(hook.uri, format!("{}/hooks/{}", server.http_url(), hook.id));
    assert!(!format!("{hook:?}").contains(&secret) && !server.process.stderr().contains(&secret));

    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let hook_id = || hook.id.clone();
    hooks.verify_event_hook(VerifyEventHookRequest { hook_id: hook_id() }).await.expect("verified again");
    hooks.deactivate_event_hook(DeactivateEventHookRequest { hook_id: hook_id() }).await.expect("deactivated");
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner().hooks;
    assert_eq!(listed[0].status(), EventHookStatus::Inactive);
    hooks.activate_event_hook(ActivateEventHookRequest { hook_id: hook_id() }).await.expect("activated");
    hooks.delete_event_hook(DeleteEventHookRequest { hook_id: hook_id() }).await.expect("deleted");
    let gone = hooks.delete_event_hook(DeleteEventHookRequest { hook_id: hook_id() }).await.expect_err("gone");
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "HOOK_NOT_FOUND"));
    assert_eq!(deliver(&hook, Some(&secret), body(&["a"])).await, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn a_hook_that_cannot_be_verified_leaves_nothing_behind() {
    let sandbox = Sandbox::start();
    let directory = tempfile::tempdir().expect("directory");
    // Nobody listens on the discard port.
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let elsewhere = ("OKTA_CONNECTOR_PUBLIC_URL", "http://127.0.0.1:9");
    let server = Server::start_in(directory, &[("OKTA_DOMAIN", &url), ("OKTA_API_TOKEN", &token), elsewhere]);
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let status = hooks.register_event_hook(RegisterEventHookRequest::default()).await.expect_err("unreachable");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "HOOK_VERIFICATION_FAILED"));
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner().hooks;
    assert!(listed.is_empty());
    let on_org = server.call(okta_connector::proto::HttpMethod::Get, "/api/v1/eventHooks", None).await;
    assert_eq!(on_org, json!([]));
    let odd = RegisterEventHookRequest { event_types: vec!["user.*".to_owned()], ..Default::default() };
    assert_eq!(fields(&hooks.register_event_hook(odd).await.expect_err("no type")), ["event_types[0]"]);
    server.stop().await;
}

#[tokio::test]
async fn only_a_known_hook_is_verified() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let ask = |url: String| http().get(url).header("x-okta-verification-challenge", "c-123").send();
    let answer = ask(hook.uri.clone()).await.expect("answered");
    assert_eq!(answer.text().await.expect("text"), r#"{"verification":"c-123"}"#);
    let unknown = ask(format!("{}/hooks/hook_unknown", server.http_url())).await.expect("answered");
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(http().get(&hook.uri).send().await.expect("answered").status(), StatusCode::BAD_REQUEST);
    for path in ["", "live", "metrics", "api/v1/users"] {
        let status = http().get(format!("{}/{path}", server.http_url())).send().await.expect("answered").status();
        assert_eq!(status, StatusCode::NOT_FOUND, "/{path} is none of the public's business");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_delivery_is_refused_and_stores_nothing() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    assert_eq!(deliver(&hook, None, body(&["a"])).await, StatusCode::UNAUTHORIZED);
    for wrong in ["", "wrong", &secret[1..], &format!("Bearer {secret}")] {
        assert_eq!(deliver(&hook, Some(wrong), body(&["a"])).await, StatusCode::UNAUTHORIZED);
    }
    for nonsense in ["", "{", "[]", "{}", r#"{"data":{}}"#, r#"{"data":{"events":7}}"#] {
        assert_eq!(deliver(&hook, Some(&secret), nonsense).await, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    assert_eq!(deliver(&hook, Some(&secret), vec![0xff, 0xfe]).await, StatusCode::BAD_REQUEST);
    let large = format!(r#"{{"data":{{"events":[{{"x":"{}"}}]}}}}"#, "x".repeat(1 << 20));
    assert_eq!(deliver(&hook, Some(&secret), large).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(log(&server).await.is_empty());

    let mixed = r#"{"data":{"events":[{"uuid":"good-1"},7,"x",null,{"uuid":"good-2"}]}}"#;
    assert_eq!(deliver(&hook, Some(&secret), mixed).await, StatusCode::NO_CONTENT);
    assert_eq!(deliver(&hook, Some(&secret), body(&["good-1", "good-3"])).await, StatusCode::NO_CONTENT);
    let uuids: Vec<String> = log(&server).await.into_iter().map(|event| event.uuid).collect();
    assert_eq!(uuids, ["good-1", "good-2", "good-3"]);
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner().hooks;
    let health = listed[0].health.clone().expect("health");
    assert_eq!((health.deliveries_accepted, health.events_stored), (2, 3));
    assert_eq!((health.events_repeated, health.events_unreadable), (1, 3));
    assert!(health.deliveries_refused > 10 && !health.last_error.is_empty());
    assert!(!server.process.stderr().contains(&secret));
    server.stop().await;
}

#[tokio::test]
async fn oktas_own_sample_arrives_with_nothing_lost() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let sample = include_str!("../data/sample-event-hook.json");
    assert_eq!(deliver(&hook, Some(&secret), sample).await, StatusCode::NO_CONTENT);
    let event = log(&server).await.remove(0);
    let sent: Value = serde_json::from_str(sample).expect("JSON");
    let details: Value = serde_json::from_str(&event.full_details_json).expect("JSON");
    assert_eq!(details, sent["data"]["events"][0]);
    let envelope: Value = serde_json::from_str(&event.envelope_json).expect("JSON");
    let mut expected = sent.clone();
    expected.as_object_mut().expect("object").remove("data");
    assert_eq!(envelope, expected);
    assert_eq!(
        (event.event_id.as_str(), event.message.as_str()),
        (sent["eventId"].as_str().expect("id"), "User login to Okta")
    );
    let Some(Card::CustomWebhook(card)) = event.card else { panic!("{:?}", event.card) };
    assert_eq!((card.actor.expect("actor").alternate_id.as_str(), card.targets.len()), ("admin@okta.com", 2));
    assert!(event.projection_errors.is_empty());
    server.stop().await;
}
