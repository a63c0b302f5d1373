//! The access tokens of all connections: kept in memory, renewed ahead of their end, by one request at a time however many calls wait.
//!
//! A renewal runs on its own, whoever waits for it or has given up waiting: a refresh token that was sent has an answer that must not
//! be lost.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::access_token::{AccessToken, AccessTokenInUse, Authorization};
use super::endpoint::{CodeExchange, Failure};
use super::refusal::OAuthError;
use super::slot::{Outcome, Renewal, Slot, Waiting};
use crate::connections::{Connection, Connections, Credential, Grant};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::okta::client::usable;
use crate::proto::{ConnectionState, ErrorReason};

/// After a failed renewal calls fail for this long without asking again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Access tokens of all connections. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) connections: Connections,
    pub(super) metrics: Metrics,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    renewals: TaskTracker,
}

impl Tokens {
    /// Tokens for `connections`, asked for through `http`.
    pub fn new(http: reqwest::Client, connections: Connections, metrics: Metrics) -> Self {
        let (slots, renewals) = (Mutex::default(), TaskTracker::new());
        Self(Arc::new(Inner { http, connections, metrics, slots, renewals }))
    }

    /// What a call of `connection` authorizes itself with, by `deadline`.
    ///
    /// # Errors
    /// `CONNECTION_NEEDS_AUTHORIZATION` when Okta has refused to go on; `OKTA_UNAVAILABLE` and the like when it could not be asked.
    pub async fn authorization(&self, connection: &Connection, deadline: Instant) -> Result<Authorization> {
        if let Credential::ApiToken(token) = &*connection.credential {
            return Ok(Authorization::ApiToken(token.clone()));
        }
        let slot = self.slot(connection);
        let (now, current) = (Instant::now(), slot.current());
        let token = match current {
            Some(token) if now < token.renew_at => token,
            Some(token) if now < token.last_use => {
                let _ = self.renewal(connection, &slot);
                token
            }
            _ => wait(self.renewal(connection, &slot)?, connection, deadline).await?,
        };
        Ok(slot.using(token))
    }

    /// The same after Okta has refused `refused` with a 401: a newer token, if that can help. An API token is what it is, and a token
    /// that was issued in place of a refused one and is refused from the start is not refused for its age.
    ///
    /// # Errors
    /// As [`Tokens::authorization`].
    pub async fn renewed(
        &self,
        connection: &Connection,
        refused: &Authorization,
        deadline: Instant,
    ) -> Result<Option<Authorization>> {
        let Authorization::AccessToken(AccessTokenInUse { token: refused, .. }) = refused else { return Ok(None) };
        let is_new = refused.replaced.is_some_and(|issued| issued.elapsed() < PAUSE_AFTER_REFUSAL);
        if is_new && !refused.accepted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let slot = self.slot(connection);
        if slot.forget(refused) {
            slot.was_refused.store(true, Ordering::Relaxed);
        }
        self.authorization(connection, deadline).await.map(Some)
    }

    /// Tries a connection once more whatever has happened before: a secret or a key may have been put right at Okta. One that was said
    /// to need authorization is in use again when it gets a token. The connection as it is then, and whether its tokens are bound to a
    /// key (DPoP).
    ///
    /// # Errors
    /// As [`Tokens::authorization`].
    pub async fn retry(&self, connection: &Arc<Connection>, deadline: Instant) -> Result<(Arc<Connection>, bool)> {
        if matches!(connection.state, ConnectionState::Active | ConnectionState::NeedsReauthorization) {
            self.slot(connection).forgive();
            let authorization = self.authorization(connection, deadline).await?;
            let is_bound = matches!(&authorization, Authorization::AccessToken(in_use) if in_use.token.bound);
            let connections = &self.0.connections;
            let connection = match connection.state {
                ConnectionState::NeedsReauthorization => connections.works_again(&connection.id).await?,
                _ => connections.resolve(&connection.id)?,
            };
            return Ok((connection, is_bound));
        }
        usable(connection).map(|()| (Arc::clone(connection), false))
    }

    /// Renews the tokens of a connection that nobody uses, without waiting for it.
    pub(super) fn renew_idle(&self, connection: &Connection) {
        let slot = self.slot(connection);
        slot.clear();
        let _ = self.renewal(connection, &slot);
    }

    /// Exchanges the code that an admin's browser brought, and puts the connection in use with what it gives.
    ///
    /// # Errors
    /// The inner error is what Okta refused; the outer one what kept it from being asked, or its answer from being stored.
    pub async fn authorize(
        &self,
        connection: &Connection,
        exchange: CodeExchange,
    ) -> Result<std::result::Result<Arc<Connection>, OAuthError>> {
        let slot = self.slot(connection);
        let Credential::OAuthWebApp(app) = &*slot.credential else {
            return Err(Error::new(
                ErrorReason::ConnectionKindMismatch,
                "only an OAuth web app is authorized by a code",
            ));
        };
        let mut unsaved = slot.shared.grant.lock().await;
        let mut grant = Grant { dpop_key: self.0.grant(connection, &unsaved).await?.dpop_key, ..Grant::default() };
        slot.shared.restore_key(&grant);
        let server = self.0.server(connection, &slot);
        let issued = match server.exchange(app, &exchange).await {
            Err(Failure::WantsProof) => {
                grant.dpop_key = Some(slot.shared.new_key()?);
                server.exchange(app, &exchange).await
            }
            outcome => outcome,
        };
        let issued = match issued {
            Ok(issued) => issued,
            Err(Failure::Refused(error)) => return Ok(Err(error)),
            Err(Failure::WantsProof) => return Ok(Err(OAuthError::new("invalid_dpop_proof", ""))),
            Err(Failure::Unavailable(error)) => return Err(error),
        };
        if issued.refresh_token.is_none() {
            let sentence = "Okta gave no refresh token; allow the app the grant type Refresh Token";
            return Ok(Err(OAuthError::new("unauthorized_client", sentence)));
        }
        grant.take(&issued, &app.scopes);
        *unsaved = None;
        let authorized = self.0.connections.authorized(&connection.id, &grant).await?;
        slot.publish(AccessToken::new(issued));
        slot.forgive();
        Ok(Ok(authorized))
    }

    /// Hands the connection's tokens back to Okta. Whether there were any and Okta took them.
    pub async fn revoke(&self, connection: &Connection) -> bool {
        let slot = self.slot(connection);
        let Credential::OAuthWebApp(app) = &*slot.credential else { return false };
        let unsaved = slot.shared.grant.lock().await;
        let Ok(grant) = self.0.grant(connection, &unsaved).await else { return false };
        let Some(token) = grant.refresh_token else { return false };
        let revoked = self.0.server(connection, &slot).revoke(app, &token).await;
        if let Err(failure) = &revoked {
            tracing::warn!(connection = %connection.id, ?failure, "the tokens of a removed connection could not be revoked");
        }
        revoked.is_ok()
    }

    /// Forgets what is kept for a connection that is gone.
    pub fn forget(&self, connection_id: &str) {
        self.0.slots().remove(connection_id);
    }

    /// Waits for the renewals that are under way: their answers must not be lost.
    pub async fn close(&self) {
        self.0.renewals.close();
        self.0.renewals.wait().await;
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// The slot of the connection. With another credential begins another one, which knows what Okta's side is like already.
    fn slot(&self, connection: &Connection) -> Arc<Slot> {
        let mut slots = self.0.slots();
        let present = slots.get(&connection.id);
        if let Some(slot) = present.filter(|slot| Arc::ptr_eq(&slot.credential, &connection.credential)) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::new(&connection.credential, present));
        slots.insert(Arc::clone(&connection.id), Arc::clone(&slot));
        slot
    }

    /// The renewal under way, or a new one; an error while a failed one is not to be repeated yet.
    fn renewal(&self, connection: &Connection, slot: &Arc<Slot>) -> Result<Waiting> {
        let mut renewal = slot.renewal();
        match &*renewal {
            // One whose task is gone without a word is not waited for.
            Renewal::Running(waiting) if waiting.has_changed().is_ok() => return Ok(waiting.clone()),
            Renewal::Failed { error, until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(error.clone().with_retry_after(error.retry_after().unwrap_or(left)));
                }
            }
            Renewal::Idle | Renewal::Running(_) => {}
        }
        // Somebody else's renewal may have come to its end between the look at the token and here.
        if let Some(token) = slot.current().filter(|token| Instant::now() < token.renew_at) {
            return Ok(watch::channel(Some(Ok(token))).1);
        }
        let (done, waiting) = watch::channel(None);
        *renewal = Renewal::Running(waiting.clone());
        drop(renewal);
        let (inner, connection, slot) = (Arc::clone(&self.0), connection.clone(), Arc::clone(slot));
        self.0.renewals.spawn(async move {
            let outcome = inner.renew(&connection, &slot).await;
            *slot.renewal() = match &outcome {
                Ok(_) => Renewal::Idle,
                Err(error) => Renewal::Failed { error: error.clone(), until: Instant::now() + pause_after(error) },
            };
            let _ = done.send(Some(outcome));
        });
        Ok(waiting)
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a renewal, no longer than the caller does.
async fn wait(mut waiting: Waiting, connection: &Connection, deadline: Instant) -> Outcome {
    let done = tokio::time::timeout_at(deadline.into(), waiting.wait_for(Option::is_some)).await;
    let what = match done {
        Ok(Ok(outcome)) => match &*outcome {
            Some(outcome) => return outcome.clone(),
            None => "came to no end",
        },
        Ok(Err(_)) => "was cut short, as the server is stopping",
        Err(_) => "did not come to an end before the deadline",
    };
    let message = format!("the renewal of the access token of the connection {:?} {what}", connection.nickname);
    Err(Error::new(ErrorReason::OktaTimeout, message))
}

fn pause_after(error: &Error) -> Duration {
    let refused = matches!(
        error.reason(),
        ErrorReason::ConnectionNeedsAuthorization
            | ErrorReason::OktaPermissionDenied
            | ErrorReason::OktaCredentialRejected
    );
    let pause = if refused { PAUSE_AFTER_REFUSAL } else { error.retry_after().unwrap_or(PAUSE_AFTER_FAILURE) };
    pause.clamp(PAUSE_AFTER_FAILURE, LONGEST_PAUSE)
}
