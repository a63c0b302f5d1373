//! What is known of each org's events: up to when they are proven complete, and where some are or were missing. Written by whoever reads
//! the System Log, told on every stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tokio::sync::watch;

use crate::journal::GapRow;
use crate::proto::{Gap, GapState, ReconcilerState, SourceWatermark};

/// A gap that was closed is told on new streams for this long: a subscriber may have been away when it happened.
const TOLD_AFTER_CLOSING: Duration = Duration::from_secs(3600);
/// Orgs that a heartbeat tells of; the others are in GetEventLog.
const MAX_WATERMARKS: usize = 1_000;

/// The board that all streams read. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Sources(Arc<watch::Sender<Arc<Board>>>);

/// What is on it at one time.
#[derive(Debug, Clone, Default)]
pub struct Board {
    orgs: BTreeMap<String, Org>,
    /// Counts the changes of gaps.
    gap_changes: u64,
}

/// What is known of one org.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Org {
    /// Whether its System Log is read.
    pub state: ReconcilerState,
    /// More about that, in a sentence.
    pub detail: String,
    /// Everything that was published before is in the log.
    pub complete_until: Option<Timestamp>,
    gaps: Vec<Told>,
}

/// A gap, and which change brought it here.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    gap: GapRow,
    change: u64,
}

impl Default for Sources {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Arc::default()).0))
    }
}

impl Sources {
    /// What is known at this time.
    pub fn board(&self) -> Arc<Board> {
        self.0.borrow().clone()
    }

    /// Follows changes of the board.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Board>> {
        self.0.subscribe()
    }

    /// Says whether an org's System Log is read.
    pub fn set_state(&self, connection_id: &str, state: ReconcilerState, detail: impl Into<String>) {
        let detail = detail.into();
        self.0.send_if_modified(|board| {
            let present = board.orgs.get(connection_id);
            if present.is_some_and(|org| org.state == state && org.detail == detail) {
                return false;
            }
            let org = Arc::make_mut(board).orgs.entry(connection_id.to_owned()).or_default();
            (org.state, org.detail) = (state, detail);
            false
        });
    }

    /// Says up to when an org's events are complete.
    pub fn set_complete(&self, connection_id: &str, until: Timestamp) {
        // Heartbeats look at it when they are due: nobody is woken for it, as for the state.
        self.0.send_if_modified(|board| {
            Arc::make_mut(board).orgs.entry(connection_id.to_owned()).or_default().complete_until = Some(until);
            false
        });
    }

    /// Says where a gap stands.
    pub fn put_gap(&self, gap: GapRow) {
        self.0.send_modify(|board| {
            let board = Arc::make_mut(board);
            board.gap_changes += 1;
            let told = Told { change: board.gap_changes, gap };
            let gaps = &mut board.orgs.entry(told.gap.connection_id.clone()).or_default().gaps;
            gaps.retain(|other| other.gap.id != told.gap.id);
            gaps.push(told);
        });
    }

    /// Forgets an org that is connected no longer.
    pub fn forget(&self, connection_id: &str) {
        self.0.send_if_modified(|board| Arc::make_mut(board).orgs.remove(connection_id).is_some());
    }
}

impl Board {
    /// What is known of an org.
    pub fn org(&self, connection_id: &str) -> Option<&Org> {
        self.orgs.get(connection_id)
    }

    /// Ids of the orgs of which anything is known.
    pub fn connections(&self) -> impl Iterator<Item = &str> {
        self.orgs.keys().map(String::as_str)
    }

    /// The watermarks of the orgs that `wanted` takes.
    pub(super) fn watermarks(&self, wanted: impl Fn(&str) -> bool) -> Vec<SourceWatermark> {
        let orgs = self.orgs.iter().filter(|(id, org)| org.complete_until.is_some() && wanted(id));
        let told =
            orgs.map(|(id, org)| SourceWatermark { connection_id: id.clone(), complete_until: org.complete_until });
        told.take(MAX_WATERMARKS).collect()
    }

    /// How many changes of gaps there were so far.
    pub(super) fn gap_changes(&self) -> u64 {
        self.gap_changes
    }

    /// What a stream that begins is told of gaps: those that are suspected, and those that were closed lately.
    pub(super) fn gaps_to_begin_with(&self, wanted: impl Fn(&str) -> bool) -> Vec<Gap> {
        let since = Timestamp::from(SystemTime::now() - TOLD_AFTER_CLOSING);
        self.gaps(wanted, |told| told.gap.state == GapState::Suspected || told.gap.changed.seconds >= since.seconds)
    }

    /// What has changed about gaps since the change `since`.
    pub(super) fn gaps_since(&self, since: u64, wanted: impl Fn(&str) -> bool) -> Vec<Gap> {
        self.gaps(wanted, |told| told.change > since)
    }

    fn gaps(&self, wanted: impl Fn(&str) -> bool, which: impl Fn(&Told) -> bool) -> Vec<Gap> {
        let orgs = self.orgs.iter().filter(|(id, _)| wanted(id));
        let mut told: Vec<&Told> = orgs.flat_map(|(_, org)| &org.gaps).filter(|told| which(told)).collect();
        told.sort_by_key(|told| told.change);
        told.into_iter().map(|told| shown(&told.gap)).collect()
    }
}

impl Org {
    /// The gaps that are not repaired.
    pub fn open_gaps(&self) -> Vec<Gap> {
        self.gaps.iter().filter(|told| told.gap.state != GapState::Repaired).map(|told| shown(&told.gap)).collect()
    }
}

fn shown(gap: &GapRow) -> Gap {
    Gap {
        gap_id: gap.id.clone(),
        connection_id: gap.connection_id.clone(),
        state: gap.state.into(),
        from: Some(gap.from),
        until: gap.until,
        reason: gap.reason.clone(),
        events_repaired: gap.repaired,
    }
}
