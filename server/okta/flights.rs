//! Identical reads under way at the same time are one request to Okta.
//!
//! Whoever asks joins the flight that is there. It goes on for as long as one of them waits, whoever began it. A write of ours that ends closes the
//! connection's flights: they may have read what was there before it, and who asks afterwards must not get that. Answers are not kept.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::answer::Answer;
use super::call::{Accept, Call};
use super::client::Trace;
use crate::error::Result;

/// What comes of a request.
pub(super) type Outcome = (Trace, Result<Answer>);

/// A request under way.
#[derive(Clone)]
pub(super) struct Flight {
    /// What comes of it, for all who wait.
    pub(super) outcome: Shared<BoxFuture<'static, Outcome>>,
    /// By when it ends.
    pub(super) deadline: Instant,
}

/// The reads under way. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By connection, then by what is asked.
    under_way: Mutex<HashMap<String, HashMap<Question, Entry>>>,
    next_number: AtomicU64,
}

/// What makes two reads the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    path_and_query: String,
    page: String,
    headers: Vec<(String, String)>,
    accept: Accept,
}

struct Entry {
    number: u64,
    outcome: WeakShared<BoxFuture<'static, Outcome>>,
    deadline: Instant,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Flights {
    /// The flight that answers a read: one under way, or else what `send` begins. Also says whether it is a new one.
    pub(super) fn join<F>(
        &self,
        connection_id: &str,
        call: &Call,
        deadline: Instant,
        send: impl FnOnce() -> F,
    ) -> (Flight, bool)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let question = Question {
            path_and_query: call.path_and_query(None),
            page: call.page.as_ref().map(|page| page.token.clone()).unwrap_or_default(),
            headers: call.headers.clone(),
            accept: call.accept,
        };
        let mut under_way = self.under_way();
        let of_connection = under_way.entry(connection_id.to_owned()).or_default();
        let there = of_connection.get(&question).and_then(|entry| Some((entry.outcome.upgrade()?, entry.deadline)));
        if let Some((outcome, deadline)) = there {
            return (Flight { outcome, deadline }, false);
        }
        let number = self.0.next_number.fetch_add(1, Ordering::Relaxed);
        let landing = Landing {
            flights: self.clone(),
            connection_id: connection_id.to_owned(),
            question: question.clone(),
            number,
        };
        let sent = send();
        let outcome = async move {
            let _landing = landing;
            sent.await
        };
        let outcome = outcome.boxed().shared();
        if let Some(weak) = outcome.downgrade() {
            of_connection.insert(question, Entry { number, outcome: weak, deadline });
        }
        (Flight { outcome, deadline }, true)
    }

    /// A write on a connection has begun; when what is answered is dropped, it has ended.
    pub(super) fn write(&self, connection_id: &str) -> Write<'_> {
        Write { flights: self, connection_id: connection_id.to_owned() }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, HashMap<Question, Entry>>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write under way.
pub(super) struct Write<'a> {
    flights: &'a Flights,
    connection_id: String,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let closed = self.flights.under_way().remove(&self.connection_id);
        drop(closed);
    }
}

/// A flight's end: answered, or left by all.
struct Landing {
    flights: Flights,
    connection_id: String,
    question: Question,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way();
        let Some(of_connection) = under_way.get_mut(&self.connection_id) else { return };
        if of_connection.get(&self.question).is_some_and(|entry| entry.number == self.number) {
            of_connection.remove(&self.question);
        }
        if of_connection.is_empty() {
            under_way.remove(&self.connection_id);
        }
    }
}
