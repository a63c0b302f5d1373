//! The public HTTP side: answers Okta's verification of a hook, and takes its deliveries.
//!
//! The secret is looked at before the body is: who does not know it cannot make us read anything. The answer to a delivery is sent
//! once its events are on disk; Okta waits 3 s for it and tries again at most once, and not after a 4xx.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;

use super::delivery::{self, Unreadable};
use super::registry::{Hook, Registry};
use crate::journal::Journal;

/// Where Okta's verification carries the value to be given back.
const CHALLENGE: &str = "x-okta-verification-challenge";
/// Okta's are some tens of characters.
const MAX_CHALLENGE: usize = 1024;
/// Okta gives up after 3 s: a body that takes longer than this is not hers.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Receiver {
    registry: Registry,
    journal: Journal,
    max_body: usize,
}

/// The routes of the public HTTP listener: `/hooks/{hook_id}`. Bodies are `max_body` bytes at most.
pub fn router(registry: Registry, journal: Journal, max_body: usize) -> Router {
    Router::new().route("/hooks/{hook_id}", get(verify).post(deliver)).with_state(Receiver {
        registry,
        journal,
        max_body,
    })
}

/// Okta's one-time verification: the challenge goes back to her.
async fn verify(State(receiver): State<Receiver>, Path(hook_id): Path<String>, headers: HeaderMap) -> Response {
    if receiver.registry.find(&hook_id).is_none() {
        return unknown_hook();
    }
    match headers.get(CHALLENGE).and_then(|challenge| challenge.to_str().ok()) {
        Some(challenge) if challenge.len() <= MAX_CHALLENGE => {
            tracing::info!(hook_id, "answered the verification of an event hook");
            Json(json!({ "verification": challenge })).into_response()
        }
        _ => refuse(
            StatusCode::BAD_REQUEST,
            format!("this is the address of an Okta event hook; {CHALLENGE} is missing"),
        ),
    }
}

async fn deliver(
    State(receiver): State<Receiver>,
    Path(hook_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(hook) = receiver.registry.find(&hook_id) else {
        tracing::warn!("a delivery to an unknown event hook was refused");
        return unknown_hook();
    };
    let outcome = receiver.receive(&hook, &headers, body).await;

    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err((status, message)) => {
            tracing::warn!(hook_id, status = status.as_u16(), reason = message, "a delivery was not accepted");
            let mut health = hook.health();
            if status.is_server_error() {
                health.failed += 1
            } else {
                health.refused += 1
            }
            health.error(message.clone());
            refuse(status, message)
        }
    }
}

type Refusal = (StatusCode, String);

impl Receiver {
    async fn receive(&self, hook: &Hook, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
        authenticate(hook, headers)?;
        let body = self.read_body(headers, body).await?;
        let text = std::str::from_utf8(&body).map_err(|_| bad_request("the body is no UTF-8 text".to_owned()))?;
        let delivery = delivery::read(text, &hook.connection_id).map_err(|error| match error {
            Unreadable::TooMany => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            _ => bad_request(error.to_string()),
        })?;
        if delivery.unreadable > 0 {
            tracing::warn!(events = delivery.unreadable, "events of a delivery are no JSON objects and were left out");
        }
        let appended = self
            .journal
            .append(delivery.events)
            .await
            .map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.message().to_owned()))?;
        let mut health = hook.health();
        health.accepted += 1;
        health.last_delivery = Some(SystemTime::now());
        health.events_stored += i64::try_from(appended.stored).unwrap_or(i64::MAX);
        health.events_repeated += i64::try_from(appended.repeated).unwrap_or(i64::MAX);
        health.events_unreadable += i64::try_from(delivery.unreadable).unwrap_or(i64::MAX);
        Ok(())
    }

    async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {} bytes", self.max_body));
        let announced = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.max_body) {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, self.max_body)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            // Either the bound was passed, or the sender went away and does not hear the answer.
            Ok(Err(_)) => Err(too_large()),
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned())),
        }
    }
}

fn authenticate(hook: &Hook, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
    if hook.accepts(given) {
        return Ok(());
    }
    Err((StatusCode::UNAUTHORIZED, "the Authorization header does not carry the hook's secret".to_owned()))
}

fn bad_request(message: String) -> Refusal {
    (StatusCode::BAD_REQUEST, message)
}

fn unknown_hook() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is no such event hook here".to_owned())
}

fn refuse(status: StatusCode, message: String) -> Response {
    (status, format!("{message}\n")).into_response()
}
