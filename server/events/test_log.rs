//! For the tests of streams: a journal with its hub at work, and what a subscriber does with a stream.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Hub, HubLimits, Options, Subscription, new_event};
use crate::error::{Error, Result};
use crate::journal::{Journal, Limits, NewEvent, Source};
use crate::proto::subscribe_events_request::Start as RequestedStart;
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{
    Closing, Event, EventFilter, Heartbeat, Opened, StartPosition, SubscribeEventsRequest, SubscribeEventsResponse,
};

/// The smallest ring that is one: readers fall behind it all the time.
pub(super) const SMALL: HubLimits = HubLimits { events: 3, bytes: 1 << 20, slow_after: Duration::from_secs(300) };

/// A journal with its hub at work.
pub(super) struct Log {
    pub(super) dir: TempDir,
    pub(super) journal: Journal,
    pub(super) hub: Hub,
    pub(super) shutdown: CancellationToken,
}

impl Log {
    pub(super) fn new(limits: &HubLimits) -> Self {
        Self::open(TempDir::new().unwrap(), limits)
    }

    pub(super) fn open(dir: TempDir, limits: &HubLimits) -> Self {
        let journal = Journal::open(dir.path().join("journal.db"), Limits::default()).unwrap();
        let hub = Hub::new(journal.clone(), limits);
        let shutdown = CancellationToken::new();
        let (running, stop) = (hub.clone(), shutdown.clone());
        tokio::spawn(async move { running.run(stop).await });
        Self { dir, journal, hub, shutdown }
    }

    /// Stops, and opens the same directory again.
    pub(super) async fn restarted(self, limits: &HubLimits) -> Self {
        self.shutdown.cancel();
        self.journal.close().await.unwrap();
        Self::open(self.dir, limits)
    }

    pub(super) async fn append(&self, event_types: &[&str]) {
        let events = event_types.iter().map(|event_type| event(event_type)).collect();
        assert_eq!(self.journal.append(events).await.unwrap().stored, event_types.len());
    }

    pub(super) async fn subscribe(&self, request: SubscribeEventsRequest) -> Result<Subscription> {
        let options = Options::read(&request, |name| Ok(name.to_owned()))?;
        Subscription::open(&self.hub, options, &self.shutdown).await
    }

    pub(super) fn head_cursor(&self) -> String {
        self.hub.cursors().encode(self.journal.head())
    }
}

pub(super) fn event(event_type: &str) -> NewEvent {
    let uuid = uuid::Uuid::new_v4().to_string();
    let raw = format!(r#"{{"uuid":"{uuid}","eventType":"{event_type}","published":"2026-01-02T03:04:05Z"}}"#);
    new_event(&Arc::from("conn"), Source::Hook, &Arc::from("{}"), &raw).unwrap()
}

pub(super) fn earliest() -> SubscribeEventsRequest {
    start(RequestedStart::Position(StartPosition::Earliest.into()))
}

pub(super) fn start(start: RequestedStart) -> SubscribeEventsRequest {
    SubscribeEventsRequest { start: Some(start), ..SubscribeEventsRequest::default() }
}

pub(super) fn only(event_type: &str) -> Vec<EventFilter> {
    vec![EventFilter { event_types: vec![event_type.to_owned()], ..EventFilter::default() }]
}

/// The next frame: its cursor, and what it is.
pub(super) async fn next(subscription: &mut Subscription) -> (String, Kind) {
    let item = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await.expect("a frame in time");
    let frame = item.expect("a frame").expect("no error");
    let response = SubscribeEventsResponse::decode(frame.encode_to_vec().as_slice()).unwrap();
    (response.cursor, response.frame.unwrap())
}

pub(super) async fn opened(subscription: &mut Subscription) -> (String, Opened) {
    match next(subscription).await {
        (cursor, Kind::Opened(opened)) => (cursor, opened),
        other => panic!("not opened: {other:?}"),
    }
}

pub(super) async fn next_event(subscription: &mut Subscription) -> (String, Event) {
    loop {
        match next(subscription).await {
            (cursor, Kind::Event(event)) => return (cursor, event),
            (_, Kind::Heartbeat(_)) => {}
            other => panic!("no event: {other:?}"),
        }
    }
}

pub(super) async fn heartbeat(subscription: &mut Subscription) -> (String, Heartbeat) {
    match next(subscription).await {
        (cursor, Kind::Heartbeat(heartbeat)) => (cursor, heartbeat),
        other => panic!("no heartbeat: {other:?}"),
    }
}

/// The closing frame that comes next, and what the stream ends with.
pub(super) async fn closing(subscription: &mut Subscription) -> (String, Closing, Option<Error>) {
    let (cursor, Kind::Closing(closing)) = next(subscription).await else { panic!("not closing") };
    let error = subscription.next().await.map(|item| item.unwrap_err());
    assert!(subscription.next().await.is_none(), "nothing follows the end");
    (cursor, closing, error)
}
