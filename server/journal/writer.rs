//! The one writer of the journal: a thread that commits whatever has queued up, so that many deliveries share one sync.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection as Sqlite, params};
use tokio::sync::{oneshot, watch};

use super::{Appended, NewEvent, Source};

/// Deliveries that may wait for the writer: more than this and the disk has fallen behind, so Okta is told to come back.
const QUEUE: usize = 1024;
/// Events that one commit takes: what waits longer than that shares the next one.
const LARGEST_COMMIT: usize = 4096;
/// How often the thread looks whether the journal is still wanted.
const IDLE: Duration = Duration::from_secs(60);

/// An append that waits for its commit.
struct Append {
    events: Vec<NewEvent>,
    done: oneshot::Sender<rusqlite::Result<Appended>>,
}

/// The way to the writer. The thread ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(super) struct Writer(SyncSender<Append>);

/// Why an append did not come to a commit.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    #[error("the journal has fallen behind: {QUEUE} deliveries are waiting for the disk")]
    Behind,
    #[error("the journal's writer has stopped")]
    Stopped,
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Writer {
    /// Starts the thread on `sqlite`, which is at `head`; every commit moves `heads`.
    pub(super) fn start(sqlite: Sqlite, head: u64, heads: watch::Sender<u64>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new().name("journal".to_owned()).spawn(move || run(sqlite, head, &heads, &receiver))?;
        Ok(Self(sender))
    }

    /// Appends events; they are on disk when this answers.
    pub(super) async fn append(&self, events: Vec<NewEvent>) -> Result<Appended, AppendError> {
        let (done, outcome) = oneshot::channel();
        self.0.try_send(Append { events, done }).map_err(|error| match error {
            TrySendError::Full(_) => AppendError::Behind,
            TrySendError::Disconnected(_) => AppendError::Stopped,
        })?;
        Ok(outcome.await.map_err(|_| AppendError::Stopped)??)
    }
}

fn run(mut sqlite: Sqlite, mut head: u64, heads: &watch::Sender<u64>, queue: &Receiver<Append>) {
    loop {
        let first = match queue.recv_timeout(IDLE) {
            Ok(append) => append,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut size = first.events.len();
        let mut batch = vec![first];
        while size < LARGEST_COMMIT {
            let Ok(next) = queue.try_recv() else { break };
            size += next.events.len();
            batch.push(next);
        }
        match commit(&mut sqlite, head, &batch) {
            Ok((new_head, outcomes)) => {
                head = new_head;
                heads.send_replace(head);
                for (append, outcome) in batch.into_iter().zip(outcomes) {
                    let _ = append.done.send(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::error!(%error, deliveries = batch.len(), "the journal could not be written");
                let text = error.to_string();
                for append in batch {
                    let _ = append.done.send(Err(rusqlite::Error::ToSqlConversionFailure(text.clone().into())));
                }
            }
        }
    }
}

/// One transaction for the whole batch: the new head, and what became of each append.
fn commit(sqlite: &mut Sqlite, mut head: u64, batch: &[Append]) -> rusqlite::Result<(u64, Vec<Appended>)> {
    let received_us = now_us();
    let transaction = sqlite.transaction()?;
    let mut outcomes = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO events (sequence, connection_id, uuid, received_us, published_us, source, envelope, raw)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (connection_id, uuid) DO NOTHING",
        )?;
        for append in batch {
            let mut outcome = Appended::default();
            for event in &append.events {
                let source = match event.source {
                    Source::Hook => 1,
                    Source::SystemLog => 2,
                };
                let inserted = insert.execute(params![
                    head + 1,
                    event.connection_id,
                    event.uuid,
                    received_us,
                    event.published_us,
                    source,
                    event.envelope,
                    event.raw,
                ])?;
                if inserted == 1 {
                    head += 1;
                    outcome.stored += 1;
                } else {
                    outcome.repeated += 1;
                }
            }
            outcomes.push(outcome);
        }
    }
    transaction.commit()?;
    Ok((head, outcomes))
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
