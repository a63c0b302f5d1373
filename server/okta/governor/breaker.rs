//! A circuit breaker: an org that has stopped answering is left alone for a while, and callers are told so at once. Pure, times are handed in.

use std::time::{Duration, Instant};

/// So many failures, with nothing answered in between, open it.
const FAILURES: u32 = 10;
/// How long it stays open at first, and at most; each trial that fails doubles it.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// When to come back while a trial is under way.
const TRIAL: Duration = Duration::from_secs(1);

/// Whether an org is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breaker {
    /// Failures since the last answer.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    lasting: Duration,
    /// A request finds out whether the org is back.
    trial: bool,
}

impl Breaker {
    /// After how long to come back; nothing when the org may be asked now.
    pub fn closed_in(&self, now: Instant) -> Option<Duration> {
        let open = self.open?;
        let left = open.until.saturating_duration_since(now);
        if open.trial { Some(left.max(TRIAL)) } else { (!left.is_zero()).then_some(left) }
    }

    /// A request is about to be sent: the first one after the time is up is the trial. `Err` as [`Breaker::closed_in`].
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.closed_in(now) {
            return Err(wait);
        }
        if let Some(open) = &mut self.open {
            open.trial = true;
        }
        Ok(())
    }

    /// The org answered.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// The org did not answer, or said that it is out of order. Answers whether that opened the circuit.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let lasting = match self.open {
            Some(Open { trial: true, lasting, .. }) => (lasting * 2).min(LONGEST),
            Some(_) => return false,
            None if self.failures >= FAILURES => FIRST,
            None => return false,
        };
        self.open = Some(Open { until: now + lasting, lasting, trial: false });
        true
    }

    /// A request ended without telling anything about the org. If it was the trial, another one is made.
    pub fn abandoned(&mut self) {
        if let Some(open) = &mut self.open {
            open.trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for number in 1..=FAILURES {
            assert_eq!(breaker.admit(now), Ok(()));
            assert_eq!(breaker.failed(now), number == FAILURES);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 * FAILURES {
            breaker.failed(now);
            breaker.answered();
        }
        assert_eq!(breaker.closed_in(now), None);
        assert_eq!(opened(now).admit(now), Err(FIRST));
    }

    #[test]
    fn one_trial_decides() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(TRIAL));
        assert!(breaker.failed(later));
        assert_eq!(breaker.admit(later), Err(FIRST * 2));
        assert_eq!(breaker.admit(later + FIRST * 2), Ok(()));
        breaker.answered();
        assert_eq!((breaker.closed_in(later), breaker.admit(later)), (None, Ok(())));
    }

    #[test]
    fn a_trial_that_tells_nothing_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + FIRST), Ok(()));
        breaker.abandoned();
        assert_eq!(breaker.admit(now + FIRST), Ok(()));
    }

    #[test]
    fn it_never_stays_open_for_long() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for _ in 0..20 {
            let wait = breaker.closed_in(now).unwrap_or_default();
            assert!(wait <= LONGEST);
            now += wait;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now);
        }
    }
}
