//! The access tokens of all connections: kept in memory, renewed ahead of their end, by one request at a time however many calls wait.
//!
//! A renewal runs on its own, whoever waits for it or has given up waiting: a refresh token that was sent has an answer that must not
//! be lost. What Okta gives in exchange is durable before it is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::dpop::{Audience, DPOP, Dpop, Request};
use super::endpoint::{AuthorizationServer, CodeExchange, Failure, Issued};
use super::refusal::OAuthError;
use crate::connections::{Connection, Connections, Credential, Grant, SigningKey};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::okta::client::usable;
use crate::proto::{ConnectionState, ErrorReason};

/// The part of a token's life after which it is renewed; a random share of the rest is added, so that many connections do not renew at
/// the same moment.
const RENEW_AFTER: f64 = 0.75;
const RENEW_SPREAD: f64 = 0.15;
/// A token is not sent so close to its end that it could die on the way.
const LAST_SHARE: u32 = 20;
const LAST_MOMENTS: Duration = Duration::from_secs(10);
/// Requests that one renewal makes when the org does not answer.
const MAX_ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// A renewal waits for a rate limit's reset for as long as this; callers are told when it takes longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After a failed renewal calls fail for this long without asking again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Times that a new grant is tried to be stored, and the pause in between.
const STORE_ATTEMPTS: u32 = 10;
const STORE_PAUSE: Duration = Duration::from_millis(200);

/// Access tokens of all connections. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    connections: Connections,
    metrics: Metrics,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    renewals: TaskTracker,
}

/// What is known of one connection's tokens, for as long as it has the same credential.
#[derive(Debug)]
struct Slot {
    credential: Arc<Credential>,
    current: RwLock<Option<Arc<AccessToken>>>,
    /// Whether the last token was refused before its end.
    was_refused: AtomicBool,
    renewal: Mutex<Renewal>,
    shared: Arc<Shared>,
}

/// What outlives a change of the credential.
#[derive(Debug, Default)]
struct Shared {
    /// Held while the grant is used and replaced: requests for one connection's tokens go one after the other.
    grant: tokio::sync::Mutex<Unsaved>,
    dpop: Dpop,
    clock: Clock,
}

/// A grant that could not be stored yet.
type Unsaved = Option<Grant>;

/// An access token. `Debug` prints no secret.
#[derive(Debug)]
struct AccessToken {
    secret: SecretString,
    bound: bool,
    /// When it was issued in place of one that Okta had refused before its end.
    replaced: Option<Instant>,
    /// Whether Okta has ever let it in.
    accepted: AtomicBool,
    renew_at: Instant,
    last_use: Instant,
}

#[derive(Debug, Default)]
enum Renewal {
    #[default]
    Idle,
    Running(Waiting),
    Failed {
        error: Error,
        until: Instant,
    },
}

type Outcome = Result<Arc<AccessToken>>;
type Waiting = watch::Receiver<Option<Outcome>>;

/// What a call authorizes itself with.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// The connection's API token.
    ApiToken(SecretString),
    /// An access token.
    AccessToken(AccessTokenInUse),
}

/// An access token, and what its proofs are made with.
#[derive(Debug, Clone)]
pub struct AccessTokenInUse {
    token: Arc<AccessToken>,
    shared: Arc<Shared>,
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
        let slot = Arc::new(Slot {
            credential: Arc::clone(&connection.credential),
            current: RwLock::default(),
            was_refused: AtomicBool::default(),
            renewal: Mutex::default(),
            shared: present.map(|slot| Arc::clone(&slot.shared)).unwrap_or_default(),
        });
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

    fn server<'a>(&'a self, connection: &'a Connection, slot: &'a Slot) -> AuthorizationServer<'a> {
        let Shared { dpop, clock, .. } = &*slot.shared;
        AuthorizationServer { http: &self.http, metrics: &self.metrics, base_url: &connection.base_url, dpop, clock }
    }

    /// The newest grant there is.
    async fn grant(&self, connection: &Connection, unsaved: &Unsaved) -> Result<Grant> {
        match unsaved {
            Some(grant) => Ok(grant.clone()),
            None => Ok(self.connections.grant(&connection.id).await?.unwrap_or_default()),
        }
    }

    /// One renewal, from reading the grant to having stored the next one.
    async fn renew(&self, connection: &Connection, slot: &Slot) -> Outcome {
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

impl Slot {
    fn current(&self) -> Option<Arc<AccessToken>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, mut token: AccessToken) -> Arc<AccessToken> {
        token.replaced = self.was_refused.swap(false, Ordering::Relaxed).then(Instant::now);
        let token = Arc::new(token);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        token
    }

    fn clear(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The token is of no use any more, if it is still this one. Whether it was.
    fn forget(&self, refused: &Arc<AccessToken>) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_current = current.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused));
        if is_current {
            *current = None;
        }
        is_current
    }

    /// A failed renewal may be repeated at once.
    fn forgive(&self) {
        let mut renewal = self.renewal();
        if matches!(*renewal, Renewal::Failed { .. }) {
            *renewal = Renewal::Idle;
        }
    }

    fn renewal(&self) -> MutexGuard<'_, Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn using(&self, token: Arc<AccessToken>) -> Authorization {
        Authorization::AccessToken(AccessTokenInUse { token, shared: Arc::clone(&self.shared) })
    }
}

impl Shared {
    /// Takes up the key that tokens are bound to, when there is one.
    fn restore_key(&self, grant: &Grant) {
        if self.dpop.key().is_some() {
            return;
        }
        if let Some(key) = grant.dpop_key.as_ref().and_then(|text| SigningKey::read(text, "").ok()) {
            self.dpop.set_key(Arc::new(key));
        }
    }

    /// A fresh key that tokens are bound to from now on.
    fn new_key(&self) -> Result<SecretString> {
        let failed = |message| Error::new(ErrorReason::StorageUnavailable, message);
        let text = SigningKey::generate().map_err(failed)?;
        self.dpop.set_key(Arc::new(SigningKey::read(&text, "").map_err(failed)?));
        Ok(text)
    }
}

impl Grant {
    /// Takes over what was issued; what the server does not repeat stays as it was.
    fn take(&mut self, issued: &Issued, asked_for: &[String]) {
        if let Some(token) = &issued.refresh_token {
            self.refresh_token = Some(token.clone());
        }
        match &issued.scopes {
            Some(scopes) => self.scopes.clone_from(scopes),
            None if self.scopes.is_empty() => self.scopes = asked_for.to_vec(),
            None => {}
        }
    }
}

impl AccessToken {
    fn new(issued: Issued) -> Self {
        let (now, lifetime) = (Instant::now(), issued.lifetime);
        let renew_after = lifetime.mul_f64(RENEW_AFTER + RENEW_SPREAD * rand::random::<f64>());
        let last_use = lifetime.saturating_sub((lifetime / LAST_SHARE).min(LAST_MOMENTS));
        let (renew_at, last_use) = (now + renew_after, now + last_use);
        Self {
            secret: issued.access_token,
            bound: issued.bound,
            replaced: None,
            accepted: AtomicBool::default(),
            renew_at,
            last_use,
        }
    }
}

impl Authorization {
    /// Puts into `headers` what the request needs.
    ///
    /// # Errors
    /// When a header cannot be made.
    pub(in crate::okta) fn apply(
        &self,
        method: &str,
        url: &str,
        headers: &mut HeaderMap,
    ) -> std::result::Result<(), String> {
        let value = match self {
            Self::ApiToken(token) => format!("SSWS {}", token.expose_secret()),
            Self::AccessToken(AccessTokenInUse { token, .. }) if !token.bound => {
                format!("Bearer {}", token.secret.expose_secret())
            }
            Self::AccessToken(AccessTokenInUse { token, shared }) => {
                let access_token = Some(token.secret.expose_secret());
                let request = Request { method, url, access_token, now: shared.clock.now() };
                let proof = shared.dpop.proof(Audience::Api, &request)?.unwrap_or_default();
                headers.insert(DPOP, HeaderValue::try_from(proof).map_err(|error| error.to_string())?);
                format!("DPoP {}", token.secret.expose_secret())
            }
        };
        // The error would repeat the value.
        let mut value = HeaderValue::try_from(value).map_err(|_| "the token cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Learns from an answer. Whether it brought a new nonce for proofs.
    pub(in crate::okta) fn learn(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let Self::AccessToken(AccessTokenInUse { token, shared }) = self else { return false };
        if status != StatusCode::UNAUTHORIZED && !token.accepted.load(Ordering::Relaxed) {
            token.accepted.store(true, Ordering::Relaxed);
        }
        shared.clock.learn(headers);
        token.bound && shared.dpop.learn(Audience::Api, headers)
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
