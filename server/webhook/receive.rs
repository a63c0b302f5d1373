//! The two handlers: Okta's one-time verification, and its deliveries.
//!
//! Nothing of a body and no secret is ever logged.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Semaphore;

use super::body::{self, Unread};
use super::delivery::{Delivery, Unfit};
use super::registry::{Admission, Outcome};
use super::{Options, Registry};
use crate::journal::{Appended, Journal};
use crate::metrics::Metrics;

const CHALLENGE: &str = "x-okta-verification-challenge";
/// Okta's challenge has some forty characters; what is longer is somebody else's, and is not echoed.
const MAX_CHALLENGE_BYTES: usize = 1_024;
/// Seconds after which a delivery that could not be stored is welcome again.
const RETRY_AFTER_SECONDS: &str = "1";

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) registry: Registry,
    pub(super) journal: Journal,
    pub(super) metrics: Metrics,
    pub(super) options: Arc<Options>,
    pub(super) room: Arc<Semaphore>,
}

/// Why a request gets no 2xx: a status, and a plain sentence.
struct Refusal {
    status: StatusCode,
    why: String,
}

/// Answers Okta's challenge, for hooks that are ours.
pub(super) async fn verify(
    State(receiver): State<Receiver>,
    Path(hook_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !receiver.registry.contains(&hook_id) {
        return unknown_hook().into_response();
    }
    match headers.get(CHALLENGE).map(|challenge| challenge.to_str()) {
        None => refusal(StatusCode::BAD_REQUEST, format!("the header {CHALLENGE} is missing")).into_response(),
        Some(Ok(challenge)) if challenge.len() <= MAX_CHALLENGE_BYTES => {
            Json(json!({ "verification": challenge })).into_response()
        }
        Some(_) => refusal(StatusCode::BAD_REQUEST, format!("the header {CHALLENGE} is unreadable or too long"))
            .into_response(),
    }
}

/// Stores a delivery, and answers once it is durable.
pub(super) async fn deliver(
    State(receiver): State<Receiver>,
    Path(hook_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let now = SystemTime::now();
    match receiver.take(&hook_id, &headers, body, now).await {
        Ok((appended, unreadable)) => {
            receiver.registry.record(&hook_id, Outcome::Accepted { appended, unreadable }, now);
            receiver.metrics.hook_delivery("accepted");
            if unreadable > 0 {
                tracing::warn!(hook_id, unreadable, "a delivery had events that are no JSON objects");
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => {
            receiver.note(&hook_id, &refusal, now);
            refusal.into_response()
        }
    }
}

impl Receiver {
    /// A hook that we do not have is counted and no more: anybody can ask for one.
    fn note(&self, hook_id: &str, refusal: &Refusal, now: SystemTime) {
        if refusal.status == StatusCode::NOT_FOUND {
            self.metrics.hook_delivery("unknown_hook");
            return;
        }
        let why = refusal.why.as_str();
        tracing::warn!(hook_id, status = refusal.status.as_u16(), why, "a delivery was not taken");
        let failed = refusal.status.is_server_error();
        self.metrics.hook_delivery(if failed { "failed" } else { "refused" });
        self.registry.record(hook_id, if failed { Outcome::Failed { why } } else { Outcome::Refused { why } }, now);
    }

    /// The secret comes before the body: a sender without one cannot make us buffer anything.
    async fn take(
        &self,
        hook_id: &str,
        headers: &HeaderMap,
        body: Body,
        now: SystemTime,
    ) -> Result<(Appended, usize), Refusal> {
        let connection_id = match self.registry.admit(hook_id, secret(headers), now) {
            Admission::Granted(connection_id) => connection_id,
            Admission::WrongSecret => return Err(refusal(StatusCode::UNAUTHORIZED, "the secret is missing or wrong")),
            Admission::UnknownHook => return Err(unknown_hook()),
        };
        let _room = self.room.acquire().await;
        let body = body::read(headers, body, self.options.max_body_bytes, self.options.body_timeout).await?;
        let delivery = Delivery::read(&connection_id, &body)?;
        let unreadable = delivery.unreadable;
        let appended = self.journal.append(delivery.events).await.map_err(|error| {
            tracing::error!(%error, "a delivery could not be stored");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "the events could not be stored, send them again")
        })?;
        Ok((appended, unreadable))
    }
}

/// The secret that a delivery carries: one, or none.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

fn unknown_hook() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "there is no such hook")
}

fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    Refusal { status, why: why.into() }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Unread::TooSlow => refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"),
            Unread::Broken => refusal(StatusCode::BAD_REQUEST, "the body broke off"),
        }
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        let status = match unfit {
            Unfit::TooManyEvents | Unfit::EnvelopeTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Unfit::NotUtf8 | Unfit::NotAnObject | Unfit::NoEvents | Unfit::NoneReadable => StatusCode::BAD_REQUEST,
        };
        refusal(status, unfit.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.why)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}
