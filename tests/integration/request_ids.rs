//! Request ids: the same id with the same request is carried out once, across lost answers, restarts and crashes.

use std::time::Duration;

use okta_connector::proto::custom_api_action_request::Body;
use okta_connector::proto::custom_api_service_client::CustomApiServiceClient;
use okta_connector::proto::{CreateUserRequest, CreateUserResponse, CustomApiActionRequest, HttpMethod};
use reqwest::Method;
use serde_json::json;
use tonic::{Code, Request, Status};

use crate::harness::{Sandbox, Server, fields, metadata, profile, reason};

fn request(first_name: &str, request_id: &str) -> CreateUserRequest {
    CreateUserRequest { profile: Some(profile(first_name)), request_id: request_id.to_owned(), ..Default::default() }
}

async fn create(server: &Server, request: CreateUserRequest) -> Result<CreateUserResponse, Status> {
    server.users().await.create_user(request).await.map(tonic::Response::into_inner)
}

/// How often the org was asked to create something.
async fn creations(sandbox: &Sandbox) -> usize {
    sandbox.requests().await.iter().filter(|request| request["method"] == "POST").count()
}

#[tokio::test]
async fn the_same_request_is_carried_out_once_and_another_one_is_refused() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let first = create(&server, request("Once", "id-1")).await.expect("created");
    assert_eq!(create(&server, request("Once", "id-1")).await.expect("the same"), first);
    let server = Server::connected_in(server.kill(), &sandbox);
    assert_eq!(create(&server, request("Once", "id-1")).await.expect("after a restart"), first);
    assert_eq!(creations(&sandbox).await, 1);
    let reused = create(&server, request("Twice", "id-1")).await.expect_err("another request");
    assert_eq!((reused.code(), &*reason(&reused)), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(fields(&reused), ["request_id"]);
    for bad in ["x".repeat(129), "with space".to_owned(), "é".to_owned()] {
        let refused = create(&server, request("Bad", &bad)).await.expect_err("no id");
        assert_eq!((&*reason(&refused), &*fields(&refused)), ("INVALID_REQUEST", &["request_id".to_owned()][..]));
    }
    let stored = std::fs::read(server.path().join("request-ids.db")).expect("file");
    let log = std::fs::read(server.path().join("request-ids.db-wal")).unwrap_or_default();
    assert!(![stored, log].concat().windows(4).any(|text| text == b"once"), "what is kept is sealed");
    server.stop().await;
}

#[tokio::test]
async fn copies_sent_at_the_same_time_are_one() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let fault = json!({ "method": "POST", "after": true, "delay_ms": 300 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let copies = (0..20).map(|_| create(&server, request("Copy", "id-2")));
    let answers = futures_util::future::join_all(copies).await;
    let ids: std::collections::HashSet<_> =
        answers.into_iter().map(|answer| answer.expect("created").user.expect("user").id).collect();
    assert_eq!((ids.len(), creations(&sandbox).await), (1, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_user_whose_answer_was_lost_is_found_by_the_repetition() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let fault = json!({ "method": "POST", "after": true, "reset": true });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let lost = create(&server, request("Lost", "id-3")).await.expect_err("lost");
    assert_eq!((lost.code(), &*metadata(&lost, "ambiguous")), (Code::Unavailable, "true"));
    let found = create(&server, request("Lost", "id-3")).await.expect("found").user.expect("user");
    assert_eq!(found.profile.expect("profile").login.as_deref(), Some("lost@test.example"));
    assert_eq!(creations(&sandbox).await, 1);
    // What was lost before Okta saw it is carried out by the repetition.
    sandbox.control(Method::POST, "faults", Some(json!({ "method": "POST", "reset": true }))).await;
    create(&server, request("Gone", "id-4")).await.expect_err("gone");
    create(&server, request("Gone", "id-4")).await.expect("created");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_gets_the_answer_later() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let fault = json!({ "method": "POST", "after": true, "delay_ms": 700 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let mut leaving = Request::new(request("Leaving", "id-5"));
    leaving.set_timeout(Duration::from_secs(20));
    let mut users = server.users().await;
    let call = tokio::spawn(async move { users.create_user(leaving).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    call.abort();
    create(&server, request("Leaving", "id-5")).await.expect("the answer");
    assert_eq!(creations(&sandbox).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn what_was_refused_can_be_tried_again_and_a_post_of_unknown_outcome_is_not_repeated() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let fault = json!({ "method": "POST", "status": 400, "body": "{\"errorCode\":\"E0000001\"}" });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    create(&server, request("Again", "id-6")).await.expect_err("refused");
    create(&server, request("Again", "id-6")).await.expect("created");

    let mut api = CustomApiServiceClient::new(server.channel().await);
    let body = json!({ "profile": { "name": "Made once" } }).to_string();
    let post = CustomApiActionRequest {
        method: HttpMethod::Post.into(),
        relative_url: "/api/v1/groups".to_owned(),
        body: Some(Body::BodyJson(body)),
        request_id: "id-7".to_owned(),
        ..Default::default()
    };
    let fault = json!({ "method": "POST", "path": "/api/v1/groups", "after": true, "reset": true });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let before = creations(&sandbox).await;
    for _ in 0..3 {
        let unknown = api.custom_api_action(post.clone()).await.expect_err("unknown");
        assert_eq!(metadata(&unknown, "ambiguous"), "true");
    }
    assert_eq!(creations(&sandbox).await - before, 1);
    let fresh = CustomApiActionRequest { request_id: "id-8".to_owned(), ..post.clone() };
    let made = api.custom_api_action(fresh.clone()).await.expect("answered").into_inner();
    assert_eq!(api.custom_api_action(fresh).await.expect("again").into_inner(), made);
    let read = CustomApiActionRequest { method: HttpMethod::Get.into(), body: None, ..post };
    let refused = api.custom_api_action(read).await.expect_err("no POST");
    assert_eq!(fields(&refused), ["request_id"]);
    server.stop().await;
}
