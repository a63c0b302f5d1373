//! The arithmetic against an org that counts as Okta does, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

/// An org's window, and what came of the requests.
struct Org {
    limit: u32,
    /// Okta's clock when ours began.
    clock: Duration,
    began: Option<Duration>,
    used: u32,
    refused: u32,
    served: u32,
}

impl Org {
    fn new(limit: u32, clock: Duration) -> Self {
        Self { limit, clock, began: None, used: 0, refused: 0, served: 0 }
    }

    /// Takes a request at a time; answers what it tells, and whether it was refused.
    fn take(&mut self, at: Duration) -> (Reading, bool) {
        let began = *self.began.get_or_insert(at);
        let began = if at >= began + LENGTH { at } else { began };
        if self.began != Some(began) {
            (self.began, self.used) = (Some(began), 0);
        }
        let refused = self.used >= self.limit;
        self.used += u32::from(!refused);
        self.refused += u32::from(refused);
        self.served += u32::from(!refused);
        let reset = (self.clock + began + LENGTH).as_secs() + 1;
        let date = (self.clock + at).as_secs();
        let reset_in = Duration::from_secs(reset.saturating_sub(date));
        (Reading { limit: self.limit, remaining: self.limit - self.used, reset, reset_in }, refused)
    }
}

/// When an answer comes, its reset, remaining and time to the reset, and whether it is a refusal.
type Answered = (Duration, u64, u32, Duration, bool);

/// Sends as much as the window lets through, for so long.
fn saturate(window: &mut Window, org: &mut Org, share: f64, latency: Duration, lasting: Duration) {
    let begin = Instant::now();
    let mut answers: BinaryHeap<Reverse<Answered>> = BinaryHeap::new();
    let mut at = Duration::ZERO;
    while at < lasting {
        while let Some(Reverse((when, reset, remaining, reset_in, refused))) = answers.peek().copied() {
            if when > at {
                break;
            }
            answers.pop();
            let reading = Reading { limit: org.limit, remaining, reset, reset_in };
            if refused {
                window.refused(Some(reading), share, Duration::ZERO, begin + at);
            } else {
                window.learn(reading, share, begin + at);
            }
            window.ended();
        }
        let answered = answers.peek().map(|Reverse((when, ..))| *when);
        at = match window.next(begin + at) {
            Next::Now => {
                window.sent(begin + at);
                let (reading, refused) = org.take(at + latency / 2);
                answers.push(Reverse((at + latency, reading.reset, reading.remaining, reading.reset_in, refused)));
                continue;
            }
            Next::At(when) => answered.unwrap_or(Duration::MAX).min(when.duration_since(begin)),
            Next::AfterAnswer => answered.expect("something is in flight"),
        }
        .max(at + Duration::from_micros(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_saturated_window_is_used_up_and_never_overdrawn(
        limit in 20_u32..1500, latency_ms in 2_u64..500, clock_ms in 100_000_u64..10_000_000,
    ) {
        let mut org = Org::new(limit, Duration::from_millis(clock_ms));
        let (mut window, windows) = (Window::new(), 6);
        saturate(&mut window, &mut org, 0.0, Duration::from_millis(latency_ms), LENGTH * windows);
        prop_assert_eq!(org.refused, 0);
        prop_assert!(org.served * 100 >= limit * windows * 95, "{} of {}", org.served, limit * windows);
    }

    #[test]
    fn the_others_keep_their_share(limit in 20_u32..1500, share in 0.0..0.9_f64, latency_ms in 2_u64..500) {
        let mut org = Org::new(limit, Duration::from_secs(1_000_000));
        let mut window = Window::new();
        saturate(&mut window, &mut org, share, Duration::from_millis(latency_ms), LENGTH - Duration::from_secs(1));
        prop_assert!(org.limit - org.used >= reserve(limit, share).min(limit.saturating_sub(IN_THE_DARK)));
    }

    #[test]
    fn a_turn_is_never_past_and_later_for_those_behind(
        limit in 0_u32..2000, remaining in 0_u32..2000, reset_in in 0_u64..70, share in 0.0..1.0_f64, ahead in 0_usize..5000, later in 0_u64..90,
    ) {
        let (mut window, begin) = (Window::new(), Instant::now());
        let reading = Reading { limit, remaining: remaining.min(limit), reset: 1000, reset_in: Duration::from_secs(reset_in) };
        window.learn(reading, share, begin);
        let now = begin + Duration::from_secs(later);
        let (turn, next) = (window.turn(ahead, now), window.turn(ahead + 1, now));
        prop_assert!(now <= turn && turn <= next);
        if let Next::At(at) = window.next(now) {
            prop_assert!(at > now && at <= now + LENGTH * 2);
        }
    }
}

#[test]
fn a_late_answer_of_the_window_before_says_nothing_of_this_one() {
    let (mut window, now) = (Window::new(), Instant::now());
    let reading = |remaining, reset| Reading { limit: 100, remaining, reset, reset_in: Duration::from_secs(30) };
    window.learn(reading(90, 1060), 0.0, now);
    window.learn(reading(95, 1000), 0.0, now);
    assert_eq!(window.seen(now).unwrap().remaining, 90);
    window.learn(reading(99, 1120), 0.0, now);
    assert_eq!(window.seen(now).unwrap().remaining, 99);
}

#[test]
fn a_refusal_that_tells_nothing_is_waited_out_for_a_second() {
    let (mut window, now) = (Window::new(), Instant::now());
    window.refused(None, 0.0, Duration::ZERO, now);
    assert_eq!(window.next(now), Next::At(now + UNTOLD));
    assert_eq!(window.next(now + UNTOLD), Next::Now);
}

#[test]
fn after_a_reset_one_goes_first() {
    let (mut window, now) = (Window::new(), Instant::now());
    window.learn(Reading { limit: 10, remaining: 0, reset: 1000, reset_in: Duration::from_secs(5) }, 0.0, now);
    let reset = now + Duration::from_secs(5);
    assert_eq!(window.next(now), Next::At(reset));
    assert_eq!(window.next(reset), Next::Now);
    window.sent(reset);
    assert_eq!(window.next(reset), Next::AfterAnswer);
    assert_eq!(window.next(reset + SETTLING), Next::Now);
}
