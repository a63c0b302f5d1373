//! Making hooks: split where there are too many types, all or none, within the org's bounds; and hooks that somebody has lost.

use std::collections::HashSet;

use okta_connector::proto::event_hook_service_client::EventHookServiceClient;
use okta_connector::proto::{
    ActivateEventHookRequest, ApiTokenCredentials, CreateConnectionRequest, DeactivateEventHookRequest,
    DeleteConnectionRequest, DeleteEventHookRequest, EventHookStatus, HttpMethod, ListEventHooksRequest,
    RegisterEventHookRequest, RotateEventHookSecretRequest, VerifyEventHookRequest,
    create_connection_request::Credentials,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;

use super::{body, deliver, registered};
use crate::harness::{Sandbox, Server, http, metadata, reason, wait_for};

fn types(count: usize) -> RegisterEventHookRequest {
    let event_types = (0..count).map(|number| format!("newer.than.our.catalogue.{number:03}")).collect();
    RegisterEventHookRequest { name: "many".to_owned(), event_types, ..Default::default() }
}

async fn client(server: &Server) -> EventHookServiceClient<Channel> {
    EventHookServiceClient::new(server.channel().await)
}

/// The hooks that the org has.
async fn on_org(server: &Server) -> Vec<Value> {
    let hooks = server.call(HttpMethod::Get, "/api/v1/eventHooks", None).await;
    hooks.as_array().expect("list").clone()
}

/// How often a hook was made on the org.
async fn made(sandbox: &Sandbox) -> usize {
    let sent = sandbox.requests().await;
    sent.iter().filter(|sent| sent["method"] == "POST" && sent["path"] == "/api/v1/eventHooks").count()
}

#[tokio::test]
async fn more_than_300_types_are_split_over_several_hooks() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let hooks = client(&server).await.register_event_hook(types(301)).await.expect("registered").into_inner().hooks;
    let names: Vec<&str> = hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(names, ["many", "many (2)"]);
    let sizes: Vec<usize> = hooks.iter().map(|hook| hook.event_types.len()).collect();
    assert_eq!(sizes, [300, 1]);
    let all: HashSet<&String> = hooks.iter().flat_map(|hook| &hook.event_types).collect();
    assert_eq!(all.len(), 301);
    assert!(hooks.iter().all(|hook| hook.verified && hook.status() == EventHookStatus::Active));
    for number in ["000", "300"] {
        let event = json!({ "event_type": format!("newer.than.our.catalogue.{number}") });
        sandbox.control(Method::POST, "events", Some(event)).await;
    }
    wait_for("a delivery to each", async || {
        let listed = client(&server).await.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed");
        let health = listed.into_inner().hooks.into_iter().map(|hook| hook.health.expect("health"));
        health.map(|health| health.deliveries_accepted).eq([1, 1]).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn when_a_later_hook_cannot_be_made_the_earlier_ones_are_removed_again() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    // The first hook is made and verified; then the second is refused, made without our hearing of it, or not verified.
    let passes = json!({ "method": "POST", "path": "/api/v1/eventHooks", "times": 2 });
    let fails = |more: &[(&str, Value)]| {
        let mut fault = json!({ "method": "POST", "path": "/api/v1/eventHooks" });
        more.iter().for_each(|(name, value)| fault[*name] = value.clone());
        fault
    };
    let refused = vec![passes.clone(), fails(&[("status", json!(403))])];
    let unheard = vec![passes.clone(), fails(&[("status", json!(503)), ("after", json!(true))])];
    let unverified = vec![fails(&[("times", json!(3))]), fails(&[("status", json!(400))])];
    let cases =
        [(refused, "OKTA_PERMISSION_DENIED"), (unheard, "OKTA_UNAVAILABLE"), (unverified, "HOOK_VERIFICATION_FAILED")];
    for (number, (faults, wanted)) in cases.into_iter().enumerate() {
        for fault in faults {
            sandbox.control(Method::POST, "faults", Some(fault)).await;
        }
        let status = client(&server).await.register_event_hook(types(301)).await.expect_err(wanted);
        assert_eq!(reason(&status), wanted);
        assert_eq!(made(&sandbox).await, 2 * (number + 1), "{wanted}: both were tried");
        assert_eq!(on_org(&server).await, Vec::<Value>::new(), "{wanted}");
        let listed = client(&server).await.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed");
        assert!(listed.into_inner().hooks.is_empty(), "{wanted}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_has_no_room_says_so_with_its_hooks_before_any_is_made() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut hooks = client(&server).await;
    for number in 0..24 {
        let request = RegisterEventHookRequest { name: format!("hook-{number}"), ..Default::default() };
        hooks.register_event_hook(request).await.expect("registered");
    }
    let two = hooks.register_event_hook(types(301)).await.expect_err("room for one only");
    assert_eq!((two.code(), reason(&two).as_str()), (Code::ResourceExhausted, "HOOK_LIMIT_REACHED"));
    let last = hooks.register_event_hook(types(300)).await.expect("room for one").into_inner().hooks.remove(0);
    let full = hooks.register_event_hook(RegisterEventHookRequest::default()).await.expect_err("full");
    assert_eq!((full.code(), reason(&full).as_str()), (Code::ResourceExhausted, "HOOK_LIMIT_REACHED"));
    assert!(full.message().contains("hook-17"), "{full}");
    let listed = metadata(&full, "hooks");
    assert!(listed.contains("hook-23 (who") && listed.contains(&format!("many ({})", last.okta_id)), "{listed}");
    assert_eq!((metadata(&full, "active_hooks").as_str(), made(&sandbox).await), ("25", 25));
    // An inactive hook takes no place.
    let hook_id = || last.id.clone();
    hooks.deactivate_event_hook(DeactivateEventHookRequest { hook_id: hook_id() }).await.expect("deactivated");
    hooks.register_event_hook(RegisterEventHookRequest::default()).await.expect("room again");
    let full =
        hooks.activate_event_hook(ActivateEventHookRequest { hook_id: hook_id() }).await.expect_err("full again");
    assert_eq!((full.code(), reason(&full).as_str()), (Code::ResourceExhausted, "HOOK_LIMIT_REACHED"));
    server.stop().await;
}

#[tokio::test]
async fn without_a_public_url_no_hook_is_made_on_an_org_elsewhere() {
    let server = Server::alone();
    let request = CreateConnectionRequest {
        nickname: "acme".to_owned(),
        domain: "acme.okta.com".to_owned(),
        credentials: Some(Credentials::ApiToken(ApiTokenCredentials { api_token: "00token".to_owned() })),
    };
    server.connections().await.create_connection(request).await.expect("created");
    let refused = client(&server).await.register_event_hook(RegisterEventHookRequest::default()).await;
    let status = refused.expect_err("unreachable");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PUBLIC_URL_NOT_SET"));
    server.stop().await;
}

#[tokio::test]
async fn a_hook_that_the_org_has_lost_or_nobody_knows_is_not_found() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let path = format!("/api/v1/eventHooks/{}", hook.okta_id);
    server.call(HttpMethod::Post, &format!("{path}/lifecycle/deactivate"), None).await;
    server.call(HttpMethod::Delete, &path, None).await;

    let mut hooks = client(&server).await;
    let listed = hooks.list_event_hooks(ListEventHooksRequest::default()).await.expect("listed").into_inner().hooks;
    assert_eq!(listed[0].status(), EventHookStatus::Unspecified);
    for (hook_id, wanted) in [(hook.id.as_str(), "OKTA_NOT_FOUND"), ("hook_unknown", "HOOK_NOT_FOUND")] {
        let id = || hook_id.to_owned();
        let refusals = [
            hooks.verify_event_hook(VerifyEventHookRequest { hook_id: id() }).await.map(drop),
            hooks.activate_event_hook(ActivateEventHookRequest { hook_id: id() }).await.map(drop),
            hooks.deactivate_event_hook(DeactivateEventHookRequest { hook_id: id() }).await.map(drop),
            hooks.rotate_event_hook_secret(RotateEventHookSecretRequest { hook_id: id(), grace: None }).await.map(drop),
        ];
        for refused in refusals {
            let status = refused.expect_err("not found");
            assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, wanted));
        }
    }
    hooks.delete_event_hook(DeleteEventHookRequest { hook_id: hook.id.clone() }).await.expect("deleted here");
    let gone = hooks.delete_event_hook(DeleteEventHookRequest { hook_id: hook.id }).await.expect_err("gone");
    assert_eq!(reason(&gone), "HOOK_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_hook_that_is_inactive_stays_so_when_it_is_verified() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, _) = registered(&server, &sandbox).await;
    let mut hooks = client(&server).await;
    let request = DeactivateEventHookRequest { hook_id: hook.id.clone() };
    let switched = hooks.deactivate_event_hook(request).await.expect("deactivated").into_inner().hook.expect("hook");
    assert_eq!(switched.status(), EventHookStatus::Inactive);
    let request = VerifyEventHookRequest { hook_id: hook.id };
    let verified = hooks.verify_event_hook(request).await.expect("verified").into_inner().hook.expect("hook");
    assert!(verified.verified && verified.status() == EventHookStatus::Inactive);
    server.stop().await;
}

#[tokio::test]
async fn deliveries_for_a_connection_that_is_gone_find_no_hook_and_are_counted() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    assert_eq!(deliver(&hook, Some(&secret), body(&["a"])).await, StatusCode::NO_CONTENT);
    let request = DeleteConnectionRequest { connection: "default".to_owned() };
    server.connections().await.delete_connection(request).await.expect("deleted");
    assert_eq!(deliver(&hook, Some(&secret), body(&["b"])).await, StatusCode::NOT_FOUND);
    // The org does not know yet, and goes on.
    sandbox.control(Method::POST, "events", Some(json!({ "event_type": "user.session.start" }))).await;
    wait_for("both to be counted", async || {
        let metrics = http().get(format!("{}/metrics", server.admin_url())).send().await.expect("answered");
        let text = metrics.text().await.expect("text");
        let counted = |outcome, count| {
            text.contains(&format!("okta_connector_hook_deliveries_total{{outcome=\"{outcome}\"}} {count}\n"))
        };
        (counted("accepted", 1) && counted("unknown_hook", 2)).then_some(())
    })
    .await;
    let server = Server::start_in(server.stop().await, &[]);
    let moved = format!("{}/hooks/{}", server.http_url(), hook.id);
    let again = deliver(&okta_connector::proto::EventHook { uri: moved, ..hook }, Some(&secret), body(&["c"])).await;
    assert_eq!(again, StatusCode::NOT_FOUND);
    server.stop().await;
}
