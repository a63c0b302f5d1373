//! Rate limits, as Okta counts them (<https://developer.okta.com/docs/reference/rl-best-practices/>): windows of a minute for each
//! bucket of endpoints, which begin with the first request and not with the minute.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, Method};

const WINDOW: Duration = Duration::from_secs(60);
/// Requests a window, unless set otherwise: those of a generous org.
const DEFAULT_LIMIT: u32 = 10_000;

/// The windows of all buckets.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    limits: HashMap<String, u32>,
    windows: HashMap<&'static str, Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    used: u32,
}

/// What a request finds in its bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    limit: u32,
    remaining: u32,
    reset: u64,
    /// Whether the request may pass.
    pub(super) passes: bool,
}

impl RateLimits {
    /// Sets a bucket's limit; its window begins anew.
    pub(super) fn set(&mut self, bucket: &str, limit: u32) {
        self.limits.insert(bucket.to_owned(), limit);
        self.windows.retain(|name, _| *name != bucket);
    }

    /// Counts a request. `clock` is the time that is told.
    pub(super) fn take(&mut self, method: &Method, path: &str, clock: SystemTime) -> Allowance {
        let bucket = bucket(method, path);
        let limit = self.limits.get(bucket).copied().unwrap_or(DEFAULT_LIMIT);
        let now = Instant::now();
        let window = self.windows.entry(bucket).or_insert(Window { began: now, used: 0 });
        if now.duration_since(window.began) >= WINDOW {
            *window = Window { began: now, used: 0 };
        }
        let passes = window.used < limit;
        window.used = window.used.saturating_add(u32::from(passes));
        let left = WINDOW.saturating_sub(now.duration_since(window.began));
        let reset = clock + left;
        let reset = reset.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + 1;
        Allowance { limit, remaining: limit - window.used, reset, passes }
    }
}

impl Allowance {
    /// Tells it in the answer's headers.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        headers.insert("x-rate-limit-limit", HeaderValue::from(self.limit));
        headers.insert("x-rate-limit-remaining", HeaderValue::from(self.remaining));
        headers.insert("x-rate-limit-reset", HeaderValue::from(self.reset));
    }
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
