//! One renewal: from reading the grant to having stored the next one. What Okta gives in exchange is durable before it is used.

use std::time::Duration;

use super::access_token::AccessToken;
use super::endpoint::{AuthorizationServer, Failure, Issued};
use super::refusal::OAuthError;
use super::slot::{Outcome, Shared, Slot, Unsaved};
use super::tokens::Inner;
use crate::connections::{Connection, Credential, Grant};
use crate::error::{Error, Result};

/// Requests that one renewal makes when the org does not answer.
const MAX_ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// A renewal waits for a rate limit's reset for as long as this; callers are told when it takes longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Times that a new grant is tried to be stored, and the pause in between.
const STORE_ATTEMPTS: u32 = 10;
const STORE_PAUSE: Duration = Duration::from_millis(200);

impl Inner {
    pub(super) fn server<'a>(&'a self, connection: &'a Connection, slot: &'a Slot) -> AuthorizationServer<'a> {
        let Shared { dpop, clock, .. } = &*slot.shared;
        AuthorizationServer { http: &self.http, metrics: &self.metrics, base_url: &connection.base_url, dpop, clock }
    }

    /// The newest grant there is.
    pub(super) async fn grant(&self, connection: &Connection, unsaved: &Unsaved) -> Result<Grant> {
        match unsaved {
            Some(grant) => Ok(grant.clone()),
            None => Ok(self.connections.grant(&connection.id).await?.unwrap_or_default()),
        }
    }

    /// One renewal, from reading the grant to having stored the next one.
    pub(super) async fn renew(&self, connection: &Connection, slot: &Slot) -> Outcome {
        let mut unsaved = slot.shared.grant.lock().await;
        let mut grant = self.grant(connection, &unsaved).await?;
        slot.shared.restore_key(&grant);
        if unsaved.is_some() {
            self.save(connection, &grant, &mut unsaved).await?;
        }
        let issued = match self.ask(connection, slot, &mut grant).await {
            Ok(issued) => issued,
            Err(Failure::Refused(error)) => return Err(self.refused(connection, slot, error).await),
            Err(Failure::WantsProof) => {
                return Err(OAuthError::new("invalid_dpop_proof", "").into_error(connection));
            }
            Err(Failure::Unavailable(error)) => return Err(error),
        };
        let keeps_nothing = matches!(*slot.credential, Credential::ServiceApp(_)) && grant.dpop_key.is_none();
        let same_scopes = issued.scopes.as_ref().is_none_or(|scopes| *scopes == grant.scopes);
        grant.take(&issued, slot.credential.scopes());
        if !(keeps_nothing && same_scopes) && self.is_of_the_same_client(connection, slot) {
            self.save(connection, &grant, &mut unsaved).await?;
        }
        tracing::debug!(connection = %connection.id, lifetime = ?issued.lifetime, "renewed the access token");
        Ok(slot.publish(AccessToken::new(issued)))
    }

    /// Asks for a token, more than once while the org is out of reach.
    async fn ask(
        &self,
        connection: &Connection,
        slot: &Slot,
        grant: &mut Grant,
    ) -> std::result::Result<Issued, Failure> {
        let server = self.server(connection, slot);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let asked = match &*slot.credential {
                Credential::ApiToken(_) => return Err(Failure::Refused(OAuthError::new("invalid_client", ""))),
                Credential::ServiceApp(app) => server.client_credentials(app).await,
                Credential::OAuthWebApp(app) => {
                    let Some(token) = &grant.refresh_token else {
                        return Err(Failure::Refused(OAuthError::new("invalid_grant", "nobody has authorized it yet")));
                    };
                    self.connections.mark_refresh(&connection.id).await.map_err(Failure::Unavailable)?;
                    server.refresh(app, token).await
                }
            };
            match asked {
                Err(Failure::WantsProof) if grant.dpop_key.is_none() => {
                    grant.dpop_key = Some(slot.shared.new_key().map_err(Failure::Unavailable)?);
                    self.connections.put_grant(&connection.id, grant).await.map_err(Failure::Unavailable)?;
                    tracing::info!(connection = %connection.id, "the org wants tokens bound to a key (DPoP); made one");
                }
                Err(Failure::Unavailable(error)) if attempts < MAX_ATTEMPTS => {
                    let backoff = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(attempts)).mul_f64(rand::random());
                    let wait = error.retry_after().map_or(backoff, |reset| reset + backoff);
                    if wait > LONGEST_WAIT {
                        return Err(Failure::Unavailable(error));
                    }
                    tokio::time::sleep(wait).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Stores a grant. One that cannot be stored is kept in memory until it can: the one before is used up.
    async fn save(&self, connection: &Connection, grant: &Grant, unsaved: &mut Unsaved) -> Result<()> {
        *unsaved = Some(grant.clone());
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.connections.put_grant(&connection.id, grant).await {
                Ok(()) => {
                    *unsaved = None;
                    return Ok(());
                }
                Err(error) if attempts == STORE_ATTEMPTS => {
                    tracing::error!(connection = %connection.id, %error, "a new refresh token cannot be stored; it is kept in memory until it can");
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(STORE_PAUSE).await,
            }
        }
    }

    /// Okta has refused a token: what becomes of the connection, and what its calls are told.
    async fn refused(&self, connection: &Connection, slot: &Slot, error: OAuthError) -> Error {
        if error.ends_the_authorization() && self.is_of_the_same_client(connection, slot) {
            slot.clear();
            tracing::warn!(connection = %connection.id, code = error.code, "Okta refuses to renew the access token; the connection has to be authorized again");
            let reason = format!("{}. {}", error.sentence(), error.advice(connection));
            let changed = self.connections.needs_reauthorization(&connection.id, &reason, error.ends_the_grant()).await;
            if let Err(error) = changed {
                tracing::error!(connection = %connection.id, %error, "the state of a connection could not be stored");
            }
        }
        error.into_error(connection)
    }

    /// Whether the connection still is what it was when this began. If not, what came of it is somebody else's.
    fn is_of_the_same_client(&self, connection: &Connection, slot: &Slot) -> bool {
        let present = self.connections.resolve(&connection.id);
        present.is_ok_and(|present| present.credential.client_id() == slot.credential.client_id())
    }
}
