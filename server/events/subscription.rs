//! One stream of events: opened, replayed from the journal, then live, until one side ends it.
//!
//! It is pulled: nothing is read before the caller has taken what came before, so that a slow caller costs one batch of memory and
//! holds up nobody. Events and heartbeats leave by the same door, so that no heartbeat overtakes an event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, Stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Frame;
use super::closing::Ending;
use super::consumers::Claim;
use super::filter::Filters;
use super::groups::{self, Answer, GroupLookup, has_groups};
use super::hub::{Hub, HubReader};
use super::options::Options;
use super::ring::{LiveEvent, Window};
use super::sources::Board;
use super::start::{Bounds, Start};
use super::subject::Subject;
use crate::error::{Error, Result};
use crate::journal::StoredEvent;
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{Event, Gap, GapState, Heartbeat, Opened, SubscribeEventsResponse, UserGroups};

/// Live events that a stream takes from the ring at a time.
const LIVE_EVENTS: usize = 64;
/// Events that a stream reads from the journal at a time.
const REPLAY_EVENTS: usize = 256;
/// Bytes of events that a stream reads from the journal at a time: with it, the memory of a stream is bounded.
const REPLAY_BYTES: usize = 256 << 10;

/// A stream of events.
pub struct Subscription {
    reader: HubReader,
    claim: Option<Claim>,
    filters: Filters,
    shutdown: CancellationToken,
    stage: Stage,
    /// Everything up to here has been sent or filtered out: the cursor of whatever frame comes next that is no event.
    position: i64,
    /// Everything up to here has been looked at; what passed the filters and is not sent yet is `ready`.
    examined: i64,
    ready: VecDeque<(i64, Ready)>,
    /// What looks up the groups of users, when that was asked for.
    lookup: Option<GroupLookup>,
    /// The head at the start, when that is where to stop.
    stop_at: Option<i64>,
    /// How many more events to send, when that is when to stop.
    remaining: Option<i64>,
    heartbeat_interval: Duration,
    heartbeat_due: Instant,
    /// When the last frame was handed over: until the next is asked for, the caller is not reading.
    handed_over: Option<Instant>,
    now: Instant,
    board: watch::Receiver<Arc<Board>>,
    /// Changes of gaps that have been told, or are about to be.
    gaps_told: u64,
    notices: VecDeque<Gap>,
}

/// An event that passed the filters.
enum Ready {
    /// As everybody gets it.
    Frame(Frame),
    /// It waits for the groups of its user.
    Enriching(Box<(Event, Answer)>),
}

enum Stage {
    /// The first frames are on their way.
    Opening(VecDeque<Frame>),
    /// Events are.
    Following,
    /// The closing frame has been sent; an error may follow it.
    Ended(Option<Error>),
}

impl Subscription {
    /// Opens a stream on the log of `hub`; it ends when `shutdown` is cancelled.
    ///
    /// # Errors
    /// Those of the start's cursor; `StorageUnavailable`.
    pub async fn open(hub: &Hub, options: Options, shutdown: &CancellationToken) -> Result<Self> {
        let reader = hub.reader();
        let claim = match &options.consumer {
            Some(name) => Some(hub.consumers().claim(name).await?),
            None => None,
        };
        let start = claim.as_ref().map_or(options.start.clone(), |claim| Start::Sequence(claim.sequence()));
        let bounds = start.resolve(hub.journal(), hub.cursors(), options.earliest_if_expired).await?;
        let lease = claim.as_ref().map(Claim::lease).unwrap_or_default();
        let mut opening = VecDeque::from([opened(hub, &options, &bounds, lease)]);
        if bounds.expired {
            opening.push_back(expired(hub, &bounds));
        }
        let board = hub.sources().watch();
        let known = board.borrow().clone();
        Ok(Self {
            reader,
            claim,
            handed_over: None,
            now: Instant::now(),
            board,
            gaps_told: known.gap_changes(),
            notices: known.gaps_to_begin_with(|id| options.filters.take_connection(id)).into(),
            // A token of its own: looking at it contends with no other stream.
            shutdown: shutdown.child_token(),
            stage: Stage::Opening(opening),
            position: bounds.after,
            examined: bounds.after,
            ready: VecDeque::new(),
            lookup: None,
            stop_at: options.stop_when_caught_up.then_some(bounds.head),
            remaining: options.stop_after_events,
            heartbeat_interval: options.heartbeat,
            heartbeat_due: Instant::now() + options.heartbeat,
            filters: options.filters,
        })
    }

    /// Puts the groups of their users on the membership events, if that was asked for.
    #[must_use]
    pub fn enriched_by(mut self, lookup: Option<GroupLookup>) -> Self {
        self.lookup = lookup;
        self
    }

    /// The frames, one by one; an error is the last item.
    pub fn into_stream(self) -> impl Stream<Item = Result<Frame>> + Send + 'static {
        futures_util::stream::unfold(self, |mut subscription| async move {
            subscription.next().await.map(|item| (item, subscription))
        })
    }

    /// The next frame; `None` when the stream is over.
    pub async fn next(&mut self) -> Option<Result<Frame>> {
        // One look at the clock a frame does for everything that depends on it.
        self.now = Instant::now();
        let was_away = self.handed_over.is_some_and(|since| self.now - since > self.reader.hub().slow_after());
        if was_away && !matches!(self.stage, Stage::Ended(_)) {
            return Some(Ok(self.close(Ending::SlowConsumer)));
        }
        let next = self.look().await;
        self.handed_over = Some(self.now);
        next
    }

    async fn look(&mut self) -> Option<Result<Frame>> {
        loop {
            match &mut self.stage {
                Stage::Opening(frames) => match frames.pop_front() {
                    Some(frame) => return Some(Ok(frame)),
                    None => self.stage = Stage::Following,
                },
                Stage::Following => {
                    if let Some(frame) = self.due() {
                        return Some(Ok(frame));
                    }
                    if let Err(ending) = self.advance().await {
                        return Some(Ok(self.close(ending)));
                    }
                    self.now = Instant::now();
                }
                Stage::Ended(error) => return error.take().map(Err),
            }
        }
    }

    /// What is to be sent now, if anything.
    fn due(&mut self) -> Option<Frame> {
        if let Some(ending) = self.ending() {
            return Some(self.close(ending));
        }
        if self.now >= self.heartbeat_due {
            return Some(self.heartbeat());
        }
        if let Some(gap) = self.next_notice() {
            return Some(frame(self.reader.hub(), self.position, Kind::Gap(gap)));
        }
        if let Some((_, Ready::Enriching(waiting))) = self.ready.front() {
            // Nothing overtakes it: the order is the log's.
            waiting.1.peek()?;
        }
        let (sequence, ready) = self.ready.pop_front()?;
        let frame = match ready {
            Ready::Frame(frame) => frame,
            Ready::Enriching(waiting) => self.enriched(*waiting),
        };
        self.position = if self.ready.is_empty() { self.examined } else { sequence };
        if let Some(remaining) = &mut self.remaining {
            *remaining -= 1;
        }
        Some(frame)
    }

    /// What there is to tell of gaps.
    fn next_notice(&mut self) -> Option<Gap> {
        // Asked for every frame: a look at a number, and at the board only when it has changed.
        if self.board.has_changed().unwrap_or(false) {
            let board = self.board.borrow_and_update();
            self.notices.extend(board.gaps_since(self.gaps_told, |id| self.filters.take_connection(id)));
            self.gaps_told = board.gap_changes();
        }
        self.notices.pop_front()
    }

    fn ending(&self) -> Option<Ending> {
        if self.shutdown.is_cancelled() {
            Some(Ending::ServerStopping)
        } else if let Some((name, loss)) =
            self.claim.as_ref().and_then(|claim| claim.loss().map(|loss| (claim.name(), loss)))
        {
            Some(Ending::ConsumerLost { name, loss })
        } else if self.remaining == Some(0) {
            Some(Ending::StopAfterEvents)
        } else if self.stop_at.is_some_and(|stop| self.position >= stop) {
            Some(Ending::CaughtUp)
        } else {
            None
        }
    }

    /// Looks at what comes next in the log, or waits for it, or until something else is due.
    async fn advance(&mut self) -> std::result::Result<(), Ending> {
        if let Some((_, Ready::Enriching(waiting))) = self.ready.front() {
            let answer = waiting.1.clone();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {}
                () = lost(&mut self.claim) => {}
                _ = answer => {}
                () = tokio::time::sleep_until(self.heartbeat_due) => {}
            }
            return Ok(());
        }
        match self.reader.after(self.position, LIVE_EVENTS) {
            Window::Events(events) => self.take_live(&events),
            Window::Behind => self.replay().await?,
            Window::Nothing => {
                tokio::select! {
                    biased;
                    () = self.shutdown.cancelled() => {}
                    () = lost(&mut self.claim) => {}
                    // Waiting for it counts as having seen it; it has yet to be told.
                    Ok(()) = self.board.changed() => self.board.mark_changed(),
                    () = self.reader.passed(self.position) => {}
                    () = tokio::time::sleep_until(self.heartbeat_due) => {}
                }
            }
        }
        Ok(())
    }

    fn take_live(&mut self, events: &[Arc<LiveEvent>]) {
        for event in events.iter().take_while(|event| self.stop_at.is_none_or(|stop| event.sequence <= stop)) {
            self.examined = event.sequence;
            if self.filters.pass(&event.subject) {
                let ready = self.enrich(&event.subject, || event.frame.event());
                self.ready.push_back((event.sequence, ready.unwrap_or_else(|| Ready::Frame(event.frame.clone()))));
            }
        }
        self.skip_filtered();
    }

    async fn replay(&mut self) -> std::result::Result<(), Ending> {
        let read = self.reader.hub().journal().read(self.position, REPLAY_EVENTS, REPLAY_BYTES).await;
        let events = read.map_err(Ending::LogUnavailable)?;
        if events.first().map(|event| event.sequence) != Some(self.position + 1) {
            let earliest = self.reader.hub().journal().earliest().await.map_err(Ending::LogUnavailable)?;
            let earliest_cursor = self.reader.hub().cursors().encode(earliest - 1);
            return Err(Ending::CursorExpired { earliest_cursor });
        }
        self.take_stored(events);
        Ok(())
    }

    fn take_stored(&mut self, events: Vec<StoredEvent>) {
        let hub = self.reader.hub().clone();
        let stop = self.stop_at.unwrap_or(i64::MAX);
        for event in events.into_iter().take_while(|event| event.sequence <= stop) {
            self.examined = event.sequence;
            let decoded = hub.decode(event);
            if self.filters.pass(&decoded.subject) {
                let ready = self.enrich(&decoded.subject, || Some(decoded.event.clone()));
                self.ready.push_back((self.examined, ready.unwrap_or_else(|| Ready::Frame(hub.encode(decoded.event)))));
            }
        }
        self.skip_filtered();
    }

    /// The event on its way to have the groups of its user, when it is to have them.
    fn enrich(&self, subject: &Subject, event: impl FnOnce() -> Option<Event>) -> Option<Ready> {
        let lookup = self.lookup.as_ref().filter(|_| has_groups(subject.card))?;
        let mut event = event()?;
        let (user, _) = groups::place(&mut event)?;
        let answer = match user {
            Some(user) if !user.id.is_empty() => lookup.ask(&subject.connection_id, &user.id),
            _ => std::future::ready(Arc::new(groups::failed("the event names no user"))).boxed().shared(),
        };
        Some(Ready::Enriching(Box::new((event, answer))))
    }

    fn enriched(&self, (mut event, answer): (Event, Answer)) -> Frame {
        if let (Some((_, place)), Some(found)) = (groups::place(&mut event), answer.peek()) {
            *place = Some(UserGroups::clone(found));
        }
        self.reader.hub().encode(event)
    }

    /// Where nothing passed the filters, there is nothing to send before the cursor may move.
    fn skip_filtered(&mut self) {
        if self.ready.is_empty() {
            self.position = self.examined;
        }
    }

    fn heartbeat(&mut self) -> Frame {
        self.heartbeat_due = self.now + self.heartbeat_interval;
        let head = self.reader.hub().journal().head();
        frame(
            self.reader.hub(),
            self.position,
            Kind::Heartbeat(Heartbeat {
                sent: Some(SystemTime::now().into()),
                backlog: (head - self.position).max(0),
                watermarks: self.board.borrow().watermarks(|id| self.filters.take_connection(id)),
            }),
        )
    }

    fn close(&mut self, ending: Ending) -> Frame {
        let closing = ending.closing();
        self.stage = Stage::Ended(ending.into_error());
        frame(self.reader.hub(), self.position, Kind::Closing(closing))
    }
}

/// Waits until the stream has lost its consumer, if it has one.
async fn lost(claim: &mut Option<Claim>) {
    match claim {
        Some(claim) => claim.lost().await,
        None => std::future::pending().await,
    }
}

fn frame(hub: &Hub, position: i64, kind: Kind) -> Frame {
    Frame::from(SubscribeEventsResponse { cursor: hub.cursors().encode(position), frame: Some(kind) })
}

fn opened(hub: &Hub, options: &Options, bounds: &Bounds, lease: String) -> Frame {
    frame(
        hub,
        bounds.after,
        Kind::Opened(Opened {
            earliest_cursor: hub.cursors().encode(bounds.earliest - 1),
            head_cursor: hub.cursors().encode(bounds.head),
            backlog: bounds.head - bounds.after,
            heartbeat_interval: options.heartbeat.try_into().ok(),
            unknown_event_types: options.filters.unknown_event_types().to_vec(),
            lease,
        }),
    )
}

/// The log does not reach back to where the stream was to start.
fn expired(hub: &Hub, bounds: &Bounds) -> Frame {
    frame(
        hub,
        bounds.after,
        Kind::Gap(Gap {
            gap_id: format!("log-{}", bounds.earliest),
            state: GapState::Unrecoverable.into(),
            reason: "the event log does not reach back to the cursor: the stream starts at its earliest event"
                .to_owned(),
            ..Gap::default()
        }),
    )
}
