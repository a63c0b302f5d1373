//! What one page of a System Log means: which of its events are stored, how far the log is proven complete, and when to ask again. Pure.
//!
//! Okta answers polling requests in the order in which it stored the events, so that following the next links misses nothing. The
//! newest events are left for the hooks to deliver: a page that ends with such is asked for again when they are old enough.

use std::time::{Duration, SystemTime};

/// Events that are asked for at a time: as many as Okta gives.
pub(super) const PAGE: usize = 1_000;
/// Okta keeps its System Log for this long.
pub(super) const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// What is asked for from the end of what Okta keeps on: some time for the request to get there.
const MARGIN: Duration = Duration::from_secs(60);
/// Events are stored by Okta some time after they are published: what is younger than this is not called complete.
const SETTLING: Duration = Duration::from_secs(60);
/// Intervals that an org's log may lag behind before events are suspected to be missing.
const SUSPICIOUS_INTERVALS: u32 = 10;
/// The share of a rate limit that is left to the org's other clients, of two.
const LEFT_TO_OTHERS: u32 = 2;
/// A pause is no longer than this, whatever a header says.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What is known of a page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// When each of its events was published, as far as they say.
    pub(super) published: Vec<Option<SystemTime>>,
    /// Okta's clock.
    pub(super) now: SystemTime,
    /// Requests left in this window, and in all.
    pub(super) rate_limit: Option<(u32, u32)>,
    /// When the window ends.
    pub(super) until_reset: Option<Duration>,
}

/// How the log is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How often an org is asked that has nothing new.
    pub(super) interval: Duration,
    /// How long events are left for hooks to deliver; nothing where there are no hooks.
    pub(super) grace: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Events of the page that are stored, from its beginning.
    pub(super) take: usize,
    /// Whether the whole page is dealt with, and its next link is where to go on.
    pub(super) advance: bool,
    /// Everything published before is stored, with the page.
    pub(super) complete_until: Option<SystemTime>,
    /// Whether nothing is left to be read.
    pub(super) caught_up: bool,
    /// When to ask again.
    pub(super) pause: Duration,
}

/// What a page means.
pub(super) fn plan(page: &Page, pace: Pace) -> Plan {
    let young_since = page.now - pace.grace;
    let is_young = |published: &Option<SystemTime>| published.is_some_and(|time| time > young_since);
    // Okta's clock tells whole seconds: without hooks to wait for, nothing is too young.
    let young = if pace.grace.is_zero() { None } else { page.published.iter().position(is_young) };
    let take = young.unwrap_or(page.published.len());
    let caught_up = page.published.len() < PAGE || young.is_some();
    let settled = page.now - SETTLING.min(pace.interval * 2).max(pace.grace);
    let complete_until = if caught_up {
        Some(settled)
    } else {
        // The order is that of storing: what comes next may have been published a little before.
        page.published.iter().flatten().max().map(|newest| (*newest - SETTLING).min(settled))
    };
    let first_young = young.and_then(|at| page.published[at]).and_then(|time| time.duration_since(young_since).ok());
    let pause = match first_young {
        Some(age) => age.min(pace.interval),
        None if caught_up => pace.interval,
        None => Duration::ZERO,
    };
    let pause = pause.max(thrift(page, caught_up)).min(LONGEST_PAUSE);
    Plan { take, advance: young.is_none(), complete_until, caught_up, pause }
}

/// What the rate limit leaves: half of it is others', the rest is spread over the window.
fn thrift(page: &Page, caught_up: bool) -> Duration {
    let (Some((remaining, limit)), Some(until_reset)) = (page.rate_limit, page.until_reset) else {
        return Duration::ZERO;
    };
    match remaining.saturating_sub(limit / LEFT_TO_OTHERS) {
        0 => until_reset,
        _ if caught_up => Duration::ZERO,
        ours => until_reset / ours,
    }
}

/// Where reading begins for an org that was never read: a little before the newest event known, or some time back.
pub(super) fn first_since(now: SystemTime, newest_known: Option<SystemTime>, look_back: Duration) -> SystemTime {
    let since = newest_known.map_or(now - look_back, |newest| newest.min(now) - MARGIN);
    since.max(oldest_kept(now))
}

/// Since when Okta can still be asked.
pub(super) fn oldest_kept(now: SystemTime) -> SystemTime {
    now - KEPT + MARGIN
}

/// Whether a log that is complete until then lags so far behind that events may be missing.
pub(super) fn is_suspicious(now: SystemTime, complete_until: SystemTime, interval: Duration) -> bool {
    let lag = now.duration_since(complete_until).unwrap_or_default();
    lag > (interval * SUSPICIOUS_INTERVALS).max(SETTLING.min(interval * 2) * 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_secs(30), grace: Duration::from_secs(60) };
    const ALONE: Pace = Pace { interval: Duration::from_secs(30), grace: Duration::ZERO };

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn page(ages: impl IntoIterator<Item = u64>) -> Page {
        let published = ages.into_iter().map(|age| Some(now() - Duration::from_secs(age))).collect();
        Page { published, now: now(), rate_limit: None, until_reset: None }
    }

    #[test]
    fn an_empty_page_proves_the_log_and_waits() {
        let plan = plan(&page([]), ALONE);
        assert_eq!((plan.take, plan.advance, plan.caught_up, plan.pause), (0, true, true, ALONE.interval));
        assert_eq!(plan.complete_until, Some(now() - Duration::from_secs(60)));
    }

    #[test]
    fn a_full_page_goes_on_at_once_and_proves_up_to_a_little_before_its_newest() {
        let plan = plan(&page(vec![5_000; PAGE]), ALONE);
        assert_eq!((plan.take, plan.advance, plan.caught_up, plan.pause), (PAGE, true, false, Duration::ZERO));
        assert_eq!(plan.complete_until, Some(now() - Duration::from_secs(5_060)));
    }

    #[test]
    fn what_is_young_is_left_for_hooks_until_it_is_not() {
        let plan = plan(&page([300, 90, 50, 5]), PACE);
        assert_eq!((plan.take, plan.advance, plan.caught_up), (2, false, true));
        assert_eq!(plan.pause, Duration::from_secs(10));
        assert_eq!(super::plan(&page([300, 90, 50, 5]), ALONE).take, 4);
        let ahead = Page { published: vec![Some(now() + Duration::from_millis(999))], ..page([]) };
        assert_eq!(super::plan(&ahead, ALONE).take, 1);
    }

    #[test]
    fn half_of_the_rate_limit_is_others() {
        let limited = |remaining, ages| {
            let until_reset = Some(Duration::from_secs(40));
            plan(&Page { rate_limit: Some((remaining, 120)), until_reset, ..page(ages) }, ALONE).pause
        };
        assert_eq!(limited(80, vec![5_000; PAGE]), Duration::from_secs(2));
        assert_eq!(limited(60, vec![5_000; PAGE]), Duration::from_secs(40));
        assert_eq!(limited(60, vec![]), Duration::from_secs(40));
        assert_eq!(limited(100, vec![]), ALONE.interval);
    }

    #[test]
    fn reading_begins_before_what_is_known_and_not_before_what_okta_keeps() {
        let ago = |seconds| now() - Duration::from_secs(seconds);
        assert_eq!(first_since(now(), Some(ago(1_000)), Duration::ZERO), ago(1_060));
        assert_eq!(first_since(now(), None, Duration::from_secs(3_600)), ago(3_600));
        assert_eq!(first_since(now(), Some(ago(100 * 24 * 3600)), Duration::ZERO), oldest_kept(now()));
        assert!(first_since(now(), Some(now() + KEPT), Duration::ZERO) < now());
    }

    #[test]
    fn a_log_that_lags_is_suspicious() {
        let lag = |seconds| is_suspicious(now(), now() - Duration::from_secs(seconds), ALONE.interval);
        assert!(!lag(60) && !lag(300) && lag(301));
        assert!(!is_suspicious(now(), now() + Duration::from_secs(9), ALONE.interval));
    }

    proptest! {
        #[test]
        fn no_page_is_odd_enough_to_lose_an_event(
            ages in proptest::collection::vec(proptest::option::of(0_u64..10_000_000), 0..50),
            limit in proptest::option::of((0_u32..1_000, 0_u32..1_000)),
            reset in proptest::option::of(0_u64..10_000),
            grace in 0_u64..100,
        ) {
            let published = ages.iter().map(|age| age.map(|age| now() - Duration::from_secs(age))).collect();
            let until_reset = reset.map(Duration::from_secs);
            let page = Page { published, now: now(), rate_limit: limit, until_reset };
            let plan = plan(&page, Pace { grace: Duration::from_secs(grace), ..PACE });
            // Either the whole page is stored, or it is asked for again.
            prop_assert_eq!(plan.advance, plan.take == ages.len());
            prop_assert!(plan.pause <= LONGEST_PAUSE);
            prop_assert!(plan.complete_until.is_none_or(|until| until <= now()));
        }
    }
}
