//! Delivering the log to event hooks, with Okta's rules: 3 s for an answer, one more try after silence or a 5xx, none after a 4xx,
//! several events in one body when they came together, no order promised. What else is to go wrong is planned by control calls.

mod control;
mod lane;
mod plan;
mod send;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tokio::task::JoinSet;

pub(super) use self::control::{explanation, routes};
use self::lane::Lane;
pub(super) use self::plan::{Plans, Settings};
use super::Shared;

/// Deliveries under way at the same time; more wait.
const MAX_UNDER_WAY: usize = 256;

/// How far the deliverer has come, for those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The first event of the log that it has not looked at.
    next: u64,
    /// Events that wait for their delivery, once for each hook.
    waiting: usize,
    /// Deliveries that have been begun.
    under_way: usize,
}

/// Delivers until it is dropped.
pub(super) async fn run(shared: Shared) {
    let next = shared.org().log.end();
    let mut deliverer =
        Deliverer { shared, next, lanes: BTreeMap::new(), under_way: JoinSet::new(), failures: HashMap::new() };
    loop {
        deliverer.collect();
        deliverer.send().await;
        deliverer.tell();
        deliverer.wait().await;
    }
}

struct Deliverer {
    shared: Shared,
    next: u64,
    /// What each hook has still to get, by its id.
    lanes: BTreeMap<String, Lane>,
    under_way: JoinSet<Sent>,
    /// Deliveries of a hook that have failed one after the other.
    failures: HashMap<String, u32>,
}

/// How the deliveries of one task went: whether each was taken.
struct Sent {
    hook: String,
    taken: Vec<bool>,
}

impl Deliverer {
    /// Gives each hook what has come into the log for it.
    fn collect(&mut self) {
        let org = self.shared.org();
        let is_active = |id: &String| org.hooks.get(id).is_some_and(|hook| hook["status"] == "ACTIVE");
        self.lanes.retain(|id, _| is_active(id));
        self.failures.retain(|id, _| is_active(id));
        for (id, hook) in org.hooks.iter().filter(|(_, hook)| listens(hook)) {
            let types: HashSet<&str> =
                hook["events"]["items"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut events =
                org.log.since(self.next).filter(|logged| types.contains(logged.event_type.as_str())).peekable();
            if events.peek().is_none() {
                continue;
            }
            // What happens now is delivered as the hook is now, also when that is later.
            let hook = Arc::new(hook.clone());
            let lane = self.lanes.entry(id.clone()).or_default();
            events.for_each(|event| lane.push(Arc::clone(&hook), Arc::clone(event)));
        }
        self.next = org.log.end();
    }

    /// Begins what is ready to be delivered.
    async fn send(&mut self) {
        let hooks: Vec<String> = self.lanes.keys().cloned().collect();
        for hook in hooks {
            while let Some(ready) = self.ready(&hook) {
                while self.under_way.len() >= MAX_UNDER_WAY {
                    self.settle_one().await;
                }
                let timeout = self.shared.control().delivery_settings.timeout();
                let (http, hook) = (self.shared.http.clone(), hook.clone());
                self.under_way.spawn(async move { Sent { hook, taken: send::deliver(&http, &ready, timeout).await } });
            }
        }
        self.lanes.retain(|_, lane| !lane.is_empty());
    }

    fn ready(&mut self, hook: &str) -> Option<lane::Ready> {
        let lane = self.lanes.get_mut(hook)?;
        let mut control = self.shared.control();
        lane.ready(Instant::now(), &mut control.plans)
    }

    fn tell(&self) {
        self.shared.control().progress = Progress {
            next: self.next,
            waiting: self.lanes.values().map(Lane::len).sum(),
            under_way: self.under_way.len(),
        };
    }

    /// Until there is something to do.
    async fn wait(&mut self) {
        let holding = self.shared.control().plans.holding;
        let until = self.lanes.values().filter_map(Lane::gathers_until).min().filter(|_| !holding);
        let grown = Arc::clone(&self.shared.grown);
        tokio::select! {
            () = grown.notified() => {}
            () = sleep_until(until) => {}
            () = self.settle_one(), if !self.under_way.is_empty() => {}
        }
    }

    /// Waits for a task to end, and counts the failures of its hook.
    async fn settle_one(&mut self) {
        let Some(Ok(Sent { hook, taken })) = self.under_way.join_next().await else { return };
        for taken in taken {
            let failures = self.failures.entry(hook.clone()).or_default();
            *failures = if taken { 0 } else { *failures + 1 };
            let limit = self.shared.control().delivery_settings.deactivate_after_failures;
            if limit.is_some_and(|limit| *failures >= limit) {
                *failures = 0;
                self.shared.change(|org| org.deactivate_failing_hook(&hook));
            }
        }
    }
}

fn listens(hook: &Value) -> bool {
    hook["status"] == "ACTIVE" && hook["verificationStatus"] == "VERIFIED"
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
