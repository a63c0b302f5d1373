//! The only truth about events: a durable, ordered log of what Okta sent, raw.
//!
//! An append returns once its events are on disk; readers read from a sequence on. Slow readers, restarts and replays are one
//! mechanism: read the log from where you were. The interface holds nothing that only SQLite can do.

mod consumers;
mod event;
mod identity;
mod reader;
mod reconcilers;
mod retention;
mod schema;
mod store;
mod time;
mod write_back;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use prost_types::Timestamp;
use tokio::sync::watch;

pub use consumers::{Committed, ConsumerRow};
pub use event::{Appended, NewEvent, Source, StoredEvent};
pub(crate) use identity::ID_BYTES;
pub use identity::Identity;
pub use reader::{LogStatus, SourceStatus};
pub use reconcilers::{GapRow, Progress};
pub use retention::{Retention, Trimmed};
pub use time::now;

use crate::error::Result;
use reader::Reader;
use store::Store;
use writer::Writer;

/// What the journal may take of the machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Appends that may wait for the writer; further ones wait before the queue. The webhook bounds the bytes of each.
    pub queued_appends: usize,
    /// Events that share one commit at most: it bounds how long an append waits for those of others.
    pub commit_events: usize,
    /// Bytes of events that share one commit at most.
    pub commit_bytes: usize,
    /// Connections that read at the same time, each with a page cache of its own.
    pub readers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queued_appends: 256, commit_events: 4096, commit_bytes: 4 << 20, readers: 4 }
    }
}

/// The log of events. Cloning shares it.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    identity: Identity,
    writer: Writer,
    reader: Reader,
}

impl Journal {
    /// Opens the log in the file `path`, and makes it where there is none.
    ///
    /// # Errors
    /// `StorageUnavailable` when the file cannot be opened, is no journal, or was written by a newer version.
    pub fn open(path: impl AsRef<Path>, limits: Limits) -> Result<Self> {
        let store = Store::new(path.as_ref());
        let identity = store.prepare()?;
        let reader = Reader::new(store.clone(), limits.readers);
        let writer = Writer::start(store, &limits)?;
        Ok(Self(Arc::new(Inner { identity, writer, reader })))
    }

    /// Who this journal is: cursors are bound to it.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Adds events at the end, in their order, and returns once they are durable. One that is there already, by connection and
    /// uuid, is counted as repeated and left as it was.
    ///
    /// # Errors
    /// `StorageUnavailable` when they could not be stored; none of them counts as stored then.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<Appended> {
        self.0.writer.append(events).await
    }

    /// The events after `after`, in order: at most `limit_events`, and no more once they have `limit_bytes`, but one at least
    /// where there is one.
    ///
    /// # Errors
    /// `StorageUnavailable` when the log cannot be read.
    pub async fn read(&self, after: i64, limit_events: usize, limit_bytes: usize) -> Result<Vec<StoredEvent>> {
        self.0.reader.run(move |connection| reader::events(connection, after, limit_events, limit_bytes)).await
    }

    /// Sequence of the newest event, 0 when there never was one.
    pub fn head(&self) -> i64 {
        *self.0.writer.head().borrow()
    }

    /// Follows [`Journal::head`].
    pub fn watch_head(&self) -> watch::Receiver<i64> {
        self.0.writer.head().clone()
    }

    /// Sequence of the oldest event that is still there; of the next one to come when there is none.
    ///
    /// # Errors
    /// `StorageUnavailable` when the log cannot be read.
    pub async fn earliest(&self) -> Result<i64> {
        self.0.reader.run(reader::earliest).await
    }

    /// Sequence of the first event that was published at `time` or later; of the next one to come when there is none.
    ///
    /// # Errors
    /// `StorageUnavailable` when the log cannot be read.
    pub async fn find_by_published_time(&self, time: Timestamp) -> Result<i64> {
        let micros = time::to_micros(&time);
        self.0.reader.run(move |connection| reader::first_published_since(connection, micros)).await
    }

    /// Takes a consumer for a new stream: its lease is one higher, so that streams from before cannot commit any more. A consumer
    /// that is not there begins at the end of the log; `None` when there are `most` already.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn open_consumer(&self, name: &str, most: usize) -> Result<Option<ConsumerRow>> {
        let name = name.to_owned();
        self.0.writer.write(Vec::new(), move |transaction, _| consumers::open(transaction, &name, most)).await
    }

    /// Moves a consumer forward to `sequence`: durable when this returns. With `lease`, only for the stream that has it.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn commit_consumer(&self, name: &str, sequence: i64, lease: Option<i64>) -> Result<Committed> {
        let name = name.to_owned();
        let commit =
            move |transaction: &rusqlite::Transaction<'_>, _| consumers::commit(transaction, &name, sequence, lease);
        self.0.writer.write(Vec::new(), commit).await
    }

    /// Moves a consumer anywhere; streams from before cannot commit any more. `None` when there is none.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn seek_consumer(&self, name: &str, sequence: i64) -> Result<Option<ConsumerRow>> {
        let name = name.to_owned();
        self.0.writer.write(Vec::new(), move |transaction, _| consumers::seek(transaction, &name, sequence)).await
    }

    /// Forgets a consumer. Whether there was one.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn delete_consumer(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.0.writer.write(Vec::new(), move |transaction, _| consumers::delete(transaction, &name)).await
    }

    /// A consumer.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn consumer(&self, name: &str) -> Result<Option<ConsumerRow>> {
        let name = name.to_owned();
        self.0.reader.run(move |connection| consumers::one(connection, &name)).await
    }

    /// At most `limit` consumers after the name `after`, by name.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn consumers(&self, after: &str, limit: usize) -> Result<Vec<ConsumerRow>> {
        let after = after.to_owned();
        self.0.reader.run(move |connection| consumers::list(connection, &after, limit)).await
    }

    /// Adds what was read of an org's System Log, and with it how far it is read: both or neither. `gap`, when there is one, is
    /// stored along, with the new events counted as repaired.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn reconcile(
        &self,
        connection_id: &str,
        events: Vec<NewEvent>,
        progress: Progress,
        gap: Option<GapRow>,
    ) -> Result<(Appended, Option<GapRow>)> {
        let id = connection_id.to_owned();
        let write = move |transaction: &rusqlite::Transaction<'_>, appended: Appended| {
            reconcilers::put(transaction, &id, &progress)?;
            let gap = gap.map(|gap| gap.repaired_by(appended.stored));
            if let Some(gap) = &gap {
                reconcilers::put_gap(transaction, gap)?;
            }
            Ok((appended, gap))
        };
        self.0.writer.write(events, write).await
    }

    /// Stores a gap, or what has become of it.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn put_gap(&self, gap: GapRow) -> Result<()> {
        self.0.writer.write(Vec::new(), move |transaction, _| reconcilers::put_gap(transaction, &gap)).await
    }

    /// How far an org's System Log is read.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn progress(&self, connection_id: &str) -> Result<Option<Progress>> {
        let id = connection_id.to_owned();
        self.0.reader.run(move |connection| reconcilers::get(connection, &id)).await
    }

    /// The gaps of an org, those that changed last first.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn gaps(&self, connection_id: &str) -> Result<Vec<GapRow>> {
        let id = connection_id.to_owned();
        self.0.reader.run(move |connection| reconcilers::gaps(connection, &id)).await
    }

    /// When the newest event of an org was published, as far as the log has any, and when a hook of it last delivered.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn last_known(&self, connection_id: &str) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
        let id = connection_id.to_owned();
        self.0.reader.run(move |connection| reconcilers::last_known(connection, &id)).await
    }

    /// Forgets how far the System Log of an org is read that is connected no longer.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn forget_progress(&self, connection_id: &str) -> Result<()> {
        let id = connection_id.to_owned();
        self.0.writer.write(Vec::new(), move |transaction, _| reconcilers::forget(transaction, &id)).await
    }

    /// What the log holds.
    ///
    /// # Errors
    /// `StorageUnavailable` when the log cannot be read.
    pub async fn status(&self) -> Result<LogStatus> {
        self.0.reader.status().await
    }

    /// Writes everything back into the main file and ends the writer. Appends fail from then on; reading goes on.
    ///
    /// # Errors
    /// `StorageUnavailable` when the write-back failed; what was appended is durable all the same.
    pub async fn close(&self) -> Result<()> {
        self.0.writer.close().await
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("id", &self.0.identity.id()).field("head", &self.head()).finish()
    }
}
