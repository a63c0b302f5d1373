//! The event stream: what is followed, where it starts, and that nothing is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use okta_connector::proto::event::Card;
use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{
    AddUserToGroupRequest, DeactivateUserRequest, Event, EventCard, EventFilter, ListEventTypesRequest,
    ListEventsRequest, RemoveUserFromGroupRequest, StartPosition, SubscribeEventsRequest, SubscribeEventsResponse,
    UserGroupsState,
};
use tonic::{Code, Streaming};

use crate::harness::{PATIENCE, Sandbox, Server, fields, http, reason, run, wait_for};
use crate::hooks::{deliver, log, registered};

fn from(position: StartPosition) -> SubscribeEventsRequest {
    SubscribeEventsRequest { start: Some(Start::Position(position.into())), ..Default::default() }
}

fn after(cursor: &str) -> SubscribeEventsRequest {
    SubscribeEventsRequest { start: Some(Start::AfterCursor(cursor.to_owned())), ..Default::default() }
}

async fn open(server: &Server, request: SubscribeEventsRequest) -> Streaming<SubscribeEventsResponse> {
    let mut frames = server.events().await.subscribe_events(request).await.expect("opened").into_inner();
    let first = frames.message().await.expect("frame").expect("frame");
    assert!(matches!(first.frame, Some(Frame::Opened(_))), "{first:?}");
    frames
}

/// The next event, with its cursor.
async fn next(frames: &mut Streaming<SubscribeEventsResponse>) -> (String, Event) {
    let next = async {
        loop {
            let response = frames.message().await.expect("frame").expect("frame");
            if let Some(Frame::Event(event)) = response.frame {
                return (response.cursor, event);
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("an event")
}

fn session(uuid: &str) -> String {
    format!(r#"{{"data":{{"events":[{{"uuid":"{uuid}","eventType":"user.session.start"}}]}}}}"#)
}

#[tokio::test]
async fn a_subscriber_sees_what_calls_have_done() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    registered(&server, &sandbox).await;
    let user_events = EventFilter { event_types: vec!["user.lifecycle.*".to_owned()], ..Default::default() };
    let request = SubscribeEventsRequest { filters: vec![user_events], ..from(StartPosition::Latest) };
    let mut frames = open(&server, request).await;
    let user = server.create_user("Seen").await;
    let request = DeactivateUserRequest { id_or_login: user.id.clone(), ..Default::default() };
    server.users().await.deactivate_user(request).await.expect("deactivated");

    let mut seen = HashSet::new();
    for _ in 0..3 {
        let (_, event) = next(&mut frames).await;
        let (name, admin, okta_user) = match event.card.expect("card") {
            Card::UserCreated(card) => ("created", card.admin, card.okta_user),
            Card::UserActivated(card) => ("activated", card.admin, card.okta_user),
            Card::UserDeactivated(card) => ("deactivated", card.admin, card.okta_user),
            other => panic!("{other:?}"),
        };
        assert!(seen.insert(name));
        assert_eq!(admin.expect("admin").alternate_id, "alice.admin@acme.example");
        let okta_user = okta_user.expect("user");
        assert_eq!((okta_user.id.as_str(), okta_user.alternate_id.as_str()), (user.id.as_str(), "seen@test.example"));
        assert!(!event.uuid.is_empty() && event.published.is_some() && event.event_time.is_some());
        let details: serde_json::Value = serde_json::from_str(&event.full_details_json).expect("JSON");
        assert_eq!(details["uuid"], event.uuid.as_str());
    }
    assert_eq!(seen.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left_without_loss_or_repeat() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    for number in 0..5 {
        deliver(&hook, Some(&secret), session(&format!("u{number}"))).await;
    }
    let mut frames = open(&server, from(StartPosition::Earliest)).await;
    let mut uuids = Vec::new();
    let mut cursor = String::new();
    for _ in 0..2 {
        let (place, event) = next(&mut frames).await;
        uuids.push(event.uuid);
        cursor = place;
    }
    drop(frames);
    let server = Server::connected_in(server.stop().await, &sandbox);
    let mut frames = open(&server, after(&cursor)).await;
    for _ in 2..5 {
        uuids.push(next(&mut frames).await.1.uuid);
    }
    assert_eq!(uuids, ["u0", "u1", "u2", "u3", "u4"]);

    let list = ListEventsRequest { page_size: 3, ..Default::default() };
    let page = server.events().await.list_events(list).await.expect("listed").into_inner();
    assert_eq!((page.events.len(), page.caught_up), (3, false));
    let mut frames = open(&server, after(&page.next_cursor)).await;
    assert_eq!(next(&mut frames).await.1.uuid, "u3");
    server.stop().await;
}

#[tokio::test]
async fn filters_choose_and_heartbeats_move_the_cursor_past_the_rest() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    registered(&server, &sandbox).await;
    let filter = EventFilter {
        cards: vec![EventCard::UserDeactivated.into()],
        event_types: vec!["user.lifecycle.deactivate".to_owned(), "user.nonsense".to_owned()],
        connections: vec!["default".to_owned()],
        ..Default::default()
    };
    let request = SubscribeEventsRequest {
        filters: vec![filter],
        heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..from(StartPosition::Latest)
    };
    let mut frames = server.events().await.subscribe_events(request).await.expect("opened").into_inner();
    let opened = frames.message().await.expect("frame").expect("frame");
    let Some(Frame::Opened(told)) = opened.frame else { panic!("no opened frame") };
    assert_eq!(told.unknown_event_types, ["user.nonsense"]);
    server.create_user("Filtered").await;
    let moved = tokio::time::timeout(PATIENCE, async {
        loop {
            let response = frames.message().await.expect("frame").expect("frame");
            match response.frame {
                Some(Frame::Heartbeat(heartbeat)) if response.cursor != opened.cursor && heartbeat.backlog == 0 => {
                    return response.cursor;
                }
                Some(Frame::Event(event)) => panic!("{event:?} was to be left out"),
                _ => {}
            }
        }
    });
    let moved = moved.await.expect("a heartbeat that has moved on");
    let deactivate = DeactivateUserRequest { id_or_login: "filtered@test.example".to_owned(), ..Default::default() };
    server.users().await.deactivate_user(deactivate).await.expect("deactivated");
    let mut resumed = open(&server, after(&moved)).await;
    assert!(matches!(next(&mut resumed).await.1.card, Some(Card::UserDeactivated(_))));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_subscription_is_refused_with_its_reason() {
    let (sandbox, other) = (Sandbox::start(), Sandbox::start());
    let server = Server::connected_to(&sandbox);
    let foreign = {
        let server = Server::connected_to(&other);
        let log = server.events().await.get_event_log(okta_connector::proto::GetEventLogRequest {}).await;
        let cursor = log.expect("log").into_inner().head_cursor;
        server.stop().await;
        cursor
    };
    // A cursor of the future: the journal is put back to what it was before the event.
    let (hook, secret) = registered(&server, &sandbox).await;
    let directory = server.stop().await;
    let backup = std::fs::read(directory.path().join("journal.db")).expect("backup");
    let server = Server::connected_in(directory, &sandbox);
    let moved = okta_connector::proto::EventHook { uri: format!("{}/hooks/{}", server.http_url(), hook.id), ..hook };
    deliver(&moved, Some(&secret), session("u1")).await;
    let mut frames = open(&server, from(StartPosition::Earliest)).await;
    let (future, _) = next(&mut frames).await;
    let directory = server.stop().await;
    std::fs::write(directory.path().join("journal.db"), backup).expect("restored");
    let server = Server::connected_in(directory, &sandbox);

    let mut events = server.events().await;
    let refusals = [
        (after("nonsense"), "CURSOR_MALFORMED"),
        (after(""), "CURSOR_MALFORMED"),
        (after(&foreign), "CURSOR_FOREIGN"),
        (after(&future), "CURSOR_IN_FUTURE"),
    ];
    for (request, wanted) in refusals {
        let status = events.subscribe_events(request).await.expect_err(wanted);
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, wanted));
    }
    let interval = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let start_time = |seconds| Some(Start::StartTime(prost_types::Timestamp { seconds, nanos: 0 }));
    let filter = |filter| SubscribeEventsRequest { filters: vec![filter], ..Default::default() };
    let wrong = [
        (SubscribeEventsRequest { heartbeat_interval: interval(0), ..Default::default() }, "heartbeat_interval"),
        (SubscribeEventsRequest { heartbeat_interval: interval(31), ..Default::default() }, "heartbeat_interval"),
        (SubscribeEventsRequest { stop_after_events: -1, ..Default::default() }, "stop_after_events"),
        (SubscribeEventsRequest { start: start_time(i64::MAX / 2), ..Default::default() }, "start_time"),
        (filter(EventFilter { event_types: vec![String::new()], ..Default::default() }), "filters[0].event_types[0]"),
        (filter(EventFilter { cards: vec![99], ..Default::default() }), "filters[0].cards[0]"),
    ];
    for (request, field) in wrong {
        let status = events.subscribe_events(request).await.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let nowhere = filter(EventFilter { connections: vec!["nowhere".to_owned()], ..Default::default() });
    assert_eq!(reason(&events.subscribe_events(nowhere).await.expect_err("nowhere")), "CONNECTION_NOT_FOUND");
    let types = events.list_event_types(ListEventTypesRequest::default()).await.expect("types").into_inner();
    assert!(types.event_types.len() > 1000);
    server.stop().await;
}

/// The heart of the matter: 204 means that it is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_acknowledged_survives_a_kill_and_is_there_once() {
    const SENDERS: usize = 8;
    const ROUNDS: usize = 3;
    let sandbox = Sandbox::start();
    let mut server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let uri = format!("{}/hooks/{}", server.http_url(), hook.id);
        let over = Arc::new(AtomicBool::new(false));
        let sending = (0..SENDERS).map(|sender| {
            let (uri, secret, over) = (uri.clone(), secret.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let client = http();
                let mut taken = Vec::new();
                for number in 0..100_000 {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let uuid = format!("{round}-{sender}-{number}");
                    let request = client.post(&uri).header("authorization", &secret).body(session(&uuid));
                    match request.send().await {
                        Ok(answer) if answer.status() == 204 => taken.push(uuid),
                        Ok(answer) => panic!("{}", answer.status()),
                        Err(_) => break,
                    }
                }
                taken
            })
        });
        let sending: Vec<_> = sending.collect();
        wait_for("some deliveries", async || {
            let log = okta_connector::proto::GetEventLogRequest {};
            let events = server.events().await.get_event_log(log).await.expect("log").into_inner().events;
            (events >= 300 * (i64::try_from(round).expect("small") + 1)).then_some(())
        })
        .await;
        let directory = server.kill();
        over.store(true, Ordering::Relaxed);
        for sender in sending {
            acknowledged.extend(sender.await.expect("joined"));
        }
        server = Server::connected_in(directory, &sandbox);
    }
    let events = log(&server).await;
    let uuids: Vec<&str> = events.iter().map(|event| event.uuid.as_str()).collect();
    let unique: HashSet<&str> = uuids.iter().copied().collect();
    assert_eq!(unique.len(), uuids.len(), "an event is there twice");
    let lost: Vec<&String> = acknowledged.iter().filter(|uuid| !unique.contains(uuid.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), acknowledged.len());
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    assert!(sequences.iter().zip(1..).all(|(found, expected)| *found == expected), "sequences are not dense");
    server.stop().await;
}

#[tokio::test]
async fn membership_events_have_the_groups_of_their_user_when_asked_for_and_never_wait_for_them_in_vain() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    registered(&server, &sandbox).await;
    let user = server.create_user("Grouped").await;
    let (one, two) = (server.create_group("One").await, server.create_group("Two").await);
    let cards = EventFilter { cards: vec![EventCard::UserAddedToGroup.into()], ..Default::default() };
    let request = SubscribeEventsRequest { filters: vec![cards], ..from(StartPosition::Latest) };
    let mut plain = open(&server, request.clone()).await;
    let mut enriched = open(&server, SubscribeEventsRequest { enrich_user_groups: true, ..request }).await;
    let add = async |group: &str| {
        let (group_id, user_id) = (group.to_owned(), user.id.clone());
        let request = AddUserToGroupRequest { group_id, user_id, ..Default::default() };
        server.groups().await.add_user_to_group(request).await.expect("added");
    };
    let groups = |event: Event| match event.card {
        Some(Card::UserAddedToGroup(card)) => card.user_groups,
        other => panic!("{other:?}"),
    };
    add(&one).await;
    let found = groups(next(&mut enriched).await.1).expect("looked up");
    let names: HashSet<_> = found.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!((found.state(), names), (UserGroupsState::Complete, HashSet::from(["Everyone", "One"])));
    assert!(groups(next(&mut plain).await.1).is_none());

    let path = format!("/api/v1/users/{}/groups", user.id);
    let fault = serde_json::json!({ "path": path, "status": 500, "times": 100 });
    sandbox.control(reqwest::Method::POST, "faults", Some(fault)).await;
    let mut failed = async || {
        let (at, of) = (two.clone(), user.id.clone());
        let request = AddUserToGroupRequest { group_id: at, user_id: of, ..Default::default() };
        server.groups().await.add_user_to_group(request).await.expect("added");
        let failed = groups(next(&mut enriched).await.1).expect("looked up");
        assert!(failed.state() != UserGroupsState::Failed || !failed.error.is_empty());
        let request =
            RemoveUserFromGroupRequest { group_id: two.clone(), user_id: user.id.clone(), ..Default::default() };
        server.groups().await.remove_user_from_group(request).await.expect("removed");
        // The answer of before is good for two seconds.
        (failed.state() == UserGroupsState::Failed).then_some(())
    };
    wait_for("a look-up that fails", &mut failed).await;
    server.stop().await;
}

#[tokio::test]
async fn a_range_is_exported_as_lines_that_lead_back_into_the_log() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    for uuid in ["1", "2", "3"] {
        assert!(deliver(&hook, Some(&secret), session(uuid)).await.is_success());
    }
    let grpc = server.process.ready["grpc"].as_str().expect("address").to_owned();
    let export = |more: &[&str]| {
        let (code, stdout, stderr) = run(&[&["events", "export", "--server", &grpc], more].concat(), &[]);
        assert_eq!(code, 0, "{stderr}");
        let lines = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect::<Vec<serde_json::Value>>()
    };
    let uuids = |lines: &[serde_json::Value]| {
        lines.iter().map(|line| line["event"]["uuid"].as_str().expect("uuid").to_owned()).collect::<Vec<_>>()
    };
    let all = export(&[]);
    assert_eq!(uuids(&all), ["1", "2", "3"]);
    let cursor = all[0]["cursor"].as_str().expect("cursor");
    assert_eq!(uuids(&export(&["--from", cursor])), ["2", "3"]);
    assert!(export(&["--card", "user-created"]).is_empty() && export(&["--type", "group.*"]).is_empty());
    let file = server.path().join("events.jsonl");
    let output = file.to_str().expect("UTF-8");
    assert!(export(&["--output", output]).is_empty());
    assert_eq!(std::fs::read_to_string(&file).expect("written").lines().count(), 3);
    let (code, _, stderr) = run(&["events", "export", "--server", &grpc, "--output", output], &[]);
    assert!(code == 64 && stderr.contains("--output"), "{stderr}");
    server.stop().await;
}
