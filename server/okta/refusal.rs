//! From Okta's error answers to ours: one table, read from top to bottom.
//!
//! Okta's body is `{errorCode, errorSummary, errorLink, errorId, errorCauses:[{errorSummary}]}`; OAuth refusals can have an empty
//! body, and what stands between can answer HTML. Whatever it is, the status alone is enough for a reason.

use reqwest::header::WWW_AUTHENTICATE;

use super::answer::Answer;
use super::call::{Call, Repeat};
use super::governor::bucket;
use super::record::{Projection, Record};
use crate::error::{Error, Violation};
use crate::proto::ErrorReason;

/// Which answers a row is about.
enum Match {
    /// This error code, with this text in its summary or causes.
    CodeSaying(&'static str, &'static str),
    /// This error code.
    Code(&'static str),
    /// This HTTP status.
    Status(u16),
    /// Any status from the first to the second.
    Statuses(u16, u16),
}

/// Okta error code or HTTP status → reason. The first row that matches counts.
const REFUSALS: &[(Match, ErrorReason)] = &[
    (Match::CodeSaying("E0000001", "already exists"), ErrorReason::OktaAlreadyExists),
    (Match::Code("E0000001"), ErrorReason::OktaValidationFailed),
    (Match::Code("E0000003"), ErrorReason::OktaValidationFailed),
    (Match::Code("E0000014"), ErrorReason::OktaValidationFailed),
    (Match::Code("E0000031"), ErrorReason::OktaValidationFailed),
    (Match::Code("E0000080"), ErrorReason::OktaValidationFailed),
    (Match::Code("E0000004"), ErrorReason::OktaCredentialRejected),
    (Match::Code("E0000005"), ErrorReason::OktaCredentialRejected),
    (Match::Code("E0000011"), ErrorReason::OktaCredentialRejected),
    (Match::Code("E0000006"), ErrorReason::OktaPermissionDenied),
    (Match::Code("E0000007"), ErrorReason::OktaNotFound),
    (Match::Code("E0000009"), ErrorReason::OktaUnavailable),
    (Match::Code("E0000015"), ErrorReason::OktaUnsupported),
    (Match::Code("E0000022"), ErrorReason::OktaUnsupported),
    (Match::Code("E0000060"), ErrorReason::OktaUnsupported),
    (Match::Code("E0000016"), ErrorReason::OktaStatusConflict),
    (Match::Code("E0000038"), ErrorReason::OktaStatusConflict),
    (Match::Code("E0000112"), ErrorReason::OktaStatusConflict),
    (Match::Code("E0000047"), ErrorReason::OktaRateLimited),
    (Match::Status(400), ErrorReason::OktaValidationFailed),
    (Match::Status(401), ErrorReason::OktaCredentialRejected),
    (Match::Status(403), ErrorReason::OktaPermissionDenied),
    (Match::Status(404), ErrorReason::OktaNotFound),
    (Match::Status(405), ErrorReason::OktaUnsupported),
    (Match::Status(408), ErrorReason::OktaTimeout),
    (Match::Status(409), ErrorReason::OktaConflict),
    (Match::Status(412), ErrorReason::OktaConflict),
    (Match::Status(429), ErrorReason::OktaRateLimited),
    (Match::Status(501), ErrorReason::OktaUnsupported),
    (Match::Status(504), ErrorReason::OktaTimeout),
    (Match::Statuses(300, 399), ErrorReason::OktaAnswerUnreadable),
    (Match::Statuses(400, 499), ErrorReason::OktaRefused),
    (Match::Statuses(500, 599), ErrorReason::OktaUnavailable),
];

/// The table for people: what Okta answers, and our reason.
pub fn table() -> impl Iterator<Item = (String, ErrorReason)> {
    let text = |row: &Match| match row {
        Match::CodeSaying(code, text) => format!("{code} … {text}"),
        Match::Code(code) => (*code).to_owned(),
        Match::Status(status) => format!("HTTP {status}"),
        Match::Statuses(first, last) => format!("any other of HTTP {first} to {last}"),
    };
    REFUSALS.iter().map(move |(row, reason)| (text(row), *reason))
}

/// Okta's error body, as far as it is one.
#[derive(Debug, Default)]
struct Body {
    code: String,
    summary: String,
    id: String,
    causes: Vec<String>,
}

/// The error of an answer that is no success.
pub fn refusal(call: &Call, answer: &Answer) -> Error {
    let body = read(answer);
    let reason = reason(answer.status.as_u16(), &body);
    let mut error = Error::new(reason, message(call, answer, &body))
        .with("okta_error_code", body.code.as_str())
        .with("okta_error_id", body.id.as_str())
        .with("okta_request_id", answer.request_id())
        .with("http_status", answer.status.as_str());
    for violation in body.causes.iter().filter_map(|cause| violation(cause)) {
        error = error.with_violation(violation);
    }
    match reason {
        ErrorReason::OktaPermissionDenied => error.with("required_scope", call.endpoint.scope),
        ErrorReason::OktaNotFound => {
            let (name, kind) = missing(&body.summary).unwrap_or(("", ""));
            error.with_resource(kind, name)
        }
        ErrorReason::OktaRateLimited => error
            .with_retry_after(answer.until_reset().unwrap_or_default())
            .with("rate_limit_bucket", bucket(call.endpoint.method, &call.path)),
        ErrorReason::OktaUnavailable | ErrorReason::OktaTimeout if call.endpoint.repeat == Repeat::IfNotCarriedOut => {
            error.with("ambiguous", "true")
        }
        _ => error,
    }
}

fn reason(status: u16, body: &Body) -> ErrorReason {
    let matches = |row: &Match| match row {
        Match::CodeSaying(code, text) => {
            body.code == *code && (body.summary.contains(text) || body.causes.iter().any(|cause| cause.contains(text)))
        }
        Match::Code(code) => body.code == *code,
        Match::Status(one) => status == *one,
        Match::Statuses(first, last) => (*first..=*last).contains(&status),
    };
    REFUSALS.iter().find(|(row, _)| matches(row)).map_or(ErrorReason::OktaAnswerUnreadable, |(_, reason)| *reason)
}

/// What a person reads: Okta's own words where there are any.
fn message(call: &Call, answer: &Answer, body: &Body) -> String {
    let request = format!("{} {}", call.endpoint.method.as_str(), call.endpoint.path);
    let mut message = match (body.summary.as_str(), body.code.as_str()) {
        ("", _) => format!("Okta answered {request} with {}", answer.status),
        (summary, code) => format!("Okta refused {request}: {summary} ({code})"),
    };
    if !body.causes.is_empty() {
        message.push_str(": ");
        message.push_str(&body.causes.join("; "));
    }
    message
}

fn read(answer: &Answer) -> Body {
    let Ok(text) = answer.object() else { return challenge(answer.header(&WWW_AUTHENTICATE)) };
    let projection = Projection::new();
    let record = projection.record(text);
    let cause = |cause: Record<'_>| cause.text("errorSummary");
    Body {
        code: record.text_or_empty("errorCode"),
        summary: record.text_or_empty("errorSummary"),
        id: record.text_or_empty("errorId"),
        causes: record.records("errorCauses").into_iter().filter_map(cause).collect(),
    }
}

/// What an OAuth refusal says that has no body (RFC 6750 §3): `Bearer …, error="invalid_token", error_description="…"`.
fn challenge(header: &str) -> Body {
    let value = |name: &str| {
        let begin = header.find(&format!("{name}=\""))? + name.len() + 2;
        let rest = &header[begin..];
        rest.find('"').map(|end| rest[..end].to_owned())
    };
    let code = value("error").unwrap_or_default();
    let summary = value("error_description").unwrap_or_else(|| code.clone());
    Body { code, summary, ..Body::default() }
}

/// A cause reads `login: An object with this field already exists in the current organization`.
fn violation(cause: &str) -> Option<Violation> {
    let (field, description) = cause.split_once(": ")?;
    let is_name =
        !field.is_empty() && field.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
    is_name.then(|| Violation { field: field.to_owned(), description: description.to_owned() })
}

/// A summary reads `Not found: Resource not found: 00u1 (User)`: the name and the kind of what is missing.
fn missing(summary: &str) -> Option<(&str, &str)> {
    let (name, kind) = summary.rsplit_once("not found: ")?.1.rsplit_once(" (")?;
    Some((name, kind.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::okta::call::{Endpoint, HttpMethod};

    const CREATE: Endpoint = Endpoint {
        method: HttpMethod::Post,
        path: "/api/v1/users",
        scope: "okta.users.manage",
        repeat: Repeat::IfNotCarriedOut,
    };

    fn refuse(status: u16, body: &str) -> Error {
        refuse_with(status, body, "")
    }

    fn refuse_with(status: u16, body: &str, challenge: &str) -> Error {
        let mut headers = reqwest::header::HeaderMap::new();
        if !challenge.is_empty() {
            headers.insert(WWW_AUTHENTICATE, challenge.parse().expect("header"));
        }
        let answer = Answer {
            status: reqwest::StatusCode::from_u16(status).expect("status"),
            headers,
            body: body.to_owned().into(),
            next_page_token: String::new(),
        };
        refusal(&Call::new(CREATE, &[]), &answer)
    }

    #[test]
    fn an_oauth_refusal_without_a_body_says_what_its_header_says() {
        let challenge =
            r#"Bearer realm="https://acme.okta.com", error="insufficient_scope", error_description="No such scope.""#;
        let error = refuse_with(403, "", challenge);
        assert_eq!(error.reason(), ErrorReason::OktaPermissionDenied);
        assert!(error.message().contains("No such scope.") && error.message().contains("insufficient_scope"));
        assert!(error.metadata().contains(&("required_scope", "okta.users.manage".to_owned())));
        for odd in ["Bearer", "error=", "error=\"", "DPoP error_description=\"x"] {
            assert_eq!(refuse_with(401, "", odd).reason(), ErrorReason::OktaCredentialRejected, "{odd}");
        }
    }

    #[test]
    fn a_taken_login_already_exists_and_names_the_field() {
        let error = refuse(
            400,
            r#"{"errorCode":"E0000001","errorSummary":"Api validation failed: login","errorId":"oae1","errorCauses":
               [{"errorSummary":"login: An object with this field already exists in the current organization"}]}"#,
        );
        assert_eq!(error.reason(), ErrorReason::OktaAlreadyExists);
        assert_eq!(error.violations()[0].field, "login");
        assert!(error.metadata().contains(&("okta_error_id", "oae1".to_owned())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error =
            refuse(404, r#"{"errorCode":"E0000007","errorSummary":"Not found: Resource not found: 00u1 (User)"}"#);
        assert_eq!(error.reason(), ErrorReason::OktaNotFound);
        let resource = error.resource().expect("resource");
        assert_eq!((resource.kind.as_str(), resource.name.as_str()), ("User", "00u1"));
    }

    #[test]
    fn a_refusal_for_permission_names_the_scope() {
        let error = refuse(403, "");
        assert_eq!(error.reason(), ErrorReason::OktaPermissionDenied);
        assert!(error.metadata().contains(&("required_scope", "okta.users.manage".to_owned())));
    }

    #[test]
    fn a_write_that_may_have_happened_says_so() {
        let error = refuse(503, "<html>busy</html>");
        assert_eq!(error.reason(), ErrorReason::OktaUnavailable);
        assert!(error.metadata().contains(&("ambiguous", "true".to_owned())));
    }

    #[test]
    fn every_status_and_body_has_a_reason() {
        let bodies =
            ["", "{", "[]", "null", "<html>", r#"{"errorCode":7}"#, r#"{"errorCode":"E9","errorCauses":[1,{}]}"#];
        for status in 100..600 {
            for body in bodies {
                assert_ne!(refuse(status, body).reason(), ErrorReason::Unspecified);
            }
        }
    }
}
