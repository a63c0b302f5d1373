//! What every call of Okta's API meets on its way in and out: faults, authentication, rate limits, request ids, a record of it.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Shared;
use super::control::{Fault, Recorded};
use super::error::{Answer, OktaError};

/// Okta's bound on bodies.
const MAX_BODY: usize = 1 << 20;

/// The body as a JSON object.
pub(super) fn object_of(body: &Bytes) -> Answer<Value> {
    let body: Value = serde_json::from_slice(body).map_err(|_| OktaError::malformed_body())?;
    if body.is_object() { Ok(body) } else { Err(OktaError::malformed_body()) }
}

/// Everything around a handler.
pub(super) async fn okta(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return OktaError::malformed_body().into_response();
    };
    let arrived = shared.control().arrived(Recorded {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers_of(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
    });
    let authorized = is_authorized(&shared, parts.headers.get(AUTHORIZATION));
    let allowance = shared.control().rate_limits.take(&parts.method, parts.uri.path());
    let fault = shared.control().next_fault(&parts.method, parts.uri.path());
    let cut = fault.as_ref().is_some_and(|fault| fault.cut);
    if let Some(fault) = &fault {
        tokio::time::sleep(fault.delay()).await;
    }
    let mut response = match fault.and_then(|fault| instead(&fault)) {
        Some(response) => response,
        None if !authorized => OktaError::invalid_token().into_response(),
        None if !allowance.passes => OktaError::too_many_requests().into_response(),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    shared.control().answered(arrived, response.status().as_u16());
    let headers = response.headers_mut();
    if !headers.contains_key("x-rate-limit-limit") {
        allowance.tell(headers);
    }
    if let Ok(id) = HeaderValue::try_from(uuid::Uuid::new_v4().simple().to_string()) {
        headers.insert("x-okta-request-id", id);
    }
    if cut { cut_off(response) } else { response }
}

/// `SSWS token`, and `SSWStoken` as some SDKs send it and Okta takes it.
fn is_authorized(shared: &Shared, header: Option<&HeaderValue>) -> bool {
    let given = header.and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("SSWS"));
    given.map(str::trim_start) == Some(&*shared.api_token)
}

fn headers_of(headers: &axum::http::HeaderMap) -> Value {
    let shown = headers.iter().filter(|(name, _)| **name != AUTHORIZATION);
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    Value::Object(shown.map(pair).collect())
}

/// The answer that a fault gives instead of the real one.
fn instead(fault: &Fault) -> Option<Response> {
    let status = StatusCode::from_u16(fault.status?).ok()?;
    let mut response = (status, fault.body.clone()).into_response();
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

/// The beginning of an answer, and then nothing.
fn cut_off(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove("content-length");
    let pieces = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut off on purpose"))];
    Response::from_parts(parts, Body::from_stream(futures_util::stream::iter(pieces)))
}
