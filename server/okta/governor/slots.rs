//! How many requests an org may be asked at once: found out by going carefully up and quickly down (AIMD). Pure, times are handed in.

use std::time::{Duration, Instant};

/// What every plan of Okta's allows: where to begin.
const FIRST: u32 = 35;
/// What Okta allows at most.
const MOST: u32 = 75;
/// For so long after a refusal the number that was refused is not tried again.
const MEMORY: Duration = Duration::from_secs(600);

/// The slots of one connection.
#[derive(Debug, Clone)]
pub struct Slots {
    limit: u32,
    in_flight: u32,
    /// Answers since the limit was last changed that came while all slots were in use.
    successes: u32,
    /// What was refused last, and when.
    refused: Option<(u32, Instant)>,
    /// How often the limit was lowered: requests that were sent before are one crowd, and lower it once.
    lowered: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { limit: FIRST, in_flight: 0, successes: 0, refused: None, lowered: 0 }
    }
}

impl Slots {
    /// Whether another request may be sent.
    pub fn is_free(&self) -> bool {
        self.in_flight < self.limit
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Requests that may be in flight.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// A request is sent; answers which crowd it belongs to.
    pub fn take(&mut self) -> u32 {
        self.in_flight += 1;
        self.lowered
    }

    /// A request has come to its end.
    pub fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request was answered: with all slots in use, a whole round of them lets one more in.
    pub fn answered(&mut self, now: Instant) {
        if self.in_flight < self.limit || self.limit >= self.ceiling(now) {
            return;
        }
        self.successes += 1;
        if self.successes >= self.limit {
            self.limit += 1;
            self.successes = 0;
        }
    }

    /// A request of a crowd was refused because there were too many at once.
    pub fn refused(&mut self, crowd: u32, now: Instant) {
        if crowd < self.lowered {
            return;
        }
        let refused = self.in_flight.clamp(1, self.limit);
        self.refused = Some((refused, now));
        self.limit = (refused / 2).max(1);
        self.successes = 0;
        self.lowered += 1;
    }

    fn ceiling(&self, now: Instant) -> u32 {
        match self.refused {
            Some((refused, when)) if now.saturating_duration_since(when) < MEMORY => refused.saturating_sub(1).max(1),
            _ => MOST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An org that allows `allowed`, asked by as many as may; answers the refusals of each round.
    fn rounds(slots: &mut Slots, allowed: u32, rounds: u32, now: &mut Instant) -> Vec<u32> {
        (0..rounds)
            .map(|_| {
                let mut crowd = 0;
                while slots.is_free() {
                    crowd = slots.take();
                }
                let refused = slots.in_flight().saturating_sub(allowed);
                for number in 0..slots.in_flight() {
                    if number < refused { slots.refused(crowd, *now) } else { slots.answered(*now) }
                }
                while slots.in_flight() > 0 {
                    slots.give_back();
                }
                *now += Duration::from_millis(100);
                refused
            })
            .collect()
    }

    #[test]
    fn an_org_with_room_is_given_more_up_to_what_okta_allows() {
        let (mut slots, mut now) = (Slots::default(), Instant::now());
        assert!(rounds(&mut slots, 75, 200, &mut now).iter().all(|refused| *refused == 0));
        assert_eq!(slots.limit(), 75);
    }

    #[test]
    fn a_number_that_was_refused_is_not_tried_again_for_a_while() {
        let (mut slots, mut now) = (Slots::default(), Instant::now());
        rounds(&mut slots, 20, 200, &mut now);
        assert!(rounds(&mut slots, 20, 300, &mut now).iter().all(|refused| *refused == 0));
        assert_eq!(slots.limit(), 20);
    }

    #[test]
    fn one_slot_is_always_there() {
        let mut slots = Slots::default();
        for _ in 0..100 {
            let crowd = slots.take();
            slots.refused(crowd, Instant::now());
            slots.give_back();
        }
        assert!(slots.is_free());
    }
}
