//! What a subscription asks for, checked: nothing that cannot be gets past here.

use std::time::Duration;

use super::consumers::check_name;
use super::filter::Filters;
use super::start::Start;
use crate::error::{Error, Result};
use crate::proto::SubscribeEventsRequest;
use crate::proto::subscribe_events_request::Start as RequestedStart;

const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(30);
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);

/// What a subscription asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to start.
    pub start: Start,
    /// Start where this consumer is instead.
    pub consumer: Option<String>,
    /// With an expired cursor: start at the earliest event, after a gap notice.
    pub earliest_if_expired: bool,
    /// Which events to take.
    pub filters: Filters,
    /// How often a heartbeat comes.
    pub heartbeat: Duration,
    /// Look up the groups of the users of membership events.
    pub enrich_user_groups: bool,
    /// End after this many events.
    pub stop_after_events: Option<i64>,
    /// End once what was there at the start has been sent.
    pub stop_when_caught_up: bool,
}

impl Options {
    /// Reads a request; `resolve` turns a connection's id or nickname into its id.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field; what `resolve` answers.
    pub fn read(request: &SubscribeEventsRequest, resolve: impl Fn(&str) -> Result<String>) -> Result<Self> {
        Ok(Self {
            start: start(request)?,
            consumer: consumer(request)?,
            earliest_if_expired: request.start_at_earliest_if_expired,
            filters: Filters::compile(&request.filters, resolve)?,
            heartbeat: heartbeat(request)?,
            enrich_user_groups: request.enrich_user_groups,
            stop_after_events: stop_after_events(request)?,
            stop_when_caught_up: request.stop_when_caught_up,
        })
    }
}

fn start(request: &SubscribeEventsRequest) -> Result<Start> {
    match &request.start {
        None => Ok(Start::Latest),
        Some(RequestedStart::AfterCursor(cursor)) => Ok(Start::After(cursor.clone())),
        Some(RequestedStart::StartTime(time)) => Start::time(*time),
        Some(RequestedStart::Position(position)) => Start::position(*position, Start::Latest),
        // Where it is, is known when the stream has it.
        Some(RequestedStart::Consumer(_)) => Ok(Start::Latest),
    }
}

fn consumer(request: &SubscribeEventsRequest) -> Result<Option<String>> {
    match &request.start {
        Some(RequestedStart::Consumer(name)) => check_name(name).map(|()| Some(name.clone())),
        _ => Ok(None),
    }
}

fn heartbeat(request: &SubscribeEventsRequest) -> Result<Duration> {
    let Some(interval) = request.heartbeat_interval else { return Ok(DEFAULT_HEARTBEAT) };
    let is_plain = (0..=60).contains(&interval.seconds) && (0..1_000_000_000).contains(&interval.nanos);
    let interval = is_plain.then(|| Duration::try_from(interval).ok()).flatten();
    interval
        .filter(|interval| (SHORTEST_HEARTBEAT..=LONGEST_HEARTBEAT).contains(interval))
        .ok_or_else(|| Error::invalid("heartbeat_interval", "must be from 1 s to 30 s"))
}

fn stop_after_events(request: &SubscribeEventsRequest) -> Result<Option<i64>> {
    match request.stop_after_events {
        0 => Ok(None),
        events if events > 0 => Ok(Some(events)),
        _ => Err(Error::invalid("stop_after_events", "must not be negative")),
    }
}
