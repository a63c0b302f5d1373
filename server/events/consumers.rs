//! Named readers: whose cursor the journal keeps, and which stream has each. The newest stream of a consumer wins; the one before is
//! told, and cannot commit any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::cursor::Cursors;
use super::start::{Bounds, Start};
use crate::error::{Error, Result};
use crate::journal::{Committed, ConsumerRow, Journal};
use crate::proto::{Consumer, ErrorReason};

/// At most this many consumers: each is a row and, while it is connected, an entry here.
const MAX_CONSUMERS: usize = 10_000;
const MAX_NAME: usize = 64;

/// The consumers of one journal. Cloning shares them.
#[derive(Clone)]
pub struct Consumers(Arc<Inner>);

struct Inner {
    journal: Journal,
    cursors: Cursors,
    streams: Mutex<HashMap<String, Holder>>,
}

/// The stream that has a consumer.
struct Holder {
    lease: i64,
    loss: watch::Sender<Option<Loss>>,
}

/// Why a stream has a consumer no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A newer stream has it.
    TakenOver,
    /// Its cursor was set elsewhere.
    Moved,
    /// It was deleted.
    Deleted,
}

/// A stream's hold on a consumer; it ends with it.
pub(super) struct Claim {
    consumers: Consumers,
    name: String,
    lease: i64,
    /// Where the consumer is.
    sequence: i64,
    loss: watch::Receiver<Option<Loss>>,
}

impl Consumers {
    pub(super) fn new(journal: Journal, cursors: Cursors) -> Self {
        Self(Arc::new(Inner { journal, cursors, streams: Mutex::default() }))
    }

    /// Takes a consumer for a stream; the stream that has it loses it. A new name begins at the end of the log.
    ///
    /// # Errors
    /// `CallerLimitExceeded` when there are too many consumers; `StorageUnavailable`.
    pub(super) async fn claim(&self, name: &str) -> Result<Claim> {
        let row = self.0.journal.open_consumer(name, MAX_CONSUMERS).await?.ok_or_else(|| {
            let message = format!("there are {MAX_CONSUMERS} consumers already; delete one that is not used any more");
            Error::new(ErrorReason::CallerLimitExceeded, message).with("limit", "consumers")
        })?;
        let (loss, lost) = watch::channel(None);
        let mut streams = self.streams();
        let newer = streams.get(name).is_some_and(|holder| holder.lease > row.lease);
        if newer {
            // Somebody took it between our row and here.
            loss.send_replace(Some(Loss::TakenOver));
        } else if let Some(before) = streams.insert(name.to_owned(), Holder { lease: row.lease, loss }) {
            before.loss.send_replace(Some(Loss::TakenOver));
        }
        drop(streams);
        Ok(Claim { consumers: self.clone(), name: row.name, lease: row.lease, sequence: row.sequence, loss: lost })
    }

    /// Moves a consumer forward; answers its cursor then. `lease` is that of the stream that dealt with the events, or empty.
    ///
    /// # Errors
    /// Those of the cursor, but that an expired one is only behind; `InvalidRequest` for a lease that is none; `ConsumerNotFound`;
    /// `ConsumerLeaseLost`; `StorageUnavailable`.
    pub async fn commit(&self, name: &str, cursor: &str, lease: &str) -> Result<String> {
        let lease = match lease {
            "" => None,
            lease => Some(lease.parse().map_err(|_| Error::invalid("lease", "is not the lease of an opened frame"))?),
        };
        let sequence = self.0.cursors.decode(cursor, 1, self.0.journal.head())?;
        match self.0.journal.commit_consumer(name, sequence, lease).await? {
            Committed::At(sequence) => Ok(self.0.cursors.encode(sequence)),
            Committed::LeaseLost => Err(lost(name, "a newer stream has the consumer")),
            Committed::Unknown => Err(unknown(name)),
        }
    }

    /// One consumer.
    ///
    /// # Errors
    /// `ConsumerNotFound`; `StorageUnavailable`.
    pub async fn get(&self, name: &str) -> Result<Consumer> {
        let row = self.0.journal.consumer(name).await?.ok_or_else(|| unknown(name))?;
        Ok(self.show(row))
    }

    /// At most `limit` consumers after the name `after`, by name.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub async fn list(&self, after: &str, limit: usize) -> Result<Vec<Consumer>> {
        let rows = self.0.journal.consumers(after, limit).await?;
        Ok(rows.into_iter().map(|row| self.show(row)).collect())
    }

    /// Sets a consumer's cursor anywhere; its stream ends.
    ///
    /// # Errors
    /// Those of the start; `ConsumerNotFound`; `StorageUnavailable`.
    pub async fn seek(&self, name: &str, to: &Start) -> Result<Consumer> {
        let Bounds { after, .. } = to.resolve(&self.0.journal, &self.0.cursors, false).await?;
        let row = self.0.journal.seek_consumer(name, after).await?.ok_or_else(|| unknown(name))?;
        self.take_away(name, Loss::Moved);
        Ok(self.show(row))
    }

    /// Forgets a consumer; its stream ends.
    ///
    /// # Errors
    /// `ConsumerNotFound`; `StorageUnavailable`.
    pub async fn delete(&self, name: &str) -> Result<()> {
        if !self.0.journal.delete_consumer(name).await? {
            return Err(unknown(name));
        }
        self.take_away(name, Loss::Deleted);
        Ok(())
    }

    fn show(&self, row: ConsumerRow) -> Consumer {
        let connected = self.streams().contains_key(&row.name);
        Consumer {
            cursor: self.0.cursors.encode(row.sequence),
            lag: (self.0.journal.head() - row.sequence).max(0),
            created: Some(row.created),
            committed: row.committed,
            connected,
            name: row.name,
        }
    }

    fn take_away(&self, name: &str, loss: Loss) {
        if let Some(holder) = self.streams().remove(name) {
            holder.loss.send_replace(Some(loss));
        }
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Holder>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The lease, as `opened` tells it.
    pub(super) fn lease(&self) -> String {
        self.lease.to_string()
    }

    /// The consumer's name.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Where the consumer was when it was claimed.
    pub(super) fn sequence(&self) -> i64 {
        self.sequence
    }

    /// Whether the consumer is lost, and why.
    pub(super) fn loss(&self) -> Option<Loss> {
        *self.loss.borrow()
    }

    /// Waits until it is.
    pub(super) async fn lost(&mut self) {
        if self.loss.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut streams = self.consumers.streams();
        if streams.get(&self.name).is_some_and(|holder| holder.lease == self.lease) {
            streams.remove(&self.name);
        }
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumers").field("connected", &self.streams().len()).finish_non_exhaustive()
    }
}

/// Whether a consumer can be called that.
///
/// # Errors
/// `InvalidRequest`.
pub fn check_name(name: &str) -> Result<()> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if fits {
        return Ok(());
    }
    Err(Error::invalid("consumer", "must be 1 to 64 letters, digits, dots, hyphens and underscores"))
}

/// The stream has lost its consumer.
pub(super) fn lost(name: &str, why: &str) -> Error {
    Error::new(ErrorReason::ConsumerLeaseLost, format!("{name:?}: {why}")).with_resource("consumer", name)
}

fn unknown(name: &str) -> Error {
    let message = format!("there is no consumer called {name:?}; a stream with this consumer makes it");
    Error::new(ErrorReason::ConsumerNotFound, message).with_resource("consumer", name)
}
