//! The tables of a journal, their version, and the change from one version to the next.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::Identity;
use super::store::{Attempt, Failure};

/// `published_max` is the latest `published` up to and including its row: it never falls, so that a time is found by bisection,
/// without an index of its own. `uuid` is what an event is known by within its connection.
const EVENTS: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY,
        connection_id TEXT NOT NULL,
        uuid TEXT NOT NULL,
        event_type TEXT NOT NULL,
        published INTEGER,
        published_max INTEGER NOT NULL,
        received INTEGER NOT NULL,
        source INTEGER NOT NULL,
        envelope TEXT NOT NULL,
        raw TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_uuid ON events (connection_id, uuid);
    CREATE TABLE sources (
        connection_id TEXT PRIMARY KEY,
        events INTEGER NOT NULL,
        last_hook_delivery INTEGER
    ) STRICT, WITHOUT ROWID;
";

/// Named readers and how far they are. The lease counts the streams of a consumer: it fences those that are not the newest.
const CONSUMERS: &str = "
    CREATE TABLE consumers (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        created INTEGER NOT NULL,
        committed INTEGER,
        lease INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// How far each org's System Log is read, and where events may be missing.
const RECONCILERS: &str = "
    CREATE TABLE reconcilers (
        connection_id TEXT PRIMARY KEY,
        next TEXT NOT NULL,
        complete_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE gaps (
        id TEXT PRIMARY KEY,
        connection_id TEXT NOT NULL,
        state INTEGER NOT NULL,
        from_time INTEGER NOT NULL,
        until_time INTEGER,
        reason TEXT NOT NULL,
        repaired INTEGER NOT NULL,
        changed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// How the tables came to be, step by step; SQLite's `user_version` counts the steps that a file has taken.
const STEPS: [&str; 3] = [EVENTS, CONSUMERS, RECONCILERS];

/// Brings the tables up to date and answers who the journal is.
pub(super) fn prepare(connection: &mut Connection) -> Attempt<Identity> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = STEPS.get(found..) else { return Err(Failure::Newer { found, known: STEPS.len() }) };
    if !missing.is_empty() {
        transaction.execute_batch(&missing.concat())?;
        transaction.pragma_update(None, "user_version", STEPS.len())?;
    }
    if found == 0 {
        write_identity(&transaction, &Identity::random())?;
    }
    let identity = read_identity(&transaction)?.ok_or(Failure::NoIdentity)?;
    transaction.commit()?;
    Ok(identity)
}

fn write_identity(connection: &Connection, identity: &Identity) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)")?;
    insert.execute(("journal_id", identity.id_bytes()))?;
    insert.execute(("cursor_key", identity.cursor_key()))?;
    Ok(())
}

fn read_identity(connection: &Connection) -> rusqlite::Result<Option<Identity>> {
    let mut select = connection.prepare("SELECT value FROM meta WHERE name = ?1")?;
    let mut read = |name: &str| select.query_row([name], |row| row.get::<_, Vec<u8>>(0)).optional();
    let (id, key) = (read("journal_id")?, read("cursor_key")?);
    Ok(id.zip(key).and_then(|(id, key)| Identity::from_stored(&id, &key)))
}
