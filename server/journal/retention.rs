//! Letting go of old events, by age and by size: a little at a time, so that no append waits long for it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};
use tokio_util::sync::CancellationToken;

use super::{Journal, time};
use crate::error::Result;

/// Events that are removed in one go.
const CHUNK: i64 = 2_000;
/// How often is looked for what is too old, at least and at most.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// Looks in the life of an event.
const LOOKS: u32 = 20;

/// What the log keeps. The newest event is always kept: where the log goes on must not be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events that were stored longer ago go.
    pub age: Duration,
    /// The oldest go when all take more than so many bytes.
    pub bytes: u64,
}

/// What one look let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trimmed {
    /// Events that were removed.
    pub events: i64,
    /// Sequence of the oldest event that is left.
    pub earliest: i64,
}

impl Journal {
    /// Removes what is too old or too much, again and again until `stop`. Consumers that lose events they had not dealt with are
    /// said in the log; their next stream is told.
    pub async fn retain(self, retention: Retention, stop: CancellationToken) {
        let pause = (retention.age / LOOKS).clamp(SHORTEST_LOOK, LONGEST_LOOK);
        let mut left_behind = HashMap::new();
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            match self.trim(retention).await {
                Ok(trimmed) if trimmed.events > 0 => {
                    tracing::info!(events = trimmed.events, "removed events that the log keeps no longer");
                    self.tell_who_lost(trimmed.earliest, &mut left_behind).await;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "old events could not be removed"),
            }
        }
    }

    /// Removes what is too old or too much.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn trim(&self, retention: Retention) -> Result<Trimmed> {
        let mut trimmed = Trimmed::default();
        loop {
            let since = Timestamp::from(SystemTime::now() - retention.age);
            let cut =
                move |transaction: &Transaction<'_>, _| cut(transaction, time::to_micros(&since), retention.bytes);
            let (removed, earliest) = self.0.writer.write(Vec::new(), cut).await?;
            trimmed = Trimmed { events: trimmed.events + removed, earliest };
            if removed < CHUNK {
                return Ok(trimmed);
            }
        }
    }

    async fn tell_who_lost(&self, earliest: i64, told: &mut HashMap<String, i64>) {
        let consumers = self.consumers("", usize::MAX).await.unwrap_or_default();
        for consumer in consumers.into_iter().filter(|consumer| consumer.sequence < earliest - 1) {
            let lost = earliest - 1 - consumer.sequence;
            if told.insert(consumer.name.clone(), consumer.sequence) != Some(consumer.sequence) {
                tracing::warn!(
                    consumer = consumer.name,
                    lost,
                    "the log has let go of events that a consumer had not dealt with"
                );
            }
        }
    }
}

/// Removes at most a chunk; answers how many, and the oldest that is left.
fn cut(transaction: &Transaction<'_>, since: i64, bytes: u64) -> rusqlite::Result<(i64, i64)> {
    let bounds = "SELECT min(sequence), max(sequence) FROM events";
    let (oldest, newest): (Option<i64>, Option<i64>) =
        transaction.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok((0, 1)) };
    let by_age = first_received_since(transaction, oldest, newest, since)?;
    let by_size = oldest.saturating_add(excess(transaction, newest - oldest + 1, bytes)?);
    // Everything before this goes; never the newest.
    let keep = by_age.max(by_size).min(oldest + CHUNK).min(newest);
    if keep <= oldest {
        return Ok((0, oldest));
    }
    let mut counted =
        transaction.prepare_cached("SELECT connection_id, count(*) FROM events WHERE sequence < ?1 GROUP BY 1")?;
    let counted: Vec<(String, i64)> =
        counted.query_map([keep], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut uncount = transaction.prepare_cached("UPDATE sources SET events = events - ?2 WHERE connection_id = ?1")?;
    for (connection_id, events) in counted {
        uncount.execute((connection_id, events))?;
    }
    let removed = transaction.prepare_cached("DELETE FROM events WHERE sequence < ?1")?.execute([keep])?;
    Ok((i64::try_from(removed).unwrap_or(i64::MAX), keep))
}

/// Sequence of the first event that was stored since; past the newest when there is none. Bisects: events are stored in order.
fn first_received_since(connection: &Connection, oldest: i64, newest: i64, since: i64) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached("SELECT received FROM events WHERE sequence = ?1")?;
    let (mut low, mut high) = (oldest, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let received: Option<i64> = select.query_row([middle], |row| row.get(0)).optional()?;
        if received.is_some_and(|received| received >= since) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// How many of the oldest events are too much, by what an event takes on average.
fn excess(connection: &Connection, events: i64, bytes: u64) -> rusqlite::Result<i64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let used = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    let each = used / u64::try_from(events).unwrap_or(1).max(1);
    let excess = used.saturating_sub(bytes).checked_div(each).unwrap_or(0);
    Ok(i64::try_from(excess).unwrap_or(i64::MAX))
}
