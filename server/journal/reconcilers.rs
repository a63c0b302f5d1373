//! How far each org's System Log is read, and where events are or were missing: kept beside the events, and changed with them.

use prost_types::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::time;
use crate::proto::GapState;

/// Gaps of one org that are remembered.
const MAX_GAPS: usize = 100;

/// How far an org's System Log is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The query of the next page, as Okta gave it.
    pub next: String,
    /// Everything that was published before is in the log.
    pub complete_until: Timestamp,
}

/// A time in which events are, or were, missing.
#[derive(Debug, Clone, PartialEq)]
pub struct GapRow {
    /// Its id.
    pub id: String,
    /// The connection whose events they are.
    pub connection_id: String,
    /// Where it stands.
    pub state: GapState,
    /// Since when.
    pub from: Timestamp,
    /// Until when, once that is known.
    pub until: Option<Timestamp>,
    /// Why, in a sentence.
    pub reason: String,
    /// Events that were found missing and added.
    pub repaired: i64,
    /// When it last changed.
    pub changed: Timestamp,
}

impl GapRow {
    /// The same with so many more events found.
    pub(super) fn repaired_by(mut self, events: usize) -> Self {
        self.repaired = self.repaired.saturating_add(i64::try_from(events).unwrap_or(i64::MAX));
        self
    }
}

pub(super) fn put(connection: &Connection, id: &str, progress: &Progress) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO reconcilers (connection_id, next, complete_until) VALUES (?1, ?2, ?3)")?
        .execute((id, &progress.next, time::to_micros(&progress.complete_until)))
        .map(|_| ())
}

pub(super) fn get(connection: &Connection, id: &str) -> rusqlite::Result<Option<Progress>> {
    connection
        .prepare_cached("SELECT next, complete_until FROM reconcilers WHERE connection_id = ?1")?
        .query_row([id], |row| Ok(Progress { next: row.get(0)?, complete_until: time::from_micros(row.get(1)?) }))
        .optional()
}

pub(super) fn forget(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM reconcilers WHERE connection_id = ?1", [id])?;
    connection.execute("DELETE FROM gaps WHERE connection_id = ?1", [id]).map(|_| ())
}

pub(super) fn put_gap(connection: &Connection, gap: &GapRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO gaps (id, connection_id, state, from_time, until_time, reason, repaired, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            &gap.id,
            &gap.connection_id,
            i32::from(gap.state),
            time::to_micros(&gap.from),
            gap.until.as_ref().map(time::to_micros),
            &gap.reason,
            gap.repaired,
            time::to_micros(&gap.changed),
        ))?;
    connection
        .prepare_cached(
            "DELETE FROM gaps WHERE connection_id = ?1 AND id NOT IN
             (SELECT id FROM gaps WHERE connection_id = ?1 ORDER BY changed DESC LIMIT ?2)",
        )?
        .execute((&gap.connection_id, i64::try_from(MAX_GAPS).unwrap_or(i64::MAX)))
        .map(|_| ())
}

pub(super) fn gaps(connection: &Connection, id: &str) -> rusqlite::Result<Vec<GapRow>> {
    let mut select = connection.prepare_cached(
        "SELECT id, connection_id, state, from_time, until_time, reason, repaired, changed FROM gaps
         WHERE connection_id = ?1 ORDER BY changed DESC",
    )?;
    select.query_map([id], gap)?.collect()
}

pub(super) fn last_known(
    connection: &Connection,
    id: &str,
) -> rusqlite::Result<(Option<Timestamp>, Option<Timestamp>)> {
    let mut source = connection.prepare_cached("SELECT last_hook_delivery FROM sources WHERE connection_id = ?1")?;
    // Where the org has no events at all, there is no need to look through those of all others.
    let Some(delivery) = source.query_row([id], |row| row.get::<_, Option<i64>>(0)).optional()? else {
        return Ok((None, None));
    };
    let mut newest = connection.prepare_cached(
        "SELECT published FROM events WHERE connection_id = ?1 AND published IS NOT NULL ORDER BY sequence DESC LIMIT 1",
    )?;
    let published: Option<i64> = newest.query_row([id], |row| row.get(0)).optional()?;
    Ok((published.map(time::from_micros), delivery.map(time::from_micros)))
}

fn gap(row: &Row<'_>) -> rusqlite::Result<GapRow> {
    let until: Option<i64> = row.get(4)?;
    Ok(GapRow {
        id: row.get(0)?,
        connection_id: row.get(1)?,
        state: GapState::try_from(row.get::<_, i32>(2)?).unwrap_or_default(),
        from: time::from_micros(row.get(3)?),
        until: until.map(time::from_micros),
        reason: row.get(5)?,
        repaired: row.get(6)?,
        changed: time::from_micros(row.get(7)?),
    })
}
