//! Okta's clock as far as its answers tell: what is signed with a time in it has to be right by Okta's clock, not by ours.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};

/// `Date` counts in seconds and travels: what is closer than this is no difference.
const NOISE_SECONDS: i64 = 2;
/// A clock that is further off than this is no clock.
const MOST_SECONDS: i64 = 24 * 3600;

/// How far Okta's clock is ahead of ours, in seconds.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicI64);

impl Clock {
    /// Okta's time, in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        ours() + self.offset()
    }

    /// How far Okta's clock is ahead of ours, in seconds.
    pub(super) fn offset(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns from the `Date` of an answer.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(theirs) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else { return };
        let offset = i64::try_from(theirs.as_secs()).unwrap_or(i64::MAX).saturating_sub(ours());
        let offset = if offset.abs() <= NOISE_SECONDS { 0 } else { offset };
        if offset.abs() <= MOST_SECONDS {
            self.0.store(offset, Ordering::Relaxed);
        }
    }
}

fn ours() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn learnt(date: &str) -> i64 {
        let (clock, mut headers) = (Clock::default(), HeaderMap::new());
        headers.insert(DATE, date.parse().expect("header"));
        clock.learn(&headers);
        clock.offset()
    }

    #[test]
    fn a_clock_that_is_off_is_followed_and_nonsense_is_not() {
        let ahead = |seconds| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
        assert_eq!(learnt(&ahead(1)), 0);
        assert!((119..=121).contains(&learnt(&ahead(120))));
        let behind = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(120));
        assert!((-121..=-119).contains(&learnt(&behind)));
        assert_eq!(learnt("yesterday"), 0);
        assert_eq!(learnt("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    }
}
