//! What named readers promise, against a real journal and hub in one process.

use std::time::Duration;

use super::test_log::{Log, SMALL, closing, earliest, next_event, opened, start};
use super::{Start, Subscription};
use crate::error::Error;
use crate::proto::subscribe_events_request::Start as RequestedStart;
use crate::proto::{ClosingReason, ErrorReason};

async fn stream(log: &Log, consumer: &str) -> (Subscription, String) {
    let mut stream = log.subscribe(start(RequestedStart::Consumer(consumer.to_owned()))).await.unwrap();
    let lease = opened(&mut stream).await.1.lease;
    (stream, lease)
}

async fn commit(log: &Log, sequence: i64, lease: &str) -> Result<String, Error> {
    log.hub.consumers().commit("billing", &log.hub.cursors().encode(sequence), lease).await
}

#[tokio::test(start_paused = true)]
async fn a_consumer_begins_at_the_end_and_goes_on_where_it_committed_also_after_a_restart() {
    let log = Log::new(&SMALL);
    log.append(&["a"]).await;
    let (mut first, lease) = stream(&log, "billing").await;
    log.append(&["b", "c", "d"]).await;
    let (cursor, event) = next_event(&mut first).await;
    assert_eq!(event.event_type, "b");
    next_event(&mut first).await;
    assert_eq!(log.hub.consumers().commit("billing", &cursor, &lease).await.unwrap(), cursor);
    drop(first);

    let log = log.restarted(&SMALL).await;
    let consumer = log.hub.consumers().get("billing").await.unwrap();
    assert_eq!((consumer.cursor, consumer.lag, consumer.connected), (cursor, 2, false));
    assert!(consumer.created.is_some() && consumer.committed.is_some());
    let (mut again, _) = stream(&log, "billing").await;
    assert_eq!(next_event(&mut again).await.1.event_type, "c");
    assert!(log.hub.consumers().get("billing").await.unwrap().connected);
}

#[tokio::test(start_paused = true)]
async fn a_commit_only_moves_forward_and_never_past_the_end() {
    let log = Log::new(&SMALL);
    let (_stream, lease) = stream(&log, "billing").await;
    log.append(&["a", "b", "c"]).await;
    let at = |sequence| log.hub.cursors().encode(sequence);
    assert_eq!(commit(&log, 2, &lease).await.unwrap(), at(2));
    assert_eq!(commit(&log, 1, &lease).await.unwrap(), at(2), "one behind changes nothing");
    assert_eq!(commit(&log, 2, &lease).await.unwrap(), at(2));
    assert_eq!(commit(&log, 3, "").await.unwrap(), at(3), "without a stream");
    assert_eq!(commit(&log, 4, &lease).await.unwrap_err().reason(), ErrorReason::CursorInFuture);
    assert_eq!(commit(&log, 3, "odd").await.unwrap_err().violations()[0].field, "lease");
    let unknown = log.hub.consumers().commit("nobody", &at(1), "").await.unwrap_err();
    assert_eq!(unknown.reason(), ErrorReason::ConsumerNotFound);
}

#[tokio::test(start_paused = true)]
async fn the_newest_stream_wins_and_the_older_is_told_and_fenced() {
    let log = Log::new(&SMALL);
    let (mut older, old_lease) = stream(&log, "billing").await;
    let (mut newer, new_lease) = stream(&log, "billing").await;
    let (_, end, error) = closing(&mut older).await;
    assert_eq!(end.reason(), ClosingReason::ConsumerTakenOver);
    assert_eq!(error.unwrap().reason(), ErrorReason::ConsumerLeaseLost);
    drop(older);
    log.append(&["a"]).await;
    next_event(&mut newer).await;
    assert_eq!(commit(&log, 1, &old_lease).await.unwrap_err().reason(), ErrorReason::ConsumerLeaseLost);
    assert!(
        log.hub.consumers().get("billing").await.unwrap().connected,
        "the end of the older is not that of the newer"
    );
    commit(&log, 1, &new_lease).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_moved_anywhere_and_deleted_and_its_stream_is_told() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b"]).await;
    let (mut moved, lease) = stream(&log, "billing").await;
    let consumer = log.hub.consumers().seek("billing", &Start::Earliest).await.unwrap();
    assert_eq!(consumer.lag, 2);
    assert_eq!(closing(&mut moved).await.1.reason(), ClosingReason::ConsumerMoved);
    assert_eq!(commit(&log, 2, &lease).await.unwrap_err().reason(), ErrorReason::ConsumerLeaseLost);
    let (mut deleted, lease) = stream(&log, "billing").await;
    assert_eq!(next_event(&mut deleted).await.1.event_type, "a");
    log.hub.consumers().delete("billing").await.unwrap();
    assert_eq!(next_or_closing(&mut deleted).await, ClosingReason::ConsumerDeleted);
    assert_eq!(commit(&log, 2, &lease).await.unwrap_err().reason(), ErrorReason::ConsumerNotFound);
    assert_eq!(log.hub.consumers().delete("billing").await.unwrap_err().reason(), ErrorReason::ConsumerNotFound);

    // A namesake is another consumer: the lease of before is not good for it.
    let (_namesake, _) = stream(&log, "billing").await;
    assert_eq!(commit(&log, 2, &lease).await.unwrap_err().reason(), ErrorReason::ConsumerLeaseLost);
}

/// The reason of the closing frame, after the events that were on their way.
async fn next_or_closing(stream: &mut Subscription) -> ClosingReason {
    loop {
        use crate::proto::subscribe_events_response::Frame as Kind;
        if let (_, Kind::Closing(closing)) = super::test_log::next(stream).await {
            return closing.reason();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn consumers_are_listed_by_name() {
    let log = Log::new(&SMALL);
    for name in ["b", "c", "a"] {
        drop(stream(&log, name).await);
    }
    let names = async |after, limit| {
        let listed = log.hub.consumers().list(after, limit).await.unwrap();
        listed.into_iter().map(|consumer| consumer.name).collect::<Vec<_>>()
    };
    assert_eq!(names("", 2).await, ["a", "b"]);
    assert_eq!(names("b", 2).await, ["c"]);
    for odd in ["", "a b", "ä", &"x".repeat(65)] {
        let refusal = log.subscribe(start(RequestedStart::Consumer(odd.to_owned()))).await.err().unwrap();
        assert_eq!(refusal.violations()[0].field, "consumer", "{odd}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_for_five_minutes_ends_where_it_was() {
    let log = Log::new(&SMALL);
    log.append(&["a", "b"]).await;
    let mut stream = log.subscribe(earliest()).await.unwrap();
    opened(&mut stream).await;
    let (cursor, _) = next_event(&mut stream).await;
    tokio::time::advance(Duration::from_secs(299)).await;
    let (_, crate::proto::subscribe_events_response::Frame::Heartbeat(_)) = super::test_log::next(&mut stream).await
    else {
        panic!("the heartbeat that was due")
    };
    tokio::time::advance(Duration::from_secs(301)).await;
    let (at, end, error) = closing(&mut stream).await;
    assert_eq!((at, end.reason()), (cursor, ClosingReason::SlowConsumer));
    assert_eq!(error.unwrap().reason(), ErrorReason::StreamTooSlow);
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_happens_is_not_slow() {
    let log = Log::new(&SMALL);
    let mut stream = log.subscribe(earliest()).await.unwrap();
    opened(&mut stream).await;
    for _ in 0..100 {
        super::test_log::heartbeat(&mut stream).await;
    }
}
