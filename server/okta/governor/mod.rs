//! The governor: each request to Okta gets its turn here, so that the org's rate limits are used well and not run into.
//!
//! Per connection there is one fair queue for each of Okta's buckets (`bucket`), paced by what Okta tells of its window (`window`), and one
//! set of slots for what may be in flight at once (`slots`). A call whose turn would come after its deadline is refused at once, and so is
//! one of an org that has stopped answering (`breaker`). What failed is repeated within a `budget`.

mod breaker;
mod bucket;
mod budget;
mod fair;
mod lane;
mod metrics;
mod reading;
mod slots;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub use self::bucket::{Bucket, bucket};
use self::lane::Lane;
pub use self::lane::{BucketStatus, LaneStatus, Permit};
pub use self::window::Seen;
use crate::error::{Error, Result};
use crate::proto::ErrorReason;

/// Deals out the turns of all connections. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Governor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lanes: RwLock<HashMap<String, Arc<Lane>>>,
    share: f64,
}

impl Governor {
    /// One that leaves `reserved_percent` of each limit to the org's other clients.
    pub fn new(reserved_percent: u8) -> Self {
        Self(Arc::new(Inner { lanes: RwLock::default(), share: f64::from(reserved_percent.min(100)) / 100.0 }))
    }

    /// Waits for the turn of a request of `caller`.
    ///
    /// # Errors
    /// `OktaRateLimited` when the turn would come after the deadline, or did; `CallerLimitExceeded` when too many wait already.
    pub(super) async fn turn(
        &self,
        connection_id: &str,
        bucket: &Bucket,
        caller: &Arc<str>,
        deadline: Instant,
    ) -> Result<Permit> {
        self.lane(connection_id).turn(bucket, caller, deadline).await
    }

    /// Whether a request may be sent again: so many are allowed as are a tenth of all, and a few.
    pub(super) fn may_repeat(&self, connection_id: &str) -> bool {
        self.lane(connection_id).may_repeat()
    }

    /// What is known of a connection's limits; nothing before its first request.
    pub fn status(&self, connection_id: &str) -> LaneStatus {
        let lane = self.0.lanes.read().unwrap_or_else(PoisonError::into_inner).get(connection_id).cloned();
        lane.map(|lane| lane.status()).unwrap_or_default()
    }

    /// The connections that have sent something.
    pub fn connections(&self) -> Vec<String> {
        self.0.lanes.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a connection that is no more.
    pub fn forget(&self, connection_id: &str) {
        self.0.lanes.write().unwrap_or_else(PoisonError::into_inner).remove(connection_id);
    }

    fn lane(&self, connection_id: &str) -> Arc<Lane> {
        if let Some(lane) = self.0.lanes.read().unwrap_or_else(PoisonError::into_inner).get(connection_id) {
            return lane.clone();
        }
        let mut lanes = self.0.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(connection_id.to_owned()).or_insert_with(|| Lane::new(self.0.share)).clone()
    }
}

/// The answer to a call that would have to wait for longer than its caller does.
fn spent(bucket: &Bucket, wait: Duration) -> Error {
    let message = format!(
        "Okta's rate limit for {bucket} is spent: the turn of this call would come in {:.1} s, after its deadline",
        wait.as_secs_f64()
    );
    Error::new(ErrorReason::OktaRateLimited, message).with_retry_after(wait).with("rate_limit_bucket", bucket.as_ref())
}

/// The answer to a call of an org that is left alone.
fn out_of_order(wait: Duration) -> Error {
    let message = format!(
        "the org has not answered the last requests, or with errors only; it is asked again in {:.1} s",
        wait.as_secs_f64()
    );
    Error::new(ErrorReason::OktaUnavailable, message).with_retry_after(wait).with("circuit", "open")
}

/// The answer to a call for which the queue has no room.
fn crowded(bucket: &Bucket, limit: usize, whose: &'static str, wait: Duration) -> Error {
    let message = format!("{limit} calls wait for Okta's rate limit for {bucket} already ({whose}); try again later");
    Error::new(ErrorReason::CallerLimitExceeded, message)
        .with_retry_after(wait)
        .with("limit", whose)
        .with("rate_limit_bucket", bucket.as_ref())
}
