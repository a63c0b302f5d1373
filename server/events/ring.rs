//! The newest events, ready to send: a bounded window on the end of the log that all live streams share.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Frame;
use super::subject::Subject;

/// An event, encoded once for all streams.
#[derive(Debug)]
pub(super) struct LiveEvent {
    /// Its place in the log.
    pub sequence: i64,
    /// What filters look at.
    pub subject: Subject,
    /// The event as it goes over the wire, cursor and all.
    pub frame: Frame,
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Window {
    /// The next events, without a gap.
    Events(Vec<Arc<LiveEvent>>),
    /// Nothing new.
    Nothing,
    /// The reader is behind the ring: what it wants next is in the journal only.
    Behind,
}

/// A run of events without a gap, bounded by number and by bytes.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<LiveEvent>>,
    /// Sequence that the next event to be pushed has.
    next: i64,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Ring {
    pub(super) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), next: 1, bytes: 0, max_events, max_bytes }
    }

    /// Forgets everything and goes on after `head`.
    pub(super) fn restart(&mut self, head: i64) {
        self.events.clear();
        self.bytes = 0;
        self.next = head + 1;
    }

    /// Adds the next event; one that is not the next starts the ring anew, so that it never has a gap.
    pub(super) fn push(&mut self, event: LiveEvent) {
        if event.sequence != self.next {
            self.restart(event.sequence - 1);
        }
        self.next = event.sequence + 1;
        self.bytes += event.frame.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.frame.len();
        }
    }

    /// Sequence of the newest event that has passed through.
    pub(super) fn head(&self) -> i64 {
        self.next - 1
    }

    /// At most `limit` events after `position`.
    pub(super) fn after(&self, position: i64, limit: usize) -> Window {
        if position >= self.head() {
            return Window::Nothing;
        }
        let first = self.next - i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        match usize::try_from(position + 1 - first) {
            Ok(from) => Window::Events(self.events.iter().skip(from).take(limit).cloned().collect()),
            Err(_) => Window::Behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::SubscribeEventsResponse;

    fn event(sequence: i64, bytes: usize) -> LiveEvent {
        let response = SubscribeEventsResponse { cursor: "c".repeat(bytes - 2), frame: None };
        LiveEvent { sequence, subject: Subject::default(), frame: response.into() }
    }

    fn ring(max_events: usize, max_bytes: usize, sequences: std::ops::RangeInclusive<i64>) -> Ring {
        let mut ring = Ring::new(max_events, max_bytes);
        sequences.for_each(|sequence| ring.push(event(sequence, 10)));
        ring
    }

    fn after(ring: &Ring, position: i64, limit: usize) -> Option<Vec<i64>> {
        match ring.after(position, limit) {
            Window::Events(events) => Some(events.iter().map(|event| event.sequence).collect()),
            Window::Nothing => Some(Vec::new()),
            Window::Behind => None,
        }
    }

    #[test]
    fn a_reader_gets_what_comes_next_or_learns_that_it_is_behind() {
        let ring = ring(3, 1000, 1..=5);
        assert_eq!(after(&ring, 1, 9), None);
        assert_eq!(after(&ring, 2, 9), Some(vec![3, 4, 5]));
        assert_eq!(after(&ring, 3, 1), Some(vec![4]));
        assert_eq!(after(&ring, 5, 9), Some(vec![]));
        assert_eq!(after(&ring, 7, 9), Some(vec![]));
    }

    #[test]
    fn bytes_bound_it_too() {
        assert_eq!(after(&ring(100, 25, 1..=5), 3, 9), Some(vec![4, 5]));
        assert_eq!(after(&ring(100, 25, 1..=5), 2, 9), None);
        assert_eq!(after(&ring(100, 5, 1..=5), 4, 9), None, "an event larger than the ring is in the journal only");
    }

    #[test]
    fn it_never_has_a_gap() {
        let mut ring = ring(10, 1000, 1..=3);
        ring.push(event(7, 10));
        assert_eq!(after(&ring, 3, 9), None);
        assert_eq!(after(&ring, 6, 9), Some(vec![7]));
        ring.restart(20);
        assert_eq!((ring.head(), after(&ring, 20, 9), after(&ring, 19, 9)), (20, Some(vec![]), None));
    }
}
