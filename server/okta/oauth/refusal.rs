//! What an authorization server answers instead of a token (RFC 6749 §5.2 and §4.1.2.1), and what that means for a connection.

use crate::connections::{Connection, Credential};
use crate::error::Error;
use crate::proto::ErrorReason;

/// Okta's sentences are shorter than this; what is longer is cut.
const MAX_DESCRIPTION: usize = 500;

/// An OAuth error: a code that programs know, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// Such as `invalid_grant`.
    pub code: String,
    /// Okta's own words; may be empty.
    pub description: String,
}

impl OAuthError {
    /// An error with what can be shown of it: no control characters, no endless text.
    pub fn new(code: &str, description: &str) -> Self {
        let clean = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(MAX_DESCRIPTION).collect();
        Self { code: clean(code), description: clean(description) }
    }

    /// Whether the connection is of no use until somebody does something about it.
    pub(super) fn ends_the_authorization(&self) -> bool {
        matches!(self.code.as_str(), "invalid_grant" | "invalid_client" | "unauthorized_client")
    }

    /// Whether what was granted is gone: a refused client may come back, a refused refresh token does not.
    pub(super) fn ends_the_grant(&self) -> bool {
        self.code == "invalid_grant"
    }

    /// Whether the server wants a proof, or another nonce in it.
    pub(super) fn is_about_proof(&self) -> bool {
        matches!(self.code.as_str(), "use_dpop_nonce" | "invalid_dpop_proof")
    }

    /// What happened, in a sentence.
    pub fn sentence(&self) -> String {
        match self.description.trim_end_matches('.') {
            "" => format!("Okta answered {}", self.code),
            description => format!("Okta answered {}: {description}", self.code),
        }
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self, connection: &Connection) -> String {
        let web_app = matches!(*connection.credential, Credential::OAuthWebApp(_));
        let about_redirect = self.description.to_ascii_lowercase().contains("redirect");
        match self.code.as_str() {
            "access_denied" => "Begin anew, as an admin of the org who is assigned to the app, and allow access.".to_owned(),
            "invalid_scope" => format!(
                "Grant the app these scopes on its tab Okta API Scopes, or ask for fewer: {}.",
                connection.credential.scopes().join(" ")
            ),
            "invalid_grant" if about_redirect => {
                "Register this server's redirect URI with the app as a Login redirect URI, then begin anew.".to_owned()
            }
            "invalid_client" if web_app => {
                format!(
                    "Give the connection the app's present client secret with ConnectionService.UpdateConnection, or \
                     okta-connector connections update {} --new-secret; then begin anew.",
                    connection.nickname
                )
            }
            "invalid_client" | "unauthorized_client" if !web_app => {
                "Give the connection a key that the app lists (ConnectionService.UpdateConnection), and see that the app is active."
                    .to_owned()
            }
            "unauthorized_client" => {
                "Allow the app the grant types Authorization Code and Refresh Token, then begin anew.".to_owned()
            }
            _ if web_app => {
                format!("Begin anew with ConnectionService.BeginAuthorization, or okta-connector connections authorize {}.", connection.nickname)
            }
            _ => "See that the app is active, has an admin role, and is granted these scopes.".to_owned(),
        }
    }

    /// The error of a call that cannot have a token because of this.
    pub(super) fn into_error(self, connection: &Connection) -> Error {
        let reason = match self.code.as_str() {
            _ if self.ends_the_authorization() => ErrorReason::ConnectionNeedsAuthorization,
            "invalid_scope" => ErrorReason::OktaPermissionDenied,
            _ => ErrorReason::OktaCredentialRejected,
        };
        let message = format!(
            "the connection {:?} gets no access token. {}. {}",
            connection.nickname,
            self.sentence(),
            self.advice(connection)
        );
        Error::new(reason, message)
            .with("oauth_error", self.code)
            .with_resource("connection", connection.nickname.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_mend_itself_ends_an_authorization() {
        for (code, authorization, grant) in [
            ("invalid_grant", true, true),
            ("invalid_client", true, false),
            ("invalid_scope", false, false),
            ("temporarily_unavailable", false, false),
            ("use_dpop_nonce", false, false),
        ] {
            let error = OAuthError::new(code, "");
            assert_eq!((error.ends_the_authorization(), error.ends_the_grant()), (authorization, grant), "{code}");
        }
    }

    #[test]
    fn what_is_shown_of_an_error_is_bounded_and_clean() {
        let error = OAuthError::new("odd\ncode", &"x".repeat(5_000));
        assert_eq!((error.code.as_str(), error.description.len()), ("oddcode", MAX_DESCRIPTION));
        assert_eq!(OAuthError::new("access_denied", "No.").sentence(), "Okta answered access_denied: No");
    }
}
