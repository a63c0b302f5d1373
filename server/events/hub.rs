//! Follows the journal for all live streams: each new event is decoded and encoded once, however many read it.
//!
//! A stream that is behind the ring reads the journal itself and comes back: nobody is dropped for being slow.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Frame;
use super::consumers::Consumers;
use super::cursor::Cursors;
use super::decode::{Decoded, decode};
use super::ring::{LiveEvent, Ring, Window};
use super::sources::Sources;
use crate::journal::{Journal, StoredEvent};
use crate::proto::{Event, SubscribeEventsResponse, subscribe_events_response};

/// Events that are encoded between two looks at the world.
const BATCH_EVENTS: usize = 256;
/// Bytes of events that are encoded between two looks at the world.
const BATCH_BYTES: usize = 1 << 20;
/// How soon a journal that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How much the live ring may hold.
#[derive(Debug, Clone)]
pub struct HubLimits {
    /// Events in the ring.
    pub events: usize,
    /// Bytes of encoded events in the ring.
    pub bytes: usize,
    /// A stream that is not read for this long is ended: its caller has gone, or should know.
    pub slow_after: Duration,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { events: 4096, bytes: 16 << 20, slow_after: Duration::from_secs(300) }
    }
}

/// The live end of the log. Cloning shares it.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    journal: Journal,
    journal_id: String,
    cursors: Cursors,
    consumers: Consumers,
    sources: Sources,
    /// A stream that is not read for this long is ended.
    slow_after: Duration,
    ring: RwLock<Ring>,
    /// Sequence of the newest event in the ring.
    head: watch::Sender<i64>,
    /// Number of streams: without any, nothing is decoded.
    readers: watch::Sender<usize>,
}

/// A stream's hold on the hub. While there is one, new events are decoded as they arrive.
pub(super) struct HubReader {
    hub: Hub,
    head: watch::Receiver<i64>,
}

impl Hub {
    /// A hub over `journal`; it does nothing until [`Hub::run`] runs.
    pub fn new(journal: Journal, limits: &HubLimits) -> Self {
        let cursors = Cursors::new(journal.identity());
        let journal_id = journal.identity().id();
        let ring = RwLock::new(Ring::new(limits.events, limits.bytes));
        let (head, readers) = (watch::channel(0).0, watch::channel(0).0);
        let consumers = Consumers::new(journal.clone(), cursors.clone());
        let slow_after = limits.slow_after;
        Self(Arc::new(Inner {
            journal,
            journal_id,
            cursors,
            consumers,
            sources: Sources::default(),
            slow_after,
            ring,
            head,
            readers,
        }))
    }

    /// Follows the journal until `shutdown`. A journal that cannot be read is tried again: streams wait, and their heartbeats say
    /// how far behind they are.
    pub async fn run(&self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    /// The named readers of the journal.
    pub fn consumers(&self) -> &Consumers {
        &self.0.consumers
    }

    /// What is known of each org's events.
    pub fn sources(&self) -> &Sources {
        &self.0.sources
    }

    pub(super) fn slow_after(&self) -> Duration {
        self.0.slow_after
    }

    /// The cursors of the journal.
    pub fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }

    pub(super) fn decode(&self, stored: StoredEvent) -> Decoded {
        decode(&self.0.journal_id, stored)
    }

    /// The frame of an event, with the event's cursor.
    pub(super) fn encode(&self, event: Event) -> Frame {
        Frame::from(SubscribeEventsResponse {
            cursor: self.0.cursors.encode(event.sequence),
            frame: Some(subscribe_events_response::Frame::Event(event)),
        })
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(super) fn reader(&self) -> HubReader {
        self.0.readers.send_modify(|readers| *readers += 1);
        HubReader { hub: self.clone(), head: self.0.head.subscribe() }
    }

    async fn follow(&self) {
        let mut readers = self.0.readers.subscribe();
        let mut journal_head = self.0.journal.watch_head();
        loop {
            if readers.wait_for(|readers| *readers > 0).await.is_err() {
                return;
            }
            self.restart(self.0.journal.head());
            while *readers.borrow() > 0 {
                let head = *self.0.head.borrow();
                tokio::select! {
                    biased;
                    changed = journal_head.wait_for(|newest| *newest > head) => if changed.is_err() { return },
                    _ = readers.wait_for(|readers| *readers == 0) => break,
                }
                self.take_in(head).await;
            }
        }
    }

    async fn take_in(&self, after: i64) {
        match self.0.journal.read(after, BATCH_EVENTS, BATCH_BYTES).await {
            Ok(stored) => self.push(stored.into_iter().map(|stored| self.live(stored)).collect()),
            Err(error) => {
                tracing::error!(%error, "live events are held up");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    fn live(&self, stored: StoredEvent) -> LiveEvent {
        let decoded = self.decode(stored);
        LiveEvent { sequence: decoded.event.sequence, subject: decoded.subject, frame: self.encode(decoded.event) }
    }

    fn push(&self, events: Vec<LiveEvent>) {
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            ring.push(event);
        }
        self.0.head.send_replace(ring.head());
    }

    fn restart(&self, head: i64) {
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.restart(head);
        self.0.head.send_replace(head);
    }
}

impl HubReader {
    /// At most `limit` events after `position`.
    pub(super) fn after(&self, position: i64, limit: usize) -> Window {
        self.hub.0.ring.read().unwrap_or_else(PoisonError::into_inner).after(position, limit)
    }

    /// Waits until the ring has passed `position`.
    pub(super) async fn passed(&mut self, position: i64) {
        if self.head.wait_for(|head| *head > position).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for HubReader {
    fn drop(&mut self) {
        self.hub.0.readers.send_modify(|readers| *readers -= 1);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("head", &*self.0.head.borrow()).finish_non_exhaustive()
    }
}
