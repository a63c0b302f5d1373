//! Whether and when a call is sent again: pure arithmetic, the client does the waiting.

use std::time::Duration;

use super::call::Repeat;

/// A call is sent at most this often, refusals for a rate limit's sake apart.
const MAX_ATTEMPTS: u32 = 4;
/// A call is refused for a rate limit's sake at most this often: others may want the same.
const MAX_REFUSALS: u32 = 20;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// How one attempt ended, as far as trying again is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Okta answered, and another try would change nothing.
    Final,
    /// Okta answered 429, as the window is spent: it did not carry the call out. When it is its turn again the governor knows.
    RateLimited,
    /// Okta answered 429, as there were too many requests at once: it did not carry the call out.
    Crowded,
    /// Okta answered 5xx: nobody knows what became of the call.
    ServerError,
    /// The request never left: no connection was made.
    NotSent,
    /// The connection broke or fell silent: nobody knows what became of the call.
    Unclear,
}

impl Ending {
    /// Whether Okta refused the call for a rate limit's sake.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::RateLimited | Self::Crowded)
    }
}

/// After how long to try again, the wait for its turn apart; `None` to leave it at that.
///
/// `attempts` have ended in the same way, refusals counted apart from all others; `left` is the time to the deadline, `jitter` is a random
/// number in 0..1.
pub fn delay(ending: Ending, repeat: Repeat, attempts: u32, left: Duration, jitter: f64) -> Option<Duration> {
    if attempts >= if ending.is_refusal() { MAX_REFUSALS } else { MAX_ATTEMPTS } {
        return None;
    }
    let delay = match (ending, repeat) {
        (Ending::Final, _) | (Ending::ServerError | Ending::Unclear, Repeat::IfNotCarriedOut) => return None,
        (Ending::RateLimited, _) => Duration::ZERO,
        (Ending::NotSent | Ending::Crowded, _) | (Ending::ServerError | Ending::Unclear, Repeat::Safe) => {
            backoff(attempts).mul_f64(jitter)
        }
    };
    (delay < left).then_some(delay)
}

/// The longest wait after this many attempts; what is waited is a random part of it ("full jitter").
fn backoff(attempts: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_may_have_been_carried_out_is_not_repeated_unless_that_is_safe() {
        for ending in [Ending::ServerError, Ending::Unclear] {
            assert_eq!(delay(ending, Repeat::IfNotCarriedOut, 1, MINUTE, 0.5), None);
            assert!(delay(ending, Repeat::Safe, 1, MINUTE, 0.5).is_some());
        }
    }

    #[test]
    fn what_was_surely_not_carried_out_is_repeated() {
        for ending in [Ending::NotSent, Ending::RateLimited, Ending::Crowded] {
            assert!(delay(ending, Repeat::IfNotCarriedOut, 1, MINUTE, 0.5).is_some());
        }
    }

    proptest! {
        #[test]
        fn nothing_waits_past_the_deadline_or_for_ever(
            attempts in 0_u32..100, left_ms in 0_u64..100_000, jitter in 0.0..1.0_f64,
        ) {
            let left = Duration::from_millis(left_ms);
            for ending in [Ending::RateLimited, Ending::Crowded, Ending::ServerError, Ending::NotSent, Ending::Unclear, Ending::Final] {
                if let Some(delay) = delay(ending, Repeat::Safe, attempts, left, jitter) {
                    prop_assert!(delay < left);
                    prop_assert!(attempts < MAX_ATTEMPTS || ending.is_refusal() && attempts < MAX_REFUSALS);
                }
            }
        }
    }
}
