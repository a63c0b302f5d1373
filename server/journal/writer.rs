//! The one writer: a thread that commits together what has queued up, and answers each job once it is durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::store::{Attempt, Failure, Store};
use super::write_back::WriteBack;
use super::{Appended, Limits, NewEvent, Source, time};
use crate::error::{Error, Result};

/// How far ahead of our clock Okta's may be, in microseconds (a day). An event of a later time counts as of this one where events
/// are looked up by time, so that a single odd one does not spoil the search for good.
const MAX_AHEAD_MICROS: i64 = 24 * 3600 * 1_000_000;

/// The door to the writer's thread.
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
    head: watch::Receiver<i64>,
}

enum Command {
    Commit(Job),
    Close(oneshot::Sender<Result<()>>),
}

/// Something that becomes durable as a whole: events, and whatever else has to be with them or without.
struct Job {
    events: Vec<NewEvent>,
    change: Option<Change>,
    answer: oneshot::Sender<Result<Appended>>,
}

/// A change of the tables beside the events, made in the transaction that stores the job's events.
type Change = Box<dyn FnOnce(&Transaction<'_>, Appended) -> rusqlite::Result<()> + Send>;

impl Writer {
    pub(super) fn start(store: Store, limits: &Limits) -> Result<Self> {
        let (commands, queue) = mpsc::channel(limits.queued_appends.max(1));
        let (publish_head, head) = watch::channel(0);
        let write_back = WriteBack::start(store.clone()).map_err(|failure| failure.into_error("opened"))?;
        let mut thread =
            Thread { store, connection: None, failed: None, publish_head, write_back, limits: limits.clone() };
        thread.connection().map_err(|failure| failure.into_error("opened"))?;
        thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || thread.run(queue))
            .map_err(|error| Failure::from(error).into_error("written"))?;
        Ok(Self { commands, head })
    }

    pub(super) async fn append(&self, events: Vec<NewEvent>) -> Result<Appended> {
        if events.is_empty() {
            return Ok(Appended::default());
        }
        self.commit(events, None).await
    }

    /// Makes a change and answers what it found. With `events`, both become durable, or neither; the change is told what became of
    /// them.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        events: Vec<NewEvent>,
        change: impl FnOnce(&Transaction<'_>, Appended) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (find, mut found) = oneshot::channel();
        let change: Change = Box::new(move |transaction, appended| {
            let _ = find.send(change(transaction, appended)?);
            Ok(())
        });
        self.commit(events, Some(change)).await?;
        found.try_recv().map_err(|_| closed())
    }

    async fn commit(&self, events: Vec<NewEvent>, change: Option<Change>) -> Result<Appended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Commit(Job { events, change, answer })).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    pub(super) async fn close(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(Command::Close(answer)).await.is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }

    pub(super) fn head(&self) -> &watch::Receiver<i64> {
        &self.head
    }
}

fn closed() -> Error {
    Failure::Closed.into_error("written")
}

struct Thread {
    store: Store,
    /// None after a failure: the next commit opens a fresh one, so that a disk that was full is tried again.
    connection: Option<Connection>,
    /// The one that failed, until there is another: readers share what is in memory of the write-ahead log with a writer that is open.
    failed: Option<Connection>,
    publish_head: watch::Sender<i64>,
    write_back: WriteBack,
    limits: Limits,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        while let Some(command) = queue.blocking_recv() {
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Commit(first) => next = self.commit_group(first, &mut queue),
                    Command::Close(answer) => {
                        let _ = answer.send(self.write_back());
                        return;
                    }
                }
            }
        }
    }

    /// Commits `first` with the jobs that have queued up behind it; answers the command that ended the group, if any did.
    fn commit_group(&mut self, first: Job, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut room = Room { events: self.limits.commit_events, bytes: self.limits.commit_bytes };
        let mut group = Vec::new();
        let mut next = Some(Command::Commit(first));
        while let Some(Command::Commit(job)) = next {
            let more = room.take(&job.events);
            group.push(job);
            next = if more { queue.try_recv().ok() } else { None };
        }
        self.commit_and_answer(group);
        next
    }

    fn commit_and_answer(&mut self, mut group: Vec<Job>) {
        match self.commit(&mut group) {
            Ok(appended) => {
                let bytes = group.iter().flat_map(|job| &job.events).map(NewEvent::size).sum();
                for (job, appended) in group.into_iter().zip(appended) {
                    let _ = job.answer.send(Ok(appended));
                }
                if let Some(connection) = &self.connection {
                    self.write_back.committed(connection, bytes);
                }
            }
            Err(failure) => {
                self.failed = self.connection.take().or(self.failed.take());
                let error = failure.into_error("written");
                tracing::error!(%error, jobs = group.len(), "the event log could not be written");
                for job in group {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&mut self, group: &mut [Job]) -> Attempt<Vec<Appended>> {
        let connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tail = Tail::read(&transaction)?;
        let mut sources = HashMap::new();
        let mut all = Vec::with_capacity(group.len());
        for job in group {
            let appended = insert(&transaction, &job.events, &mut tail, &mut sources)?;
            if let Some(change) = job.change.take() {
                change(&transaction, appended)?;
            }
            all.push(appended);
        }
        count(&transaction, &sources, tail.received)?;
        transaction.commit()?;
        self.publish(tail.sequence);
        Ok(all)
    }

    /// The connection, opened again after a failure. A commit that failed may have happened all the same: the head is read anew.
    fn connection(&mut self) -> Attempt<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.store.open_writer()?;
                self.publish(head(&connection)?);
                self.failed = None;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    fn publish(&self, head: i64) {
        self.publish_head.send_if_modified(|published| std::mem::replace(published, head) != head);
    }

    fn write_back(&mut self) -> Result<()> {
        let write_back = |connection: &mut Connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(Failure::from)
        };
        self.connection().and_then(write_back).map_err(|failure| failure.into_error("written back"))
    }
}

/// What a group commit has room for.
struct Room {
    events: usize,
    bytes: usize,
}

impl Room {
    /// Takes up the room of an append; answers whether any is left.
    fn take(&mut self, events: &[NewEvent]) -> bool {
        self.events = self.events.saturating_sub(events.len());
        self.bytes = self.bytes.saturating_sub(events.iter().map(NewEvent::size).sum());
        self.events > 0 && self.bytes > 0
    }
}

/// The end of the log while a group is added to it.
struct Tail {
    sequence: i64,
    published_max: i64,
    received: i64,
}

impl Tail {
    fn read(transaction: &Transaction<'_>) -> rusqlite::Result<Self> {
        let mut select =
            transaction.prepare_cached("SELECT sequence, published_max FROM events ORDER BY sequence DESC LIMIT 1")?;
        let mut rows = select.query([])?;
        let (sequence, published_max) = match rows.next()? {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => (0, i64::MIN),
        };
        Ok(Self { sequence, published_max, received: time::to_micros(&time::now()) })
    }
}

/// What a group adds to an org: events, and whether a hook delivered any.
#[derive(Default)]
struct Added {
    events: i64,
    by_hook: bool,
}

fn insert(
    transaction: &Transaction<'_>,
    events: &[NewEvent],
    tail: &mut Tail,
    sources: &mut HashMap<Arc<str>, Added>,
) -> rusqlite::Result<Appended> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events
            (sequence, connection_id, uuid, event_type, published, published_max, received, source, envelope, raw)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (connection_id, uuid) DO NOTHING",
    )?;
    let mut appended = Appended::default();
    for event in events {
        let published = event.published.as_ref().map(time::to_micros);
        let by_time = published.unwrap_or(tail.received).min(tail.received + MAX_AHEAD_MICROS);
        let published_max = tail.published_max.max(by_time);
        let inserted = insert.execute((
            tail.sequence + 1,
            &event.connection_id,
            &event.uuid,
            &event.event_type,
            published,
            published_max,
            tail.received,
            event.source.stored(),
            &event.envelope,
            &event.raw,
        ))?;
        let source = sources.entry(event.connection_id.clone()).or_default();
        source.by_hook |= event.source == Source::Hook;
        if inserted == 0 {
            appended.repeated += 1;
            continue;
        }
        appended.stored += 1;
        source.events += 1;
        tail.sequence += 1;
        tail.published_max = published_max;
    }
    Ok(appended)
}

fn count(transaction: &Transaction<'_>, sources: &HashMap<Arc<str>, Added>, received: i64) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO sources (connection_id, events, last_hook_delivery) VALUES (?1, ?2, ?3)
         ON CONFLICT (connection_id) DO UPDATE SET
            events = events + excluded.events,
            last_hook_delivery = coalesce(excluded.last_hook_delivery, last_hook_delivery)",
    )?;
    for (connection_id, added) in sources {
        upsert.execute((connection_id, added.events, added.by_hook.then_some(received)))?;
    }
    Ok(())
}

fn head(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(sequence), 0) FROM events", [], |row| row.get(0))
}

impl Source {
    /// How the source stands in the table.
    pub(super) fn stored(self) -> i64 {
        match self {
            Self::Hook => 1,
            Self::SystemLog => 2,
        }
    }
}
