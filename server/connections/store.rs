//! The durable side of connections and hooks: `connections.db` in the data directory, secrets sealed before they get here.
//!
//! Few rows, seldom written: one SQLite connection behind a lock, used off the async threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection as Sqlite, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::proto::ErrorReason;
use crate::sqlite;

/// How the schema came to be, step by step; SQLite's `user_version` counts the steps that a file has taken. A file that has taken
/// more than there are was written by a newer version, and is not touched.
const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE connections (
        id              TEXT PRIMARY KEY,
        nickname        TEXT NOT NULL UNIQUE,
        base_url        TEXT NOT NULL,
        credential_kind INTEGER NOT NULL,
        sealed          BLOB NOT NULL,
        state           INTEGER NOT NULL,
        state_reason    TEXT NOT NULL,
        state_changed   TEXT NOT NULL,
        created         TEXT NOT NULL,
        last_updated    TEXT NOT NULL,
        version         INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE event_hooks (
        id            TEXT PRIMARY KEY,
        okta_id       TEXT NOT NULL,
        connection_id TEXT NOT NULL,
        name          TEXT NOT NULL,
        uri           TEXT NOT NULL,
        event_types   TEXT NOT NULL,
        verified      INTEGER NOT NULL,
        sealed        BLOB NOT NULL,
        created       TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_hooks_by_connection ON event_hooks (connection_id);
    ",
    "
    CREATE TABLE grants (
        connection_id   TEXT PRIMARY KEY,
        sealed          BLOB NOT NULL,
        refresh_started TEXT,
        refreshed       TEXT NOT NULL
    ) STRICT;
    ",
    "
    CREATE TABLE event_hook_secrets (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        hook_id TEXT NOT NULL,
        sealed  BLOB NOT NULL,
        until   INTEGER
    ) STRICT;
    CREATE INDEX event_hook_secrets_by_hook ON event_hook_secrets (hook_id);
    ",
];

/// A connection as it is stored. Times are RFC 3339, enums their numbers in the API.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    /// Our id.
    pub id: String,
    /// The unique name.
    pub nickname: String,
    /// Base URL of the org.
    pub base_url: String,
    /// `CredentialKind`.
    pub credential_kind: i32,
    /// The sealed credential.
    pub sealed: Vec<u8>,
    /// `ConnectionState`.
    pub state: i32,
    /// Why it is in that state.
    pub state_reason: String,
    /// When the state last changed.
    pub state_changed: String,
    /// When it was created.
    pub created: String,
    /// When it was last updated.
    pub last_updated: String,
    /// Counts the updates.
    pub version: i64,
}

/// How the replacement of a connection came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// Done.
    Done,
    /// Another connection has the nickname.
    NicknameTaken,
    /// The connection is of another version by now, or gone.
    Changed,
}

/// The state of a connection as it is stored.
#[derive(Debug, Clone)]
pub struct StateRow {
    /// `ConnectionState`.
    pub state: i32,
    /// Why.
    pub reason: String,
    /// Since when, RFC 3339.
    pub changed: String,
}

/// What becomes of a connection's grant along with its state.
#[derive(Debug, Clone)]
pub enum GrantChange {
    /// Nothing.
    Keep,
    /// It goes.
    Forget,
    /// There is a new one, sealed.
    Put(Vec<u8>),
}

/// A grant as it is stored. Times are RFC 3339.
#[derive(Debug, Clone)]
pub struct GrantRow {
    /// The connection it belongs to.
    pub connection_id: String,
    /// The sealed grant.
    pub sealed: Vec<u8>,
    /// When the refresh token was sent whose answer has not been stored yet.
    pub refresh_started: Option<String>,
    /// When it was last stored.
    pub refreshed: String,
}

/// Where a sealed secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Place {
    Connection,
    Grant,
    Hook,
    HookSecret,
}

impl Place {
    const ALL: [Self; 4] = [Self::Connection, Self::Grant, Self::Hook, Self::HookSecret];

    fn table_and_key(self) -> (&'static str, &'static str) {
        match self {
            Self::Connection => ("connections", "id"),
            Self::Grant => ("grants", "connection_id"),
            Self::Hook => ("event_hooks", "id"),
            Self::HookSecret => ("event_hook_secrets", "hook_id"),
        }
    }
}

/// A sealed secret, wherever it is kept.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Where it is kept.
    pub place: Place,
    /// The key of the row that it belongs to.
    pub id: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// Connections and hooks on disk. Cloning shares the file.
#[derive(Debug, Clone)]
pub struct Store(Arc<Mutex<Sqlite>>);

impl Store {
    /// Opens the file at `path`, and makes it when it is not there.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE` when it cannot be opened, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| unavailable(&error);
        let sqlite = sqlite::open_writer(path).map_err(|error| {
            let message = format!("the connection store cannot be opened ({}): {error}", path.display());
            Error::new(ErrorReason::StorageUnavailable, message)
        })?;
        let taken: usize = sqlite.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let known = MIGRATIONS.len();
        let Some(missing) = MIGRATIONS.get(taken..) else {
            let message = format!("connections.db has schema version {taken}, this program knows {known}");
            return Err(Error::new(ErrorReason::StorageUnavailable, message));
        };
        if !missing.is_empty() {
            let steps = missing.concat();
            sqlite.execute_batch(&format!("BEGIN; {steps} PRAGMA user_version = {known}; COMMIT;")).map_err(failed)?;
        }
        Ok(Self(Arc::new(Mutex::new(sqlite))))
    }

    /// All connections, oldest first.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn connections(&self) -> Result<Vec<ConnectionRow>> {
        self.run(|sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM connections ORDER BY created, id")?;
            statement.query_map([], connection_row)?.collect()
        })
        .await
    }

    /// Adds a connection. `false` when its nickname is taken.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn insert_connection(&self, row: ConnectionRow) -> Result<bool> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached(
                "INSERT INTO connections VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (nickname) DO NOTHING",
            )?;
            let inserted = statement.execute(params![
                row.id,
                row.nickname,
                row.base_url,
                row.credential_kind,
                row.sealed,
                row.state,
                row.state_reason,
                row.state_changed,
                row.created,
                row.last_updated,
                row.version,
            ])?;
            Ok(inserted == 1)
        })
        .await
    }

    /// Replaces a connection, unless it is not the one of version `expected` any more; with `forget_grant`, its grant goes too.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn replace_connection(&self, row: ConnectionRow, expected: i64, forget_grant: bool) -> Result<Replaced> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            let taken = transaction
                .prepare_cached("SELECT 1 FROM connections WHERE nickname = ?1 AND id <> ?2")?
                .exists(params![row.nickname, row.id])?;
            if taken {
                return Ok(Replaced::NicknameTaken);
            }
            let replaced = transaction
                .prepare_cached(
                    "UPDATE connections SET nickname = ?3, sealed = ?4, state = ?5, state_reason = ?6, state_changed = ?7,
                     last_updated = ?8, version = ?9 WHERE id = ?1 AND version = ?2",
                )?
                .execute(params![
                    row.id,
                    expected,
                    row.nickname,
                    row.sealed,
                    row.state,
                    row.state_reason,
                    row.state_changed,
                    row.last_updated,
                    row.version,
                ])?;
            if replaced == 0 {
                return Ok(Replaced::Changed);
            }
            if forget_grant {
                transaction.prepare_cached("DELETE FROM grants WHERE connection_id = ?1")?.execute([&row.id])?;
            }
            transaction.commit()?;
            Ok(Replaced::Done)
        })
        .await
    }

    /// Stores the state of a connection, and with `grant` what came with it, both or neither.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn set_state(&self, id: String, state: StateRow, grant: GrantChange) -> Result<()> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            transaction
                .prepare_cached(
                    "UPDATE connections SET state = ?2, state_reason = ?3, state_changed = ?4 WHERE id = ?1",
                )?
                .execute(params![id, state.state, state.reason, state.changed])?;
            match grant {
                GrantChange::Keep => {}
                GrantChange::Forget => {
                    transaction.prepare_cached("DELETE FROM grants WHERE connection_id = ?1")?.execute([&id])?;
                }
                GrantChange::Put(sealed) => put_grant(&transaction, &id, &sealed, &state.changed)?,
            }
            transaction.commit()
        })
        .await
    }

    /// Removes a connection, its grant and its hooks.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn delete_connection(&self, id: String) -> Result<()> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            transaction.execute(
                "DELETE FROM event_hook_secrets WHERE hook_id IN (SELECT id FROM event_hooks WHERE connection_id = ?1)",
                [&id],
            )?;
            transaction.execute("DELETE FROM event_hooks WHERE connection_id = ?1", [&id])?;
            transaction.execute("DELETE FROM grants WHERE connection_id = ?1", [&id])?;
            transaction.execute("DELETE FROM connections WHERE id = ?1", [&id])?;
            transaction.commit()
        })
        .await
    }

    /// The grant of a connection.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn grant(&self, id: String) -> Result<Option<GrantRow>> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM grants WHERE connection_id = ?1")?;
            statement.query_row([id], grant_row).optional()
        })
        .await
    }

    /// All grants.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn grants(&self) -> Result<Vec<GrantRow>> {
        self.run(|sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM grants")?;
            statement.query_map([], grant_row)?.collect()
        })
        .await
    }

    /// Stores the grant of a connection that is still there, as of now; a refresh that was under way is over.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn put_grant(&self, id: String, sealed: Vec<u8>, refreshed: String) -> Result<()> {
        self.run(move |sqlite| put_grant(sqlite, &id, &sealed, &refreshed)).await
    }

    /// Marks that the refresh token of a connection is about to be sent.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn mark_refresh(&self, id: String, started: String) -> Result<()> {
        self.run(move |sqlite| {
            let mut statement =
                sqlite.prepare_cached("UPDATE grants SET refresh_started = ?2 WHERE connection_id = ?1")?;
            statement.execute(params![id, started]).map(|_| ())
        })
        .await
    }

    /// Every sealed secret there is.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn sealed(&self) -> Result<Vec<Sealed>> {
        self.run(|sqlite| {
            let mut all = Vec::new();
            for place in Place::ALL {
                let (table, key) = place.table_and_key();
                let mut statement = sqlite.prepare(&format!("SELECT {key}, sealed FROM {table}"))?;
                let rows = statement.query_map([], |row| Ok(Sealed { place, id: row.get(0)?, sealed: row.get(1)? }))?;
                for row in rows {
                    all.push(row?);
                }
            }
            Ok(all)
        })
        .await
    }

    /// Puts `fresh` where `old` is, unless it is not there any more. Whether it was.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn replace_sealed(&self, old: Sealed, fresh: Vec<u8>) -> Result<bool> {
        self.run(move |sqlite| {
            let (table, key) = old.place.table_and_key();
            let update = format!("UPDATE {table} SET sealed = ?3 WHERE {key} = ?1 AND sealed = ?2");
            Ok(sqlite.prepare_cached(&update)?.execute(params![old.id, old.sealed, fresh])? == 1)
        })
        .await
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sqlite) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let sqlite = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let mut sqlite = sqlite.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut sqlite)
        });
        match done.await {
            Ok(outcome) => outcome.map_err(|error| unavailable(&error)),
            Err(_) => Err(Error::new(ErrorReason::StorageUnavailable, "the connection store stopped")),
        }
    }
}

fn unavailable(error: &rusqlite::Error) -> Error {
    tracing::error!(%error, "the connection store failed");
    Error::new(ErrorReason::StorageUnavailable, format!("the connection store cannot be used: {error}"))
}

fn connection_row(row: &Row<'_>) -> rusqlite::Result<ConnectionRow> {
    Ok(ConnectionRow {
        id: row.get("id")?,
        nickname: row.get("nickname")?,
        base_url: row.get("base_url")?,
        credential_kind: row.get("credential_kind")?,
        sealed: row.get("sealed")?,
        state: row.get("state")?,
        state_reason: row.get("state_reason")?,
        state_changed: row.get("state_changed")?,
        created: row.get("created")?,
        last_updated: row.get("last_updated")?,
        version: row.get("version")?,
    })
}

fn grant_row(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow {
        connection_id: row.get("connection_id")?,
        sealed: row.get("sealed")?,
        refresh_started: row.get("refresh_started")?,
        refreshed: row.get("refreshed")?,
    })
}

/// A connection that was deleted meanwhile gets no grant any more.
fn put_grant(sqlite: &Sqlite, id: &str, sealed: &[u8], refreshed: &str) -> rusqlite::Result<()> {
    let mut statement = sqlite.prepare_cached(
        "INSERT OR REPLACE INTO grants SELECT ?1, ?2, NULL, ?3 WHERE EXISTS (SELECT 1 FROM connections WHERE id = ?1)",
    )?;
    statement.execute(params![id, sealed, refreshed]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_an_older_version_takes_the_steps_that_it_has_not_taken_and_keeps_what_is_in_it() {
        let directory = tempfile::tempdir().expect("directory");
        for taken in 0..=MIGRATIONS.len() {
            let path = directory.path().join(format!("{taken}.db"));
            let old = Sqlite::open(&path).expect("opened");
            old.execute_batch(&MIGRATIONS[..taken].concat()).expect("made");
            old.pragma_update(None, "user_version", taken).expect("said");
            if taken > 0 {
                old.execute_batch("INSERT INTO event_hooks VALUES ('h', 'w', 'c', 'n', 'u', 't', 1, x'00', '')")
                    .expect("put");
            }
            drop(old);
            let store = Store::open(&path).expect("brought up to date");
            assert_eq!(store.hooks().await.expect("read").len(), taken.min(1));
            assert!(
                store.hook_secrets().await.expect("read").is_empty() && store.grants().await.expect("read").is_empty()
            );
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_not_touched() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("connections.db");
        Sqlite::open(&path).expect("opened").pragma_update(None, "user_version", 99).expect("said");
        assert_eq!(Store::open(&path).expect_err("newer").reason(), ErrorReason::StorageUnavailable);
    }
}
