//! Rate limits, as Okta counts them (<https://developer.okta.com/docs/reference/rl-best-practices/>): windows of a minute for each
//! bucket of endpoints, which begin with the first request and not with the minute; a share of each bucket for a token; and so many
//! requests at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};

const WINDOW: Duration = Duration::from_secs(60);
/// Requests a window, unless set otherwise: those of a generous org.
const DEFAULT_LIMIT: u32 = 10_000;
/// Requests at once, as on most of Okta's plans.
const DEFAULT_CONCURRENT: u32 = 75;

/// What can be set, as `POST /_sandbox/rate-limits` takes it, by bucket.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Setting {
    /// Requests a minute; for `concurrent`, at once; for `token_share`, a percentage.
    Number(u32),
    /// Requests in a window of another length.
    Window { limit: u32, window_ms: u64 },
}

/// The windows of all buckets.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    settings: HashMap<String, (u32, Duration)>,
    windows: HashMap<(&'static str, String), Window>,
    /// What each bucket was asked, and how much of it was refused.
    asked: BTreeMap<&'static str, Asked>,
    /// Percentage of each bucket that one token may use, when it is not all.
    token_share: Option<u32>,
    concurrent: Option<u32>,
    under_way: Arc<AtomicU32>,
    most_under_way: u32,
    crowded: u32,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    used: u32,
}

/// Requests for a bucket.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Asked {
    limit: u32,
    served: u32,
    refused: u32,
}

/// What a request finds.
#[derive(Debug)]
pub(super) struct Allowance {
    /// The bucket's own, and the token's share of it.
    told: Vec<Told>,
    crowded: bool,
    clock: SystemTime,
    /// Whether the request may pass.
    pub(super) passes: bool,
    _under_way: UnderWay,
}

/// A window, as headers tell it.
#[derive(Debug, Clone, Copy)]
struct Told {
    limit: u32,
    remaining: u32,
    reset: u64,
}

/// A request that is being answered.
#[derive(Debug)]
struct UnderWay(Arc<AtomicU32>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RateLimits {
    /// Sets a bucket's limit, whose windows begin anew; or `concurrent`, or `token_share`.
    pub(super) fn set(&mut self, bucket: &str, setting: Setting) {
        match (bucket, setting) {
            ("concurrent", Setting::Number(most)) => self.concurrent = Some(most),
            ("token_share", Setting::Number(percent)) => self.token_share = Some(percent.min(100)),
            (_, Setting::Number(limit)) => self.set_window(bucket, limit, WINDOW),
            (_, Setting::Window { limit, window_ms }) => {
                self.set_window(bucket, limit, Duration::from_millis(window_ms).min(WINDOW));
            }
        }
    }

    fn set_window(&mut self, bucket: &str, limit: u32, length: Duration) {
        self.settings.insert(bucket.to_owned(), (limit, length));
        self.windows.retain(|(name, _), _| *name != bucket);
    }

    /// Counts a request of `caller`. `clock` is the time that is told.
    pub(super) fn take(&mut self, method: &Method, path: &str, caller: &str, clock: SystemTime) -> Allowance {
        let bucket = bucket(method, path);
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way = self.most_under_way.max(under_way);
        let crowded = under_way > self.concurrent.unwrap_or(DEFAULT_CONCURRENT);
        self.crowded += u32::from(crowded);
        let (limit, length) = self.settings.get(bucket).copied().unwrap_or((DEFAULT_LIMIT, WINDOW));
        let share = self.token_share.map(|percent| (caller.to_owned(), limit * percent / 100));
        let windows: Vec<_> = std::iter::once((String::new(), limit)).chain(share).collect();
        let now = Instant::now();
        let has_room = |own: &Self| {
            windows.iter().all(|(whose, limit)| {
                let window = own.windows.get(&(bucket, whose.clone()));
                window.is_none_or(|window| now.duration_since(window.began) >= length || window.used < *limit)
                    && *limit > 0
            })
        };
        let passes = !crowded && has_room(self);
        let told = windows.iter().map(|(whose, limit)| {
            let window = self.windows.entry((bucket, whose.clone())).or_insert_with(|| Window { began: now, used: 0 });
            if now.duration_since(window.began) >= length {
                *window = Window { began: now, used: 0 };
            }
            window.used += u32::from(passes);
            let reset = seconds(clock + length.saturating_sub(now.duration_since(window.began))) + 1;
            Told { limit: *limit, remaining: limit.saturating_sub(window.used), reset }
        });
        let told = told.collect();
        let asked = self.asked.entry(bucket).or_default();
        asked.limit = limit;
        asked.served += u32::from(passes);
        asked.refused += u32::from(!passes && !crowded);
        Allowance { told, crowded, clock, passes, _under_way: UnderWay(self.under_way.clone()) }
    }

    /// What was asked, as `GET /_sandbox/rate-limits` tells it.
    pub(super) fn report(&self) -> serde_json::Value {
        serde_json::json!({
            "buckets": self.asked,
            "concurrent": {
                "limit": self.concurrent.unwrap_or(DEFAULT_CONCURRENT),
                "most": self.most_under_way,
                "refused": self.crowded,
            },
        })
    }
}

impl Allowance {
    /// Tells it in the answer's headers.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        // Okta tells a crowd by zeros: it is no window that is spent.
        let crowd = [Told { limit: 0, remaining: 0, reset: seconds(self.clock) + 1 }];
        let told = if self.crowded { crowd.as_slice() } else { self.told.as_slice() };
        for told in told {
            headers.append("x-rate-limit-limit", HeaderValue::from(told.limit));
            headers.append("x-rate-limit-remaining", HeaderValue::from(told.remaining));
            headers.append("x-rate-limit-reset", HeaderValue::from(told.reset));
        }
    }

    /// The same as if nothing were left, for a refusal that was ordered.
    pub(super) fn spent(&mut self) {
        let reset = seconds(self.clock) + 1;
        self.told.iter_mut().for_each(|told| *told = Told { remaining: 0, reset, ..*told });
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The bucket of a request: the most specific one counts, by method.
pub(super) fn bucket(method: &Method, path: &str) -> &'static str {
    if let Some(endpoint) = path.strip_prefix("/oauth2/v1/") {
        return if endpoint == "token" { "/oauth2/v1/token" } else { "/oauth2/v1" };
    }
    let mut parts = path.trim_start_matches("/api/v1/").split('/');
    let (root, id, below) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match (root, id, below) {
        ("users", Some(_), None) if method == Method::GET => "GET /api/v1/users/{id}",
        ("users", Some(_), None) => "POST|PUT|DELETE /api/v1/users/{id}",
        ("users", ..) => "/api/v1/users",
        ("groups", Some(_), None) => "/api/v1/groups/{id}",
        ("groups", ..) => "/api/v1/groups",
        ("apps", Some(_), None) => "/api/v1/apps/{id}",
        ("apps", ..) => "/api/v1/apps",
        ("logs", ..) => "/api/v1/logs",
        _ => "/api/v1",
    }
}
