//! `EventService`: the journal's events, followed live or read back.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::not_implemented;
use crate::connections::Connections;
use crate::error::{Error, Result};
use crate::events::{Filters, Frame, Hub, Options, Subscription, catalogue, microseconds, timestamp};
use crate::proto::server::event_service_server::EventService;
use crate::proto::subscribe_events_request::Start;
use crate::proto::{
    CommitCursorRequest, CommitCursorResponse, DeleteConsumerRequest, DeleteConsumerResponse, ErrorReason, EventCard,
    EventLogSource, EventType, GetConsumerRequest, GetConsumerResponse, GetEventLogRequest, GetEventLogResponse,
    ListConsumersRequest, ListConsumersResponse, ListEventTypesRequest, ListEventTypesResponse, ListEventsRequest,
    ListEventsResponse, ReconcilerState, SeekConsumerRequest, SeekConsumerResponse, StartPosition,
    SubscribeEventsRequest,
};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(30);
const TYPES_PAGE: usize = 2000;

/// Serves `EventService`.
#[derive(Debug)]
pub struct EventApi {
    hub: Hub,
    connections: Connections,
    stop: CancellationToken,
}

impl EventApi {
    /// Serves the events of `hub`; every stream ends when `stop` is cancelled.
    pub fn new(hub: Hub, connections: Connections, stop: CancellationToken) -> Self {
        Self { hub, connections, stop }
    }

    async fn open(&self, request: &SubscribeEventsRequest) -> Result<Subscription> {
        if request.enrich_user_groups {
            return Err(not_yet("enrich_user_groups"));
        }
        let filters = Filters::compile(&request.filters, |name| Ok(self.connections.resolve(name)?.id.to_string()))?;
        let heartbeat_interval = heartbeat_interval(request.heartbeat_interval.as_ref())?;
        let stop_after_events = match u64::try_from(request.stop_after_events) {
            Ok(0) => None,
            Ok(events) => Some(events),
            Err(_) => return Err(Error::invalid("stop_after_events", "must not be negative; 0 means never")),
        };
        let earliest = self.hub.journal().earliest().await?;
        let start = self.start(request.start.as_ref(), earliest, request.start_at_earliest_if_expired).await?;
        let options = Options {
            start,
            filters,
            heartbeat_interval,
            stop_after_events,
            stop_when_caught_up: request.stop_when_caught_up,
        };
        Ok(Subscription::open(self.hub.clone(), options, earliest, self.stop.clone()))
    }

    /// The event that the stream starts after.
    async fn start(&self, start: Option<&Start>, earliest: u64, or_earliest: bool) -> Result<u64> {
        match start {
            None => Ok(self.hub.head()),
            Some(Start::Position(position)) => match StartPosition::try_from(*position) {
                Ok(StartPosition::Earliest) => Ok(earliest),
                Ok(StartPosition::Latest | StartPosition::Unspecified) => Ok(self.hub.head()),
                Err(_) => Err(Error::invalid("position", format!("has no value with the number {position}"))),
            },
            Some(Start::AfterCursor(cursor)) => {
                let place = self.hub.cursors().decode_within(cursor, earliest, self.hub.journal().head());
                match place {
                    Err(error) if or_earliest && error.reason() == ErrorReason::CursorExpired => {
                        Err(not_yet("start_at_earliest_if_expired"))
                    }
                    place => place,
                }
            }
            Some(Start::StartTime(time)) => {
                let now = std::time::SystemTime::now().into();
                if microseconds(time) > microseconds(&now) {
                    return Err(Error::invalid("start_time", "lies in the future; use LATEST to wait for new events"));
                }
                self.hub.journal().before_published(microseconds(time)).await
            }
            Some(Start::Consumer(_)) => Err(not_yet("consumer")),
        }
    }

    async fn log(&self) -> Result<GetEventLogResponse> {
        let (earliest, extent) = (self.hub.journal().earliest().await?, self.hub.journal().extent().await?);
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let source = |(connection_id, events): &(String, u64)| EventLogSource {
            connection_id: connection_id.clone(),
            events: count(*events),
            reconciler: ReconcilerState::Off.into(),
            detail: "the System Log is not read by this version".to_owned(),
            ..Default::default()
        };
        Ok(GetEventLogResponse {
            earliest_cursor: self.hub.cursors().encode(earliest),
            head_cursor: self.hub.cursors().encode(self.hub.head()),
            events: count(extent.events),
            size_bytes: count(extent.size_bytes),
            oldest_received: extent.oldest_received_us.map(timestamp),
            newest_received: extent.newest_received_us.map(timestamp),
            sources: extent.by_connection.iter().map(source).collect(),
        })
    }
}

/// An option that this version does not have yet.
fn not_yet(option: &str) -> Error {
    let message = format!("{option} is part of the API and not of this version yet; leave it unset");
    Error::new(ErrorReason::NotImplemented, message)
}

fn heartbeat_interval(wanted: Option<&prost_types::Duration>) -> Result<Duration> {
    let Some(wanted) = wanted else { return Ok(DEFAULT_HEARTBEAT) };
    match Duration::try_from(*wanted) {
        Ok(interval) if (SHORTEST_HEARTBEAT..=LONGEST_HEARTBEAT).contains(&interval) => Ok(interval),
        _ => Err(Error::invalid("heartbeat_interval", "must be 1 s to 30 s, or unset for 15 s")),
    }
}

/// One page of the catalogue; a token is the type that the page before ended with.
fn types_page(request: &ListEventTypesRequest) -> Result<ListEventTypesResponse> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => TYPES_PAGE,
        Ok(size) if size <= TYPES_PAGE => size,
        _ => return Err(Error::invalid("page_size", format!("must be 1 to {TYPES_PAGE}, or 0 for {TYPES_PAGE}"))),
    };
    let card = EventCard::try_from(request.card)
        .map_err(|_| Error::invalid("card", format!("has no value with the number {}", request.card)))?;
    let token = request.page_token.as_str();
    if !token.is_empty() && catalogue::find(token).is_none() {
        let message = "page_token: is not a next_page_token; start at the first page";
        return Err(Error::new(ErrorReason::PageTokenInvalid, message));
    }
    let wanted = |entry: &&EventType| {
        entry.event_type.as_str() > token
            && (card == EventCard::Unspecified || entry.card() == card)
            && (!request.hook_eligible_only || entry.hook_eligible)
    };
    let mut rest = catalogue::all().iter().filter(wanted);
    let event_types: Vec<EventType> = rest.by_ref().take(size).cloned().collect();
    let last = event_types.last().filter(|_| rest.next().is_some());
    let next_page_token = last.map(|last| last.event_type.clone()).unwrap_or_default();
    Ok(ListEventTypesResponse { event_types, next_page_token })
}

#[tonic::async_trait]
impl EventService for EventApi {
    type SubscribeEventsStream = Pin<Box<dyn Stream<Item = std::result::Result<Frame, Status>> + Send>>;

    async fn subscribe_events(
        &self,
        request: Request<SubscribeEventsRequest>,
    ) -> std::result::Result<Response<Self::SubscribeEventsStream>, Status> {
        let subscription = self.open(request.get_ref()).await?;
        let frames = unfold(subscription, |mut subscription| async move {
            let frame = subscription.next().await?;
            Some((frame.map_err(Status::from), subscription))
        });
        Ok(Response::new(Box::pin(frames)))
    }

    async fn get_event_log(
        &self,
        _: Request<GetEventLogRequest>,
    ) -> std::result::Result<Response<GetEventLogResponse>, Status> {
        Ok(Response::new(self.log().await?))
    }

    async fn list_event_types(
        &self,
        request: Request<ListEventTypesRequest>,
    ) -> std::result::Result<Response<ListEventTypesResponse>, Status> {
        Ok(Response::new(types_page(request.get_ref())?))
    }

    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> std::result::Result<Response<ListEventsResponse>, Status> {
        Err(not_implemented("EventService.ListEvents"))
    }

    async fn commit_cursor(
        &self,
        _: Request<CommitCursorRequest>,
    ) -> std::result::Result<Response<CommitCursorResponse>, Status> {
        Err(not_implemented("EventService.CommitCursor"))
    }

    async fn get_consumer(
        &self,
        _: Request<GetConsumerRequest>,
    ) -> std::result::Result<Response<GetConsumerResponse>, Status> {
        Err(not_implemented("EventService.GetConsumer"))
    }

    async fn list_consumers(
        &self,
        _: Request<ListConsumersRequest>,
    ) -> std::result::Result<Response<ListConsumersResponse>, Status> {
        Err(not_implemented("EventService.ListConsumers"))
    }

    async fn seek_consumer(
        &self,
        _: Request<SeekConsumerRequest>,
    ) -> std::result::Result<Response<SeekConsumerResponse>, Status> {
        Err(not_implemented("EventService.SeekConsumer"))
    }

    async fn delete_consumer(
        &self,
        _: Request<DeleteConsumerRequest>,
    ) -> std::result::Result<Response<DeleteConsumerResponse>, Status> {
        Err(not_implemented("EventService.DeleteConsumer"))
    }
}
