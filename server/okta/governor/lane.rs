//! One connection's turns: a fair queue and a window for each bucket, and the slots that all of them share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::{Notify, oneshot};

use super::breaker::Breaker;
use super::bucket::Bucket;
use super::budget::Budget;
use super::fair::Fair;
use super::reading::{Told, read};
use super::slots::Slots;
use super::window::{Next, Window};
use super::{crowded, out_of_order, spent};
use crate::error::Result;

/// Calls of one caller that wait for one bucket.
const MAX_OF_A_CALLER: usize = 2_000;
/// Calls that wait for one bucket.
const MAX_WAITING: usize = 10_000;
/// Buckets of a connection; the Custom API Action can reach many, and what is beyond counts as one.
const MAX_BUCKETS: usize = 64;
/// Those who wait for the same reset do not come back together with everybody else's clients.
const RESET_SPREAD: Duration = Duration::from_millis(250);

/// The turns of one connection.
#[derive(Debug)]
pub(super) struct Lane {
    state: Mutex<State>,
    /// Something happened that the pump waits for.
    changed: Notify,
    share: f64,
}

#[derive(Debug, Default)]
struct State {
    breaker: Breaker,
    budget: Budget,
    slots: Slots,
    queues: BTreeMap<Bucket, Queue>,
    /// Whose turn among the buckets was last.
    last: Option<Bucket>,
    next_number: u64,
    /// Whether a task deals out turns: it does while somebody waits.
    pumping: bool,
}

#[derive(Debug)]
struct Queue {
    window: Window,
    waiting: Fair<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    deadline: Instant,
    answer: oneshot::Sender<Result<Permit>>,
}

/// A turn: one request may be sent. It ends when this is dropped.
#[derive(Debug)]
pub struct Permit {
    lane: Arc<Lane>,
    bucket: Bucket,
    /// Which crowd it belongs to, as far as slots are concerned.
    crowd: u32,
    /// Whether it is known what the org did with the request.
    known: bool,
}

/// What is known of a connection's limits.
#[derive(Debug, Clone, Default)]
pub struct LaneStatus {
    /// Its buckets, by name.
    pub buckets: Vec<BucketStatus>,
    /// Requests that may be in flight at once, as far as was found out.
    pub concurrency_limit: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Repeats of failed requests that may be made now.
    pub retries_left: u32,
    /// After how long the org is asked again, when it is left alone because it does not answer.
    pub out_of_order_for: Option<Duration>,
}

/// What is known of a bucket.
#[derive(Debug, Clone)]
pub struct BucketStatus {
    /// Its name.
    pub bucket: Bucket,
    /// Requests that a window allows, those that remained at the last answer, and those left to others; when Okta has told.
    pub window: Option<super::window::Seen>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Calls that wait for their turn.
    pub waiting: usize,
}

impl Lane {
    pub(super) fn new(share: f64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), share })
    }

    /// Waits for a turn.
    pub(super) async fn turn(
        self: &Arc<Self>,
        bucket: &Bucket,
        caller: &Arc<str>,
        deadline: Instant,
    ) -> Result<Permit> {
        if let Some(wait) = self.state().breaker.closed_in(Instant::now()) {
            return Err(out_of_order(wait));
        }
        let permit = self.queued_turn(bucket, caller, deadline).await?;
        // It may have gone out of order meanwhile.
        let admitted = self.state().breaker.admit(Instant::now());
        admitted.map(|()| permit).map_err(out_of_order)
    }

    /// Whether a request may be sent again.
    pub(super) fn may_repeat(&self) -> bool {
        self.state().budget.take()
    }

    async fn queued_turn(self: &Arc<Self>, bucket: &Bucket, caller: &Arc<str>, deadline: Instant) -> Result<Permit> {
        let (number, answer) = {
            let now = Instant::now();
            let mut state = self.state();
            let bucket = state.known(bucket);
            let queue = state.queue(&bucket);
            if queue.waiting.is_empty() && queue.window.next(now) == Next::Now && state.slots.is_free() {
                return Ok(self.grant(&mut state, bucket, now));
            }
            let queue = state.queue(&bucket);
            let turn = queue.window.turn(queue.waiting.ahead_of(caller), now);
            let wait = turn.saturating_duration_since(now);
            if turn >= deadline {
                return Err(spent(&bucket, wait));
            }
            if queue.waiting.len_of(caller) >= MAX_OF_A_CALLER {
                return Err(crowded(&bucket, MAX_OF_A_CALLER, "waiting calls of a caller", wait));
            }
            if queue.waiting.len() >= MAX_WAITING {
                return Err(crowded(&bucket, MAX_WAITING, "waiting calls of a connection", wait));
            }
            let (waiter, answer) = oneshot::channel();
            let number = state.next_number;
            state.next_number += 1;
            state.queue(&bucket).waiting.push(caller, Waiter { number, deadline, answer: waiter });
            if !std::mem::replace(&mut state.pumping, true) {
                tokio::spawn(self.clone().pump());
            }
            (number, answer)
        };
        self.changed.notify_one();
        let place = Place { lane: self, bucket, caller, number };
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => Err(spent(bucket, place.lane.wait(bucket, caller))),
        }
    }

    /// How long a call that comes now would wait.
    pub(super) fn wait(&self, bucket: &Bucket, caller: &Arc<str>) -> Duration {
        let now = Instant::now();
        let state = self.state();
        let turn = state.queues.get(bucket).map(|queue| queue.window.turn(queue.waiting.ahead_of(caller), now));
        turn.map_or(Duration::ZERO, |turn| turn.saturating_duration_since(now))
    }

    pub(super) fn status(&self) -> LaneStatus {
        let now = Instant::now();
        let state = self.state();
        let bucket = |(name, queue): (&Bucket, &Queue)| BucketStatus {
            bucket: name.clone(),
            window: queue.window.seen(now),
            in_flight: queue.window.in_flight(),
            waiting: queue.waiting.len(),
        };
        LaneStatus {
            buckets: state.queues.iter().map(bucket).collect(),
            concurrency_limit: state.slots.limit(),
            in_flight: state.slots.in_flight(),
            retries_left: state.budget.left(),
            out_of_order_for: state.breaker.closed_in(now),
        }
    }

    /// Deals out turns for as long as somebody waits.
    async fn pump(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            match self.deal() {
                None => return,
                Some(Next::At(at)) => {
                    let _ = tokio::time::timeout_at(at.into(), changed).await;
                }
                Some(Next::Now | Next::AfterAnswer) => changed.await,
            }
        }
    }

    /// Deals out all turns that there are now; answers when there will be more, or nothing when nobody waits any more.
    fn deal(self: &Arc<Self>) -> Option<Next> {
        let now = Instant::now();
        let mut state = self.state();
        while state.slots.is_free() {
            let Some(bucket) = state.ready(now) else { break };
            let Some(waiter) = state.queue(&bucket).waiting.pop() else { continue };
            if waiter.answer.is_closed() {
                continue;
            }
            let permit = self.grant(&mut state, bucket.clone(), now);
            state.last = Some(bucket);
            if let Err(unsent) = waiter.answer.send(Ok(permit)) {
                // It has left in this moment. Giving the turn back takes the lock.
                drop(state);
                drop(unsent);
                state = self.state();
            }
        }
        let waiting = state.queues.values().filter(|queue| !queue.waiting.is_empty());
        let soonest = waiting.map(|queue| queue.window.next(now)).min_by_key(|next| match next {
            Next::Now => None,
            Next::At(at) => Some(*at),
            Next::AfterAnswer => Some(now + Duration::from_secs(3600)),
        });
        if soonest.is_none() {
            state.pumping = false;
        }
        soonest
    }

    fn grant(self: &Arc<Self>, state: &mut State, bucket: Bucket, now: Instant) -> Permit {
        let crowd = state.slots.take();
        state.budget.add();
        state.queue(&bucket).window.sent(now);
        Permit { lane: self.clone(), bucket, crowd, known: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The bucket, or the one for all that there is no room for.
    fn known(&self, bucket: &Bucket) -> Bucket {
        let has_room = self.queues.len() < MAX_BUCKETS || self.queues.contains_key(bucket);
        if has_room { bucket.clone() } else { super::bucket::OTHER }
    }

    fn queue(&mut self, bucket: &Bucket) -> &mut Queue {
        let new = || Queue { window: Window::new(), waiting: Fair::default() };
        self.queues.entry(bucket.clone()).or_insert_with(new)
    }

    /// The next bucket, in turn, in which somebody waits and may be sent.
    fn ready(&self, now: Instant) -> Option<Bucket> {
        let is_ready =
            |(_, queue): &(&Bucket, &Queue)| !queue.waiting.is_empty() && queue.window.next(now) == Next::Now;
        let after = |(bucket, _): &(&Bucket, &Queue)| self.last.as_ref().is_none_or(|last| *bucket > last);
        let found = self.queues.iter().filter(after).find(is_ready);
        found.or_else(|| self.queues.iter().find(is_ready)).map(|(bucket, _)| bucket.clone())
    }
}

impl Permit {
    /// Learns from the answer to the request, which Okta gave at `date` of its own clock; answers whether there were too many requests
    /// at once.
    pub(in crate::okta) fn learn(&mut self, status: StatusCode, headers: &HeaderMap, date: SystemTime) -> bool {
        let now = Instant::now();
        let (told, refused) = (read(headers, date), status == StatusCode::TOO_MANY_REQUESTS);
        self.known = true;
        let mut state = self.lane.state();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            state.failed(now);
        } else {
            state.breaker.answered();
        }
        if refused && told == Told::Crowd {
            state.slots.refused(self.crowd, now);
            return true;
        }
        state.slots.answered(now);
        let share = self.lane.share;
        let window = &mut state.queue(&self.bucket).window;
        match (told, refused) {
            (Told::Window(reading), false) => window.learn(reading, share, now),
            (Told::Window(reading), true) => {
                window.refused(Some(reading), share, RESET_SPREAD.mul_f64(rand::random()), now);
            }
            (_, true) => window.refused(None, share, RESET_SPREAD.mul_f64(rand::random()), now),
            (_, false) => {}
        }
        state.refuse_the_late(&self.bucket, now);
        false
    }

    /// The org did not answer.
    pub(in crate::okta) fn unanswered(&mut self) {
        self.known = true;
        self.lane.state().failed(Instant::now());
    }
}

impl State {
    fn failed(&mut self, now: Instant) {
        if self.breaker.failed(now) {
            let again = self.breaker.closed_in(now).unwrap_or_default();
            tracing::warn!(
                ?again,
                "the org does not answer, or answers with errors only: it is left alone for a while"
            );
        }
    }

    /// Tells those who wait in vain, as soon as that is known: their turn would come after their deadline.
    fn refuse_the_late(&mut self, bucket: &Bucket, now: Instant) {
        let queue = self.queue(bucket);
        if queue.waiting.is_empty() || queue.window.next(now) == Next::Now {
            return;
        }
        let soonest = queue.window.turn(0, now);
        for waiter in queue.waiting.take_if(|waiter| waiter.deadline <= soonest) {
            let _ = waiter.answer.send(Err(spent(bucket, soonest.saturating_duration_since(now))));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.slots.give_back();
        if !self.known {
            state.breaker.abandoned();
        }
        state.queue(&self.bucket).window.ended();
        drop(state);
        self.lane.changed.notify_one();
    }
}

/// A place in a queue; whoever leaves gives it up.
struct Place<'a> {
    lane: &'a Lane,
    bucket: &'a Bucket,
    caller: &'a Arc<str>,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let removed = {
            let mut state = self.lane.state();
            let bucket = state.known(self.bucket);
            state.queue(&bucket).waiting.remove(self.caller, |waiter| waiter.number == self.number)
        };
        drop(removed);
    }
}
