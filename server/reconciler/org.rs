//! One org's System Log, followed from page to page; and what it means for the org's events when that goes wrong.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use prost_types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Reconciler;
use super::plan::{self, PAGE, Pace, Page, Plan};
use crate::connections::scopes::covers;
use crate::connections::{Connection, Credential};
use crate::error::{Error, Result};
use crate::events::new_event;
use crate::journal::{GapRow, NewEvent, Progress, Source};
use crate::okta::{Answer, Call, Context, Endpoint, HttpMethod, Repeat};
use crate::proto::{ConnectionState, ErrorReason, GapState, ReconcilerState};
use crate::secret::random_id;

const LOGS: Endpoint =
    Endpoint { method: HttpMethod::Get, path: "/api/v1/logs", scope: "okta.logs.read", repeat: Repeat::Safe };
/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that may not read the System Log is asked whether it may by now as often as this.
const OFF_PAUSE: Duration = Duration::from_secs(5);
const DENIED_PAUSE: Duration = Duration::from_secs(300);
/// After a failure, doubling from the interval.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);
/// Hooks that have delivered lately are given time to deliver what the System Log has already.
const HOOKS_ARE_ALIVE: Duration = Duration::from_secs(24 * 3600);
/// How long they are given, in intervals.
const GRACE_INTERVALS: u32 = 2;

/// The System Log of one connection's org.
pub(super) struct OrgLog {
    with: Reconciler,
    id: Arc<str>,
    /// Where to go on, and what is proven; nothing before the first page.
    progress: Option<Progress>,
    /// The gap that is suspected, while one is.
    gap: Option<GapRow>,
    failures: u32,
}

impl OrgLog {
    pub(super) fn new(with: Reconciler, id: Arc<str>) -> Self {
        Self { with, id, progress: None, gap: None, failures: 0 }
    }

    /// Follows the log until `stop`. When the connection is gone by then, what was known of it is forgotten.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.run()).await;
        if self.with.connections.resolve(&self.id).is_err() {
            self.with.sources.forget(&self.id);
            if let Err(error) = self.with.journal.forget_progress(&self.id).await {
                tracing::warn!(connection = %self.id, %error, "what was known of a removed connection is still there");
            }
        }
    }

    async fn run(&mut self) {
        while let Err(error) = self.restore().await {
            self.say(ReconcilerState::Failing, error.message());
            tokio::time::sleep(self.with.options.interval).await;
        }
        loop {
            let pause = self.turn().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes up what the process before knew.
    async fn restore(&mut self) -> Result<()> {
        self.progress = self.with.journal.progress(&self.id).await?;
        if let Some(progress) = &self.progress {
            self.with.sources.set_complete(&self.id, progress.complete_until);
        }
        for gap in self.with.journal.gaps(&self.id).await?.into_iter().rev() {
            if gap.state == GapState::Suspected {
                self.gap = Some(gap.clone());
            }
            self.with.sources.put_gap(gap);
        }
        Ok(())
    }

    /// One page, or the reason why not; answers how long to wait.
    async fn turn(&mut self) -> Duration {
        let Ok(connection) = self.with.connections.resolve(&self.id) else { return OFF_PAUSE };
        if let Some(why) = why_not(&connection) {
            self.say(ReconcilerState::Off, why);
            return OFF_PAUSE;
        }
        match self.page(&connection).await {
            Ok(pause) => {
                self.failures = 0;
                pause
            }
            Err(error) => self.failed(&error).await,
        }
    }

    async fn page(&mut self, connection: &Arc<Connection>) -> Result<Duration> {
        self.suspect().await?;
        let (newest, delivery) = self.with.journal.last_known(&self.id).await?;
        let call = match self.progress.as_ref().filter(|progress| !progress.next.is_empty()) {
            Some(progress) => following(&progress.next),
            None => self.beginning(newest),
        };
        let deadline = Instant::now() + PATIENCE;
        let (_, answer) = self.with.okta.send(connection, &call, &Context::internal("System Log", deadline)).await;
        let answer = answer?;
        let events = self.read(&answer)?;
        let interval = self.with.options.interval;
        let hooks_are_alive = delivery.is_some_and(|at| older(&at) < HOOKS_ARE_ALIVE);
        let grace = if hooks_are_alive { interval * GRACE_INTERVALS } else { Duration::ZERO };
        let page = Page {
            published: events
                .iter()
                .map(|event| event.published.and_then(|time| SystemTime::try_from(time).ok()))
                .collect(),
            now: answer.date(),
            rate_limit: answer.rate_limit(),
            until_reset: answer.until_reset(),
        };
        let plan = plan::plan(&page, Pace { interval, grace });
        self.store(events, &answer, &plan).await?;
        let state = if plan.caught_up { ReconcilerState::Current } else { ReconcilerState::CatchingUp };
        self.say(state, "");
        Ok(plan.pause)
    }

    /// The first request: from the last event known on, or from where the log was proven complete.
    fn beginning(&self, newest: Option<Timestamp>) -> Call {
        let proven = self.progress.as_ref().map(|progress| progress.complete_until);
        let known = proven.or(newest).and_then(|time| SystemTime::try_from(time).ok());
        let since = plan::first_since(SystemTime::now(), known, self.with.options.look_back);
        let limit = PAGE.to_string();
        Call::new(LOGS, &[])
            .query("since", Timestamp::from(since).to_string())
            .query("sortOrder", "ASCENDING")
            .query("limit", limit)
    }

    /// The events of an answer. One that is no event is left out; that is Okta's to answer for.
    fn read(&self, answer: &Answer) -> Result<Vec<NewEvent>> {
        let envelope = Arc::from("");
        let read = |raw: &str| new_event(&self.id, Source::SystemLog, &envelope, raw);
        Ok(answer.items()?.into_iter().filter_map(read).collect())
    }

    async fn store(&mut self, mut events: Vec<NewEvent>, answer: &Answer, plan: &Plan) -> Result<()> {
        events.truncate(plan.take);
        let next = match (plan.advance, answer.next_query()) {
            (true, Some(next)) => next.to_owned(),
            _ => self.progress.as_ref().map(|progress| progress.next.clone()).unwrap_or_default(),
        };
        let before = self.progress.as_ref().map(|progress| progress.complete_until);
        let until = plan.complete_until.map(Timestamp::from);
        // What is proven stays proven.
        let complete_until = later(before, until).unwrap_or_else(|| Timestamp::from(SystemTime::UNIX_EPOCH));
        let progress = Progress { next, complete_until };
        let mut gap = self.gap.take();
        if let Some(gap) = gap.as_mut().filter(|_| plan.caught_up) {
            gap.state = GapState::Repaired;
            gap.until.get_or_insert(complete_until);
        }
        if let Some(gap) = &mut gap {
            gap.changed = SystemTime::now().into();
        }
        let stored = self.with.journal.reconcile(&self.id, events, progress.clone(), gap.clone()).await;
        let (appended, gap) = stored.inspect_err(|_| self.gap = gap)?;
        if appended.stored > 0 {
            tracing::info!(connection = %self.id, events = appended.stored, "found events in the System Log that no hook had delivered");
        }
        self.with.sources.set_complete(&self.id, complete_until);
        self.progress = Some(progress);
        if let Some(gap) = gap {
            if gap.state == GapState::Repaired {
                tracing::info!(connection = %self.id, gap = gap.id, events = gap.repaired, "a gap is repaired");
                self.with.sources.put_gap(gap);
            } else {
                self.gap = Some(gap);
            }
        }
        Ok(())
    }

    /// Says so when the log lags so far behind that events may be missing, and when they are beyond what Okta keeps.
    async fn suspect(&mut self) -> Result<()> {
        let Some(progress) = self.progress.clone() else { return Ok(()) };
        let now = SystemTime::now();
        let Ok(proven) = SystemTime::try_from(progress.complete_until) else { return Ok(()) };
        let oldest = plan::oldest_kept(now);
        if proven < oldest {
            let reason = "the System Log was not read for longer than Okta keeps it";
            let lost = self.new_gap(GapState::Unrecoverable, proven, Some(oldest), reason)?;
            self.with.journal.put_gap(lost.clone()).await?;
            self.with.sources.put_gap(lost);
            // What is left is read from the beginning of what Okta keeps.
            self.progress = Some(Progress { next: String::new(), complete_until: oldest.into() });
        }
        if self.gap.is_none() && plan::is_suspicious(now, proven.max(oldest), self.with.options.interval) {
            let reason =
                "the System Log has not been read for a while: events that hooks did not deliver are not here yet";
            let gap = self.new_gap(GapState::Suspected, proven.max(oldest), None, reason)?;
            tracing::warn!(connection = %self.id, gap = gap.id, since = %gap.from, "events may be missing");
            self.with.journal.put_gap(gap.clone()).await?;
            self.with.sources.put_gap(gap.clone());
            self.gap = Some(gap);
        }
        Ok(())
    }

    fn new_gap(&self, state: GapState, from: SystemTime, until: Option<SystemTime>, reason: &str) -> Result<GapRow> {
        Ok(GapRow {
            id: random_id("gap_").map_err(crate::connections::secret_failed)?,
            connection_id: self.id.to_string(),
            state,
            from: from.into(),
            until: until.map(Timestamp::from),
            reason: reason.to_owned(),
            repaired: 0,
            changed: SystemTime::now().into(),
        })
    }

    async fn failed(&mut self, error: &Error) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let interval = self.with.options.interval;
        let backoff = interval.saturating_mul(2_u32.saturating_pow(self.failures.min(10) - 1)).min(LONGEST_BACKOFF);
        if let Err(error) = self.suspect().await {
            tracing::warn!(connection = %self.id, %error, "a gap could not be noted");
        }
        match error.reason() {
            ErrorReason::OktaPermissionDenied => {
                let detail =
                    format!("the connection may not read the System Log (okta.logs.read): {}", error.message());
                self.say(ReconcilerState::Off, &detail);
                DENIED_PAUSE
            }
            // A link that Okta takes no more: from the last time that is proven on.
            ErrorReason::OktaValidationFailed
                if self.progress.as_ref().is_some_and(|progress| !progress.next.is_empty()) =>
            {
                tracing::warn!(connection = %self.id, %error, "the System Log does not go on where it was; beginning at the last time proven");
                if let Some(progress) = &mut self.progress {
                    progress.next.clear();
                }
                Duration::ZERO
            }
            _ => {
                tracing::warn!(connection = %self.id, %error, "the System Log could not be read");
                self.say(ReconcilerState::Failing, error.message());
                error.retry_after().unwrap_or(backoff).clamp(interval.min(backoff), LONGEST_BACKOFF)
            }
        }
    }

    fn say(&self, state: ReconcilerState, detail: &str) {
        self.with.sources.set_state(&self.id, state, detail);
    }
}

/// Why the System Log of a connection is not read.
fn why_not(connection: &Connection) -> Option<&'static str> {
    let is_oauth = !matches!(*connection.credential, Credential::ApiToken(_));
    let scopes =
        if connection.granted_scopes.is_empty() { connection.credential.scopes() } else { &connection.granted_scopes };
    match connection.state {
        ConnectionState::Active if is_oauth && !covers(scopes, LOGS.scope) => {
            Some("the connection has not been granted the scope okta.logs.read")
        }
        ConnectionState::Active => None,
        ConnectionState::Disabled => Some("the connection is switched off"),
        _ => Some("the connection needs authorization"),
    }
}

/// The call that a next link stands for.
fn following(query: &str) -> Call {
    let mut call = Call::new(LOGS, &[]);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    call.query = pairs.map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect();
    call
}

fn older(time: &Timestamp) -> Duration {
    SystemTime::try_from(*time).ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    let key = |time: &Timestamp| (time.seconds, time.nanos);
    [one, other].into_iter().flatten().max_by_key(key)
}
