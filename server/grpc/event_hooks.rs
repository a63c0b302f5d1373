//! `EventHookService`: the event hooks on the orgs that feed the journal.

use std::sync::Arc;
use std::time::Instant;

use tonic::{Request, Response, Status};

use super::unary::deadline;
use crate::proto::server::event_hook_service_server::EventHookService;
use crate::proto::{
    ActivateEventHookRequest, ActivateEventHookResponse, DeactivateEventHookRequest, DeactivateEventHookResponse,
    DeleteEventHookRequest, DeleteEventHookResponse, ListEventHooksRequest, ListEventHooksResponse,
    RegisterEventHookRequest, RegisterEventHookResponse, RotateEventHookSecretRequest, RotateEventHookSecretResponse,
    VerifyEventHookRequest, VerifyEventHookResponse,
};
use crate::webhook::Hooks;

/// Serves `EventHookService`.
#[derive(Debug)]
pub struct EventHookApi(pub Arc<Hooks>);

#[tonic::async_trait]
impl EventHookService for EventHookApi {
    async fn register_event_hook(
        &self,
        request: Request<RegisterEventHookRequest>,
    ) -> Result<Response<RegisterEventHookResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let (hooks, request) = (Arc::clone(&self.0), request.into_inner());
        let hooks = self.0.to_the_end(async move { hooks.register(&request, deadline).await }).await?;
        Ok(Response::new(RegisterEventHookResponse { hooks }))
    }

    async fn verify_event_hook(
        &self,
        request: Request<VerifyEventHookRequest>,
    ) -> Result<Response<VerifyEventHookResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let hook = self.0.verify(&request.get_ref().hook_id, deadline).await?;
        Ok(Response::new(VerifyEventHookResponse { hook: Some(hook) }))
    }

    async fn list_event_hooks(
        &self,
        request: Request<ListEventHooksRequest>,
    ) -> Result<Response<ListEventHooksResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let hooks = self.0.list(&request.get_ref().connection, deadline).await?;
        Ok(Response::new(ListEventHooksResponse { hooks }))
    }

    async fn rotate_event_hook_secret(
        &self,
        request: Request<RotateEventHookSecretRequest>,
    ) -> Result<Response<RotateEventHookSecretResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let (hooks, request) = (Arc::clone(&self.0), request.into_inner());
        let hook = self.0.to_the_end(async move { hooks.rotate(&request, deadline).await }).await?;
        Ok(Response::new(RotateEventHookSecretResponse { hook: Some(hook) }))
    }

    async fn deactivate_event_hook(
        &self,
        request: Request<DeactivateEventHookRequest>,
    ) -> Result<Response<DeactivateEventHookResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let hook = self.0.switch(&request.get_ref().hook_id, false, deadline).await?;
        Ok(Response::new(DeactivateEventHookResponse { hook: Some(hook) }))
    }

    async fn activate_event_hook(
        &self,
        request: Request<ActivateEventHookRequest>,
    ) -> Result<Response<ActivateEventHookResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let hook = self.0.switch(&request.get_ref().hook_id, true, deadline).await?;
        Ok(Response::new(ActivateEventHookResponse { hook: Some(hook) }))
    }

    async fn delete_event_hook(
        &self,
        request: Request<DeleteEventHookRequest>,
    ) -> Result<Response<DeleteEventHookResponse>, Status> {
        let deadline = deadline(request.metadata(), Instant::now());
        let (hooks, request) = (Arc::clone(&self.0), request.into_inner());
        self.0.to_the_end(async move { hooks.delete(&request.hook_id, deadline).await }).await?;
        Ok(Response::new(DeleteEventHookResponse {}))
    }
}
