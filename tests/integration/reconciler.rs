//! What hooks lose, the System Log brings: every event arrives, once, and the stream says what is proven.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{
    Event, EventLogSource, EventSource, GapState, GetEventLogRequest, ReconcilerState, StartPosition,
    SubscribeEventsRequest, SubscribeEventsResponse,
};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tonic::Streaming;

use crate::harness::{PATIENCE, Sandbox, Server, wait_for};
use crate::hooks::{log, registered};

/// A server that reads the sandbox's System Log every second.
fn reading(sandbox: &Sandbox, directory: TempDir) -> Server {
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let variables = [
        ("OKTA_DOMAIN", url.as_str()),
        ("OKTA_API_TOKEN", token.as_str()),
        ("OKTA_CONNECTOR_SYSTEM_LOG", "true"),
        ("OKTA_CONNECTOR_SYSTEM_LOG_INTERVAL", "1"),
    ];
    Server::start_in(directory, &variables)
}

fn directory() -> TempDir {
    TempDir::new().expect("directory")
}

async fn source(server: &Server) -> Option<EventLogSource> {
    let log = server.events().await.get_event_log(GetEventLogRequest {}).await.expect("described").into_inner();
    log.sources.into_iter().next()
}

async fn in_state(server: &Server, state: ReconcilerState) -> EventLogSource {
    wait_for(&format!("{state:?}"), async || source(server).await.filter(|source| source.reconciler() == state)).await
}

async fn happen(sandbox: &Sandbox, times: usize) {
    for _ in 0..times {
        let event = json!({ "event_type": "user.session.start", "message": "signed in" });
        sandbox.control(Method::POST, "events", Some(event)).await;
    }
}

async fn events(server: &Server, at_least: usize) -> Vec<Event> {
    let enough = async || Some(log(server).await).filter(|events| events.len() >= at_least);
    wait_for(&format!("{at_least} events"), enough).await
}

async fn follow(server: &Server) -> Streaming<SubscribeEventsResponse> {
    let request = SubscribeEventsRequest {
        start: Some(Start::Position(StartPosition::Earliest.into())),
        heartbeat_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    server.events().await.subscribe_events(request).await.expect("opened").into_inner()
}

async fn frame<T>(frames: &mut Streaming<SubscribeEventsResponse>, wanted: impl Fn(Frame) -> Option<T>) -> T {
    let look = async {
        loop {
            let response = frames.message().await.expect("frame").expect("frame");
            if let Some(found) = response.frame.and_then(&wanted) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the frame in time")
}

#[tokio::test]
async fn an_org_without_a_hook_is_followed_through_its_system_log() {
    let sandbox = Sandbox::start();
    let server = reading(&sandbox, directory());
    let mut frames = follow(&server).await;
    let user = server.create_user("Alone").await;
    let event = frame(&mut frames, |frame| match frame {
        Frame::Event(event) if event.event_type == "user.lifecycle.create" => Some(event),
        _ => None,
    })
    .await;
    assert_eq!(event.source(), EventSource::SystemLog);
    assert!(
        event.event_id.is_empty() && event.event_time == event.received && event.full_details_json.contains(&user.id)
    );
    let created = event.published.expect("published");
    let watermark = frame(&mut frames, |frame| match frame {
        Frame::Heartbeat(heartbeat) => {
            let proven = heartbeat.watermarks.into_iter().next()?.complete_until?;
            (proven.seconds > created.seconds).then_some(proven)
        }
        _ => None,
    })
    .await;
    let source = in_state(&server, ReconcilerState::Current).await;
    assert!(source.complete_until.expect("proven").seconds >= watermark.seconds && source.open_gaps.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_hooks_lose_is_found_and_what_they_bring_is_not_doubled() {
    let sandbox = Sandbox::start();
    let server = reading(&sandbox, directory());
    registered(&server, &sandbox).await;
    happen(&sandbox, 2).await;
    let by_hook = async || log(&server).await.iter().any(|event| event.source() == EventSource::Hook).then_some(());
    wait_for("a delivery", by_hook).await;
    sandbox.control(Method::POST, "deliveries", Some(json!({ "lose": true, "times": 5 }))).await;
    happen(&sandbox, 12).await;
    let before = log(&server).await.len();
    let found = events(&server, 14).await;
    assert!(found.len() >= before);
    let happened: Vec<_> = found.iter().filter(|event| event.event_type == "user.session.start").collect();
    let uuids: HashSet<_> = happened.iter().map(|event| &event.uuid).collect();
    assert_eq!((happened.len(), uuids.len()), (14, 14));
    assert!(happened.iter().any(|event| event.source() == EventSource::SystemLog));
    assert!(happened.iter().any(|event| event.source() == EventSource::Hook));
    server.stop().await;
}

#[tokio::test]
async fn what_happened_while_the_server_was_down_is_there_after_it_came_back() {
    let sandbox = Sandbox::start();
    let server = reading(&sandbox, directory());
    happen(&sandbox, 3).await;
    events(&server, 3).await;
    in_state(&server, ReconcilerState::Current).await;
    let down = server.kill();
    happen(&sandbox, 2_500).await;
    // As if it had been an hour.
    backdate(&down, Duration::from_secs(3_600));
    // An org that takes its time: the gap is still suspected when somebody subscribes.
    let fault = json!({ "path": "/api/v1/logs", "after": true, "delay_ms": 4_000 });
    sandbox.control(Method::POST, "faults", Some(fault)).await;
    let server = reading(&sandbox, down);
    let mut frames = follow(&server).await;
    let gap = |wanted: GapState| {
        move |frame| match frame {
            Frame::Gap(gap) if gap.state() == wanted => Some(gap),
            _ => None,
        }
    };
    let suspected = frame(&mut frames, gap(GapState::Suspected)).await;
    let repaired = frame(&mut frames, gap(GapState::Repaired)).await;
    assert_eq!(suspected.gap_id, repaired.gap_id);
    assert!(suspected.until.is_none() && repaired.until.is_some() && !suspected.connection_id.is_empty());
    assert_eq!(repaired.events_repaired, 2_500);
    let found = events(&server, 2_503).await;
    let uuids: HashSet<_> = found.iter().map(|event| &event.uuid).collect();
    assert_eq!((found.len(), uuids.len()), (2_503, 2_503));
    assert!(source(&server).await.expect("source").open_gaps.is_empty());
    server.stop().await;
}

/// Makes the journal believe that the System Log was proven only until so long ago.
fn backdate(directory: &TempDir, by: Duration) {
    let until = SystemTime::now() - by;
    let micros = until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros();
    let journal = rusqlite::Connection::open(directory.path().join("journal.db")).expect("opened");
    let changed = journal.execute("UPDATE reconcilers SET complete_until = ?1", [i64::try_from(micros).expect("fits")]);
    assert_eq!(changed, Ok(1));
}

#[tokio::test]
async fn what_okta_keeps_no_longer_is_said_to_be_lost() {
    let sandbox = Sandbox::start();
    let server = reading(&sandbox, directory());
    in_state(&server, ReconcilerState::Current).await;
    let down = server.kill();
    backdate(&down, Duration::from_secs(100 * 24 * 3600));
    let server = reading(&sandbox, down);
    in_state(&server, ReconcilerState::Current).await;
    let lost = source(&server).await.expect("source").open_gaps;
    assert_eq!((lost.len(), lost[0].state()), (1, GapState::Unrecoverable));
    let (from, until) = (lost[0].from.expect("from"), lost[0].until.expect("until"));
    assert!((until.seconds - from.seconds - 10 * 24 * 3600).abs() < 300);
    let server = reading(&sandbox, server.kill());
    let mut frames = follow(&server).await;
    let told = frame(&mut frames, |frame| match frame {
        Frame::Gap(gap) if gap.state() == GapState::Unrecoverable => Some(gap),
        _ => None,
    })
    .await;
    assert_eq!(told.gap_id, lost[0].gap_id);
    server.stop().await;
}

#[tokio::test]
async fn an_org_that_refuses_is_asked_again_from_where_it_was() {
    let sandbox = Sandbox::start();
    let server = reading(&sandbox, directory());
    happen(&sandbox, 1).await;
    events(&server, 1).await;
    for (status, times) in [(500, 5), (400, 1), (429, 1), (200, 1)] {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let reset = (now + 1).to_string();
        let headers = json!({ "x-rate-limit-limit": "9", "x-rate-limit-remaining": "9", "x-rate-limit-reset": reset });
        let fault = json!({
            "path": "/api/v1/logs", "status": status, "times": times, "body": "<html>", "headers": headers,
        });
        sandbox.control(Method::POST, "faults", Some(fault)).await;
        let before = log(&server).await.len();
        happen(&sandbox, 5).await;
        events(&server, before + 5).await;
    }
    in_state(&server, ReconcilerState::Current).await;
    let found = log(&server).await;
    let uuids: HashSet<_> = found.iter().map(|event| &event.uuid).collect();
    assert_eq!((found.len(), uuids.len()), (21, 21));
    server.stop().await;
}
