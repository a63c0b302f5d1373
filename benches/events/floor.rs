//! The floors, as a process of their own, as the server is: a tonic service that sends one ready frame again and again, and an HTTP
//! listener that stores each body with bare SQLite. They do nothing else.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use okta_connector::events::{Frame, decode};
use okta_connector::journal::{Source, StoredEvent};
use okta_connector::proto::server::event_service_server::{EventService, EventServiceServer};
use okta_connector::proto::subscribe_events_response::Frame as Kind;
use okta_connector::proto::{
    CommitCursorRequest, CommitCursorResponse, DeleteConsumerRequest, DeleteConsumerResponse, GetConsumerRequest,
    GetConsumerResponse, GetEventLogRequest, GetEventLogResponse, Heartbeat, ListConsumersRequest,
    ListConsumersResponse, ListEventTypesRequest, ListEventTypesResponse, ListEventsRequest, ListEventsResponse,
    SeekConsumerRequest, SeekConsumerResponse, SubscribeEventsRequest, SubscribeEventsResponse,
};
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::bare_store;
use crate::load::{envelope, event};

/// The argument that makes this program the floor.
pub const ARGUMENT: &str = "--serve-the-floor";

/// Serves until killed; says on stdout where. A stream begins to send once somebody commits: all at the same moment.
pub async fn serve() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let http = bare_store::serve().await;
    let ready = serde_json::json!({ "grpc": address.to_string(), "http": http.to_string(), "pid": std::process::id() });
    println!("{ready}");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(EventServiceServer::new(Floor::default()))
        .serve_with_incoming(incoming)
        .await
        .expect("served");
}

struct Floor(watch::Sender<usize>);

impl Default for Floor {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// The frame that the server would make of an event.
fn frame() -> Frame {
    let stored = StoredEvent {
        sequence: 1,
        connection_id: "con_abcdefghijklmnop".to_owned(),
        uuid: "1".to_owned(),
        source: Source::Hook,
        received: okta_connector::journal::now(),
        envelope: envelope(),
        raw: event("1"),
    };
    let event = decode("0011223344556677", stored).event;
    Frame::from(SubscribeEventsResponse { cursor: "c".repeat(36), frame: Some(Kind::Event(event)) })
}

#[tonic::async_trait]
impl EventService for Floor {
    type SubscribeEventsStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    async fn subscribe_events(&self, _: Request<SubscribeEventsRequest>) -> Answer<Self::SubscribeEventsStream> {
        let mut go = self.0.subscribe();
        let first = Frame::from(SubscribeEventsResponse {
            cursor: String::new(),
            frame: Some(Kind::Heartbeat(Heartbeat::default())),
        });
        let events = futures_util::stream::once(async move {
            let count = *go.wait_for(|count| *count > 0).await.expect("alive");
            futures_util::stream::iter(std::iter::repeat_n(frame(), count))
        });
        let all = futures_util::stream::iter([first]).chain(events.flatten());
        Ok(Response::new(Box::pin(all.map(Ok))))
    }

    /// The lease is how many frames each stream sends.
    async fn commit_cursor(&self, request: Request<CommitCursorRequest>) -> Answer<CommitCursorResponse> {
        self.0.send_replace(request.get_ref().lease.parse().unwrap_or(0));
        Ok(Response::new(CommitCursorResponse::default()))
    }

    async fn list_events(&self, _: Request<ListEventsRequest>) -> Answer<ListEventsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_event_log(&self, _: Request<GetEventLogRequest>) -> Answer<GetEventLogResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_event_types(&self, _: Request<ListEventTypesRequest>) -> Answer<ListEventTypesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_consumer(&self, _: Request<GetConsumerRequest>) -> Answer<GetConsumerResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_consumers(&self, _: Request<ListConsumersRequest>) -> Answer<ListConsumersResponse> {
        Err(Status::unimplemented(""))
    }

    async fn seek_consumer(&self, _: Request<SeekConsumerRequest>) -> Answer<SeekConsumerResponse> {
        Err(Status::unimplemented(""))
    }

    async fn delete_consumer(&self, _: Request<DeleteConsumerRequest>) -> Answer<DeleteConsumerResponse> {
        Err(Status::unimplemented(""))
    }
}
