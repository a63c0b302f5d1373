//! What a test can set about tokens, and the sandbox's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The most seconds that anything lasts, or the clock is off by: ten years.
const MAX_SECONDS: u64 = 315_360_000;

/// How long things last.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    pub(super) access_token_seconds: u64,
    /// How long a refresh token is good after it was rotated.
    pub(super) refresh_grace_seconds: u64,
    /// How long a refresh token lives without being used.
    pub(super) refresh_idle_seconds: u64,
    pub(super) code_seconds: u64,
    pub(super) nonce_seconds: u64,
    /// Whether calls of the API need a nonce in their proofs too.
    pub(super) api_dpop_nonce: bool,
    /// How much the sandbox's clock is fast.
    pub(super) clock_offset_seconds: i64,
}

/// A change of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    access_token_seconds: Option<u64>,
    refresh_grace_seconds: Option<u64>,
    refresh_idle_seconds: Option<u64>,
    code_seconds: Option<u64>,
    nonce_seconds: Option<u64>,
    api_dpop_nonce: Option<bool>,
    clock_offset_seconds: Option<i64>,
}

impl Settings {
    /// Okta's own.
    pub(super) const DEFAULT: Self = Self {
        access_token_seconds: 3600,
        refresh_grace_seconds: 30,
        refresh_idle_seconds: 604_800,
        code_seconds: 300,
        nonce_seconds: 86_400,
        api_dpop_nonce: false,
        clock_offset_seconds: 0,
    };

    /// Sets what is given.
    pub(super) fn change(&mut self, change: &Change) {
        let set = |own: &mut u64, given: Option<u64>| *own = given.unwrap_or(*own).min(MAX_SECONDS);
        set(&mut self.access_token_seconds, change.access_token_seconds);
        set(&mut self.refresh_grace_seconds, change.refresh_grace_seconds);
        set(&mut self.refresh_idle_seconds, change.refresh_idle_seconds);
        set(&mut self.code_seconds, change.code_seconds);
        set(&mut self.nonce_seconds, change.nonce_seconds);
        self.api_dpop_nonce = change.api_dpop_nonce.unwrap_or(self.api_dpop_nonce);
        let (most, offset) = (MAX_SECONDS.cast_signed(), change.clock_offset_seconds);
        self.clock_offset_seconds = offset.unwrap_or(self.clock_offset_seconds).clamp(-most, most);
    }

    /// The time now.
    pub(super) fn now(&self) -> Now {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let by = Duration::from_secs(self.clock_offset_seconds.unsigned_abs());
        let told = if self.clock_offset_seconds < 0 { elapsed.saturating_sub(by) } else { elapsed + by };
        Now { elapsed, told }
    }
}

/// The time since 1970, twice: the clock that the sandbox shows can be wrong on purpose.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Now {
    /// What lifetimes are counted by.
    pub(super) elapsed: Duration,
    /// What is told to clients, and what theirs are held against.
    told: Duration,
}

impl Now {
    /// The sandbox's clock, in whole seconds.
    pub(super) fn clock(self) -> i64 {
        self.told.as_secs().cast_signed()
    }

    /// The sandbox's clock.
    pub(in crate::sandbox) fn system_time(self) -> SystemTime {
        UNIX_EPOCH + self.told
    }

    /// A time that a test needs.
    #[cfg(test)]
    pub(super) fn at(seconds: u64) -> Self {
        let elapsed = Duration::from_secs(seconds);
        Self { elapsed, told: elapsed }
    }
}
