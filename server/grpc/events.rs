//! `EventService`: the log of events, followed, listed and described.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::consumers;
use super::event_types;
use crate::error::{Error, Result};
use crate::events::{self, Filters, Frame, GroupLookup, Hub, Options, Org, Start, Subscription};
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
    lookup: Option<GroupLookup>,
}

impl EventApi {
    /// Streams end with a closing frame when `shutdown` is cancelled.
    pub fn new(journal: Journal, hub: Hub, shutdown: CancellationToken, resolve: ResolveConnection) -> Self {
        Self { journal, hub, shutdown, resolve, lookup: None }
    }

    /// Streams that ask for it get the groups of users from `lookup`.
    #[must_use]
    pub fn enriched_by(mut self, lookup: GroupLookup) -> Self {
        self.lookup = Some(lookup);
        self
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
            sources: self.sources(status.sources),
        })
    }

    /// Every org that has events, or whose System Log is read.
    fn sources(&self, known: Vec<SourceStatus>) -> Vec<EventLogSource> {
        let board = self.hub.sources().board();
        let mut all: BTreeMap<String, EventLogSource> = known
            .into_iter()
            .map(|source| {
                let SourceStatus { connection_id, events, last_hook_delivery } = source;
                let shown = EventLogSource { connection_id, events, last_hook_delivery, ..Default::default() };
                (shown.connection_id.clone(), shown)
            })
            .collect();
        for id in board.connections() {
            all.entry(id.to_owned())
                .or_insert_with(|| EventLogSource { connection_id: id.to_owned(), ..Default::default() });
        }
        for source in all.values_mut() {
            let org = board.org(&source.connection_id);
            source.reconciler = org.map_or(ReconcilerState::Off, |org| org.state).into();
            source.detail = org.map(|org| org.detail.clone()).unwrap_or_default();
            source.complete_until = org.and_then(|org| org.complete_until);
            source.open_gaps = org.map(Org::open_gaps).unwrap_or_default();
        }
        all.into_values().collect()
    }
}

#[tonic::async_trait]
impl EventService for EventApi {
    type SubscribeEventsStream = Pin<Box<dyn Stream<Item = std::result::Result<Frame, Status>> + Send>>;

    async fn subscribe_events(&self, request: Request<SubscribeEventsRequest>) -> Answer<Self::SubscribeEventsStream> {
        let options = Options::read(request.get_ref(), &*self.resolve)?;
        let lookup = self.lookup.clone().filter(|_| options.enrich_user_groups);
        let subscription = Subscription::open(&self.hub, options, &self.shutdown).await?.enriched_by(lookup);
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

    async fn commit_cursor(&self, request: Request<CommitCursorRequest>) -> Answer<CommitCursorResponse> {
        let CommitCursorRequest { consumer, cursor, lease } = request.get_ref();
        events::check_name(consumer)?;
        let cursor = self.hub.consumers().commit(consumer, cursor, lease).await?;
        Ok(Response::new(CommitCursorResponse { cursor }))
    }

    async fn get_consumer(&self, request: Request<GetConsumerRequest>) -> Answer<GetConsumerResponse> {
        let name = &request.get_ref().consumer;
        events::check_name(name)?;
        Ok(Response::new(GetConsumerResponse { consumer: Some(self.hub.consumers().get(name).await?) }))
    }

    async fn list_consumers(&self, request: Request<ListConsumersRequest>) -> Answer<ListConsumersResponse> {
        Ok(Response::new(consumers::list(self.hub.consumers(), request.get_ref()).await?))
    }

    async fn seek_consumer(&self, request: Request<SeekConsumerRequest>) -> Answer<SeekConsumerResponse> {
        let name = &request.get_ref().consumer;
        events::check_name(name)?;
        let to = consumers::destination(request.get_ref())?;
        Ok(Response::new(SeekConsumerResponse { consumer: Some(self.hub.consumers().seek(name, &to).await?) }))
    }

    async fn delete_consumer(&self, request: Request<DeleteConsumerRequest>) -> Answer<DeleteConsumerResponse> {
        let name = &request.get_ref().consumer;
        events::check_name(name)?;
        self.hub.consumers().delete(name).await?;
        Ok(Response::new(DeleteConsumerResponse {}))
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tempfile::TempDir;
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;
    use crate::events::{HubLimits, new_event};
    use crate::journal::{Limits, Source};
    use crate::proto::{ErrorReason, EventFilter};

    async fn api(events: usize) -> (TempDir, EventApi) {
        let dir = TempDir::new().unwrap();
        let journal = Journal::open(dir.path().join("journal.db"), Limits::default()).unwrap();
        let event = |uuid: usize| {
            let raw = format!(r#"{{"uuid":"{uuid}"}}"#);
            new_event(&Arc::from("conn_1"), Source::Hook, &Arc::from("{}"), &raw).unwrap()
        };
        journal.append((0..events).map(event).collect()).await.unwrap();
        let hub = Hub::new(journal.clone(), &HubLimits::default());
        let resolve: ResolveConnection = Arc::new(|name| match name {
            "prod" => Ok("conn_1".to_owned()),
            _ => Err(Error::new(ErrorReason::ConnectionNotFound, format!("no connection {name}"))),
        });
        (dir, EventApi::new(journal, hub, CancellationToken::new(), resolve))
    }

    fn of_connection(name: &str) -> Vec<EventFilter> {
        vec![EventFilter { connections: vec![name.to_owned()], ..EventFilter::default() }]
    }

    async fn list(api: &EventApi, request: ListEventsRequest) -> std::result::Result<ListEventsResponse, Status> {
        api.list_events(Request::new(request)).await.map(Response::into_inner)
    }

    #[tokio::test]
    async fn a_list_starts_at_the_beginning_and_pages_to_the_end() {
        let (_dir, api) = api(250).await;
        let first = list(&api, ListEventsRequest::default()).await.unwrap();
        assert_eq!((first.events.len(), first.caught_up), (100, false));
        let start = Some(RequestedStart::AfterCursor(first.next_cursor));
        let rest =
            list(&api, ListEventsRequest { start, page_size: 1000, ..ListEventsRequest::default() }).await.unwrap();
        assert_eq!((rest.events.len(), rest.caught_up), (150, true));
        assert_eq!(rest.events[0].event.as_ref().unwrap().sequence, 101);
        let odd = list(&api, ListEventsRequest { page_size: 1001, ..ListEventsRequest::default() }).await.unwrap_err();
        assert_eq!((odd.code(), odd.message().contains("page_size")), (Code::InvalidArgument, true));
    }

    #[tokio::test]
    async fn a_filter_names_a_connection_by_its_nickname() {
        let (_dir, api) = api(2).await;
        let found =
            list(&api, ListEventsRequest { filters: of_connection("prod"), ..ListEventsRequest::default() }).await;
        assert_eq!(found.unwrap().events.len(), 2);
        let unknown = SubscribeEventsRequest { filters: of_connection("x"), ..SubscribeEventsRequest::default() };
        let refusal = api.subscribe_events(Request::new(unknown)).await.err().unwrap();
        assert_eq!(refusal.code(), Code::NotFound);
    }

    #[tokio::test]
    async fn the_log_is_described() {
        let (_dir, api) = api(3).await;
        let log = api.get_event_log(Request::new(GetEventLogRequest {})).await.unwrap().into_inner();
        assert_eq!((log.events, log.sources.len()), (3, 1));
        assert_eq!(log.sources[0].reconciler(), ReconcilerState::Off);
        assert_eq!(log.head_cursor, api.hub.cursors().encode(3));
    }

    #[tokio::test]
    async fn a_stream_ends_with_unavailable_when_the_server_stops() {
        let (_dir, api) = api(0).await;
        let request = Request::new(SubscribeEventsRequest::default());
        let mut stream = api.subscribe_events(request).await.unwrap().into_inner();
        assert!(stream.next().await.unwrap().is_ok(), "opened");
        api.shutdown.cancel();
        assert!(stream.next().await.unwrap().is_ok(), "closing");
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "SERVER_STOPPING");
        assert!(stream.next().await.is_none());
    }
}
