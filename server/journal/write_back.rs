//! Writes the write-ahead log back into the main file beside the writer, so that no append waits for it.
//!
//! A second connection copies what is there while the writer goes on. What has come meanwhile is little: the writer copies that
//! itself, after which SQLite starts the write-ahead log anew instead of letting it grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;

use super::store::{Attempt, Store};

/// Bytes of events after which they are written back: often enough that the log stays small, seldom enough that pages which
/// change with every event are copied once for many.
const EVERY_BYTES: usize = 4 << 20;
/// Pages of the log (64 MiB) from which on the writer waits for readers to let go of it, for its end to be in sight.
const MANY_PAGES: i64 = 16_384;

/// The thread that writes back, and when it is its turn.
pub(super) struct WriteBack {
    wake: SyncSender<()>,
    copied: Arc<AtomicBool>,
    bytes: usize,
}

impl WriteBack {
    pub(super) fn start(store: Store) -> Attempt<Self> {
        // One wake-up in the queue says all there is to say.
        let (wake, woken) = sync_channel(1);
        let copied = Arc::new(AtomicBool::new(false));
        let done = copied.clone();
        thread::Builder::new().name("journal-write-back".to_owned()).spawn(move || run(&store, &woken, &done))?;
        Ok(Self { wake, copied, bytes: 0 })
    }

    /// To be called by the writer after a commit of so many bytes of events.
    pub(super) fn committed(&mut self, connection: &Connection, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= EVERY_BYTES && self.wake.try_send(()).is_ok() {
            self.bytes = 0;
        }
        if self.copied.swap(false, Ordering::Relaxed) {
            note(finish(connection));
        }
    }
}

fn run(store: &Store, woken: &Receiver<()>, copied: &AtomicBool) {
    let mut connection = None;
    while woken.recv().is_ok() {
        let copy = |kept: Option<Connection>| -> Attempt<Connection> {
            let connection = kept.map_or_else(|| store.open_writer(), Ok)?;
            checkpoint(&connection, "PASSIVE")?;
            Ok(connection)
        };
        connection = note(copy(connection.take()));
        copied.store(connection.is_some(), Ordering::Relaxed);
    }
}

fn finish(connection: &Connection) -> Attempt<()> {
    if checkpoint(connection, "PASSIVE")? > MANY_PAGES {
        checkpoint(connection, "RESTART")?;
    }
    Ok(())
}

/// Answers how many pages the log has.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

/// Nothing is lost when it fails: the events are in the write-ahead log, and the next turn tries again.
fn note<T>(attempt: Attempt<T>) -> Option<T> {
    attempt.inspect_err(|error| tracing::warn!(%error, "the event log could not be written back")).ok()
}
