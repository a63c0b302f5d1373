//! The file of a journal: how it is opened for writing and for reading, and how SQLite's errors become ours.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Identity, schema};
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// Only our own process may look into the file: events speak of people.
const FILE_MODE: u32 = 0o600;
/// How long to wait for a lock that another process holds, `sqlite3` in somebody's terminal for example.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of the writer: the dedupe index is looked up at random.
const WRITER_CACHE_KIB: i64 = 16 << 10;
/// Prepared statements kept for each connection: there are fewer.
const STATEMENTS: usize = 32;

/// Where a journal is kept.
#[derive(Debug, Clone)]
pub(super) struct Store {
    path: PathBuf,
}

/// What an attempt on the store answers, before it is said to a caller.
pub(super) type Attempt<T> = std::result::Result<T, Failure>;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it was written by a newer version of this program (schema {found}, this one knows up to {known})")]
    Newer { found: usize, known: usize },
    #[error("it has no identity")]
    NoIdentity,
    #[error("it is closed")]
    Closed,
}

impl Failure {
    /// The same for a caller; `doing` completes "the event log cannot be …".
    pub(super) fn into_error(self, doing: &str) -> Error {
        Error::new(ErrorReason::StorageUnavailable, format!("the event log cannot be {doing}: {self}"))
    }
}

impl Store {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the file where there is none, brings its tables up to date, and answers who the journal is.
    pub(super) fn prepare(&self) -> Result<Identity> {
        self.create()
            .and_then(|()| schema::prepare(&mut self.open_writer()?))
            .map_err(|failure| failure.into_error(&format!("opened ({})", self.path.display())))
    }

    /// A connection that writes.
    pub(super) fn open_writer(&self) -> Attempt<Connection> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Writing back is not the committing thread's business: see `write_back`.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        Ok(connection)
    }

    /// A connection that reads.
    pub(super) fn open_reader(&self) -> Attempt<Connection> {
        self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Bytes on disk, with what is not written back yet.
    pub(super) fn size(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        [self.path.as_path(), Path::new(&log)]
            .into_iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|file| file.len())
            .sum()
    }

    fn create(&self) -> Attempt<()> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&self.path)?;
        Ok(())
    }

    fn open(&self, access: OpenFlags) -> Attempt<Connection> {
        let connection = Connection::open_with_flags(&self.path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
}
