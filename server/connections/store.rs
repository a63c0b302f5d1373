//! The durable side of connections and hooks: `connections.db` in the data directory, secrets sealed before they get here.
//!
//! Few rows, seldom written: one SQLite connection behind a lock, used off the async threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection as Sqlite, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// The schema's version, in SQLite's `user_version`. A newer one than this is not touched.
const SCHEMA_VERSION: i32 = 1;

const SCHEMA: &str = "
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
    PRAGMA user_version = 1;
";

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

/// A hook as it is stored.
#[derive(Debug, Clone)]
pub struct HookRow {
    /// Our id, the last part of its URL.
    pub id: String,
    /// Okta's id; empty until Okta has answered.
    pub okta_id: String,
    /// The connection it belongs to.
    pub connection_id: String,
    /// Name on the org.
    pub name: String,
    /// Where Okta delivers to.
    pub uri: String,
    /// The event types, joined with commas.
    pub event_types: String,
    /// Whether Okta has verified it.
    pub verified: bool,
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// When it was registered, RFC 3339.
    pub created: String,
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
        let sqlite = Sqlite::open(path).map_err(failed)?;
        sqlite.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        sqlite.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        match sqlite.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)? {
            0 => sqlite.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;")).map_err(failed)?,
            SCHEMA_VERSION => {}
            newer => {
                let message = format!("connections.db has schema version {newer}, this program knows {SCHEMA_VERSION}");
                return Err(Error::new(ErrorReason::StorageUnavailable, message));
            }
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

    /// Replaces the stored credential of a connection.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn update_credential(&self, row: ConnectionRow) -> Result<()> {
        self.run(move |sqlite| {
            let mut statement = sqlite.prepare_cached(
                "UPDATE connections SET credential_kind = ?2, sealed = ?3, last_updated = ?4, version = ?5 WHERE id = ?1",
            )?;
            statement.execute(params![row.id, row.credential_kind, row.sealed, row.last_updated, row.version]).map(|_| ())
        })
        .await
    }

    /// Removes a connection and its hooks.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn delete_connection(&self, id: String) -> Result<()> {
        self.run(move |sqlite| {
            let transaction = sqlite.transaction()?;
            transaction.execute("DELETE FROM event_hooks WHERE connection_id = ?1", [&id])?;
            transaction.execute("DELETE FROM connections WHERE id = ?1", [&id])?;
            transaction.commit()
        })
        .await
    }

    /// All hooks, oldest first.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn hooks(&self) -> Result<Vec<HookRow>> {
        self.run(|sqlite| {
            let mut statement = sqlite.prepare_cached("SELECT * FROM event_hooks ORDER BY created, id")?;
            statement.query_map([], hook_row)?.collect()
        })
        .await
    }

    /// The hook `id`.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn hook(&self, id: String) -> Result<Option<HookRow>> {
        self.run(move |sqlite| sqlite.query_row("SELECT * FROM event_hooks WHERE id = ?1", [id], hook_row).optional())
            .await
    }

    /// Adds a hook, or replaces the one with its id.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn put_hook(&self, row: HookRow) -> Result<()> {
        self.run(move |sqlite| {
            let mut statement = sqlite
                .prepare_cached("INSERT OR REPLACE INTO event_hooks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            statement.execute(params![
                row.id,
                row.okta_id,
                row.connection_id,
                row.name,
                row.uri,
                row.event_types,
                row.verified,
                row.sealed,
                row.created,
            ])?;
            Ok(())
        })
        .await
    }

    /// Removes a hook.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn delete_hook(&self, id: String) -> Result<()> {
        self.run(move |sqlite| sqlite.execute("DELETE FROM event_hooks WHERE id = ?1", [id]).map(|_| ())).await
    }

    async fn run<T: Send + 'static>(
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

fn hook_row(row: &Row<'_>) -> rusqlite::Result<HookRow> {
    Ok(HookRow {
        id: row.get("id")?,
        okta_id: row.get("okta_id")?,
        connection_id: row.get("connection_id")?,
        name: row.get("name")?,
        uri: row.get("uri")?,
        event_types: row.get("event_types")?,
        verified: row.get("verified")?,
        sealed: row.get("sealed")?,
        created: row.get("created")?,
    })
}
