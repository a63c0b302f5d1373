//! Rotating a hook's secret: no delivery is lost on the way, whatever breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use okta_connector::proto::event_hook_service_client::EventHookServiceClient;
use okta_connector::proto::{
    EventHook, EventHookHealth, HttpMethod, ListEventHooksRequest, RotateEventHookSecretRequest,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{body, deliver, log, registered, secrets_of, secrets_sent};
use crate::harness::{Sandbox, Server, fields, metadata, reason, run, wait_for};

async fn rotate(server: &Server, hook: &EventHook, grace: Option<i64>) -> Result<EventHook, Status> {
    let grace = grace.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let request = RotateEventHookSecretRequest { hook_id: hook.id.clone(), grace };
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    Ok(hooks.rotate_event_hook_secret(request).await?.into_inner().hook.expect("a hook"))
}

async fn health(server: &Server) -> EventHookHealth {
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner();
    listed.hooks[0].health.clone().expect("health")
}

/// What happens to the next call that gives a hook a new secret.
async fn fault(sandbox: &Sandbox, more: Value) {
    let mut fault = json!({ "path": "/api/v1/eventHooks", "method": "PUT" });
    fault.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    sandbox.control(Method::POST, "faults", Some(fault)).await;
}

/// How deliveries with each of these secrets are answered.
async fn answers(hook: &EventHook, secrets: &[String]) -> Vec<u16> {
    let mut answers = Vec::new();
    for secret in secrets {
        answers.push(deliver(hook, Some(secret), body(&["x"])).await.as_u16());
    }
    answers
}

#[tokio::test]
async fn rotating_under_a_steady_stream_of_events_loses_none() {
    let sandbox = Arc::new(Sandbox::start());
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let over = Arc::new(AtomicBool::new(false));
    let stream = tokio::spawn({
        let (sandbox, over) = (Arc::clone(&sandbox), Arc::clone(&over));
        async move {
            let mut happened = 0;
            while !over.load(Ordering::Relaxed) {
                let events = json!({ "event_type": "user.session.start", "times": 3 });
                sandbox.control(Method::POST, "events", Some(events)).await;
                happened += 3;
            }
            happened
        }
    });
    let arrived = async || log(&server).await.iter().filter(|event| event.event_type == "user.session.start").count();
    for rotations in 1..=3 {
        let so_far = arrived().await;
        wait_for("events of this secret", async || (arrived().await > so_far + 20).then_some(())).await;
        let rotated = rotate(&server, &hook, None).await.expect("rotated");
        assert!(rotated.verified && rotated.id == hook.id);
        assert_eq!(secrets_sent(&sandbox).await.len(), rotations + 1);
    }
    over.store(true, Ordering::Relaxed);
    let happened = stream.await.expect("joined");
    wait_for("every event", async || (arrived().await == happened).then_some(())).await;
    let health = health(&server).await;
    assert_eq!((health.deliveries_refused, health.deliveries_failed), (0, 0), "{}", health.last_error);
    let secrets = secrets_sent(&sandbox).await;
    assert_eq!(answers(&hook, &secrets).await, [204; 4], "every secret of the last hour is accepted");
    for secret in &secrets {
        assert!(!server.process.stderr().contains(secret));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_late_delivery_with_the_old_secret_is_taken_within_the_overlap_and_refused_after_it() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let late = async |grace| {
        sandbox.control(Method::POST, "deliveries/hold", None).await;
        let event = json!({ "event_type": "user.session.start" });
        sandbox.control(Method::POST, "events", Some(event)).await;
        wait_for("the delivery to be held", async || {
            let told: Value =
                serde_json::from_str(&sandbox.control(Method::GET, "deliveries", None).await).expect("JSON");
            (told["unseen"] == 0 && told["waiting"] == 1).then_some(())
        })
        .await;
        rotate(&server, &hook, grace).await.expect("rotated");
        sandbox.control(Method::POST, "deliveries/release", None).await;
    };
    late(None).await;
    wait_for("the late delivery", async || (health(&server).await.deliveries_accepted == 1).then_some(())).await;
    late(Some(0)).await;
    wait_for("a refusal", async || (health(&server).await.deliveries_refused == 1).then_some(())).await;
    assert_eq!(health(&server).await.deliveries_accepted, 1);
    server.stop().await;
}

#[tokio::test]
async fn the_overlap_ends_and_the_old_secret_is_forgotten_on_disk_too() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    rotate(&server, &hook, None).await.expect("rotated");
    assert_eq!(
        (answers(&hook, &secrets_sent(&sandbox).await).await, secrets_of(&server)),
        (vec![204, 204], vec![true])
    );
    rotate(&server, &hook, Some(1)).await.expect("rotated");
    let forgotten = async |server: &Server| {
        wait_for("the old secret to be forgotten", async || (secrets_of(server).len() == 1).then_some(())).await;
    };
    forgotten(&server).await;
    assert_eq!(answers(&hook, &secrets_sent(&sandbox).await).await, [204, 401, 204], "each has an end of its own");
    // One that ends while the server is down, or soon after.
    rotate(&server, &hook, Some(1)).await.expect("rotated");
    let server = Server::connected_in(server.stop().await, &sandbox);
    forgotten(&server).await;
    let moved = EventHook { uri: format!("{}/hooks/{}", server.http_url(), hook.id), ..hook };
    assert_eq!(answers(&moved, &secrets_sent(&sandbox).await).await, [204, 401, 401, 204]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_while_okta_is_told_accepts_both_secrets_afterwards() {
    for after in [true, false] {
        let sandbox = Sandbox::start();
        let server = Server::connected_to(&sandbox);
        let (hook, _) = registered(&server, &sandbox).await;
        fault(&sandbox, json!({ "after": after, "delay_ms": 300_000 })).await;
        let mut hooks = EventHookServiceClient::new(server.channel().await);
        let request = RotateEventHookSecretRequest { hook_id: hook.id.clone(), grace: None };
        let rotating = tokio::spawn(async move { hooks.rotate_event_hook_secret(request).await });
        wait_for("Okta to be told", async || (secrets_sent(&sandbox).await.len() == 2).then_some(())).await;
        let directory = server.kill();
        assert!(rotating.await.expect("joined").is_err());

        let server = Server::connected_in(directory, &sandbox);
        let moved = EventHook { uri: format!("{}/hooks/{}", server.http_url(), hook.id), ..hook.clone() };
        let secrets = secrets_sent(&sandbox).await;
        assert_eq!((answers(&moved, &secrets).await, secrets_of(&server)), (vec![204, 204], vec![false]));
        rotate(&server, &hook, Some(0)).await.expect("rotated again");
        assert_eq!(answers(&moved, &secrets_sent(&sandbox).await).await, [401, 401, 204]);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_new_secret_that_okta_refuses_is_dropped() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    fault(&sandbox, json!({ "status": 403 })).await;
    let refused = rotate(&server, &hook, None).await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "OKTA_PERMISSION_DENIED"));
    assert_eq!(metadata(&refused, "ambiguous"), "");
    let secrets = secrets_sent(&sandbox).await;
    assert_eq!((answers(&hook, &secrets).await, secrets_of(&server)), (vec![204, 401], Vec::new()));
    server.stop().await;
}

#[tokio::test]
async fn when_nobody_knows_whether_okta_has_the_new_secret_both_are_accepted() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let faults = [json!({ "status": 503 }), json!({ "after": true, "cut": true }), json!({ "status": 302 })];
    for (number, wrong) in faults.into_iter().enumerate() {
        fault(&sandbox, wrong).await;
        let unclear = rotate(&server, &hook, None).await.expect_err("unclear");
        assert_eq!((unclear.code(), metadata(&unclear, "ambiguous").as_str()), (Code::Unavailable, "true"));
        assert!(unclear.message().contains("rotated again"), "{unclear}");
        let secrets = secrets_sent(&sandbox).await;
        assert_eq!(answers(&hook, &secrets).await, vec![204; number + 2]);
        assert_eq!(secrets_of(&server), vec![false; number + 1], "none of them has an end");
    }
    rotate(&server, &hook, Some(0)).await.expect("rotated at last");
    assert_eq!(answers(&hook, &secrets_sent(&sandbox).await).await, [401, 401, 401, 401, 204]);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_leave_a_rotation_half_done() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    fault(&sandbox, json!({ "after": true, "delay_ms": 500 })).await;
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let request = RotateEventHookSecretRequest { hook_id: hook.id.clone(), grace: None };
    let rotating = tokio::spawn(async move { hooks.rotate_event_hook_secret(request).await });
    wait_for("Okta to be told", async || (secrets_sent(&sandbox).await.len() == 2).then_some(())).await;
    let twice = rotate(&server, &hook, None).await.expect_err("one at a time");
    assert_eq!((twice.code(), reason(&twice).as_str()), (Code::Aborted, "OKTA_CONFLICT"));
    rotating.abort();
    wait_for("the old secret to get its end", async || (secrets_of(&server) == [true]).then_some(())).await;
    assert_eq!(answers(&hook, &secrets_sent(&sandbox).await).await, [204, 204]);
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_wants_the_hook_verified_again_gets_that() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    sandbox.control(Method::POST, "hooks", Some(json!({ "unverify_replaced": true }))).await;
    assert!(rotate(&server, &hook, None).await.expect("rotated").verified);
    let path = format!("/api/v1/eventHooks/{}", hook.okta_id);
    let on_org = server.call(HttpMethod::Get, &path, None).await;
    assert_eq!(on_org["verificationStatus"], "VERIFIED");
    fault(&sandbox, json!({ "method": "POST", "status": 400 })).await;
    let unverified = rotate(&server, &hook, None).await.expect_err("not verified");
    assert_eq!(reason(&unverified), "HOOK_VERIFICATION_FAILED");
    assert_eq!(answers(&hook, &secrets_sent(&sandbox).await).await, [204, 204, 204]);
    let mut hooks = EventHookServiceClient::new(server.channel().await);
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner();
    assert!(!listed.hooks[0].verified);
    server.stop().await;
}

#[tokio::test]
async fn what_an_admin_has_changed_about_a_hook_stays() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let path = format!("/api/v1/eventHooks/{}", hook.okta_id);
    let changed = json!({
        "name": "Renamed", "events": { "type": "EVENT_TYPE", "items": ["user.session.start"] },
        "channel": { "type": "HTTP", "version": "1.0.0", "config": {
            "uri": hook.uri, "headers": [{ "key": "x-team", "value": "red" }],
            "authScheme": { "type": "HEADER", "key": "Authorization", "value": secret },
        } },
    });
    server.call(HttpMethod::Put, &path, Some(changed.clone())).await;
    rotate(&server, &hook, None).await.expect("rotated");
    let on_org = server.call(HttpMethod::Get, &path, None).await;
    assert_eq!((&on_org["name"], &on_org["events"]), (&changed["name"], &changed["events"]));
    let config = &on_org["channel"]["config"];
    assert_eq!((&config["headers"], &config["uri"]), (&changed["channel"]["config"]["headers"], &json!(hook.uri)));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused_and_the_command_line_rotates_too() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    for seconds in [-1, 86_401] {
        let refused = rotate(&server, &hook, Some(seconds)).await.expect_err("out of bounds");
        assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["grace".to_owned()]));
    }
    let unknown = EventHook { id: "hook_unknown".to_owned(), ..Default::default() };
    let unknown = rotate(&server, &unknown, None).await.expect_err("unknown");
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "HOOK_NOT_FOUND"));
    assert_eq!(secrets_sent(&sandbox).await.len(), 1);

    let at = ("OKTA_CONNECTOR_SERVER", server.process.ready["grpc"].as_str().expect("address"));
    let (code, shown, stderr) = run(&["hooks", "rotate", &hook.id, "--grace", "0"], &[at]);
    assert_eq!(code, 0, "{stderr}");
    assert!(shown.starts_with(&hook.id) && shown.contains("ACTIVE") && shown.contains("verified"), "{shown}");
    let secrets = secrets_sent(&sandbox).await;
    assert_eq!(answers(&hook, &secrets).await, [401, 204]);
    assert!(!shown.contains(&secrets[1]) && !stderr.contains(&secrets[1]));
    assert_eq!(run(&["hooks", "rotate", &hook.id, "--grace", "86401"], &[at]).0, 64);
    assert_ne!(run(&["hooks", "rotate", "hook_unknown"], &[at]).0, 0);
    assert_eq!(deliver(&hook, None, body(&["x"])).await, StatusCode::UNAUTHORIZED);
    server.stop().await;
}
