//! A unary call of a card on its way in and out: the caller's deadline, metrics, and where the time went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::status::code_name;
use crate::cards::{Card, Runner};
use crate::metrics::Metrics;
use crate::okta::{Context, Trace};

/// What a call gets that names no deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// We answer this much before the caller's deadline, so that our reason arrives rather than nothing: a tenth of the time, within these.
const ANSWER_MARGIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// Serves the RPCs of cards. Cloning shares the runner.
#[derive(Debug, Clone)]
pub struct Unary {
    runner: Runner,
    metrics: Metrics,
}

impl Unary {
    /// Serves cards with `runner`.
    pub fn new(runner: Runner, metrics: Metrics) -> Self {
        Self { runner, metrics }
    }

    /// Carries one call out.
    pub(super) async fn run<C: Card>(&self, request: Request<C::Request>) -> Result<Response<C::Response>, Status> {
        let started = Instant::now();
        let context = Context::of(caller(&request), deadline(request.metadata(), started));
        let request_id = request.metadata().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let (trace, outcome) = self.runner.run::<C>(request.get_ref(), &context).await;
        let answered = match outcome {
            Ok(response) => {
                let mut response = Response::new(response);
                tell(&trace, response.metadata_mut());
                Ok(response)
            }
            Err(error) => {
                let mut status = Status::from(error);
                tell(&trace, status.metadata_mut());
                Err(status)
            }
        };
        let code = answered.as_ref().map_or_else(Status::code, |_| Code::Ok);
        let (code, took) = (code_name(code), started.elapsed());
        tracing::debug!(
            rpc = C::RPC,
            code,
            ?took,
            okta_attempts = trace.attempts,
            okta_request_id = trace.okta_request_id,
            request_id,
            "answered"
        );
        self.metrics.rpc(C::RPC, code, took);
        answered
    }
}

/// Who calls, as far as turns are concerned: each connection is somebody.
fn caller<T>(request: &Request<T>) -> Arc<str> {
    request.remote_addr().map_or_else(|| Arc::from("unknown"), |address| Arc::from(address.to_string()))
}

/// By when the caller wants to be answered, from the `grpc-timeout` header.
pub(super) fn deadline(metadata: &MetadataMap, started: Instant) -> Instant {
    let header = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    let timeout = header
        .and_then(parse_timeout)
        .map_or(DEFAULT_TIMEOUT, |wanted| wanted.saturating_sub((wanted / 10).clamp(ANSWER_MARGIN.0, ANSWER_MARGIN.1)));
    started.checked_add(timeout).unwrap_or(started + DEFAULT_TIMEOUT)
}

/// At most eight digits and a unit (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Tells the caller how often Okta was asked, how long was waited in between, and Okta's id of the last request.
fn tell(trace: &Trace, metadata: &mut MetadataMap) {
    metadata.insert("okta-attempts", MetadataValue::from(trace.attempts));
    metadata.insert("okta-wait-ms", MetadataValue::from(u64::try_from(trace.waited.as_millis()).unwrap_or(u64::MAX)));
    if let Ok(id) = MetadataValue::try_from(&trace.okta_request_id)
        && !trace.okta_request_id.is_empty()
    {
        metadata.insert("okta-request-id", id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_a_timeout_is_read_and_nonsense_is_not() {
        for (text, nanoseconds) in [
            ("1H", 3_600_000_000_000),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
        ] {
            assert_eq!(parse_timeout(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "S", "1", "1x", "-1S", "123456789S", "é"] {
            assert_eq!(parse_timeout(text), None, "{text}");
        }
    }
}
