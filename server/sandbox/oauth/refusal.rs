//! The error answers of the OAuth endpoints, in Okta's words (<https://developer.okta.com/docs/reference/error-codes/>).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a request of an OAuth endpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
}

/// What Okta says of a client that it does not know, which it says in another form than everything else.
const UNKNOWN_CLIENT: &str = "Invalid value for 'client_id' parameter.";

impl Refusal {
    /// 400 with this error.
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) fn invalid_grant(description: &str) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(super) fn invalid_client(description: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }

    pub(super) fn unknown_client() -> Self {
        Self::invalid_client(UNKNOWN_CLIENT)
    }

    pub(super) fn unknown_scope() -> Self {
        Self::new("invalid_scope", "One or more scopes are not configured for the authorization server resource.")
    }

    pub(super) fn scope_not_granted() -> Self {
        Self::new("invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    }

    fn body(&self) -> Value {
        if self.description == UNKNOWN_CLIENT {
            let id = uuid::Uuid::new_v4().simple().to_string();
            return json!({
                "errorCode": self.error, "errorSummary": self.description, "errorLink": self.error,
                "errorId": format!("oae{}", &id[..17]), "errorCauses": [],
            });
        }
        json!({ "error": self.error, "error_description": self.description })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}
