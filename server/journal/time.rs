//! Times as the journal stores them: microseconds since 1970, UTC.

use std::time::SystemTime;

use prost_types::Timestamp;

const MICROS_A_SECOND: i64 = 1_000_000;
const NANOS_A_MICRO: i32 = 1_000;

/// The present, to the microsecond.
pub fn now() -> Timestamp {
    from_micros(to_micros(&Timestamp::from(SystemTime::now())))
}

pub(super) fn to_micros(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(MICROS_A_SECOND).saturating_add(i64::from(time.nanos / NANOS_A_MICRO))
}

pub(super) fn from_micros(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(MICROS_A_SECOND)).unwrap_or_default() * NANOS_A_MICRO;
    Timestamp { seconds: micros.div_euclid(MICROS_A_SECOND), nanos }
}
