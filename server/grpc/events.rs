//! `EventService`: the log of events, followed, listed and described.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::event_types;
use super::not_implemented;
use crate::error::{Error, Result};
use crate::events::{self, Filters, Frame, Hub, Options, Start, Subscription};
use crate::journal::{Journal, SourceStatus};
use crate::proto::list_events_request::Start as RequestedStart;
use crate::proto::server::event_service_server::EventService;
use crate::proto::{
    CommitCursorRequest, CommitCursorResponse, DeleteConsumerRequest, DeleteConsumerResponse, EventLogSource,
    GetConsumerRequest, GetConsumerResponse, GetEventLogRequest, GetEventLogResponse, ListConsumersRequest,
    ListConsumersResponse, ListEventTypesRequest, ListEventTypesResponse, ListEventsRequest, ListEventsResponse,
    ReconcilerState, SeekConsumerRequest, SeekConsumerResponse, SubscribeEventsRequest,
};

/// Turns a connection's id or nickname into its id.
pub type ResolveConnection = Arc<dyn Fn(&str) -> Result<String> + Send + Sync>;

/// What tonic answers a call with.
type Answer<T> = std::result::Result<Response<T>, Status>;

const DEFAULT_EVENTS_A_PAGE: usize = 100;
const MAX_EVENTS_A_PAGE: usize = 1_000;

/// `EventService` over a journal and its live end.
#[derive(Clone)]
pub struct EventApi {
    journal: Journal,
    hub: Hub,
    shutdown: CancellationToken,
    resolve: ResolveConnection,
}

impl EventApi {
    /// Streams end with a closing frame when `shutdown` is cancelled.
    pub fn new(journal: Journal, hub: Hub, shutdown: CancellationToken, resolve: ResolveConnection) -> Self {
        Self { journal, hub, shutdown, resolve }
    }

    async fn list(&self, request: &ListEventsRequest) -> Result<ListEventsResponse> {
        let size = page_size(request.page_size, DEFAULT_EVENTS_A_PAGE, MAX_EVENTS_A_PAGE)?;
        let filters = Filters::compile(&request.filters, &*self.resolve)?;
        let start = match &request.start {
            None => Start::Earliest,
            Some(RequestedStart::AfterCursor(cursor)) => Start::After(cursor.clone()),
            Some(RequestedStart::StartTime(time)) => Start::time(*time)?,
            Some(RequestedStart::Position(position)) => Start::position(*position, Start::Latest)?,
        };
        let bounds = start.resolve(&self.journal, self.hub.cursors(), false).await?;
        events::page(&self.hub, bounds.after, &filters, size).await
    }

    async fn describe_log(&self) -> Result<GetEventLogResponse> {
        let status = self.journal.status().await?;
        Ok(GetEventLogResponse {
            earliest_cursor: self.hub.cursors().encode(status.earliest - 1),
            head_cursor: self.hub.cursors().encode(status.head),
            events: status.head - (status.earliest - 1),
            size_bytes: i64::try_from(status.size_bytes).unwrap_or(i64::MAX),
            oldest_received: status.oldest_received,
            newest_received: status.newest_received,
            sources: status.sources.into_iter().map(source).collect(),
        })
    }
}

#[tonic::async_trait]
impl EventService for EventApi {
    type SubscribeEventsStream = Pin<Box<dyn Stream<Item = std::result::Result<Frame, Status>> + Send>>;

    async fn subscribe_events(&self, request: Request<SubscribeEventsRequest>) -> Answer<Self::SubscribeEventsStream> {
        let options = Options::read(request.get_ref(), &*self.resolve)?;
        let subscription = Subscription::open(&self.hub, options, &self.shutdown).await?;
        Ok(Response::new(Box::pin(subscription.into_stream().map_err(Status::from))))
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Answer<ListEventsResponse> {
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn get_event_log(&self, _request: Request<GetEventLogRequest>) -> Answer<GetEventLogResponse> {
        Ok(Response::new(self.describe_log().await?))
    }

    async fn list_event_types(&self, request: Request<ListEventTypesRequest>) -> Answer<ListEventTypesResponse> {
        Ok(Response::new(event_types::list(request.get_ref())?))
    }

    async fn commit_cursor(&self, _request: Request<CommitCursorRequest>) -> Answer<CommitCursorResponse> {
        Err(not_implemented("EventService.CommitCursor"))
    }

    async fn get_consumer(&self, _request: Request<GetConsumerRequest>) -> Answer<GetConsumerResponse> {
        Err(not_implemented("EventService.GetConsumer"))
    }

    async fn list_consumers(&self, _request: Request<ListConsumersRequest>) -> Answer<ListConsumersResponse> {
        Err(not_implemented("EventService.ListConsumers"))
    }

    async fn seek_consumer(&self, _request: Request<SeekConsumerRequest>) -> Answer<SeekConsumerResponse> {
        Err(not_implemented("EventService.SeekConsumer"))
    }

    async fn delete_consumer(&self, _request: Request<DeleteConsumerRequest>) -> Answer<DeleteConsumerResponse> {
        Err(not_implemented("EventService.DeleteConsumer"))
    }
}

fn source(source: SourceStatus) -> EventLogSource {
    EventLogSource {
        connection_id: source.connection_id,
        events: source.events,
        last_hook_delivery: source.last_hook_delivery,
        reconciler: ReconcilerState::Off.into(),
        detail: "this version does not read the System Log yet".to_owned(),
        complete_until: None,
        open_gaps: Vec::new(),
    }
}

/// The size of a page as asked for: 0 is `default`.
pub(super) fn page_size(asked: i32, default: usize, max: usize) -> Result<usize> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(size) if size <= max => Ok(size),
        _ => Err(Error::invalid("page_size", format!("must be from 1 to {max}, or 0 for {default}"))),
    }
}
