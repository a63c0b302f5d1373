//! The file of a journal: how it is opened for writing and for reading, and how SQLite's errors become ours.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Identity, schema};
use crate::error::{Error, Result};
use crate::proto::ErrorReason;
use crate::sqlite;

/// Page cache of the writer: the dedupe index is looked up at random.
const WRITER_CACHE_KIB: i64 = 16 << 10;

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
        self.open_writer()
            .and_then(|mut connection| schema::prepare(&mut connection))
            .map_err(|failure| failure.into_error(&format!("opened ({})", self.path.display())))
    }

    /// A connection that writes.
    pub(super) fn open_writer(&self) -> Attempt<Connection> {
        let connection = sqlite::open_writer(&self.path)?;
        // Writing back is not the committing thread's business: see `write_back`.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        Ok(connection)
    }

    /// A connection that reads.
    pub(super) fn open_reader(&self) -> Attempt<Connection> {
        Ok(sqlite::open_reader(&self.path)?)
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
}
