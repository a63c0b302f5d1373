//! What every call of Okta's API meets on its way in and out: faults, authentication, rate limits, request ids, a record of it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::Shared;
use super::control::{Fault, Recorded};
use super::error::{Answer, OktaError};
use super::oauth::{self, Denial, Principal};

/// Okta's bound on bodies.
const MAX_BODY: usize = 1 << 20;
/// By then what was written has left.
const SENT: Duration = Duration::from_millis(20);

/// The body as a JSON object.
pub(super) fn object_of(body: &Bytes) -> Answer<Value> {
    let body: Value = serde_json::from_slice(body).map_err(|_| OktaError::malformed_body())?;
    if body.is_object() { Ok(body) } else { Err(OktaError::malformed_body()) }
}

/// Everything around a handler.
pub(super) async fn okta(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return OktaError::malformed_body().into_response();
    };
    let now = shared.oauth().now();
    let denial = admit(&shared, &mut parts).err();
    let caller = parts.extensions.get::<Principal>().map(|principal| principal.name().to_owned()).unwrap_or_default();
    let mut allowance = shared.control().rate_limits.take(&parts.method, parts.uri.path(), &caller, now.system_time());
    let arrived = shared.control().arrived(record(&parts, &body));
    let fault = shared.control().next_fault(&parts.method, parts.uri.path());
    let (before, after) =
        fault.map_or((None, None), |fault| if fault.after { (None, Some(fault)) } else { (Some(fault), None) });
    let headers = parts.headers.clone();
    let ordered = before.as_ref().or(after.as_ref());
    if ordered.is_some_and(|fault| fault.status == Some(StatusCode::TOO_MANY_REQUESTS.as_u16())) {
        allowance.spent();
    }
    let mut response = match suffer(before.as_ref()).await {
        Some(response) => response,
        None => match denial {
            Some(denial) => denial.into_response(),
            None if !allowance.passes => OktaError::too_many_requests().into_response(),
            None => next.run(Request::from_parts(parts, Body::from(body))).await,
        },
    };
    if let Some(instead) = suffer(after.as_ref()).await {
        response = instead;
    }
    shared.control().answered(arrived, response.status().as_u16());
    if !response.headers().contains_key("x-rate-limit-limit") {
        allowance.tell(response.headers_mut());
    }
    tell(&shared, &headers, response.headers_mut());
    match before.or(after) {
        Some(fault) => damage(&fault, response),
        None => response,
    }
}

/// Finds out who calls, and leaves it with the request. The authorization server's own endpoints ask nobody here.
fn admit(shared: &Shared, parts: &mut Parts) -> Result<(), Denial> {
    if !oauth::is_endpoint(parts.uri.path()) {
        let principal = shared.oauth().admit(&shared.api_token, parts)?;
        parts.extensions.insert(principal);
    }
    Ok(())
}

/// Waits as long as a fault says, and gives what it answers.
async fn suffer(fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    tokio::time::sleep(fault.delay()).await;
    instead(fault)
}

/// What every answer tells: an id, the time, and the nonce to those who prove a key without it.
fn tell(shared: &Shared, request: &HeaderMap, response: &mut HeaderMap) {
    let mut oauth = shared.oauth();
    let now = oauth.now();
    let id = HeaderValue::try_from(uuid::Uuid::new_v4().simple().to_string());
    let date = HeaderValue::try_from(httpdate::fmt_http_date(now.system_time()));
    for (name, value) in [("x-okta-request-id", id), ("date", date)] {
        if let Ok(value) = value {
            response.insert(name, value);
        }
    }
    if let Some(nonce) = oauth.nonce_to_tell(request, now) {
        response.insert("dpop-nonce", nonce);
    }
}

/// A request as it is remembered.
fn record(parts: &Parts, body: &Bytes) -> Recorded {
    let shown = |text: String| if oauth::is_endpoint(parts.uri.path()) { oauth::without_secrets(&text) } else { text };
    Recorded {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: shown(parts.uri.query().unwrap_or_default().to_owned()),
        headers: headers_of(&parts.headers),
        body: shown(String::from_utf8_lossy(body).into_owned()),
        caller: parts.extensions.get::<Principal>().map(|principal| principal.name().to_owned()).unwrap_or_default(),
        status: 0,
    }
}

fn headers_of(headers: &HeaderMap) -> Value {
    let shown = headers.iter().filter(|(name, _)| **name != AUTHORIZATION);
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    Value::Object(shown.map(pair).collect())
}

/// The answer that a fault gives instead of the real one. One that is broken off before its head needs none.
fn instead(fault: &Fault) -> Option<Response> {
    if fault.reset && !fault.after {
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let status = StatusCode::from_u16(fault.status?).ok()?;
    let is_usual = status == StatusCode::TOO_MANY_REQUESTS && fault.body.is_empty();
    let mut response = if is_usual {
        OktaError::too_many_requests().into_response()
    } else {
        (status, fault.body.clone()).into_response()
    };
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

/// What a fault does to an answer on its way.
fn damage(fault: &Fault, response: Response) -> Response {
    if fault.reset {
        return broken_off(response, None);
    }
    if fault.cut {
        return broken_off(response, Some(Bytes::from_static(b"{")));
    }
    match fault.drip() {
        Some(pause) => dripping(response, pause),
        None => response,
    }
}

/// The head of an answer and the beginning of its body, and then nothing. Without a beginning not even the head is sent: the body fails
/// before anything has left.
fn broken_off(response: Response, beginning: Option<Bytes>) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove("content-length");
    let pause = if beginning.is_some() { SENT } else { Duration::ZERO };
    let end = futures_util::stream::once(async move {
        tokio::time::sleep(pause).await;
        Err(std::io::Error::other("broken off on purpose"))
    });
    let pieces = futures_util::stream::iter(beginning).map(Ok);
    Response::from_parts(parts, Body::from_stream(pieces.chain(end)))
}

/// The same answer, byte by byte.
fn dripping(response: Response, pause: Duration) -> Response {
    let (parts, body) = response.into_parts();
    let whole = futures_util::stream::once(axum::body::to_bytes(body, usize::MAX));
    let bytes = whole.flat_map(|whole| futures_util::stream::iter(whole.unwrap_or_default()));
    let drops = bytes.then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte]))
    });
    Response::from_parts(parts, Body::from_stream(drops))
}
