//! A bound on callbacks that lead nowhere: somebody guessing states must not fill the log.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// Callbacks that may lead nowhere in a minute.
const MOST: u32 = 60;

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    window: Option<(Instant, u32)>,
}

/// What to do with a callback that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Explain it.
    Explain,
    /// It is the first one too many: say so once.
    BeginsToBeTooMany,
    /// Turn it away without a word.
    TooMany,
}

impl Throttle {
    /// One more has come.
    pub(super) fn count(&mut self, now: Instant) -> Verdict {
        let (began, count) = match self.window {
            Some((began, count)) if now.duration_since(began) < WINDOW => (began, count.saturating_add(1)),
            _ => (now, 1),
        };
        self.window = Some((began, count));
        match count {
            ..=MOST => Verdict::Explain,
            count if count == MOST + 1 => Verdict::BeginsToBeTooMany,
            _ => Verdict::TooMany,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_room_for_some_and_the_next_for_as_many() {
        let (now, mut throttle) = (Instant::now(), Throttle::default());
        for _ in 0..MOST {
            assert_eq!(throttle.count(now), Verdict::Explain);
        }
        assert_eq!(throttle.count(now), Verdict::BeginsToBeTooMany);
        assert_eq!(throttle.count(now), Verdict::TooMany);
        assert_eq!(throttle.count(now + WINDOW), Verdict::Explain);
    }
}
