//! What was answered to calls that carry a request id, for a day: `request-ids.db` in the data directory.
//!
//! A call that Okta must not be sent twice is noted here before it is sent, and its answer after. The same id with the same request gets
//! that answer; with another request it is refused. A note without an answer is a call whose outcome nobody knows. What is kept is
//! sealed: requests have passwords, and answers are about people.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection as Sqlite, OptionalExtension as _, params};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::proto::ErrorReason;
use crate::secret::Sealer;
use crate::sqlite;

/// How long an id is remembered.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Ids that are remembered at once.
const MAX_KEPT: i64 = 100_000;
/// Bytes of an answer that is kept.
const MAX_ANSWER: usize = 1 << 20;
/// Characters of an id.
const MAX_ID: usize = 128;

/// The request ids of the last day. Cloning shares them.
#[derive(Debug, Clone)]
pub struct RequestIds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sqlite: Arc<Mutex<Sqlite>>,
    sealer: Arc<Sealer>,
    /// Ids of calls under way: the same call has to wait for them.
    under_way: Mutex<HashSet<Key>>,
    ended: Notify,
}

/// An id on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    connection_id: String,
    request_id: String,
}

/// What is known of an id.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing: the call has been noted now, and may be sent.
    New(Claim),
    /// The answer to the same call before.
    Answered(Vec<u8>),
    /// The same call was sent, at this time, and nobody knows what became of it.
    Unclear(Claim, SystemTime),
}

/// The right to carry out the call of an id, which nobody else has meanwhile.
#[derive(Debug)]
pub(super) struct Claim {
    ids: RequestIds,
    key: Key,
}

impl RequestIds {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `StorageUnavailable`.
    pub fn open(path: &Path, sealer: Arc<Sealer>) -> Result<Self> {
        let sqlite = sqlite::open_writer(path).and_then(|sqlite| {
            sqlite.execute_batch(
                "CREATE TABLE IF NOT EXISTS request_ids (
                    connection_id TEXT NOT NULL,
                    request_id    TEXT NOT NULL,
                    request       BLOB NOT NULL,
                    answer        BLOB,
                    noted         INTEGER NOT NULL,
                    PRIMARY KEY (connection_id, request_id)
                ) STRICT;
                CREATE INDEX IF NOT EXISTS request_ids_by_age ON request_ids (noted);",
            )?;
            Ok(sqlite)
        });
        let sqlite = sqlite.map_err(|error| unavailable(&format!("cannot be opened ({}): {error}", path.display())))?;
        let sqlite = Arc::new(Mutex::new(sqlite));
        Ok(Self(Arc::new(Inner { sqlite, sealer, under_way: Mutex::default(), ended: Notify::new() })))
    }

    /// Looks an id up, and notes its call where it is new. While the same call is under way, this waits for it.
    ///
    /// # Errors
    /// `InvalidRequest` for what is no id; `RequestIdReused` for that of another request; `CallerLimitExceeded`; `OktaTimeout` when the
    /// deadline comes first; `StorageUnavailable`.
    pub(super) async fn look_up(
        &self,
        connection_id: &str,
        request_id: &str,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Known> {
        check(request_id)?;
        let key = Key { connection_id: connection_id.to_owned(), request_id: request_id.to_owned() };
        let claim = self.claim(key.clone(), deadline).await?;
        let request = STANDARD.encode(digest(&SHA256, request));
        let (owner, sealer) = (owner(&key), Arc::clone(&self.0.sealer));
        let found = self.on_disk(move |sqlite| note(sqlite, &sealer, &owner, &key, &request)).await??;
        Ok(match found {
            Found::Noted => Known::New(claim),
            Found::Answer(answer) => Known::Answered(answer),
            Found::Sent(when) => Known::Unclear(claim, when),
        })
    }

    async fn claim(&self, key: Key, deadline: Instant) -> Result<Claim> {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.under_way().insert(key.clone()) {
                return Ok(Claim { ids: self.clone(), key });
            }
            if tokio::time::timeout_at(deadline.into(), ended).await.is_err() {
                let message = "the first call with this request_id is still under way; repeat this one";
                return Err(Error::new(ErrorReason::OktaTimeout, message));
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&mut Sqlite) -> T + Send + 'static) -> Result<T> {
        let sqlite = Arc::clone(&self.0.sqlite);
        let done =
            tokio::task::spawn_blocking(move || work(&mut sqlite.lock().unwrap_or_else(PoisonError::into_inner)));
        done.await.map_err(|_| unavailable("has stopped"))
    }
}

impl Claim {
    /// Keeps the answer. One that cannot be kept leaves a call of which it is not known what became.
    pub(super) async fn answered(self, answer: &[u8]) {
        let owner = owner(&self.key);
        let sealed = match answer.len() {
            0..=MAX_ANSWER => self.ids.0.sealer.seal(&owner, STANDARD.encode(answer).as_bytes()).ok(),
            _ => None,
        };
        let Some(sealed) = sealed else { return };
        let key = self.key.clone();
        let kept = self.ids.on_disk(move |sqlite| {
            let update = "UPDATE request_ids SET answer = ?3 WHERE connection_id = ?1 AND request_id = ?2";
            sqlite.execute(update, params![key.connection_id, key.request_id, sealed])
        });
        if !matches!(kept.await, Ok(Ok(_))) {
            tracing::error!("the answer to a call with a request id could not be kept; a repetition will be told so");
        }
    }

    /// The call was surely not carried out: its id is as good as new.
    pub(super) async fn not_carried_out(self) {
        let key = self.key.clone();
        let forgotten = self.ids.on_disk(move |sqlite| {
            let delete = "DELETE FROM request_ids WHERE connection_id = ?1 AND request_id = ?2";
            sqlite.execute(delete, params![key.connection_id, key.request_id])
        });
        if !matches!(forgotten.await, Ok(Ok(_))) {
            tracing::error!(
                "a request id could not be set free; a repetition will be told that the outcome is unknown"
            );
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.ids.under_way().remove(&self.key);
        self.ids.0.ended.notify_waiters();
    }
}

enum Found {
    Noted,
    Answer(Vec<u8>),
    Sent(SystemTime),
}

/// Finds the note of an id, or makes it, and forgets what is too old.
fn note(sqlite: &mut Sqlite, sealer: &Sealer, owner: &str, key: &Key, request: &str) -> Result<Found> {
    let failed = |error: rusqlite::Error| unavailable(&format!("cannot be used: {error}"));
    let now = seconds(SystemTime::now());
    let transaction = sqlite.transaction().map_err(failed)?;
    let oldest = now.saturating_sub(i64::try_from(KEPT_FOR.as_secs()).unwrap_or(i64::MAX));
    transaction.execute("DELETE FROM request_ids WHERE noted < ?1", [oldest]).map_err(failed)?;
    let select = "SELECT request, answer, noted FROM request_ids WHERE connection_id = ?1 AND request_id = ?2";
    let row = transaction
        .query_row(select, params![key.connection_id, key.request_id], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()
        .map_err(failed)?;
    let Some((noted_request, answer, noted)) = row else {
        let kept: i64 =
            transaction.query_row("SELECT count(*) FROM request_ids", [], |row| row.get(0)).map_err(failed)?;
        if kept >= MAX_KEPT {
            let message = format!("{MAX_KEPT} request ids were used within 24 hours; leave request_id empty, or wait");
            return Err(Error::new(ErrorReason::CallerLimitExceeded, message).with("limit", "request ids"));
        }
        let sealed = sealer.seal(owner, request.as_bytes()).map_err(|error| unavailable(&error.to_string()))?;
        let insert = "INSERT INTO request_ids (connection_id, request_id, request, noted) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(insert, params![key.connection_id, key.request_id, sealed, now]).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        return Ok(Found::Noted);
    };
    let open = |sealed: &[u8]| sealer.open(owner, sealed).ok();
    // What was sealed with a key that is gone cannot be compared.
    if open(&noted_request).is_some_and(|noted| noted.expose_secret() != request) {
        let message = "request_id: was used with another request on this connection within 24 hours; use a fresh one";
        return Err(Error::new(ErrorReason::RequestIdReused, message).with_violation(crate::error::Violation {
            field: "request_id".to_owned(),
            description: "was used with another request within 24 hours".to_owned(),
        }));
    }
    let answer = answer.and_then(|sealed| STANDARD.decode(open(&sealed)?.expose_secret()).ok());
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(noted).unwrap_or_default());
    Ok(answer.map_or(Found::Sent(when), Found::Answer))
}

fn check(request_id: &str) -> Result<()> {
    let is_id = request_id.len() <= MAX_ID && request_id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id {
        return Ok(());
    }
    Err(Error::invalid("request_id", format!("must be at most {MAX_ID} printable ASCII characters without spaces")))
}

fn owner(key: &Key) -> String {
    format!("request id {} of {}", key.request_id, key.connection_id)
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn unavailable(what: &str) -> Error {
    Error::new(ErrorReason::StorageUnavailable, format!("the store of request ids {what}"))
}
