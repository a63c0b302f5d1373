//! Authorizing a connection in an admin's browser: a start page of ours that sends it to Okta, and the callback that it comes back to
//! (RFC 6749 §4.1, PKCE of RFC 7636).
//!
//! The start page binds the browser with a cookie: the link can be handed to somebody else, and what comes back is believed only from
//! the browser that opened it.

mod attempts;
mod pages;
mod routes;
mod throttle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::routing::get;
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::attempts::Outcome;
use self::attempts::{Attempt, Attempts, LIFETIME};
use self::throttle::Throttle;
use crate::connections::{Connection, Connections, Credential, secret_failed};
use crate::error::{Error, Result};
use crate::okta::{AuthorizationRequest, Tokens};
use crate::proto::{ConnectionState, ErrorReason};
use crate::secret::{random_id, random_secret};

/// The authorizations that are under way. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Authorizations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: Connections,
    tokens: Tokens,
    /// Where browsers reach us, without a slash at its end.
    base_url: String,
    attempts: Mutex<Attempts>,
    throttle: Mutex<Throttle>,
    exchanges: TaskTracker,
}

/// An authorization that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Our start page.
    pub url: String,
    /// Until when it works.
    pub expires: SystemTime,
    /// Where the browser comes back to.
    pub redirect_uri: String,
}

impl Authorizations {
    /// Authorizes `connections`, exchanging codes through `tokens`; browsers reach us at `base_url`.
    pub fn new(connections: Connections, tokens: Tokens, base_url: String) -> Self {
        let (attempts, throttle, exchanges) = (Mutex::default(), Mutex::default(), TaskTracker::new());
        Self(Arc::new(Inner { connections, tokens, base_url, attempts, throttle, exchanges }))
    }

    /// Begins an authorization; one that was begun before for the same connection ends.
    ///
    /// # Errors
    /// `CONNECTION_KIND_MISMATCH` and `CONNECTION_DISABLED`.
    pub fn begin(&self, connection: &Connection) -> Result<Begun> {
        let refuse = |reason, what: &str| {
            let message = format!("the connection {:?} {what}", connection.nickname);
            Err(Error::new(reason, message).with_resource("connection", connection.nickname.as_str()))
        };
        let Credential::OAuthWebApp(app) = &*connection.credential else {
            return refuse(ErrorReason::ConnectionKindMismatch, "is no OAuth web app: it needs no authorization");
        };
        if connection.state == ConnectionState::Disabled {
            return refuse(ErrorReason::ConnectionDisabled, "is switched off; switch it on first");
        }
        let redirect_uri = format!("{}/oauth/callback", self.0.base_url);
        let request = AuthorizationRequest::new(connection, app, &redirect_uri)
            .map_err(|error| Error::invalid("connection", format!("cannot be authorized: {error}")))?;
        let handle = random_id("").map_err(secret_failed)?;
        let attempt = Attempt::new(
            Arc::clone(&connection.id),
            request,
            random_secret().map_err(secret_failed)?,
            redirect_uri.clone(),
            Instant::now() + LIFETIME,
        );
        let url = format!("{}/oauth/start/{handle}", self.0.base_url);
        self.0.attempts().begin(handle, attempt, Instant::now());
        Ok(Begun { url, expires: SystemTime::now() + LIFETIME, redirect_uri })
    }

    /// Waits for the end of the authorization that was begun last.
    ///
    /// # Errors
    /// `CONNECTION_NEEDS_AUTHORIZATION` when none was begun.
    pub async fn wait(&self, connection: &Connection, deadline: Instant) -> Result<Outcome> {
        let Some((mut outcome, expires)) = self.0.attempts().outcome_of(&connection.id) else {
            let message = format!(
                "no authorization of the connection {:?} is under way; begin one with BeginAuthorization",
                connection.nickname
            );
            return Err(Error::new(ErrorReason::ConnectionNeedsAuthorization, message));
        };
        let until = deadline.min(expires);
        let ended =
            tokio::time::timeout_at(until.into(), outcome.wait_for(|outcome| *outcome != Outcome::Pending)).await;
        Ok(match ended {
            Ok(Ok(outcome)) => outcome.clone(),
            // Nobody holds the other end any more: another authorization has been begun.
            Ok(Err(_)) => Outcome::Expired,
            Err(_) if until == expires => Outcome::Expired,
            Err(_) => Outcome::Pending,
        })
    }

    /// Ends the authorization of a connection that is gone.
    pub fn abandon(&self, connection_id: &str) {
        self.0.attempts().forget(connection_id);
    }

    /// `GET /oauth/start/{handle}` and `GET /oauth/callback`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth/start/{handle}", get(routes::start))
            // A HEAD would use the state up.
            .route("/oauth/callback", get(routes::callback).head(routes::nothing))
            .with_state(self.clone())
    }

    /// Waits for the codes that are being exchanged.
    pub async fn close(&self) {
        self.0.exchanges.close();
        self.0.exchanges.wait().await;
    }
}

impl Inner {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cookie that binds a browser: for our own pages only, and never over plain HTTP where we have better.
    fn cookie(&self, handle: &str, attempt: &Attempt) -> String {
        let url = Url::parse(&self.base_url).ok();
        let path = url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
        let secure = if url.as_ref().is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
        let (name, value, seconds) = (cookie_name(handle), attempt.cookie().expose_secret(), LIFETIME.as_secs());
        format!("{name}={value}; Path={path}/oauth; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Each authorization has a cookie of its own: one browser can be in the middle of several.
fn cookie_name(handle: &str) -> String {
    format!("okta_connector_{handle}")
}
