//! Where to start reading the log: what a request asks for, turned into a sequence.

use std::time::Duration;

use prost_types::Timestamp;

use super::cursor::Cursors;
use crate::error::{Error, Result};
use crate::journal::{self, Journal};
use crate::proto::{ErrorReason, StartPosition};

/// A start this far in the future is put down to the caller's clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Where to start.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// After a cursor.
    After(String),
    /// At the first event published at this time or later.
    Time(Timestamp),
    /// At the oldest event.
    Earliest,
    /// At the next event to arrive.
    Latest,
    /// After the event with this sequence: where a consumer is.
    Sequence(i64),
}

/// Where the log is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Everything up to this sequence is left out.
    pub after: i64,
    /// Sequence of the oldest event of the log.
    pub earliest: i64,
    /// Sequence of the newest event of the log.
    pub head: i64,
    /// The log does not reach back to the start asked for, and this is its earliest.
    pub expired: bool,
}

impl Start {
    /// A position of the contract; UNSPECIFIED is `default`.
    ///
    /// # Errors
    /// `InvalidRequest` for a value that the contract does not have.
    pub fn position(position: i32, default: Self) -> Result<Self> {
        match StartPosition::try_from(position) {
            Ok(StartPosition::Unspecified) => Ok(default),
            Ok(StartPosition::Earliest) => Ok(Self::Earliest),
            Ok(StartPosition::Latest) => Ok(Self::Latest),
            Err(_) => Err(Error::invalid("position", "is not a start position")),
        }
    }

    /// A start by time.
    ///
    /// # Errors
    /// `InvalidRequest` when the time is none, or lies in the future.
    pub fn time(time: Timestamp) -> Result<Self> {
        let latest = journal::now().seconds.saturating_add_unsigned(CLOCK_TOLERANCE.as_secs());
        if !(0..1_000_000_000).contains(&time.nanos) {
            return Err(Error::invalid("start_time", "is not a time: nanos must be from 0 to 999999999"));
        }
        if time.seconds > latest {
            return Err(Error::invalid("start_time", "lies in the future"));
        }
        Ok(Self::Time(time))
    }

    /// Finds the start in the log. With `or_earliest`, an expired cursor is no error.
    ///
    /// # Errors
    /// Those of [`Cursors::decode`]; `StorageUnavailable`.
    pub async fn resolve(&self, journal: &Journal, cursors: &Cursors, or_earliest: bool) -> Result<Bounds> {
        let head = journal.head();
        let earliest = journal.earliest().await?;
        let mut expired = false;
        let after = match self {
            Self::After(cursor) => match cursors.decode(cursor, earliest, head) {
                Err(error) if or_earliest && error.reason() == ErrorReason::CursorExpired => {
                    expired = true;
                    earliest - 1
                }
                decoded => decoded?,
            },
            Self::Time(time) => (journal.find_by_published_time(*time).await? - 1).min(head),
            Self::Earliest => earliest - 1,
            Self::Latest => head,
            Self::Sequence(sequence) => match cursors.check(*sequence, earliest, head) {
                Err(error) if or_earliest && error.reason() == ErrorReason::CursorExpired => {
                    expired = true;
                    earliest - 1
                }
                checked => checked?,
            },
        };
        Ok(Bounds { after, earliest, head, expired })
    }
}
