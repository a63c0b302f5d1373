//! The journal in a SQLite file: WAL, synced at every commit, one writer, readers beside it. Anybody can open it with `sqlite3`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection as Sqlite, OpenFlags, OptionalExtension, params};
use tokio::sync::{Semaphore, watch};

use super::writer::Writer;
use super::{Appended, Extent, Identity, NewEvent, Source, StoredEvent};
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// The schema's version, in SQLite's `user_version`. A newer one than this is not touched.
const SCHEMA_VERSION: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE events (
        sequence      INTEGER PRIMARY KEY,
        connection_id TEXT NOT NULL,
        uuid          TEXT NOT NULL,
        received_us   INTEGER NOT NULL,
        published_us  INTEGER NOT NULL,
        source        INTEGER NOT NULL,
        envelope      TEXT NOT NULL,
        raw           TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_uuid ON events (connection_id, uuid);
    CREATE INDEX events_by_published ON events (published_us);
    CREATE TABLE identity (id BLOB NOT NULL, cursor_key BLOB NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// Reads at the same time: each is off the async threads, and more would only wait for the two or four cores there are.
const READERS: usize = 4;
const KEY_LEN: usize = 32;

/// The journal. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    identity: Identity,
    writer: Writer,
    heads: watch::Receiver<u64>,
    readers: Mutex<Vec<Sqlite>>,
    places: Semaphore,
}

impl Journal {
    /// Opens the file at `path`, and makes it when it is not there.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE` when it cannot be opened, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let sqlite = open_writer(path).map_err(|error| unavailable(&error))?;
        let version: i32 =
            sqlite.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| unavailable(&error))?;
        if version > SCHEMA_VERSION {
            let message = format!("journal.db has schema version {version}, this program knows {SCHEMA_VERSION}");
            return Err(Error::new(ErrorReason::StorageUnavailable, message));
        }
        let prepared = if version == 0 { create(&sqlite) } else { Ok(()) };
        let (identity, head) =
            prepared.and_then(|()| Ok((identity(&sqlite)?, head(&sqlite)?))).map_err(|error| unavailable(&error))?;
        let (sender, heads) = watch::channel(head);
        let writer = Writer::start(sqlite, head, sender).map_err(|error| {
            Error::new(ErrorReason::StorageUnavailable, format!("cannot start the writer: {error}"))
        })?;
        let (readers, places) = (Mutex::new(Vec::new()), Semaphore::new(READERS));
        Ok(Self(Arc::new(Inner { path: path.to_owned(), identity, writer, heads, readers, places })))
    }

    /// Appends events that are not there yet. They are on disk when this answers.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`: none of them is stored for sure; append them again.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<Appended> {
        self.0.writer.append(events).await.map_err(|error| {
            Error::new(ErrorReason::StorageUnavailable, format!("the journal cannot be written: {error}"))
        })
    }

    /// Who this journal is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The sequence of the newest event; 0 when there is none.
    pub fn head(&self) -> u64 {
        *self.0.heads.borrow()
    }

    /// Tells of every new head.
    pub fn heads(&self) -> watch::Receiver<u64> {
        self.0.heads.clone()
    }

    /// Events after `after`, in order: at most `limit`, and no more once they are `max_bytes` long together.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn read(&self, after: u64, limit: usize, max_bytes: usize) -> Result<Vec<StoredEvent>> {
        self.query(move |sqlite| {
            let mut statement = sqlite.prepare_cached(
                "SELECT sequence, connection_id, uuid, received_us, published_us, source, envelope, raw
                 FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, limit])?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let event = stored(row)?;
                bytes += event.event.raw.len() + event.event.envelope.len();
                events.push(event);
                if bytes >= max_bytes {
                    break;
                }
            }
            Ok(events)
        })
        .await
    }

    /// The sequence before the oldest event: where a reader of everything starts.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn earliest(&self) -> Result<u64> {
        let head = self.head();
        let oldest = self.query(|sqlite| {
            sqlite.query_row("SELECT MIN(sequence) FROM events", [], |row| row.get::<_, Option<u64>>(0))
        });
        Ok(oldest.await?.map_or(head, |oldest| oldest.saturating_sub(1)))
    }

    /// The sequence before the first event that was published at `published_us` or later; the head when there is none.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn before_published(&self, published_us: i64) -> Result<u64> {
        let head = self.head();
        let first = self.query(move |sqlite| {
            let sql = "SELECT MIN(sequence) FROM events WHERE published_us >= ?1";
            sqlite.query_row(sql, [published_us], |row| row.get::<_, Option<u64>>(0))
        });
        Ok(first.await?.map_or(head, |first| first.saturating_sub(1)))
    }

    /// Bounds and size.
    ///
    /// # Errors
    /// `STORAGE_UNAVAILABLE`.
    pub async fn extent(&self) -> Result<Extent> {
        let files = ["", "-wal"].map(|suffix| PathBuf::from(format!("{}{suffix}", self.0.path.display())));
        self.query(move |sqlite| {
            let (events, oldest, newest) = sqlite.query_row(
                "SELECT (SELECT COUNT(*) FROM events),
                        (SELECT received_us FROM events ORDER BY sequence LIMIT 1),
                        (SELECT received_us FROM events ORDER BY sequence DESC LIMIT 1)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let mut statement = sqlite.prepare_cached(
                "SELECT connection_id, COUNT(*) FROM events GROUP BY connection_id ORDER BY connection_id",
            )?;
            let by_connection =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            let size_bytes = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum();
            Ok(Extent { events, size_bytes, oldest_received_us: oldest, newest_received_us: newest, by_connection })
        })
        .await
    }

    /// Runs a query on one of the readers, off the async threads.
    async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sqlite) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let stopped = || Error::new(ErrorReason::StorageUnavailable, "the journal's readers have stopped");
        let _place = self.0.places.acquire().await.map_err(|_| stopped())?;
        let inner = Arc::clone(&self.0);
        let outcome = tokio::task::spawn_blocking(move || {
            let pooled = inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut sqlite = match pooled {
                Some(sqlite) => sqlite,
                None => open_reader(&inner.path)?,
            };
            let outcome = work(&mut sqlite)?;
            inner.readers.lock().unwrap_or_else(PoisonError::into_inner).push(sqlite);
            Ok(outcome)
        });
        outcome.await.map_err(|_| stopped())?.map_err(|error| unavailable(&error))
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Sqlite> {
    let sqlite = Sqlite::open(path)?;
    sqlite.pragma_update(None, "journal_mode", "WAL")?;
    sqlite.pragma_update(None, "synchronous", "FULL")?;
    Ok(sqlite)
}

fn open_reader(path: &Path) -> rusqlite::Result<Sqlite> {
    Sqlite::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn create(sqlite: &Sqlite) -> rusqlite::Result<()> {
    let random = SystemRandom::new();
    let (mut id, mut key) = ([0; 8], [0; KEY_LEN]);
    let failed = |_| rusqlite::Error::ToSqlConversionFailure("the operating system's random source failed".into());
    random.fill(&mut id).map_err(failed)?;
    random.fill(&mut key).map_err(failed)?;
    let transaction = sqlite.unchecked_transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO identity VALUES (?1, ?2)", params![id, key])?;
    transaction.commit()
}

fn identity(sqlite: &Sqlite) -> rusqlite::Result<Identity> {
    sqlite.query_row("SELECT id, cursor_key FROM identity", [], |row| {
        let key: Vec<u8> = row.get(1)?;
        Ok(Identity { id: row.get(0)?, cursor_key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    })
}

fn head(sqlite: &Sqlite) -> rusqlite::Result<u64> {
    let head = sqlite.query_row("SELECT MAX(sequence) FROM events", [], |row| row.get::<_, Option<u64>>(0));
    Ok(head.optional()?.flatten().unwrap_or(0))
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        sequence: row.get(0)?,
        received_us: row.get(3)?,
        event: NewEvent {
            connection_id: row.get(1)?,
            uuid: row.get(2)?,
            published_us: row.get(4)?,
            source: if row.get::<_, i64>(5)? == 2 { Source::SystemLog } else { Source::Hook },
            envelope: row.get(6)?,
            raw: row.get(7)?,
        },
    })
}

fn unavailable(error: &rusqlite::Error) -> Error {
    tracing::error!(%error, "the journal cannot be used");
    Error::new(ErrorReason::StorageUnavailable, format!("the journal cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(uuid: &str, published_us: i64) -> NewEvent {
        NewEvent {
            connection_id: "con_a".to_owned(),
            uuid: uuid.to_owned(),
            published_us,
            source: Source::Hook,
            envelope: "{}".to_owned(),
            raw: format!("{{\"uuid\":\"{uuid}\"}}"),
        }
    }

    async fn sequences(journal: &Journal, after: u64) -> Vec<u64> {
        journal.read(after, 100, usize::MAX).await.expect("read").iter().map(|event| event.sequence).collect()
    }

    #[tokio::test]
    async fn sequences_are_dense_and_repeats_take_none() {
        let directory = tempfile::tempdir().expect("directory");
        let journal = Journal::open(&directory.path().join("journal.db")).expect("opened");
        let appended = journal.append(vec![event("a", 1), event("b", 2), event("a", 1)]).await.expect("appended");
        assert_eq!(appended, Appended { stored: 2, repeated: 1 });
        let appended = journal.append(vec![event("b", 2), event("c", 3)]).await.expect("appended");
        assert_eq!(appended, Appended { stored: 1, repeated: 1 });
        assert_eq!(sequences(&journal, 0).await, [1, 2, 3]);
        assert_eq!(journal.head(), 3);
    }

    #[tokio::test]
    async fn the_same_uuid_of_two_orgs_is_two_events() {
        let directory = tempfile::tempdir().expect("directory");
        let journal = Journal::open(&directory.path().join("journal.db")).expect("opened");
        let other = NewEvent { connection_id: "con_b".to_owned(), ..event("a", 1) };
        let appended = journal.append(vec![event("a", 1), other]).await.expect("appended");
        assert_eq!(appended.stored, 2);
    }

    #[tokio::test]
    async fn a_reopened_journal_is_the_same_and_goes_on() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("journal.db");
        let id = {
            let journal = Journal::open(&path).expect("opened");
            journal.append(vec![event("a", 1)]).await.expect("appended");
            journal.identity().id
        };
        let journal = Journal::open(&path).expect("opened");
        assert_eq!(journal.identity().id, id);
        journal.append(vec![event("a", 1), event("b", 2)]).await.expect("appended");
        assert_eq!(sequences(&journal, 1).await, [2]);
    }

    #[tokio::test]
    async fn a_read_is_bounded_by_count_and_by_bytes() {
        let directory = tempfile::tempdir().expect("directory");
        let journal = Journal::open(&directory.path().join("journal.db")).expect("opened");
        let events = (0..10).map(|number| event(&number.to_string(), number)).collect();
        journal.append(events).await.expect("appended");
        assert_eq!(journal.read(0, 3, usize::MAX).await.expect("read").len(), 3);
        assert_eq!(journal.read(0, 100, 1).await.expect("read").len(), 1);
        assert!(journal.read(10, 100, 1).await.expect("read").is_empty());
    }

    #[tokio::test]
    async fn a_start_by_time_leaves_out_nothing_published_since() {
        let directory = tempfile::tempdir().expect("directory");
        let journal = Journal::open(&directory.path().join("journal.db")).expect("opened");
        journal.append(vec![event("a", 10), event("late", 5), event("b", 20)]).await.expect("appended");
        assert_eq!(journal.before_published(10).await.expect("found"), 0);
        assert_eq!(journal.before_published(15).await.expect("found"), 2);
        assert_eq!(journal.before_published(21).await.expect("found"), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn appends_at_the_same_time_are_all_there() {
        let directory = tempfile::tempdir().expect("directory");
        let journal = Journal::open(&directory.path().join("journal.db")).expect("opened");
        let appends = (0..64).map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(vec![event(&number.to_string(), number)]).await })
        });
        for append in appends.collect::<Vec<_>>() {
            append.await.expect("joined").expect("appended");
        }
        assert_eq!(sequences(&journal, 0).await, (1..=64).collect::<Vec<_>>());
        assert_eq!(journal.extent().await.expect("extent").events, 64);
    }

    #[test]
    fn a_newer_file_is_not_touched() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("journal.db");
        Sqlite::open(&path).expect("opened").pragma_update(None, "user_version", 99).expect("set");
        assert!(Journal::open(&path).expect_err("newer").message().contains("99"));
    }
}
