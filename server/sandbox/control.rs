//! The control interface, `/_sandbox/`: what a test or a curious person can make the sandbox do. `GET /_sandbox/` explains it.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::delivery::{self, Plans, Progress};
use super::rate_limits::{RateLimits, Setting};
use super::{Shared, happen, oauth};

/// Requests that are remembered.
const MAX_REQUESTS: usize = 1000;
/// Faults that can wait for their call.
const MAX_FAULTS: usize = 1000;
const MAX_DELAY: Duration = Duration::from_secs(300);

/// What has been asked of the sandbox, and what it was told to do.
#[derive(Debug, Default)]
pub(super) struct Control {
    requests: VecDeque<Recorded>,
    /// Requests that were forgotten to make room.
    forgotten: usize,
    faults: Vec<Fault>,
    pub(super) plans: Plans,
    pub(super) delivery_settings: delivery::Settings,
    /// How far the deliverer has come.
    pub(super) progress: Progress,
    pub(super) rate_limits: RateLimits,
}

/// A request as it came. The `Authorization` header is not kept.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Recorded {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Value,
    pub(super) body: String,
    /// Who sent it: the id of an OAuth client, `SSWS` for the API token, nothing for a stranger.
    pub(super) caller: String,
    /// 0 until it is answered.
    pub(super) status: u16,
}

/// What the next calls get instead of, or before, their answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Calls of this method; any when not given.
    method: Option<String>,
    /// Calls whose path begins so; any when not given.
    #[serde(default)]
    path: String,
    /// How many calls.
    #[serde(default = "one")]
    times: u32,
    /// Answered with this status instead of being carried out.
    pub(super) status: Option<u16>,
    /// With this body.
    #[serde(default)]
    pub(super) body: String,
    /// With these headers.
    #[serde(default)]
    pub(super) headers: std::collections::HashMap<String, String>,
    /// After this long.
    #[serde(default)]
    delay_ms: u64,
    /// The connection breaks in the middle of the answer.
    #[serde(default)]
    pub(super) cut: bool,
    /// The connection breaks before the answer.
    #[serde(default)]
    pub(super) reset: bool,
    /// The answer's body comes byte by byte, so far apart.
    #[serde(default)]
    drip_ms: u64,
    /// The call is carried out first, and then all this happens to its answer.
    #[serde(default)]
    pub(super) after: bool,
}

fn one() -> u32 {
    1
}

impl Fault {
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms).min(MAX_DELAY)
    }

    pub(super) fn drip(&self) -> Option<Duration> {
        (self.drip_ms > 0).then(|| Duration::from_millis(self.drip_ms).min(MAX_DELAY))
    }
}

impl Control {
    /// Remembers a request that has come, under a number.
    pub(super) fn arrived(&mut self, request: Recorded) -> usize {
        self.requests.push_back(request);
        if self.requests.len() > MAX_REQUESTS {
            self.requests.pop_front();
            self.forgotten += 1;
        }
        self.forgotten + self.requests.len() - 1
    }

    /// The request was answered.
    pub(super) fn answered(&mut self, number: usize, status: u16) {
        let at = number.checked_sub(self.forgotten);
        if let Some(request) = at.and_then(|at| self.requests.get_mut(at)) {
            request.status = status;
        }
    }

    /// The fault that a call meets.
    pub(super) fn next_fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let meets = |fault: &Fault| {
            fault.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method.as_str()))
                && path.starts_with(&fault.path)
        };
        let at = self.faults.iter().position(meets)?;
        let fault = self.faults[at].clone();
        self.faults[at].times = fault.times.saturating_sub(1);
        if self.faults[at].times == 0 {
            self.faults.remove(at);
        }
        Some(fault)
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_sandbox/", get(explain))
        .route("/_sandbox/requests", get(requests).delete(forget))
        .route("/_sandbox/faults", post(add_fault).delete(forget_faults))
        .route("/_sandbox/rate-limits", get(rate_limits).post(set_rate_limits))
}

async fn explain() -> Json<Value> {
    let mut explanation = json!({
        "GET /_sandbox/requests": "the last requests, oldest first, without their credentials, status 0 for those under way; DELETE forgets them",
        "POST /_sandbox/faults": {
            "method": "GET … (any)", "path": "prefix (any)", "times": 1, "status": 503, "body": "text", "headers": {},
            "delay_ms": 0, "cut": "true breaks the connection in the middle of the answer",
            "reset": "true breaks it before the answer", "drip_ms": "the body comes byte by byte, so far apart",
            "after": "true carries the call out first: what is lost, late or replaced is only its answer",
        },
        "DELETE /_sandbox/faults": "forgets those that no call has met yet",
        "POST /_sandbox/rate-limits": {
            "/api/v1/users": "requests a minute", "GET /api/v1/users/{id}": { "limit": 600, "window_ms": 5000 },
            "concurrent": "requests at once (75)", "token_share": "percentage of each bucket that a token may use (all)",
        },
        "GET /_sandbox/rate-limits": "what each bucket was asked and what of it was refused; the most requests at once",
    });
    for more in [happen::explanation(), delivery::explanation(), oauth::explanation()] {
        if let (Some(explanation), Value::Object(more)) = (explanation.as_object_mut(), more) {
            explanation.extend(more);
        }
    }
    Json(explanation)
}

async fn requests(State(shared): State<Shared>) -> Json<Vec<Recorded>> {
    Json(shared.control().requests.iter().cloned().collect())
}

async fn forget(State(shared): State<Shared>) -> StatusCode {
    let mut control = shared.control();
    control.forgotten += control.requests.len();
    control.requests.clear();
    StatusCode::NO_CONTENT
}

async fn add_fault(State(shared): State<Shared>, Json(fault): Json<Fault>) -> StatusCode {
    let mut control = shared.control();
    if control.faults.len() >= MAX_FAULTS {
        return StatusCode::INSUFFICIENT_STORAGE;
    }
    control.faults.push(fault);
    StatusCode::NO_CONTENT
}

async fn forget_faults(State(shared): State<Shared>) -> StatusCode {
    shared.control().faults.clear();
    StatusCode::NO_CONTENT
}

async fn rate_limits(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.control().rate_limits.report())
}

async fn set_rate_limits(
    State(shared): State<Shared>,
    Json(limits): Json<std::collections::HashMap<String, Setting>>,
) -> StatusCode {
    let mut control = shared.control();
    limits.iter().take(100).for_each(|(bucket, setting)| control.rate_limits.set(bucket, *setting));
    StatusCode::NO_CONTENT
}
