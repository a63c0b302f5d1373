//! One stream of events: what was asked for, and then frame after frame, pulled by the reader.
//!
//! There is one writer: events and heartbeats come out of the same function in turn, so that a heartbeat cannot overtake an
//! event and its cursor never promises what was not sent.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::filter::Filters;
use super::frame::Frame;
use super::hub::Hub;
use crate::error::{Error, Result};
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{Closing, ClosingReason, ErrorReason, Heartbeat, Opened, SubscribeEventsResponse};

/// Where to go when the server stops: clients come back spread over a moment, to whoever serves then.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// What a stream is to do, checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The stream starts after this event.
    pub start: u64,
    /// Which events it carries.
    pub filters: Filters,
    /// A frame comes at least this often.
    pub heartbeat_interval: Duration,
    /// It ends after this many events.
    pub stop_after_events: Option<u64>,
    /// It ends once it has carried what was there when it was opened.
    pub stop_when_caught_up: bool,
}

/// An open stream.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    heads: watch::Receiver<u64>,
    stop: CancellationToken,
    options: Options,
    /// Everything up to here was sent or filtered out.
    position: u64,
    /// Where the log ended when the stream was opened.
    opened_at: u64,
    ready: VecDeque<Frame>,
    sent_events: u64,
    next_heartbeat: Instant,
    end: Option<Option<Error>>,
}

impl Subscription {
    /// Opens a stream whose first frame is `opened`; `earliest` is where the log begins.
    pub fn open(hub: Hub, options: Options, earliest: u64, stop: CancellationToken) -> Self {
        let (heads, head) = (hub.heads(), hub.head());
        let opened = Opened {
            earliest_cursor: hub.cursors().encode(earliest),
            head_cursor: hub.cursors().encode(head),
            backlog: count(head.saturating_sub(options.start)),
            heartbeat_interval: prost_types::Duration::try_from(options.heartbeat_interval).ok(),
            unknown_event_types: options.filters.unknown_event_types().to_vec(),
            lease: String::new(),
        };
        let mut subscription = Self {
            heads,
            stop,
            position: options.start,
            opened_at: head,
            ready: VecDeque::new(),
            sent_events: 0,
            next_heartbeat: Instant::now() + options.heartbeat_interval,
            end: None,
            options,
            hub,
        };
        subscription.put(Kind::Opened(opened));
        subscription
    }

    /// The next frame; an error ends the stream with it, `None` ends it well.
    pub async fn next(&mut self) -> Option<Result<Frame>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(Ok(frame));
            }
            if let Some(end) = &mut self.end {
                return end.take().map(Err);
            }
            if self.stop.is_cancelled() {
                self.close_for_stop();
            } else if Instant::now() >= self.next_heartbeat {
                self.put_heartbeat();
            } else if self.position < self.hub.head() {
                self.take_events().await;
            } else if self.options.stop_when_caught_up && self.position >= self.opened_at {
                self.close(ClosingReason::CaughtUp, "the stream has caught up, as was asked for", None, None);
            } else {
                self.wait().await;
            }
        }
    }

    /// Takes what is there. Whatever it is, the position moves.
    async fn take_events(&mut self) {
        let events = match self.hub.read(self.position).await {
            Ok(events) => events,
            Err(error) => {
                let message = "the log cannot be read for the time being";
                return self.close(ClosingReason::LogUnavailable, message, Some(RECONNECT_DELAY), Some(error));
            }
        };
        for event in events {
            self.position = event.sequence;
            if !self.options.filters.pass(&event.decoded) {
                continue;
            }
            self.ready.push_back(event.frame.clone());
            self.sent_events += 1;
            if self.options.stop_after_events.is_some_and(|limit| self.sent_events >= limit) {
                let message = "as many events were sent as were asked for";
                return self.close(ClosingReason::StopAfterEvents, message, None, None);
            }
        }
        if !self.ready.is_empty() {
            self.next_heartbeat = Instant::now() + self.options.heartbeat_interval;
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = self.heads.wait_for(|head| *head > self.position) => {}
            () = tokio::time::sleep_until(self.next_heartbeat) => {}
        }
    }

    fn put_heartbeat(&mut self) {
        self.next_heartbeat = Instant::now() + self.options.heartbeat_interval;
        self.put(Kind::Heartbeat(Heartbeat {
            sent: Some(SystemTime::now().into()),
            backlog: count(self.hub.head().saturating_sub(self.position)),
            watermarks: Vec::new(),
        }));
    }

    fn close_for_stop(&mut self) {
        let message = "the server is stopping; connect again with the last cursor";
        let error = Error::new(ErrorReason::ServerStopping, message).with_retry_after(RECONNECT_DELAY);
        self.close(ClosingReason::ServerStopping, message, Some(RECONNECT_DELAY), Some(error));
    }

    fn close(&mut self, reason: ClosingReason, message: &str, delay: Option<Duration>, error: Option<Error>) {
        self.put(Kind::Closing(Closing {
            reason: reason.into(),
            message: message.to_owned(),
            reconnect_delay: delay.and_then(|delay| prost_types::Duration::try_from(delay).ok()),
        }));
        self.end = Some(error);
    }

    fn put(&mut self, kind: Kind) {
        let cursor = self.hub.cursors().encode(self.position);
        self.ready.push_back(Frame::from(&SubscribeEventsResponse { cursor, frame: Some(kind) }));
    }
}

fn count(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}
