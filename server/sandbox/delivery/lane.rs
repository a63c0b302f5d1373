//! What one hook has still to get: its events wait here until their delivery goes. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::plan::{Plan, Plans};
use crate::sandbox::log::Logged;

/// Events that can wait for a hook; the oldest make room, and are lost.
const MAX_WAITING: usize = 100_000;

/// The events that wait for a hook.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: VecDeque<Due>,
    /// The plan of the next delivery, and until when it waits for more events.
    gathering: Option<(Plan, Instant)>,
}

/// An event, and the hook as it was when that happened.
#[derive(Debug)]
struct Due {
    hook: Arc<Value>,
    event: Arc<Logged>,
}

/// Deliveries that can go, one after the other.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) hook: Arc<Value>,
    /// The events of each.
    pub(super) bodies: Vec<Vec<Arc<Logged>>>,
    pub(super) plan: Plan,
}

impl Lane {
    pub(super) fn push(&mut self, hook: Arc<Value>, event: Arc<Logged>) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Due { hook, event });
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Until when it waits for more events.
    pub(super) fn gathers_until(&self) -> Option<Instant> {
        self.gathering.as_ref().map(|(_, until)| *until)
    }

    /// What can go now, by the next of `plans`.
    pub(super) fn ready(&mut self, now: Instant, plans: &mut Plans) -> Option<Ready> {
        let first = self.waiting.front().filter(|_| !plans.holding)?;
        let (plan, until) = self.gathering.take().unwrap_or_else(|| {
            let plan = plans.take();
            let until = now + plan.wait;
            (plan, until)
        });
        if self.waiting.len() < plan.wanted() && now < until {
            self.gathering = Some((plan, until));
            return None;
        }
        // A delivery has one destination and one secret.
        let hook = Arc::clone(&first.hook);
        let alike = self.waiting.iter().take_while(|due| due.hook["channel"] == hook["channel"]).count();
        let events = self.waiting.drain(..alike.min(plan.most())).map(|due| due.event).collect();
        Some(Ready { hook, bodies: plan.arrange(events), plan })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sandbox::log::{Happening, Log};

    fn hook(secret: &str) -> Arc<Value> {
        Arc::new(json!({ "channel": { "config": { "authScheme": { "value": secret } } } }))
    }

    fn lane(hooks: &[&Arc<Value>]) -> Lane {
        let (mut log, mut lane) = (Log::default(), Lane::default());
        for hook in hooks {
            log.add(Happening::default(), jiff::Timestamp::now());
            lane.push(Arc::clone(hook), Arc::clone(log.since(log.end() - 1).next().expect("logged")));
        }
        lane
    }

    fn plans(wish: &str) -> Plans {
        let mut plans = Plans::default();
        plans.add(&serde_json::from_str(wish).expect("a wish")).expect("planned");
        plans
    }

    fn numbers(ready: Option<Ready>) -> Vec<Vec<u64>> {
        let bodies = ready.expect("ready").bodies;
        bodies.into_iter().map(|body| body.iter().map(|logged| logged.number).collect()).collect()
    }

    #[test]
    fn what_came_together_goes_together() {
        let hook = hook("s");
        let mut lane = lane(&[&hook; 150]);
        let now = Instant::now();
        let mut sizes = || numbers(lane.ready(now, &mut Plans::default())).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!((sizes(), sizes()), (vec![100], vec![50]));
        assert!(lane.is_empty() && lane.ready(now, &mut Plans::default()).is_none());
    }

    #[test]
    fn what_is_held_goes_when_it_is_let_go() {
        let hook = hook("s");
        let mut lane = lane(&[&hook; 3]);
        let mut plans = plans(r#"{"batch":2}"#);
        plans.holding = true;
        assert!(lane.ready(Instant::now(), &mut plans).is_none());
        assert_eq!((lane.len(), plans.len()), (3, 1));
        plans.holding = false;
        assert_eq!(numbers(lane.ready(Instant::now(), &mut plans)), [[0, 1]]);
    }

    #[test]
    fn a_batch_waits_for_its_events_and_not_for_ever() {
        let hook = hook("s");
        let mut lane = lane(&[&hook; 2]);
        let mut plans = plans(r#"{"batch":3,"wait_ms":50}"#);
        let now = Instant::now();
        assert!(lane.ready(now, &mut plans).is_none());
        assert_eq!(lane.gathers_until(), Some(now + Duration::from_millis(50)));
        assert_eq!(numbers(lane.ready(now + Duration::from_millis(50), &mut plans)), [[0, 1]]);
        assert_eq!((lane.gathers_until(), plans.len()), (None, 0));
    }

    #[test]
    fn a_delivery_has_one_secret() {
        let (old, new) = (hook("old"), hook("new"));
        let mut lane = lane(&[&old, &old, &new]);
        let now = Instant::now();
        let first = lane.ready(now, &mut Plans::default()).expect("ready");
        assert_eq!((first.hook, first.bodies[0].len()), (old, 2));
        assert_eq!(lane.ready(now, &mut Plans::default()).expect("ready").hook, new);
    }

    #[test]
    fn when_there_is_no_room_the_oldest_are_lost() {
        let hook = hook("s");
        let mut lane = lane(&[&hook; 1]);
        let event = Arc::clone(&lane.waiting[0].event);
        for _ in 0..MAX_WAITING {
            lane.push(Arc::clone(&hook), Arc::clone(&event));
        }
        assert_eq!(lane.len(), MAX_WAITING);
    }
}
