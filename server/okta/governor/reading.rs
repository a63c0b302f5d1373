//! What an answer's headers tell of its rate limit.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName};

use super::window::Reading;

const LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-rate-limit-reset");

/// What a 429 is about, and what any answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A window, by its tightest headers: a token can have a share of the bucket's own, and both are told then.
    Window(Reading),
    /// Limit and remaining 0: too many requests at once, which is no window at all.
    Crowd,
    /// Nothing.
    Nothing,
}

/// Reads the headers of an answer that Okta gave at `date` of its own clock.
pub fn read(headers: &HeaderMap, date: SystemTime) -> Told {
    let clock = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (limits, remaining, resets) =
        (numbers(headers, &LIMIT), numbers(headers, &REMAINING), numbers(headers, &RESET));
    let readings = limits.zip(remaining).zip(resets).map(|((limit, remaining), reset)| Reading {
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        remaining: u32::try_from(remaining.min(limit)).unwrap_or(u32::MAX),
        reset,
        reset_in: Duration::from_secs(reset.saturating_sub(clock)),
    });
    match readings.min_by_key(|reading| reading.remaining) {
        Some(Reading { limit: 0, remaining: 0, .. }) => Told::Crowd,
        Some(reading) => Told::Window(reading),
        None => Told::Nothing,
    }
}

/// The numbers of a header that may come several times, or once with several values.
fn numbers<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = u64> + 'a {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter_map(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[(&'static str, &'static str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        read(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1000))
    }

    const L: &str = "x-rate-limit-limit";
    const R: &str = "x-rate-limit-remaining";
    const T: &str = "x-rate-limit-reset";

    #[test]
    fn what_is_told_is_read_by_oktas_clock() {
        let reading = Reading { limit: 600, remaining: 599, reset: 1030, reset_in: Duration::from_secs(30) };
        assert_eq!(told(&[(L, "600"), (R, "599"), (T, "1030")]), Told::Window(reading));
        let past = Reading { reset: 900, reset_in: Duration::ZERO, ..reading };
        assert_eq!(told(&[(L, "600"), (R, "599"), (T, "900")]), Told::Window(past));
    }

    #[test]
    fn of_two_the_tighter_counts_however_they_are_written() {
        let tighter = Reading { limit: 300, remaining: 10, reset: 1020, reset_in: Duration::from_secs(20) };
        let twice = [(L, "600"), (R, "310"), (T, "1030"), (L, "300"), (R, "10"), (T, "1020")];
        assert_eq!(told(&twice), Told::Window(tighter));
        assert_eq!(told(&[(L, "600, 300"), (R, "310,10"), (T, "1030, 1020")]), Told::Window(tighter));
    }

    #[test]
    fn nothing_at_all_is_no_crowd() {
        assert_eq!(told(&[(L, "0"), (R, "0"), (T, "1030")]), Told::Crowd);
        for lines in [&[][..], &[(L, "600")], &[(L, "x"), (R, "1"), (T, "1")], &[(L, "-1"), (R, "1"), (T, "1")]] {
            assert_eq!(told(lines), Told::Nothing, "{lines:?}");
        }
    }
}
