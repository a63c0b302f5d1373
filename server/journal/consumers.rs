//! Named readers: how far each is, kept beside the events that they read.

use rusqlite::{Connection, OptionalExtension, Row};

use super::time;

/// A named reader.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerRow {
    /// Its name.
    pub name: String,
    /// Everything up to this sequence is dealt with.
    pub sequence: i64,
    /// When it was first seen.
    pub created: prost_types::Timestamp,
    /// When its sequence last moved.
    pub committed: Option<prost_types::Timestamp>,
    /// The lease of its newest stream.
    pub lease: i64,
}

/// How a commit came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The consumer is there now: where it was asked to be, or further.
    At(i64),
    /// A newer stream has it.
    LeaseLost,
    /// There is no such consumer.
    Unknown,
}

const COLUMNS: &str = "name, sequence, created, committed, lease";

pub(super) fn open(connection: &Connection, name: &str, most: usize) -> rusqlite::Result<Option<ConsumerRow>> {
    let taken = connection.prepare_cached("UPDATE consumers SET lease = lease + 1 WHERE name = ?1")?.execute([name])?;
    if taken == 0 {
        let count: usize = connection.query_row("SELECT count(*) FROM consumers", [], |row| row.get(0))?;
        if count >= most {
            return Ok(None);
        }
        // A lease begins at the time, so that one of a consumer that was deleted is not good for its namesake.
        let now = time::to_micros(&time::now());
        connection
            .prepare_cached(
                "INSERT INTO consumers (name, sequence, created, committed, lease)
                 VALUES (?1, (SELECT coalesce(max(sequence), 0) FROM events), ?2, NULL, ?2)",
            )?
            .execute((name, now))?;
    }
    one(connection, name)
}

pub(super) fn commit(
    connection: &Connection,
    name: &str,
    sequence: i64,
    lease: Option<i64>,
) -> rusqlite::Result<Committed> {
    let Some(present) = one(connection, name)? else { return Ok(Committed::Unknown) };
    if lease.is_some_and(|lease| lease != present.lease) {
        return Ok(Committed::LeaseLost);
    }
    if sequence > present.sequence {
        connection.prepare_cached("UPDATE consumers SET sequence = ?2, committed = ?3 WHERE name = ?1")?.execute((
            name,
            sequence,
            time::to_micros(&time::now()),
        ))?;
    }
    Ok(Committed::At(sequence.max(present.sequence)))
}

pub(super) fn seek(connection: &Connection, name: &str, sequence: i64) -> rusqlite::Result<Option<ConsumerRow>> {
    connection
        .prepare_cached("UPDATE consumers SET sequence = ?2, committed = ?3, lease = lease + 1 WHERE name = ?1")?
        .execute((name, sequence, time::to_micros(&time::now())))?;
    one(connection, name)
}

pub(super) fn delete(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM consumers WHERE name = ?1")?.execute([name])? == 1)
}

pub(super) fn one(connection: &Connection, name: &str) -> rusqlite::Result<Option<ConsumerRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM consumers WHERE name = ?1"))?
        .query_row([name], consumer)
        .optional()
}

pub(super) fn list(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<ConsumerRow>> {
    let mut select = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM consumers WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
    select.query_map((after, i64::try_from(limit).unwrap_or(i64::MAX)), consumer)?.collect()
}

fn consumer(row: &Row<'_>) -> rusqlite::Result<ConsumerRow> {
    let committed: Option<i64> = row.get(3)?;
    Ok(ConsumerRow {
        name: row.get(0)?,
        sequence: row.get(1)?,
        created: time::from_micros(row.get(2)?),
        committed: committed.map(time::from_micros),
        lease: row.get(4)?,
    })
}
