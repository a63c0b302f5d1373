//! `ConnectionService`: which orgs there are, with which credentials; no secret ever comes back.

use std::time::{Duration, Instant, SystemTime};

use prost_types::FieldMask;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::events::page_size;
use super::unary::deadline;
use crate::authorization::{Authorizations, Outcome};
use crate::cards::CATALOGUE;
use crate::connections::{Change, Connection, Connections, Credential, ServiceApp, SigningKey, WebApp, scopes};
use crate::error::{Error, Result};
use crate::okta::governor::{BucketStatus, LaneStatus};
use crate::okta::{self, Need, probe};
use crate::proto;
use crate::proto::create_connection_request::Credentials;
use crate::proto::server::connection_service_server::ConnectionService;
use crate::proto::update_connection_request::Credentials as NewCredentials;
use crate::proto::{
    AuthorizationOutcome, BeginAuthorizationRequest, BeginAuthorizationResponse, CreateConnectionRequest,
    CreateConnectionResponse, DeleteConnectionRequest, DeleteConnectionResponse, ErrorReason, GetConnectionRequest,
    GetConnectionResponse, GetRateLimitsRequest, GetRateLimitsResponse, ListConnectionsRequest,
    ListConnectionsResponse, OAuthWebAppCredentials, RateLimitBucket, ResealSecretsRequest, ResealSecretsResponse,
    ServiceAppCredentials, TestConnectionRequest, TestConnectionResponse, UpdateConnectionRequest,
    UpdateConnectionResponse, WaitForAuthorizationRequest, WaitForAuthorizationResponse,
};
use crate::webhook::Registry;

const PAGE_SIZE: usize = 200;
/// Client ids and secrets of Okta's have some forty characters.
const MAX_CLIENT_TEXT: usize = 500;
/// A private RSA key of 8192 bits as a JWK has some 6 KiB.
const MAX_PRIVATE_KEY: usize = 32 << 10;
/// What a wait leaves of the caller's time for the answer.
const WAIT_MARGIN: Duration = Duration::from_millis(100);
/// What UpdateConnection can change.
const UPDATABLE: [&str; 4] = ["nickname", "credentials", "scopes", "disabled"];

/// Serves `ConnectionService`.
#[derive(Debug)]
pub struct ConnectionApi {
    connections: Connections,
    okta: okta::Client,
    authorizations: Authorizations,
    hooks: Registry,
}

impl ConnectionApi {
    /// Serves `connections`, testing them through `okta`; what `hooks` and `authorizations` know of a deleted one is forgotten.
    pub fn new(connections: Connections, okta: okta::Client, authorizations: Authorizations, hooks: Registry) -> Self {
        Self { connections, okta, authorizations, hooks }
    }

    fn show(&self, connection: &Connection) -> proto::Connection {
        let is_default = self.connections.default_id().is_some_and(|id| id == connection.id);
        proto::Connection {
            id: connection.id.to_string(),
            nickname: connection.nickname.clone(),
            base_url: connection.base_url.clone(),
            credential_kind: connection.credential.kind().into(),
            state: connection.state.into(),
            state_reason: connection.state_reason.clone(),
            state_changed: connection.state_changed,
            created: connection.created,
            last_updated: connection.last_updated,
            is_default,
            client_id: connection.credential.client_id().to_owned(),
            key_id: connection.credential.key_id().to_owned(),
            scopes: connection.credential.scopes().to_vec(),
            granted_scopes: connection.granted_scopes.clone(),
            etag: connection.version.to_string(),
        }
    }

    /// One page; a token is the id of the connection that the page before ended with.
    fn page(&self, request: &ListConnectionsRequest) -> Result<ListConnectionsResponse> {
        let size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)?;
        let all = self.connections.all();
        let start = match request.page_token.as_str() {
            "" => 0,
            token => {
                1 + all.iter().position(|connection| &*connection.id == token).ok_or_else(|| {
                    Error::new(
                        ErrorReason::PageTokenInvalid,
                        "page_token: is not a next_page_token; start at the first page",
                    )
                })?
            }
        };
        let page = &all[start..all.len().min(start + size)];
        let more = start + page.len() < all.len();
        Ok(ListConnectionsResponse {
            connections: page.iter().map(|connection| self.show(connection)).collect(),
            next_page_token: page.last().filter(|_| more).map(|last| last.id.to_string()).unwrap_or_default(),
        })
    }
}

/// The limits as the contract has them.
fn rate_limits(status: &LaneStatus) -> GetRateLimitsResponse {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let by_clock = |at: Instant| match at.checked_duration_since(now) {
        Some(ahead) => clock + ahead,
        None => clock - now.saturating_duration_since(at),
    };
    let bucket = |known: &BucketStatus| RateLimitBucket {
        bucket: known.bucket.to_string(),
        limit: known.window.map_or(0, |window| small(window.limit)),
        remaining: known.window.map_or(0, |window| small(window.remaining)),
        reserved: known.window.map_or(0, |window| small(window.reserve)),
        resets: known.window.map(|window| by_clock(window.resets).into()),
        in_flight: small(known.in_flight),
        waiting: i32::try_from(known.waiting).unwrap_or(i32::MAX),
    };
    GetRateLimitsResponse {
        buckets: status.buckets.iter().map(bucket).collect(),
        concurrency_limit: small(status.concurrency_limit),
        in_flight: small(status.in_flight),
        retries_left: small(status.retries_left),
        out_of_order_for: status.out_of_order_for.and_then(|wait| wait.try_into().ok()),
    }
}

/// The credential of a request, checked as far as it can be without asking Okta.
fn credential(credentials: Option<Credentials>) -> Result<Credential> {
    match credentials {
        None => Err(Error::invalid("credentials", "is required: one of api_token, oauth_web_app and service_app")),
        Some(Credentials::ApiToken(given)) => {
            let wanted = "must be an API token as Okta showed it: letters and digits, without SSWS in front";
            printable("api_token.api_token", &given.api_token, wanted).map(|token| Credential::ApiToken(token.into()))
        }
        Some(Credentials::OauthWebApp(given)) => web_app(given).map(Credential::OAuthWebApp),
        Some(Credentials::ServiceApp(given)) => service_app(given).map(Credential::ServiceApp),
    }
}

fn web_app(given: OAuthWebAppCredentials) -> Result<WebApp> {
    let client_id = client_id("oauth_web_app.client_id", &given.client_id)?;
    let wanted = "must be the client secret of the app, from its tab General";
    let client_secret = printable("oauth_web_app.client_secret", &given.client_secret, wanted)?.into();
    Ok(WebApp { client_id, client_secret, scopes: checked_scopes("oauth_web_app.scopes", &given.scopes)? })
}

fn service_app(given: ServiceAppCredentials) -> Result<ServiceApp> {
    let client_id = client_id("service_app.client_id", &given.client_id)?;
    if given.private_key.len() > MAX_PRIVATE_KEY {
        return Err(Error::invalid(
            "service_app.private_key",
            format!("is longer than {MAX_PRIVATE_KEY} bytes, and so no key"),
        ));
    }
    let key_id = match given.key_id.as_str() {
        "" => "",
        key_id => &printable("service_app.key_id", key_id, "must be the id of the key, as the app lists it")?,
    };
    let key = SigningKey::read(&SecretString::from(given.private_key), key_id)
        .map_err(|wrong| Error::invalid("service_app.private_key", wrong))?;
    Ok(ServiceApp { client_id, key, scopes: checked_scopes("service_app.scopes", &given.scopes)? })
}

fn client_id(field: &str, given: &str) -> Result<String> {
    printable(field, given, "must be the client id of the app, such as 0oa1b2c3d4e5f6g7h8i9, from its tab General")
}

/// Text without spaces and control characters, of bearable length; what is wrong with it is said without repeating it.
fn printable(field: &str, given: &str, wanted: &str) -> Result<String> {
    let text = given.trim();
    if text.is_empty() || text.len() > MAX_CLIENT_TEXT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(field, wanted));
    }
    Ok(text.to_owned())
}

fn checked_scopes(field: &str, given: &[String]) -> Result<Vec<String>> {
    scopes::check(given).map_err(|(at, wrong)| Error::invalid(format!("{field}[{at}]"), wrong))
}

/// What an update asks for, as its mask names it.
fn change(request: UpdateConnectionRequest, present: &Connection) -> Result<Change> {
    let paths = request.update_mask.as_ref().map_or(&[][..], |FieldMask { paths }| paths);
    if paths.is_empty() {
        return Err(Error::invalid("update_mask", format!("is required: what to change, of {}", UPDATABLE.join(", "))));
    }
    if let Some(odd) = paths.iter().find(|path| !UPDATABLE.contains(&path.as_str())) {
        return Err(Error::invalid("update_mask", format!("{odd:?} cannot be changed; {} can", UPDATABLE.join(", "))));
    }
    let named = |name: &str| paths.iter().any(|path| path == name);
    let mut change = Change::default();
    if named("nickname") {
        change.nickname = Some(request.nickname);
    }
    if named("disabled") {
        change.disabled = Some(request.disabled);
    }
    if named("scopes") {
        change.scopes = Some(checked_scopes("scopes", &request.scopes)?);
    }
    if named("credentials") {
        let credentials = request.credentials.map(|credentials| match credentials {
            NewCredentials::ApiToken(given) => Credentials::ApiToken(given),
            NewCredentials::OauthWebApp(given) => Credentials::OauthWebApp(given),
            NewCredentials::ServiceApp(given) => Credentials::ServiceApp(given),
        });
        let without_scopes = match &credentials {
            Some(Credentials::OauthWebApp(given)) => given.scopes.is_empty(),
            Some(Credentials::ServiceApp(given)) => given.scopes.is_empty(),
            Some(Credentials::ApiToken(_)) | None => false,
        };
        change.credential = Some(credential(credentials)?);
        // A new secret does not mean other scopes.
        if without_scopes && change.scopes.is_none() && !present.credential.scopes().is_empty() {
            change.scopes = Some(present.credential.scopes().to_vec());
        }
    }
    Ok(change)
}

/// The version that a caller read, from its etag.
fn version(etag: &str) -> Result<Option<i64>> {
    match etag {
        "" => Ok(None),
        etag => {
            etag.parse().map(Some).map_err(|_| Error::invalid("etag", "is not the etag of a connection; read it again"))
        }
    }
}

/// What the RPCs need to be let through.
fn needs() -> impl Iterator<Item = Need> {
    const HOOKS: [Need; 2] = [
        Need { rpc: "EventHookService.RegisterEventHook", scope: "okta.eventHooks.manage" },
        Need { rpc: "EventHookService.ListEventHooks", scope: "okta.eventHooks.read" },
    ];
    let cards = CATALOGUE.iter().map(|card| Need { rpc: card.rpc, scope: card.endpoint.scope });
    // The scope of a Custom API Action depends on what it calls.
    cards.chain(HOOKS).filter(|need| need.scope.starts_with("okta."))
}

#[tonic::async_trait]
impl ConnectionService for ConnectionApi {
    async fn create_connection(
        &self,
        request: Request<CreateConnectionRequest>,
    ) -> std::result::Result<Response<CreateConnectionResponse>, Status> {
        let request = request.into_inner();
        let credential = credential(request.credentials)?;
        let connection = self.connections.create(&request.nickname, &request.domain, credential).await?;
        Ok(Response::new(CreateConnectionResponse { connection: Some(self.show(&connection)) }))
    }

    async fn get_connection(
        &self,
        request: Request<GetConnectionRequest>,
    ) -> std::result::Result<Response<GetConnectionResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        Ok(Response::new(GetConnectionResponse { connection: Some(self.show(&connection)) }))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> std::result::Result<Response<ListConnectionsResponse>, Status> {
        Ok(Response::new(self.page(request.get_ref())?))
    }

    async fn delete_connection(
        &self,
        request: Request<DeleteConnectionRequest>,
    ) -> std::result::Result<Response<DeleteConnectionResponse>, Status> {
        let name = &request.get_ref().connection;
        if name.is_empty() {
            return Err(Error::invalid("connection", "is required: what is deleted has to be named").into());
        }
        let connection = self.connections.resolve(name)?;
        let tokens = self.okta.tokens();
        let tokens_revoked = tokens.revoke(&connection).await;
        self.connections.delete(&connection).await?;
        tokens.forget(&connection.id);
        self.okta.governor().forget(&connection.id);
        self.authorizations.abandon(&connection.id);
        self.hooks.remove_connection(&connection.id);
        Ok(Response::new(DeleteConnectionResponse { tokens_revoked }))
    }

    async fn get_rate_limits(
        &self,
        request: Request<GetRateLimitsRequest>,
    ) -> std::result::Result<Response<GetRateLimitsResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        Ok(Response::new(rate_limits(&self.okta.governor().status(&connection.id))))
    }

    async fn test_connection(
        &self,
        request: Request<TestConnectionRequest>,
    ) -> std::result::Result<Response<TestConnectionResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        let deadline = deadline(request.metadata(), Instant::now());
        Ok(Response::new(probe(&self.okta, &connection, needs(), deadline).await))
    }

    async fn update_connection(
        &self,
        request: Request<UpdateConnectionRequest>,
    ) -> std::result::Result<Response<UpdateConnectionResponse>, Status> {
        let request = request.into_inner();
        let present = self.connections.resolve(&request.connection)?;
        let version = version(&request.etag)?;
        let connection = self.connections.update(&present.id, change(request, &present)?, version).await?;
        Ok(Response::new(UpdateConnectionResponse { connection: Some(self.show(&connection)) }))
    }

    async fn begin_authorization(
        &self,
        request: Request<BeginAuthorizationRequest>,
    ) -> std::result::Result<Response<BeginAuthorizationResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        let begun = self.authorizations.begin(&connection)?;
        Ok(Response::new(BeginAuthorizationResponse {
            authorization_url: begun.url,
            expires: Some(begun.expires.into()),
            redirect_uri: begun.redirect_uri,
        }))
    }

    async fn wait_for_authorization(
        &self,
        request: Request<WaitForAuthorizationRequest>,
    ) -> std::result::Result<Response<WaitForAuthorizationResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        let deadline = deadline(request.metadata(), Instant::now());
        let until = deadline.checked_sub(WAIT_MARGIN).unwrap_or(deadline);
        let outcome = self.authorizations.wait(&connection, until).await?;
        let connection = self.connections.resolve(&connection.id)?;
        let (outcome, refusal) = match outcome {
            Outcome::Pending => (AuthorizationOutcome::Pending, String::new()),
            Outcome::Authorized => (AuthorizationOutcome::Authorized, String::new()),
            Outcome::Refused(refusal) => (AuthorizationOutcome::Refused, refusal),
            Outcome::Expired => (AuthorizationOutcome::Expired, String::new()),
        };
        let connection = Some(self.show(&connection));
        Ok(Response::new(WaitForAuthorizationResponse { connection, refusal, outcome: outcome.into() }))
    }

    async fn reseal_secrets(
        &self,
        _: Request<ResealSecretsRequest>,
    ) -> std::result::Result<Response<ResealSecretsResponse>, Status> {
        let done = self.connections.reseal().await?;
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        Ok(Response::new(ResealSecretsResponse { secrets: count(done.all), resealed: count(done.resealed) }))
    }
}
