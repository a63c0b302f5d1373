//! Okta's error answers, in Okta's words (<https://developer.okta.com/docs/reference/error-codes/>).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What a handler answers.
pub(super) type Answer<T> = Result<T, OktaError>;

/// An error answer.
#[derive(Debug)]
pub(super) struct OktaError {
    status: StatusCode,
    code: &'static str,
    summary: String,
    causes: Vec<String>,
}

impl OktaError {
    fn new(status: StatusCode, code: &'static str, summary: impl Into<String>) -> Self {
        Self { status, code, summary: summary.into(), causes: Vec::new() }
    }

    /// Several things are wrong, each `field: what`; the first names the whole.
    pub(super) fn validation(causes: Vec<String>) -> Self {
        let field = causes.first().and_then(|cause| cause.split_once(':')).map_or("request", |(field, _)| field);
        let mut error = Self::new(StatusCode::BAD_REQUEST, "E0000001", format!("Api validation failed: {field}"));
        error.causes = causes;
        error
    }

    /// One thing is wrong.
    pub(super) fn invalid(field: &str, what: &str) -> Self {
        Self::validation(vec![format!("{field}: {what}")])
    }

    pub(super) fn malformed_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "E0000003", "The request body was not well-formed.")
    }

    pub(super) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "E0000011", "Invalid token provided")
    }

    pub(super) fn access_denied() -> Self {
        let summary = "You do not have permission to perform the requested action";
        Self::new(StatusCode::FORBIDDEN, "E0000006", summary)
    }

    pub(super) fn not_found(name: &str, kind: &str) -> Self {
        let summary = format!("Not found: Resource not found: {name} ({kind})");
        Self::new(StatusCode::NOT_FOUND, "E0000007", summary)
    }

    pub(super) fn no_such_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, "E0000008", "The requested path was not found")
    }

    pub(super) fn method_not_supported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "E0000022", "The endpoint does not support the provided HTTP method")
    }

    pub(super) fn activation_refused() -> Self {
        let summary = "Activation failed because the user is already active";
        Self::new(StatusCode::FORBIDDEN, "E0000016", summary)
    }

    pub(super) fn already_deactivated() -> Self {
        let summary = "Deactivation failed because the user is already deactivated";
        Self::new(StatusCode::FORBIDDEN, "E0000016", summary)
    }

    pub(super) fn not_in_this_status() -> Self {
        let summary = "This operation is not allowed in the user's current status.";
        Self::new(StatusCode::FORBIDDEN, "E0000038", summary)
    }

    pub(super) fn invalid_search() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "E0000031", "Invalid search criteria.")
    }

    pub(super) fn invalid_filter(filter: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "E0000053", format!("Invalid filter '{filter}'"))
    }

    pub(super) fn unsupported() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "E0000060", "Unsupported operation.")
    }

    pub(super) fn too_many_requests() -> Self {
        let summary = "API call exceeded rate limit due to too many requests.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "E0000047", summary)
    }
}

impl IntoResponse for OktaError {
    fn into_response(self) -> Response {
        let causes: Vec<_> = self.causes.iter().map(|cause| json!({ "errorSummary": cause })).collect();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let body = json!({
            "errorCode": self.code,
            "errorSummary": self.summary,
            "errorLink": self.code,
            "errorId": format!("oae{}", &id[..17]),
            "errorCauses": causes,
        });
        (self.status, Json(body)).into_response()
    }
}
