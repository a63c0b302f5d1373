//! The live end of the journal: its newest events, decoded and encoded once, shared by every stream.
//!
//! One task follows the journal and fills a ring of bounded size. A stream that is within the ring takes from it; one that has
//! fallen behind reads the journal until it is within again. Nobody waits for anybody.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursors;
use super::decode::{Decoded, decode};
use super::frame::Frame;
use crate::error::Result;
use crate::journal::{Journal, StoredEvent};
use crate::proto::SubscribeEventsResponse;
use crate::proto::subscribe_events_response::Frame as Kind;

/// Events the ring holds: some seconds of a large org's burst.
const RING_EVENTS: usize = 4096;
/// Bytes the ring's frames may take; a frame is counted twice, for what filters look at is kept beside it.
const RING_BYTES: usize = 32 << 20;
/// Events one read of the journal takes.
const READ_EVENTS: usize = 256;
/// Bytes after which one read of the journal stops.
const READ_BYTES: usize = 1 << 20;
/// How long the hub waits before it reads a journal again that could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// An event that is ready to be sent.
#[derive(Debug)]
pub struct Ready {
    /// Its place.
    pub sequence: u64,
    /// What filters look at.
    pub decoded: Decoded,
    /// What is sent.
    pub frame: Frame,
}

/// The live end of a journal. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    cursors: Cursors,
    ring: RwLock<Ring>,
    heads: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Ready>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, event: Arc<Ready>) {
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > RING_EVENTS || (self.bytes > RING_BYTES && self.events.len() > 1) {
            self.bytes -= self.events.pop_front().map_or(0, |event| size(&event));
        }
    }

    /// Events after `after`, if the ring reaches back that far.
    fn after(&self, after: u64) -> Option<Vec<Arc<Ready>>> {
        let first = self.events.front()?.sequence;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(self.events.iter().skip(skip).take(READ_EVENTS).cloned().collect())
    }
}

fn size(event: &Ready) -> usize {
    2 * prost::Message::encoded_len(&event.frame)
}

impl Hub {
    /// The live end of `journal`. Nothing moves until [`Hub::run`] does.
    pub fn new(journal: Journal) -> Self {
        let cursors = Cursors::new(journal.identity());
        let (heads, _) = watch::channel(journal.head());
        Self(Arc::new(Inner { journal, cursors, ring: RwLock::default(), heads }))
    }

    /// Follows the journal until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut journal_heads = self.0.journal.heads();
        let mut position = *self.0.heads.borrow();
        loop {
            let caught_up = position >= *journal_heads.borrow_and_update();
            let outcome = if caught_up {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = journal_heads.changed() => if changed.is_err() { return } else { Ok(position) },
                }
            } else {
                self.fill(position).await
            };
            match outcome {
                Ok(new) => position = new,
                Err(error) => {
                    tracing::error!(%error, "live events wait: the journal could not be read");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    async fn fill(&self, after: u64) -> Result<u64> {
        let events = self.read_journal(after).await?;
        let Some(last) = events.last().map(|event| event.sequence) else { return Ok(after) };
        {
            let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
            events.into_iter().for_each(|event| ring.push(Arc::new(event)));
        }
        self.0.heads.send_replace(last);
        Ok(last)
    }

    /// The next events after `after`, from the ring or from the journal; none at the head.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn read(&self, after: u64) -> Result<Vec<Arc<Ready>>> {
        if after >= self.head() {
            return Ok(Vec::new());
        }
        let live = self.0.ring.read().unwrap_or_else(PoisonError::into_inner).after(after);
        match live {
            Some(events) => Ok(events),
            None => Ok(self.read_journal(after).await?.into_iter().map(Arc::new).collect()),
        }
    }

    async fn read_journal(&self, after: u64) -> Result<Vec<Ready>> {
        let events = self.0.journal.read(after, READ_EVENTS, READ_BYTES).await?;
        Ok(events.into_iter().map(|event| self.ready(event)).collect())
    }

    fn ready(&self, event: StoredEvent) -> Ready {
        let sequence = event.sequence;
        let mut decoded = decode(event, &self.0.journal.identity().id);
        let response = SubscribeEventsResponse {
            cursor: self.0.cursors.encode(sequence),
            frame: Some(Kind::Event(std::mem::take(&mut decoded.event))),
        };
        let frame = Frame::from(&response);
        if let Some(Kind::Event(event)) = response.frame {
            decoded.event = event;
        }
        // The frame has them: what is kept beside it is for filters.
        decoded.event.full_details_json = String::new();
        decoded.event.envelope_json = String::new();
        Ready { sequence, decoded, frame }
    }

    /// The newest event that streams can have.
    pub fn head(&self) -> u64 {
        *self.0.heads.borrow()
    }

    /// Tells of every new head.
    pub fn heads(&self) -> watch::Receiver<u64> {
        self.0.heads.subscribe()
    }

    /// The journal behind.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The journal's cursors.
    pub fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }
}
