//! The demo: one command, and the whole product in miniature.

use std::collections::HashSet;

use okta_connector::proto::event_service_client::EventServiceClient;
use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{StartPosition, SubscribeEventsRequest};

use crate::harness::{PATIENCE, Process, channel, run};

const ANYWHERE: [&str; 9] = [
    "demo",
    "--grpc-addr",
    "127.0.0.1:0",
    "--http-addr",
    "127.0.0.1:0",
    "--admin-addr",
    "127.0.0.1:0",
    "--sandbox-addr",
    "127.0.0.1:0",
];

#[tokio::test]
async fn the_demo_is_hooked_up_and_something_goes_on() {
    let demo = Process::start(&ANYWHERE, &[("OKTA_DOMAIN", "never.okta.com"), ("OKTA_API_TOKEN", "never")]);
    for name in ["grpc", "http", "admin", "sandbox", "api_token", "connection", "pid"] {
        assert!(!demo.ready[name].is_null(), "{name} in {}", demo.ready);
    }
    let request =
        SubscribeEventsRequest { start: Some(Start::Position(StartPosition::Earliest.into())), ..Default::default() };
    let mut events = EventServiceClient::new(channel(&demo).await);
    let mut frames = events.subscribe_events(request).await.expect("opened").into_inner();
    let mut cards = HashSet::new();
    let several = async {
        while cards.len() < 3 {
            let response = frames.message().await.expect("frame").expect("frame");
            if let Some(Frame::Event(event)) = response.frame {
                cards.insert(event.event_type);
            }
        }
    };
    tokio::time::timeout(PATIENCE, several).await.expect("events of several cards");
    assert!(demo.stderr().contains("okta-connector tail") && demo.stderr().contains("grpcurl"));
    demo.stop().await;
}

#[tokio::test]
async fn the_command_line_manages_what_runs() {
    let demo = Process::start(&ANYWHERE, &[]);
    let server = demo.ready["grpc"].as_str().expect("address");
    let at = ("OKTA_CONNECTOR_SERVER", server);
    let (code, list, _) = run(&["connections", "list"], &[at]);
    assert!(code == 0 && list.contains("default") && list.contains("ACTIVE"), "{list}");
    let (code, checks, _) = run(&["connections", "test", "default"], &[at]);
    assert!(code == 0 && checks.contains("ok    credential"), "{checks}");
    let (code, hooks, _) = run(&["hooks", "list"], &[at]);
    assert!(code == 0 && hooks.contains("verified"), "{hooks}");
    let (code, added, _) = run(&["connections", "add", "second", "acme.okta.com"], &[at, ("OKTA_API_TOKEN", "t")]);
    assert!(code == 0 && added.contains("second"), "{added}");
    let (code, shown, _) = run(&["connections", "show", "second"], &[at]);
    assert!(code == 0 && shown.contains("\"baseUrl\": \"https://acme.okta.com\""), "{shown}");
    assert_eq!(run(&["connections", "remove", "second"], &[at]).0, 0);
    let (code, _, error) = run(&["connections", "show", "second"], &[at]);
    assert!(code == 1 && error.contains("CONNECTION_NOT_FOUND"), "{error}");
    let (code, _, error) = run(&["connections", "list", "--server", "127.0.0.1:9"], &[]);
    assert!(code == 1 && error.contains("127.0.0.1:9"), "{error}");
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_forwards_events_in_order_and_tries_again_until_they_are_taken() {
    let (sender, mut received) = tokio::sync::mpsc::channel::<serde_json::Value>(16);
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let take = move |body: String| {
        let (sender, refused) = (sender.clone(), std::sync::Arc::clone(&refused));
        async move {
            if !refused.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return axum::http::StatusCode::SERVICE_UNAVAILABLE;
            }
            let _ = sender.send(serde_json::from_str(&body).expect("JSON")).await;
            axum::http::StatusCode::OK
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/events", listener.local_addr().expect("address"));
    let service = axum::Router::new().route("/events", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, service).await });

    let demo = Process::start(&ANYWHERE, &[]);
    let server = demo.ready["grpc"].as_str().expect("address");
    let arguments = ["tail", "--from", "earliest", "--type", "user.lifecycle.*", "--json", "--forward-to", &url];
    // Its first line of JSON is an event; the harness takes it for a ready line.
    let tail = Process::start(&arguments, &[("OKTA_CONNECTOR_SERVER", server)]);
    assert_eq!(tail.ready["event"]["eventType"], "user.lifecycle.create");
    assert!(tail.ready["cursor"].is_string() && tail.ready["event"]["userCreated"].is_object());
    for wanted in ["user.lifecycle.create", "user.lifecycle.activate"] {
        let event = tokio::time::timeout(PATIENCE, received.recv()).await.expect("in time").expect("an event");
        assert_eq!(event["event"]["eventType"], wanted);
    }
    assert!(tail.stderr().contains("503"), "{}", tail.stderr());
    tail.terminate();
    assert!(tail.wait().await.0.success());
    demo.stop().await;
}
