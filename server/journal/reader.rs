//! Reading the journal: a few connections beside the writer, each used by one blocking task at a time.

use std::sync::{Arc, Mutex, PoisonError};

use prost_types::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::Semaphore;

use super::store::{Failure, Store};
use super::{Source, StoredEvent, time};
use crate::error::Result;

/// What the journal holds.
#[derive(Debug, Clone, PartialEq)]
pub struct LogStatus {
    /// Sequence of the oldest event; of the next one to come when there is none.
    pub earliest: i64,
    /// Sequence of the newest event, 0 when there never was one.
    pub head: i64,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// When the oldest event was stored.
    pub oldest_received: Option<Timestamp>,
    /// When the newest event was stored.
    pub newest_received: Option<Timestamp>,
    /// What is known of each org.
    pub sources: Vec<SourceStatus>,
}

/// What the journal knows of one org.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// The connection.
    pub connection_id: String,
    /// Events of it.
    pub events: i64,
    /// When a hook of it last delivered.
    pub last_hook_delivery: Option<Timestamp>,
}

/// The connections that read.
pub(super) struct Reader {
    store: Store,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Reader {
    pub(super) fn new(store: Store, connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections.max(1)));
        Self { store, permits, idle: Arc::default() }
    }

    /// Runs a query where blocking does no harm. A connection that failed is not used again.
    pub(super) async fn run<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await;
        let (store, idle) = (self.store.clone(), self.idle.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let reused = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = reused.map_or_else(|| store.open_reader(), Ok)?;
            let found = query(&connection)?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok::<T, Failure>(found)
        });
        task.await.unwrap_or(Err(Failure::Closed)).map_err(|failure| failure.into_error("read"))
    }

    pub(super) async fn status(&self) -> Result<LogStatus> {
        let size_bytes = self.store.size();
        self.run(move |connection| status(connection, size_bytes)).await
    }
}

pub(super) fn events(
    connection: &Connection,
    after: i64,
    limit_events: usize,
    limit_bytes: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut select = connection.prepare_cached(
        "SELECT sequence, connection_id, uuid, source, received, envelope, raw FROM events
         WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let mut rows = select.query((after, i64::try_from(limit_events).unwrap_or(i64::MAX)))?;
    let mut events = Vec::new();
    let mut bytes = 0;
    while bytes < limit_bytes || events.is_empty() {
        let Some(row) = rows.next()? else { break };
        let event = stored(row)?;
        bytes += event.raw.len() + event.envelope.len();
        events.push(event);
    }
    Ok(events)
}

pub(super) fn earliest(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(bounds(connection)?.0)
}

/// Bisects: sequences are dense and `published_max` never falls.
pub(super) fn first_published_since(connection: &Connection, micros: i64) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached("SELECT published_max FROM events WHERE sequence = ?1")?;
    let (mut low, head) = bounds(connection)?;
    let mut high = head + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        let published: Option<i64> = select.query_row([middle], |row| row.get(0)).optional()?;
        // A row that has just gone was older than any that is left.
        if published.is_some_and(|published| published >= micros) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn status(connection: &Connection, size_bytes: u64) -> rusqlite::Result<LogStatus> {
    let (earliest, head) = bounds(connection)?;
    let mut received = connection.prepare_cached("SELECT received FROM events WHERE sequence = ?1")?;
    let mut received_at = |sequence: i64| -> rusqlite::Result<Option<Timestamp>> {
        Ok(received.query_row([sequence], |row| row.get(0)).optional()?.map(time::from_micros))
    };
    let mut sources = connection
        .prepare_cached("SELECT connection_id, events, last_hook_delivery FROM sources ORDER BY connection_id")?;
    let sources = sources.query_map([], source_status)?.collect::<rusqlite::Result<_>>()?;
    Ok(LogStatus {
        earliest,
        head,
        size_bytes,
        oldest_received: received_at(earliest)?,
        newest_received: received_at(head)?,
        sources,
    })
}

/// The oldest sequence, and the newest; `(1, 0)` for an empty journal.
fn bounds(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let mut select =
        connection.prepare_cached("SELECT (SELECT min(sequence) FROM events), (SELECT max(sequence) FROM events)")?;
    let (oldest, newest): (Option<i64>, Option<i64>) = select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((oldest.unwrap_or(1), newest.unwrap_or(0)))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let source: i64 = row.get(3)?;
    Ok(StoredEvent {
        sequence: row.get(0)?,
        connection_id: row.get(1)?,
        uuid: row.get(2)?,
        source: if source == Source::SystemLog.stored() { Source::SystemLog } else { Source::Hook },
        received: time::from_micros(row.get(4)?),
        envelope: row.get(5)?,
        raw: row.get(6)?,
    })
}

fn source_status(row: &Row<'_>) -> rusqlite::Result<SourceStatus> {
    let last: Option<i64> = row.get(2)?;
    Ok(SourceStatus {
        connection_id: row.get(0)?,
        events: row.get(1)?,
        last_hook_delivery: last.map(time::from_micros),
    })
}
