//! What a stream promises, against a real journal and hub in one process.

use std::time::Duration;

use super::test_log::{Log, SMALL, closing, earliest, heartbeat, next, next_event, only, opened, start};
use super::{Filters, HubLimits, page};
use crate::journal::GapRow;
use crate::proto::subscribe_events_request::Start as RequestedStart;
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{ClosingReason, ErrorReason, GapState, SubscribeEventsRequest};

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

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_to_a_stream_that_waits_and_to_one_that_begins() {
    let log = Log::new(&SMALL);
    let mut waiting = log.subscribe(earliest()).await.unwrap();
    opened(&mut waiting).await;
    let gap = |state| GapRow {
        id: "gap_1".to_owned(),
        connection_id: "conn".to_owned(),
        state,
        from: crate::journal::now(),
        until: None,
        reason: "because".to_owned(),
        repaired: 0,
        changed: crate::journal::now(),
    };
    let sources = log.hub.sources().clone();
    let told = tokio::spawn(async move {
        let first = next(&mut waiting).await;
        (first, next(&mut waiting).await, waiting)
    });
    tokio::task::yield_now().await;
    sources.put_gap(gap(GapState::Suspected));
    tokio::time::sleep(Duration::from_millis(1)).await;
    sources.put_gap(gap(GapState::Repaired));
    let (first, second, _waiting) = told.await.unwrap();
    let state = |(_, frame)| match frame {
        Kind::Gap(gap) => gap.state(),
        other => panic!("no gap: {other:?}"),
    };
    assert_eq!((state(first), state(second)), (GapState::Suspected, GapState::Repaired));
    let mut beginning = log.subscribe(earliest()).await.unwrap();
    opened(&mut beginning).await;
    assert_eq!(state(next(&mut beginning).await), GapState::Repaired);
    let mut elsewhere = earliest();
    elsewhere.filters = vec![crate::proto::EventFilter { connections: vec!["other".to_owned()], ..Default::default() }];
    let mut elsewhere = log.subscribe(elsewhere).await.unwrap();
    opened(&mut elsewhere).await;
    heartbeat(&mut elsewhere).await;
}
