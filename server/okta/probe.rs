//! Whether a connection is any good: a few cheap calls, and what their answers tell.

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{DATE, HeaderName};

use super::answer::Answer;
use super::call::{Call, Endpoint, HttpMethod, Repeat};
use super::client::Client;
use super::record::Projection;
use crate::connections::Connection;
use crate::error::Result;
use crate::proto::{CheckOutcome, ConnectionCheck, TestConnectionResponse};

const ORG: Endpoint =
    Endpoint { method: HttpMethod::Get, path: "/api/v1/org", scope: "okta.orgs.read", repeat: Repeat::Safe };
const ME: Endpoint =
    Endpoint { method: HttpMethod::Get, path: "/api/v1/users/me", scope: "okta.users.read.self", repeat: Repeat::Safe };
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");

/// Okta refuses signed tokens when the clocks are further apart than some minutes.
const LARGEST_SKEW: Duration = Duration::from_secs(120);
/// A tenth of the window's requests left is worth a warning.
const LOW_SHARE: u32 = 10;

/// Looks a connection over. What fails is in the response.
pub async fn probe(client: &Client, connection: &Connection, deadline: Instant) -> TestConnectionResponse {
    let mut report = TestConnectionResponse::default();
    let started = Instant::now();
    let (_, org) = client.send(connection, &Call::new(ORG, &[]), deadline).await;
    report.round_trip = prost_types::Duration::try_from(started.elapsed()).ok();
    let (_, me) = client.send(connection, &Call::new(ME, &[]), deadline).await;
    report.checks = vec![reachable(&org, &me), credential(&me)];
    if let Ok(answer) = &org {
        report.org_name = field(answer, "companyName");
    }
    if let Ok(answer) = &me {
        report.principal = login(answer);
        principal(&mut report);
        clock(&mut report, answer);
        rate_limit(&mut report, answer);
    }
    report.ok = report.checks.iter().all(|check| check.outcome() != CheckOutcome::Failed);
    report
}

fn check(name: &str, outcome: CheckOutcome, detail: impl Into<String>) -> ConnectionCheck {
    ConnectionCheck { name: name.to_owned(), outcome: outcome.into(), detail: detail.into() }
}

/// An answer of any kind shows that the org is there.
fn reachable(org: &Result<Answer>, me: &Result<Answer>) -> ConnectionCheck {
    let answered = |outcome: &Result<Answer>| match outcome {
        Ok(_) => true,
        Err(error) => error.metadata().iter().any(|(key, _)| *key == "http_status"),
    };
    match (org, me) {
        (org, me) if answered(org) || answered(me) => check("reachable", CheckOutcome::Passed, "the org answers"),
        (Err(error), _) | (_, Err(error)) => check("reachable", CheckOutcome::Failed, error.message()),
        _ => check("reachable", CheckOutcome::Skipped, ""),
    }
}

fn credential(me: &Result<Answer>) -> ConnectionCheck {
    match me {
        Ok(_) => check("credential", CheckOutcome::Passed, "Okta accepts the credential"),
        Err(error) => check("credential", CheckOutcome::Failed, error.message()),
    }
}

fn principal(report: &mut TestConnectionResponse) {
    let (outcome, detail) = if report.principal.is_empty() {
        (CheckOutcome::Warning, "Okta does not say whom the credential acts as".to_owned())
    } else {
        (CheckOutcome::Passed, format!("acts as {}", report.principal))
    };
    report.checks.push(check("principal", outcome, detail));
}

fn clock(report: &mut TestConnectionResponse, answer: &Answer) {
    let Ok(theirs) = httpdate::parse_http_date(answer.header(&DATE)) else {
        report.checks.push(check("clock", CheckOutcome::Skipped, "the answer has no date"));
        return;
    };
    let ours = SystemTime::now();
    let (skew, ahead) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, true),
        Err(behind) => (behind.duration(), false),
    };
    report.clock_skew = prost_types::Duration::try_from(skew).ok().map(|skew| prost_types::Duration {
        seconds: if ahead { skew.seconds } else { -skew.seconds },
        nanos: if ahead { skew.nanos } else { -skew.nanos },
    });
    let seconds = skew.as_secs();
    report.checks.push(if skew > LARGEST_SKEW {
        check("clock", CheckOutcome::Warning, format!("our clock and Okta's are {seconds} s apart; set ours right"))
    } else {
        check("clock", CheckOutcome::Passed, "our clock and Okta's agree")
    });
}

fn rate_limit(report: &mut TestConnectionResponse, answer: &Answer) {
    let number = |name: &HeaderName| answer.header(name).parse::<i32>().ok();
    let (Some(limit), Some(remaining)) = (number(&RATE_LIMIT), number(&RATE_LIMIT_REMAINING)) else {
        report.checks.push(check("rate_limit", CheckOutcome::Skipped, "the answer has no rate limit"));
        return;
    };
    (report.rate_limit, report.rate_limit_remaining) = (limit, remaining);
    let low = remaining.unsigned_abs().saturating_mul(LOW_SHARE) < limit.unsigned_abs();
    let outcome = if low { CheckOutcome::Warning } else { CheckOutcome::Passed };
    report.checks.push(check("rate_limit", outcome, format!("{remaining} of {limit} requests left in this window")));
}

fn field(answer: &Answer, name: &str) -> String {
    let projection = Projection::new();
    answer.text().map(|text| projection.record(text).text_or_empty(name)).unwrap_or_default()
}

fn login(answer: &Answer) -> String {
    let projection = Projection::new();
    let Ok(text) = answer.text() else { return String::new() };
    projection.record(text).record("profile").map(|profile| profile.text_or_empty("login")).unwrap_or_default()
}
