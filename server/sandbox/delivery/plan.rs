//! What is to become of the next deliveries, and the rules for all of them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

/// Events in one body, unless it is planned otherwise.
pub(super) const BATCH: usize = 100;
/// Plans that can wait for their delivery.
const MAX_PLANS: usize = 1000;
const MAX_REPEAT: u32 = 100;
const MAX_DELAY: Duration = Duration::from_secs(300);
/// How long a delivery waits for the events that it is to carry.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// Okta's.
const TIMEOUT_MS: u64 = 3000;
const MAX_TIMEOUT_MS: u64 = 60_000;

/// Whether deliveries go, and what happens to the next ones.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Plans {
    /// Nothing goes until this is over.
    pub(super) holding: bool,
    next: VecDeque<Plan>,
}

/// What happens to a delivery, or to several neighbours that change places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    deliveries: usize,
    batch: Option<usize>,
    pub(super) order: Order,
    pub(super) wait: Duration,
    pub(super) lose: bool,
    pub(super) repeat: u32,
    pub(super) delay: Duration,
}

/// In which order events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// As they happened.
    #[default]
    #[serde(skip)]
    Kept,
    Reverse,
    Shuffle,
}

/// What is wished for the next deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(default = "one")]
    times: usize,
    #[serde(default)]
    lose: bool,
    #[serde(default)]
    repeat: u32,
    #[serde(default)]
    delay_ms: u64,
    batch: Option<usize>,
    reorder: Option<Order>,
    wait_ms: Option<u64>,
}

/// The rules of all deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::sandbox) struct Settings {
    /// How long a hook may take to answer.
    timeout_ms: u64,
    /// A hook is switched off when so many deliveries have failed one after the other.
    pub(in crate::sandbox) deactivate_after_failures: Option<u32>,
    /// A hook whose channel is replaced has to be verified again, also when its URL stays.
    pub(in crate::sandbox) unverify_replaced: bool,
}

fn one() -> usize {
    1
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout_ms: TIMEOUT_MS, deactivate_after_failures: None, unverify_replaced: false }
    }
}

impl Settings {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What is wrong with them.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            return Err(format!("timeout_ms is between 1 and {MAX_TIMEOUT_MS}"));
        }
        match self.deactivate_after_failures {
            Some(0) => Err("deactivate_after_failures is at least 1, or null for never".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        let (wait, delay) = (DEFAULT_WAIT, Duration::ZERO);
        Self { deliveries: 1, batch: None, order: Order::Kept, wait, lose: false, repeat: 0, delay }
    }
}

impl Plan {
    /// How many events it waits for.
    pub(super) fn wanted(&self) -> usize {
        match (self.batch, self.order) {
            (None, Order::Kept) => 1,
            _ => self.most(),
        }
    }

    /// How many events it is for, at most.
    pub(super) fn most(&self) -> usize {
        self.deliveries * self.size()
    }

    /// Events in one body.
    fn size(&self) -> usize {
        match (self.batch, self.order) {
            (Some(size), _) => size,
            (None, Order::Kept) => BATCH,
            (None, _) => 1,
        }
    }

    /// The bodies that events go in, in the order that they go in.
    pub(super) fn arrange<T: Clone>(&self, mut events: Vec<T>) -> Vec<Vec<T>> {
        match self.order {
            Order::Kept => {}
            Order::Reverse => events.reverse(),
            Order::Shuffle => events.shuffle(&mut rand::rng()),
        }
        events.chunks(self.size()).map(<[T]>::to_vec).collect()
    }
}

impl Plans {
    /// Adds what is wished.
    pub(super) fn add(&mut self, wish: &Wish) -> Result<(), String> {
        if wish.batch.is_some_and(|batch| !(1..=BATCH).contains(&batch)) {
            return Err(format!("batch is between 1 and {BATCH}"));
        }
        let room = MAX_PLANS.saturating_sub(self.next.len());
        let times = wish.times.min(room);
        if times == 0 {
            return Err(format!("times is at least 1, and {MAX_PLANS} deliveries can be planned"));
        }
        let milliseconds = |given: u64| Duration::from_millis(given).min(MAX_DELAY);
        let plan = Plan {
            deliveries: 1,
            batch: wish.batch,
            order: wish.reorder.unwrap_or_default(),
            wait: wish.wait_ms.map_or(DEFAULT_WAIT, milliseconds),
            lose: wish.lose,
            repeat: wish.repeat.min(MAX_REPEAT),
            delay: milliseconds(wish.delay_ms),
        };
        match plan.order {
            Order::Kept => self.next.extend(std::iter::repeat_n(plan, times)),
            // Neighbours that change places have to be planned together.
            _ => self.next.push_back(Plan { deliveries: times, ..plan }),
        }
        Ok(())
    }

    /// The plan of the next delivery.
    pub(super) fn take(&mut self) -> Plan {
        self.next.pop_front().unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plans(wish: &str) -> Result<Plans, String> {
        let mut plans = Plans::default();
        let wish: Wish = serde_json::from_str(wish).map_err(|error| error.to_string())?;
        plans.add(&wish).map(|()| plans)
    }

    #[test]
    fn each_delivery_has_its_plan_and_after_them_all_is_as_usual() {
        let mut plans = plans(r#"{"times":2,"lose":true}"#).expect("planned");
        assert!(plans.take().lose && plans.take().lose);
        assert_eq!(plans.take(), Plan::default());
    }

    #[test]
    fn what_cannot_be_planned_is_refused() {
        for wish in
            [r#"{"batch":0}"#, r#"{"batch":101}"#, r#"{"times":0}"#, r#"{"reorder":"kept"}"#, r#"{"hold":true}"#]
        {
            assert!(plans(wish).is_err(), "{wish}");
        }
        for settings in [r#"{"timeout_ms":0}"#, r#"{"timeout_ms":60001}"#, r#"{"deactivate_after_failures":0}"#] {
            assert!(serde_json::from_str::<Settings>(settings).expect("settings").check().is_err(), "{settings}");
        }
    }

    #[test]
    fn a_batch_waits_for_its_events_and_neighbours_change_places() {
        assert_eq!((Plan::default().wanted(), Plan::default().most()), (1, BATCH));
        let batch = plans(r#"{"batch":10,"times":3}"#).expect("planned").take();
        assert_eq!((batch.wanted(), batch.most()), (10, 10));
        let neighbours = plans(r#"{"reorder":"reverse","times":3}"#).expect("planned").take();
        assert_eq!((neighbours.wanted(), neighbours.arrange(vec![1, 2, 3])), (3, vec![vec![3], vec![2], vec![1]]));
        let both = plans(r#"{"reorder":"reverse","batch":2,"times":2}"#).expect("planned").take();
        assert_eq!((both.wanted(), both.arrange(vec![1, 2, 3])), (4, vec![vec![3, 2], vec![1]]));
    }

    proptest! {
        #[test]
        fn no_order_loses_or_doubles_an_event(count in 0_usize..250, batch in 1_usize..100, order in 0_usize..3) {
            let order = [Order::Kept, Order::Reverse, Order::Shuffle][order];
            let plan = Plan { batch: Some(batch), order, ..Plan::default() };
            let bodies = plan.arrange((0..count).collect());
            prop_assert!(bodies.iter().all(|body| (1..=batch).contains(&body.len())));
            let mut events = bodies.concat();
            events.sort_unstable();
            prop_assert_eq!(events, (0..count).collect::<Vec<_>>());
        }
    }
}
