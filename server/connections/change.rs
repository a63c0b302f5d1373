//! What an update asks for, and what state it leaves a connection in: pure.

use super::scopes::covers;
use super::{Connection, Credential};
use crate::error::{Error, Result};
use crate::proto::{ConnectionState, ErrorReason};

/// What is to become different. `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub struct Change {
    /// Another nickname.
    pub nickname: Option<String>,
    /// Another credential, of the same kind.
    pub credential: Option<Credential>,
    /// Other scopes.
    pub scopes: Option<Vec<String>>,
    /// Switched off or on.
    pub disabled: Option<bool>,
}

/// The state that a connection is in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) state: ConnectionState,
    pub(super) reason: String,
}

impl State {
    pub(super) fn new(state: ConnectionState, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into() }
    }

    /// The state of a connection that has just been made.
    pub(super) fn of_new(credential: &Credential) -> Self {
        match credential {
            Credential::OAuthWebApp(_) => Self::pending(),
            Credential::ApiToken(_) | Credential::ServiceApp(_) => Self::new(ConnectionState::Active, ""),
        }
    }

    fn pending() -> Self {
        let reason = "an admin of the org has to authorize it, see BeginAuthorization";
        Self::new(ConnectionState::PendingAuthorization, reason)
    }
}

/// The credential after the change; `None` when it stays.
pub(super) fn credential(present: &Connection, change: &mut Change) -> Result<Option<Credential>> {
    let fresh = match change.credential.take() {
        None => None,
        Some(fresh) if fresh.kind() == present.credential.kind() => Some(fresh),
        Some(_) => {
            return Err(kind_mismatch(present, "has credentials of another kind; create a new connection for these"));
        }
    };
    let Some(scopes) = change.scopes.take() else { return Ok(fresh) };
    let base = fresh.as_ref().unwrap_or(&present.credential);
    let with_scopes = base.with_scopes(scopes);
    with_scopes
        .map(Some)
        .ok_or_else(|| kind_mismatch(present, "has an API token, which can do what its admin can, and no scopes"))
}

/// Whether what the org granted so far was granted to the app that `fresh` names.
pub(super) fn keeps_grant(present: &Credential, fresh: &Credential) -> bool {
    present.client_id() == fresh.client_id()
}

/// The state after the change. `given` is the credential that was given, `granted` whether there is a refresh token.
pub(super) fn state(present: &Connection, given: Option<&Credential>, disabled: Option<bool>, granted: bool) -> State {
    let now = State::new(present.state, present.state_reason.clone());
    let credential = given.unwrap_or(&present.credential);
    let usable = || match credential {
        Credential::OAuthWebApp(_) if !granted => State::pending(),
        Credential::OAuthWebApp(app) if !app.scopes.iter().all(|scope| covers(&present.granted_scopes, scope)) => {
            State::new(ConnectionState::Active, "not all of its scopes have been granted; authorize it again")
        }
        _ => State::new(ConnectionState::Active, ""),
    };
    match (disabled, present.state) {
        (Some(true), ConnectionState::Disabled) | (None, ConnectionState::Disabled) => now,
        (Some(true), _) => State::new(ConnectionState::Disabled, "switched off"),
        (Some(false), ConnectionState::Disabled) => usable(),
        // Credentials that are given deserve a try, even the same again: Okta's side may have changed.
        _ if given.is_some() => usable(),
        _ => now,
    }
}

fn kind_mismatch(present: &Connection, what: &str) -> Error {
    let message = format!("the connection {:?} {what}", present.nickname);
    Error::new(ErrorReason::ConnectionKindMismatch, message).with_resource("connection", present.nickname.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::WebApp;
    use super::*;

    fn web_app(client_id: &str, scope: &str) -> Credential {
        let (client_id, client_secret, scopes) = (client_id.to_owned(), "hush".into(), vec![scope.to_owned()]);
        Credential::OAuthWebApp(WebApp { client_id, client_secret, scopes })
    }

    fn connection(credential: Credential, state: ConnectionState) -> Connection {
        Connection {
            id: "con_a".into(),
            nickname: "acme".to_owned(),
            base_url: "https://acme.okta.com".to_owned(),
            credential: credential.into(),
            granted_scopes: Vec::new(),
            state,
            state_reason: "because".to_owned(),
            state_changed: None,
            created: None,
            last_updated: None,
            version: 1,
        }
    }

    #[test]
    fn a_connection_is_switched_off_and_comes_back_as_far_as_it_can() {
        use ConnectionState::{Active, Disabled, NeedsReauthorization, PendingAuthorization};
        let after = |now, disabled, granted| {
            state(&connection(web_app("a", "okta.users.read"), now), None, disabled, granted).state
        };
        for now in [Active, PendingAuthorization, NeedsReauthorization, Disabled] {
            assert_eq!(after(now, Some(true), true), Disabled);
            assert_eq!(after(now, None, true), now);
        }
        assert_eq!(after(Disabled, Some(false), true), Active);
        assert_eq!(after(Disabled, Some(false), false), PendingAuthorization);
        assert_eq!(after(NeedsReauthorization, Some(false), false), NeedsReauthorization);
    }

    #[test]
    fn new_credentials_get_a_new_try_unless_switched_off() {
        use ConnectionState::{Active, Disabled, NeedsReauthorization, PendingAuthorization};
        let fresh = web_app("a", "okta.users.read");
        let after = |now, granted| state(&connection(web_app("a", "x"), now), Some(&fresh), None, granted).state;
        assert_eq!(after(NeedsReauthorization, true), Active);
        assert_eq!(after(NeedsReauthorization, false), PendingAuthorization);
        assert_eq!(after(Disabled, true), Disabled);
        assert!(keeps_grant(&web_app("a", "x"), &fresh) && !keeps_grant(&web_app("b", "x"), &fresh));
    }

    #[test]
    fn scopes_go_with_the_credential_and_a_token_has_none() {
        let present = connection(web_app("a", "okta.users.read"), ConnectionState::Active);
        let mut change = Change { scopes: Some(vec!["okta.logs.read".to_owned()]), ..Default::default() };
        let fresh = credential(&present, &mut change).expect("possible").expect("changed");
        assert_eq!(fresh.scopes(), ["okta.logs.read"]);
        let token = connection(Credential::ApiToken("t".into()), ConnectionState::Active);
        let mut change = Change { scopes: Some(Vec::new()), ..Default::default() };
        let error = credential(&token, &mut change).expect_err("no scopes");
        assert_eq!(error.reason(), ErrorReason::ConnectionKindMismatch);
        let mut change = Change { credential: Some(web_app("a", "x")), ..Default::default() };
        assert!(credential(&token, &mut change).is_err());
    }
}
