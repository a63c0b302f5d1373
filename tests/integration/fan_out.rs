//! A thousand subscribers, one of them stuck: the others do not notice, and the stuck one has lost nothing.

use std::time::Duration;

use futures_util::future::join_all;
use okta_connector::proto::event_service_client::EventServiceClient;
use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{StartPosition, SubscribeEventsRequest, SubscribeEventsResponse};
use tonic::Streaming;

use crate::harness::{Sandbox, Server};
use crate::hooks::{deliver, registered};

const SUBSCRIBERS: usize = 1_000;
/// Streams that share a connection.
const A_CONNECTION: usize = 100;
const DELIVERIES: usize = 50;
const EVENTS_A_DELIVERY: usize = 10;
const PATIENCE: Duration = Duration::from_secs(120);

async fn sequences(mut stream: Streaming<SubscribeEventsResponse>, wanted: usize) -> Vec<i64> {
    let mut sequences = Vec::with_capacity(wanted);
    while sequences.len() < wanted {
        if let Some(Frame::Event(event)) = stream.message().await.expect("frame").expect("frame").frame {
            sequences.push(event.sequence);
        }
    }
    sequences
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_do_not_notice_that_one_is_stuck() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let mut streams = Vec::with_capacity(SUBSCRIBERS);
    while streams.len() < SUBSCRIBERS {
        let channel = server.channel().await;
        for _ in 0..A_CONNECTION {
            let start = Some(Start::Position(StartPosition::Earliest.into()));
            let request = SubscribeEventsRequest { start, ..Default::default() };
            let stream = EventServiceClient::new(channel.clone()).subscribe_events(request).await;
            streams.push(stream.expect("opened").into_inner());
        }
    }
    // On a connection of its own: streams of one connection share what the network takes.
    let start = Some(Start::Position(StartPosition::Earliest.into()));
    let request = SubscribeEventsRequest { start, ..Default::default() };
    let stuck = EventServiceClient::new(server.channel().await).subscribe_events(request).await.expect("opened");
    let stuck = stuck.into_inner();

    let wanted = DELIVERIES * EVENTS_A_DELIVERY;
    let reading = tokio::spawn(join_all(streams.into_iter().map(|stream| tokio::spawn(sequences(stream, wanted)))));
    for delivery in 0..DELIVERIES {
        let events: Vec<_> = (0..EVENTS_A_DELIVERY)
            .map(|event| {
                let padding = "x".repeat(500);
                format!(r#"{{"uuid":"{delivery}-{event}","eventType":"user.session.start","padding":"{padding}"}}"#)
            })
            .collect();
        let body = format!(r#"{{"data":{{"events":[{}]}}}}"#, events.join(","));
        assert!(deliver(&hook, Some(&secret), body).await.is_success());
    }
    let all: Vec<i64> = (1..).take(wanted).collect();
    let read = tokio::time::timeout(PATIENCE, reading).await.expect("in time").expect("joined");
    for sequences in read {
        assert_eq!(sequences.expect("joined"), all);
    }
    assert_eq!(tokio::time::timeout(PATIENCE, sequences(stuck, wanted)).await.expect("in time"), all);
    server.stop().await;
}
