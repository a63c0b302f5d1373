//! What a stream promises, against a real journal and hub in one process.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::{Error, Result};
use crate::journal::{Journal, Limits, NewEvent, Source};
use crate::proto::subscribe_events_request::Start as RequestedStart;
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{
    Closing, ClosingReason, ErrorReason, Event, EventFilter, GapState, Heartbeat, Opened, StartPosition,
    SubscribeEventsRequest, SubscribeEventsResponse,
};

/// The smallest ring that is one: readers fall behind it all the time.
const SMALL: HubLimits = HubLimits { events: 3, bytes: 1 << 20 };

/// A journal with its hub at work.
struct Log {
    dir: TempDir,
    journal: Journal,
    hub: Hub,
    shutdown: CancellationToken,
}

impl Log {
    fn new(limits: &HubLimits) -> Self {
        Self::open(TempDir::new().unwrap(), limits)
    }

    fn open(dir: TempDir, limits: &HubLimits) -> Self {
        let journal = Journal::open(dir.path().join("journal.db"), Limits::default()).unwrap();
        let hub = Hub::new(journal.clone(), limits);
        let shutdown = CancellationToken::new();
        let (running, stop) = (hub.clone(), shutdown.clone());
        tokio::spawn(async move { running.run(stop).await });
        Self { dir, journal, hub, shutdown }
    }

    /// Stops, and opens the same directory again.
    async fn restarted(self, limits: &HubLimits) -> Self {
        self.shutdown.cancel();
        self.journal.close().await.unwrap();
        Self::open(self.dir, limits)
    }

    async fn append(&self, event_types: &[&str]) {
        let events = event_types.iter().map(|event_type| event(event_type)).collect();
        assert_eq!(self.journal.append(events).await.unwrap().stored, event_types.len());
    }

    async fn subscribe(&self, request: SubscribeEventsRequest) -> Result<Subscription> {
        let options = Options::read(&request, |name| Ok(name.to_owned()))?;
        Subscription::open(&self.hub, options, &self.shutdown).await
    }

    fn head_cursor(&self) -> String {
        self.hub.cursors().encode(self.journal.head())
    }
}

fn event(event_type: &str) -> NewEvent {
    let uuid = uuid::Uuid::new_v4().to_string();
    let raw = format!(r#"{{"uuid":"{uuid}","eventType":"{event_type}","published":"2026-01-02T03:04:05Z"}}"#);
    new_event(&Arc::from("conn"), Source::Hook, &Arc::from("{}"), &raw).unwrap()
}

fn earliest() -> SubscribeEventsRequest {
    start(RequestedStart::Position(StartPosition::Earliest.into()))
}

fn start(start: RequestedStart) -> SubscribeEventsRequest {
    SubscribeEventsRequest { start: Some(start), ..SubscribeEventsRequest::default() }
}

fn only(event_type: &str) -> Vec<EventFilter> {
    vec![EventFilter { event_types: vec![event_type.to_owned()], ..EventFilter::default() }]
}

/// The next frame: its cursor, and what it is.
async fn next(subscription: &mut Subscription) -> (String, Kind) {
    let item = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await.expect("a frame in time");
    let frame = item.expect("a frame").expect("no error");
    let response = SubscribeEventsResponse::decode(frame.encode_to_vec().as_slice()).unwrap();
    (response.cursor, response.frame.unwrap())
}

async fn opened(subscription: &mut Subscription) -> (String, Opened) {
    match next(subscription).await {
        (cursor, Kind::Opened(opened)) => (cursor, opened),
        other => panic!("not opened: {other:?}"),
    }
}

async fn next_event(subscription: &mut Subscription) -> (String, Event) {
    loop {
        match next(subscription).await {
            (cursor, Kind::Event(event)) => return (cursor, event),
            (_, Kind::Heartbeat(_)) => {}
            other => panic!("no event: {other:?}"),
        }
    }
}

async fn heartbeat(subscription: &mut Subscription) -> (String, Heartbeat) {
    match next(subscription).await {
        (cursor, Kind::Heartbeat(heartbeat)) => (cursor, heartbeat),
        other => panic!("no heartbeat: {other:?}"),
    }
}

/// The closing frame that comes next, and what the stream ends with.
async fn closing(subscription: &mut Subscription) -> (String, Closing, Option<Error>) {
    let (cursor, Kind::Closing(closing)) = next(subscription).await else { panic!("not closing") };
    let error = subscription.next().await.map(|item| item.unwrap_err());
    assert!(subscription.next().await.is_none(), "nothing follows the end");
    (cursor, closing, error)
}

#[tokio::test(start_paused = true)]
async fn a_stream_opens_replays_and_goes_live_in_order() {
    let log = Log::new(&HubLimits::default());
    log.append(&["a", "b"]).await;
    let mut stream = log.subscribe(earliest()).await.unwrap();
    let (cursor, opened) = opened(&mut stream).await;
    assert_eq!(cursor, opened.earliest_cursor);
    assert_eq!((opened.head_cursor.as_str(), opened.backlog), (log.head_cursor().as_str(), 2));
    assert_eq!(opened.heartbeat_interval.unwrap().seconds, 15);
    for sequence in 1..=2 {
        assert_eq!(next_event(&mut stream).await.1.sequence, sequence);
    }
    log.append(&["c"]).await;
    let (cursor, event) = next_event(&mut stream).await;
    assert_eq!((cursor, event.event_type.as_str()), (log.head_cursor(), "c"));
}

#[tokio::test(start_paused = true)]
async fn latest_starts_with_the_next_event_and_is_the_default() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b"]).await;
    for request in
        [SubscribeEventsRequest::default(), start(RequestedStart::Position(0)), start(RequestedStart::Position(2))]
    {
        let mut stream = log.subscribe(request).await.unwrap();
        let (cursor, opened) = opened(&mut stream).await;
        assert_eq!((cursor, opened.backlog), (log.head_cursor(), 0));
        log.append(&["c"]).await;
        assert_eq!(next_event(&mut stream).await.1.event_type, "c");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_starts_at_the_first_event_published_since() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b"]).await;
    let at = |time: &str| start(RequestedStart::StartTime(time.parse().unwrap()));
    let mut stream = log.subscribe(at("2026-01-02T03:04:05Z")).await.unwrap();
    assert_eq!(opened(&mut stream).await.1.backlog, 2);
    let mut stream = log.subscribe(at("2026-01-02T03:04:06Z")).await.unwrap();
    assert_eq!(opened(&mut stream).await.1.backlog, 0);
    let future = log.subscribe(at("9026-01-02T03:04:06Z")).await.err().unwrap();
    assert_eq!(future.violations()[0].field, "start_time");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_starts_after_its_frame_and_a_false_one_is_refused() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b"]).await;
    let after = |cursor: &str| start(RequestedStart::AfterCursor(cursor.to_owned()));
    let mut stream = log.subscribe(after(&log.hub.cursors().encode(1))).await.unwrap();
    opened(&mut stream).await;
    assert_eq!(next_event(&mut stream).await.1.sequence, 2);
    let other = Log::new(&SMALL);
    for (cursor, reason) in [
        ("odd", ErrorReason::CursorMalformed),
        (other.head_cursor().as_str(), ErrorReason::CursorForeign),
        (log.hub.cursors().encode(3).as_str(), ErrorReason::CursorInFuture),
    ] {
        assert_eq!(log.subscribe(after(cursor)).await.err().unwrap().reason(), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_reach_back_refuses_or_begins_with_a_gap() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b", "c"]).await;
    let cursor = log.hub.cursors().encode(1);
    let trim = rusqlite::Connection::open(log.dir.path().join("journal.db")).unwrap();
    trim.execute("DELETE FROM events WHERE sequence <= 2", ()).unwrap();
    let mut request = start(RequestedStart::AfterCursor(cursor));
    let refusal = log.subscribe(request.clone()).await.err().unwrap();
    assert_eq!(refusal.reason(), ErrorReason::CursorExpired);
    assert_eq!(refusal.metadata(), [("earliest_cursor", log.hub.cursors().encode(2))]);
    request.start_at_earliest_if_expired = true;
    let mut stream = log.subscribe(request).await.unwrap();
    opened(&mut stream).await;
    let (_, Kind::Gap(gap)) = next(&mut stream).await else { panic!("no gap") };
    assert_eq!(gap.state(), GapState::Unrecoverable);
    assert_eq!(next_event(&mut stream).await.1.sequence, 3);
}

#[tokio::test(start_paused = true)]
async fn events_removed_under_a_stream_end_it_with_the_way_back() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b", "c", "d", "e"]).await;
    let mut stream = log.subscribe(earliest()).await.unwrap();
    opened(&mut stream).await;
    let trim = rusqlite::Connection::open(log.dir.path().join("journal.db")).unwrap();
    trim.execute("DELETE FROM events WHERE sequence <= 2", ()).unwrap();
    let (cursor, closing, error) = closing(&mut stream).await;
    assert_eq!((cursor, closing.reason()), (log.hub.cursors().encode(0), ClosingReason::CursorExpired));
    assert_eq!(error.unwrap().reason(), ErrorReason::CursorExpired);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_in_time_and_carry_the_cursor_past_what_the_filters_leave_out() {
    let log = Log::new(&SMALL);
    let request = SubscribeEventsRequest {
        filters: only("wanted"),
        heartbeat_interval: Some(prost_types::Duration { seconds: 3, nanos: 0 }),
        ..SubscribeEventsRequest::default()
    };
    let mut stream = log.subscribe(request).await.unwrap();
    assert_eq!(opened(&mut stream).await.1.unknown_event_types, ["wanted"]);
    for batch in [&["a"][..], &["b"; 10][..]] {
        log.append(batch).await;
        let before = tokio::time::Instant::now();
        let (cursor, heartbeat) = heartbeat(&mut stream).await;
        assert_eq!((cursor, heartbeat.backlog), (log.head_cursor(), 0));
        assert!(before.elapsed() <= Duration::from_millis(3_010), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_stops_after_so_many_events() {
    let log = Log::new(&SMALL);
    log.append(&["a", "x", "a", "a"]).await;
    let request = SubscribeEventsRequest { stop_after_events: 2, filters: only("a"), ..earliest() };
    let mut stream = log.subscribe(request).await.unwrap();
    opened(&mut stream).await;
    next_event(&mut stream).await;
    let (last, event) = next_event(&mut stream).await;
    assert_eq!(event.sequence, 3);
    let (cursor, closing, error) = closing(&mut stream).await;
    assert_eq!((cursor, closing.reason(), error.is_none()), (last, ClosingReason::StopAfterEvents, true));
}

#[tokio::test(start_paused = true)]
async fn a_stream_stops_when_caught_up_with_where_the_log_was_at_the_start() {
    let log = Log::new(&SMALL);
    log.append(&["a", "x", "a", "x"]).await;
    let request = SubscribeEventsRequest { stop_when_caught_up: true, filters: only("a"), ..earliest() };
    let head = log.head_cursor();
    let mut stream = log.subscribe(request.clone()).await.unwrap();
    log.append(&["a", "a"]).await;
    opened(&mut stream).await;
    for sequence in [1, 3] {
        assert_eq!(next_event(&mut stream).await.1.sequence, sequence);
    }
    let (cursor, closing, error) = closing(&mut stream).await;
    assert_eq!((cursor, closing.reason(), error.is_none()), (head, ClosingReason::CaughtUp, true));
    let at_once = SubscribeEventsRequest { start: None, ..request };
    let mut stream = log.subscribe(at_once).await.unwrap();
    opened(&mut stream).await;
    assert_eq!(self::closing(&mut stream).await.1.reason(), ClosingReason::CaughtUp);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_stream_with_the_cursor_of_what_was_sent() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b", "c"]).await;
    let mut stream = log.subscribe(earliest()).await.unwrap();
    opened(&mut stream).await;
    let (sent, _) = next_event(&mut stream).await;
    log.shutdown.cancel();
    let (cursor, closing, error) = closing(&mut stream).await;
    assert_eq!((cursor, closing.reason()), (sent, ClosingReason::ServerStopping));
    assert!(closing.reconnect_delay.is_some());
    assert_eq!(error.unwrap().reason(), ErrorReason::ServerStopping);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_stream_that_waits() {
    let log = Log::new(&SMALL);
    let mut stream = log.subscribe(SubscribeEventsRequest::default()).await.unwrap();
    opened(&mut stream).await;
    let stop = log.shutdown.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    assert_eq!(closing(&mut stream).await.1.reason(), ClosingReason::ServerStopping);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_ends_a_stream_that_replays() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b", "c", "d", "e"]).await;
    let mut stream = log.subscribe(earliest()).await.unwrap();
    opened(&mut stream).await;
    let saboteur = rusqlite::Connection::open(log.dir.path().join("journal.db")).unwrap();
    saboteur.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    let (_, closing, error) = closing(&mut stream).await;
    assert_eq!(closing.reason(), ClosingReason::LogUnavailable);
    assert_eq!(error.unwrap().reason(), ErrorReason::StorageUnavailable);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_cannot_ask_for_is_named() {
    let log = Log::new(&SMALL);
    let refusal = async |request| log.subscribe(request).await.err().unwrap();
    for interval in [(0, 0), (0, 999_999_999), (30, 1), (-1, 0), (i64::MAX, 0)] {
        let interval = Some(prost_types::Duration { seconds: interval.0, nanos: interval.1 });
        let error = refusal(SubscribeEventsRequest { heartbeat_interval: interval, ..earliest() }).await;
        assert_eq!(error.violations()[0].field, "heartbeat_interval");
    }
    let error = refusal(SubscribeEventsRequest { stop_after_events: -1, ..earliest() }).await;
    assert_eq!(error.violations()[0].field, "stop_after_events");
    assert_eq!(refusal(start(RequestedStart::Position(9))).await.violations()[0].field, "position");
    for request in [
        start(RequestedStart::Consumer("crm".to_owned())),
        SubscribeEventsRequest { enrich_user_groups: true, ..earliest() },
    ] {
        assert_eq!(refusal(request).await.reason(), ErrorReason::NotImplemented);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_and_a_stream_share_their_cursors() {
    let log = Log::new(&SMALL);
    log.append(&["a", "x", "a", "x", "a", "x"]).await;
    let filters = Filters::compile(&only("a"), |name| Ok(name.to_owned())).unwrap();
    let first = page(&log.hub, 0, &filters, 2).await.unwrap();
    assert_eq!(first.events.iter().map(|listed| listed.event.as_ref().unwrap().sequence).collect::<Vec<_>>(), [1, 3]);
    assert!(!first.caught_up);
    let request =
        SubscribeEventsRequest { filters: only("a"), ..start(RequestedStart::AfterCursor(first.next_cursor)) };
    let mut stream = log.subscribe(request).await.unwrap();
    opened(&mut stream).await;
    let (cursor, event) = next_event(&mut stream).await;
    assert_eq!(event.sequence, 5);
    let position = log.hub.cursors().decode(&cursor, 1, log.journal.head()).unwrap();
    let rest = page(&log.hub, position, &filters, 2).await.unwrap();
    assert_eq!((rest.events.len(), rest.caught_up, rest.next_cursor), (0, true, log.head_cursor()));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_stream_holds_up_no_other_and_loses_nothing() {
    let log = Log::new(&SMALL);
    let mut stuck = log.subscribe(SubscribeEventsRequest::default()).await.unwrap();
    let mut other = log.subscribe(SubscribeEventsRequest::default()).await.unwrap();
    opened(&mut other).await;
    for sequence in 1..=50 {
        log.append(&["a"]).await;
        assert_eq!(next_event(&mut other).await.1.sequence, sequence);
    }
    opened(&mut stuck).await;
    for sequence in 1..=50 {
        assert_eq!(next_event(&mut stuck).await.1.sequence, sequence);
    }
}

/// What happens to a log and one of its readers.
#[derive(Debug, Clone)]
enum Step {
    /// Events of these types arrive.
    Append(Vec<&'static str>),
    /// The reader takes so many frames, and keeps the cursor of the last.
    Read(usize),
    /// The reader takes so many frames, and loses the connection before it has dealt with them.
    ReadAndLose(usize),
    /// The reader comes back.
    Resume,
    /// The server restarts.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let types = proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..9);
    prop_oneof![
        4 => types.prop_map(Step::Append),
        4 => (1..12_usize).prop_map(Step::Read),
        2 => (1..12_usize).prop_map(Step::ReadAndLose),
        1 => Just(Step::Resume),
        1 => Just(Step::Restart),
    ]
}

/// A reader that keeps what it has dealt with, and the cursor it got there with.
struct Reader {
    filter: Vec<EventFilter>,
    stream: Option<Subscription>,
    cursor: Option<String>,
    dealt_with: Vec<i64>,
}

impl Reader {
    async fn resume(&mut self, log: &Log) {
        let base = match &self.cursor {
            Some(cursor) => start(RequestedStart::AfterCursor(cursor.clone())),
            None => earliest(),
        };
        let request = SubscribeEventsRequest { filters: self.filter.clone(), ..base };
        self.stream = Some(log.subscribe(request).await.unwrap());
    }

    async fn read(&mut self, log: &Log, frames: usize, keep: bool) {
        if self.stream.is_none() {
            self.resume(log).await;
        }
        let stream = self.stream.as_mut().unwrap();
        for _ in 0..frames {
            let (cursor, kind) = next(stream).await;
            if keep {
                self.cursor = Some(cursor);
                self.dealt_with.extend(if let Kind::Event(event) = kind { Some(event.sequence) } else { None });
            }
        }
        if !keep {
            self.stream = None;
        }
    }
}

async fn play(steps: Vec<Step>, filter: Vec<EventFilter>, wanted: &[&str]) -> (Vec<i64>, Vec<i64>) {
    let mut log = Log::new(&SMALL);
    let mut reader = Reader { filter, stream: None, cursor: None, dealt_with: Vec::new() };
    let mut arrived = Vec::new();
    for step in steps {
        match step {
            Step::Append(types) => {
                log.append(&types).await;
                arrived.extend(types);
            }
            Step::Read(frames) => reader.read(&log, frames, true).await,
            Step::ReadAndLose(frames) => reader.read(&log, frames, false).await,
            Step::Resume => reader.resume(&log).await,
            Step::Restart => {
                reader.stream = None;
                log = log.restarted(&SMALL).await;
            }
        }
    }
    // The frames of the rest: opened, every event there is, and a heartbeat past what was filtered out.
    reader.resume(&log).await;
    while reader.cursor.as_deref() != Some(log.head_cursor().as_str()) {
        reader.read(&log, 1, true).await;
    }
    let expected = arrived.iter().zip(1..).filter(|(event_type, _)| wanted.contains(event_type)).map(|(_, at)| at);
    (reader.dealt_with, expected.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_lost_repeated_or_reordered_whatever_happens_to_a_reader(
        steps in proptest::collection::vec(step(), 1..24),
        filtered in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (filter, wanted) = if filtered { (only("b"), vec!["b"]) } else { (Vec::new(), vec!["a", "b", "c"]) };
        let (dealt_with, expected) = runtime.block_on(play(steps, filter, &wanted));
        prop_assert_eq!(dealt_with, expected);
    }
}
