//! One rate-limit window, as far as Okta has told of it: pure arithmetic, times are handed in.
//!
//! Okta's windows are a minute long and begin with their first request. Every answer tells how many requests the window allows, how many
//! remain, and when it resets, in whole seconds of Okta's clock. Remaining is what was so when Okta answered: what is in flight
//! may or may not be counted in it, and is counted again here, so that the estimate errs on the safe side and is exact when nothing is.

use std::time::{Duration, Instant};

/// How long Okta's windows are.
pub const LENGTH: Duration = Duration::from_secs(60);
/// In flight at most while nothing is known of a window.
const IN_THE_DARK: u32 = 16;
/// For so long after a reset one request finds out whether the window is a new one, before others follow: Okta tells whole seconds.
const SETTLING: Duration = Duration::from_secs(2);
/// Resets that lie so close together are one.
const SAME_RESET_SECONDS: u64 = 2;
/// Paced requests are not further apart: of a small limit the last ones need not wait for the reset.
const WIDEST: Duration = Duration::from_secs(1);
/// What a 429 waits that does not say until when.
const UNTOLD: Duration = Duration::from_secs(1);

/// What one answer told of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Requests that the window allows.
    pub limit: u32,
    /// Requests that remained.
    pub remaining: u32,
    /// When the window resets, in seconds of the Unix time by Okta's clock: it names the window.
    pub reset: u64,
    /// How long that was when Okta answered, by Okta's clock.
    pub reset_in: Duration,
}

/// When the next request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Now.
    Now,
    /// Then, unless an answer says otherwise.
    At(Instant),
    /// When something in flight has been answered.
    AfterAnswer,
}

/// A window, and what of it is in use.
#[derive(Debug, Clone)]
pub struct Window {
    told: Option<Told>,
    in_flight: u32,
    last_sent: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    reading: Reading,
    resets: Instant,
    /// Requests that are left to the org's other clients.
    reserve: u32,
}

/// A window as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Requests that the window allows.
    pub limit: u32,
    /// Requests that remained at the last answer; all of them after a reset.
    pub remaining: u32,
    /// Requests that are left to the org's other clients.
    pub reserve: u32,
    /// When the window resets; in the past when it has.
    pub resets: Instant,
}

impl Window {
    /// One that nothing is known of.
    pub fn new() -> Self {
        Self { told: None, in_flight: 0, last_sent: None }
    }

    /// A request is sent.
    pub fn sent(&mut self, now: Instant) {
        self.in_flight += 1;
        self.last_sent = Some(now);
    }

    /// A request has come to its end, answered or not.
    pub fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// An answer told this. `share` of the limit, 0 to 1, is left to others.
    pub fn learn(&mut self, reading: Reading, share: f64, now: Instant) {
        let resets = now + reading.reset_in.min(LENGTH * 2);
        let reserve = reserve(reading.limit, share);
        self.told = Some(match self.told {
            // The same window. Seconds are cut off Okta's clock, never added: the earliest reset is the nearest to the truth.
            Some(told) if told.reading.reset.abs_diff(reading.reset) <= SAME_RESET_SECONDS => Told {
                reading: Reading { remaining: told.reading.remaining.min(reading.remaining), ..reading },
                resets: told.resets.min(resets),
                reserve,
            },
            // One that was answered late, unless it is tighter than what is known: windows can be nested.
            Some(told) if told.reading.reset > reading.reset && told.reading.remaining <= reading.remaining => told,
            _ => Told { reading, resets, reserve },
        });
    }

    /// Okta refused a request for this window's sake: nothing remains of it. Some time at random is added, as others wait for the same.
    pub fn refused(&mut self, reading: Option<Reading>, share: f64, spread: Duration, now: Instant) {
        let untold = Reading { limit: self.limit(), remaining: 0, reset: u64::MAX / 2, reset_in: UNTOLD };
        let reading = Reading { remaining: 0, ..reading.unwrap_or(untold) };
        self.learn(reading, share, now);
        if let Some(told) = &mut self.told {
            told.reading.remaining = 0;
            told.resets = told.resets.max(now + reading.reset_in.min(LENGTH * 2)) + spread;
        }
    }

    /// When the next request may be sent. The first half of a window goes as it comes; the second is spread over what is left of it, so that
    /// nobody who comes late waits for the reset because somebody came early.
    pub fn next(&self, now: Instant) -> Next {
        let Some(told) = self.current(now) else {
            let settling = self.told.is_some_and(|told| now < told.resets + SETTLING);
            let most = if settling { 1 } else { IN_THE_DARK };
            return if self.in_flight < most { Next::Now } else { Next::AfterAnswer };
        };
        let usable = told.reading.remaining.saturating_sub(told.reserve);
        let free = usable.saturating_sub(self.in_flight);
        if free == 0 {
            return if usable > 0 { Next::AfterAnswer } else { Next::At(told.resets) };
        }
        if free > told.unpaced_above() {
            return Next::Now;
        }
        match self.last_sent.map(|sent| sent + told.spacing(free, now)) {
            Some(at) if at > now => Next::At(at),
            _ => Next::Now,
        }
    }

    /// When it will be the turn of a request that `ahead` others are before, as far as can be told.
    pub fn turn(&self, ahead: usize, now: Instant) -> Instant {
        let Some(told) = self.told.filter(|told| told.reading.limit > 0) else { return now };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let a_window = told.reading.limit.saturating_sub(told.reserve).max(1);
        let Some(current) = self.current(now) else { return now + whole_windows(ahead, a_window) };
        let free = current.reading.remaining.saturating_sub(current.reserve).saturating_sub(self.in_flight);
        if let Some(rest) = ahead.checked_sub(free) {
            return current.resets + whole_windows(rest, a_window);
        }
        let paced = (ahead + 1).saturating_sub(free.saturating_sub(current.unpaced_above()));
        now + current.spacing(free.min(current.unpaced_above()), now).saturating_mul(paced.saturating_sub(1))
    }

    /// What is known of it.
    pub fn seen(&self, now: Instant) -> Option<Seen> {
        let Told { reading, resets, reserve } = self.told?;
        let remaining = if resets > now { reading.remaining } else { reading.limit };
        Some(Seen { limit: reading.limit, remaining, reserve, resets })
    }

    fn current(&self, now: Instant) -> Option<Told> {
        self.told.filter(|told| now < told.resets)
    }

    fn limit(&self) -> u32 {
        self.told.map_or(0, |told| told.reading.limit)
    }
}

impl Told {
    /// With more than this to spare nothing is paced.
    fn unpaced_above(&self) -> u32 {
        self.reading.limit.saturating_sub(self.reserve) / 2
    }

    /// How far requests are apart that use up the rest of the window evenly.
    fn spacing(&self, free: u32, now: Instant) -> Duration {
        (self.resets.saturating_duration_since(now) / free.max(1)).min(WIDEST)
    }
}

/// What is left to others of a limit; something always remains for us.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32 is one")]
fn reserve(limit: u32, share: f64) -> u32 {
    ((f64::from(limit) * share.clamp(0.0, 1.0)).ceil() as u32).min(limit.saturating_sub(1))
}

fn whole_windows(ahead: u32, a_window: u32) -> Duration {
    LENGTH.saturating_mul(ahead / a_window)
}

#[cfg(test)]
mod tests;
