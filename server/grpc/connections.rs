//! `ConnectionService`: which orgs there are, with which credentials; no secret ever comes back.

use std::time::Instant;

use tonic::{Request, Response, Status};

use super::events::page_size;
use super::not_implemented;
use super::unary::deadline;
use crate::connections::{Connection, Connections, Credential};
use crate::error::{Error, Result};
use crate::okta::{self, probe};
use crate::proto;
use crate::proto::create_connection_request::Credentials;
use crate::proto::server::connection_service_server::ConnectionService;
use crate::proto::{
    BeginAuthorizationRequest, BeginAuthorizationResponse, CreateConnectionRequest, CreateConnectionResponse,
    DeleteConnectionRequest, DeleteConnectionResponse, ErrorReason, GetConnectionRequest, GetConnectionResponse,
    ListConnectionsRequest, ListConnectionsResponse, TestConnectionRequest, TestConnectionResponse,
    UpdateConnectionRequest, UpdateConnectionResponse, WaitForAuthorizationRequest, WaitForAuthorizationResponse,
};
use crate::webhook::Registry;

const PAGE_SIZE: usize = 200;

/// Serves `ConnectionService`.
#[derive(Debug)]
pub struct ConnectionApi {
    connections: Connections,
    okta: okta::Client,
    hooks: Registry,
}

impl ConnectionApi {
    /// Serves `connections`, testing them through `okta`; the hooks of a deleted one are forgotten.
    pub fn new(connections: Connections, okta: okta::Client, hooks: Registry) -> Self {
        Self { connections, okta, hooks }
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
            etag: connection.version.to_string(),
            ..Default::default()
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

/// The credential of a request, checked as far as it can be without asking Okta.
fn credential(credentials: Option<Credentials>) -> Result<Credential> {
    match credentials {
        None => Err(Error::invalid("credentials", "is required: one of api_token, oauth_web_app and service_app")),
        Some(Credentials::ApiToken(given)) => {
            let token = given.api_token.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let wanted = "must be an API token as Okta showed it: letters and digits, without SSWS in front";
                return Err(Error::invalid("api_token.api_token", wanted));
            }
            Ok(Credential::ApiToken(token.to_owned().into()))
        }
        Some(Credentials::OauthWebApp(_) | Credentials::ServiceApp(_)) => Err(Error::new(
            ErrorReason::NotImplemented,
            "OAuth web apps and service apps are part of the API and not of this version yet; give an api_token",
        )),
    }
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
        self.connections.delete(&connection).await?;
        self.hooks.remove_connection(&connection.id);
        Ok(Response::new(DeleteConnectionResponse { tokens_revoked: false }))
    }

    async fn test_connection(
        &self,
        request: Request<TestConnectionRequest>,
    ) -> std::result::Result<Response<TestConnectionResponse>, Status> {
        let connection = self.connections.resolve(&request.get_ref().connection)?;
        let deadline = deadline(request.metadata(), Instant::now());
        Ok(Response::new(probe(&self.okta, &connection, deadline).await))
    }

    async fn update_connection(
        &self,
        _: Request<UpdateConnectionRequest>,
    ) -> std::result::Result<Response<UpdateConnectionResponse>, Status> {
        Err(not_implemented("ConnectionService.UpdateConnection"))
    }

    async fn begin_authorization(
        &self,
        _: Request<BeginAuthorizationRequest>,
    ) -> std::result::Result<Response<BeginAuthorizationResponse>, Status> {
        Err(not_implemented("ConnectionService.BeginAuthorization"))
    }

    async fn wait_for_authorization(
        &self,
        _: Request<WaitForAuthorizationRequest>,
    ) -> std::result::Result<Response<WaitForAuthorizationResponse>, Status> {
        Err(not_implemented("ConnectionService.WaitForAuthorization"))
    }
}
