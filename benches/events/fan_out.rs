//! Live events delivered to 1, 100 and 1 000 streams, from the first delivery to the last event of the last stream, beside one ready frame
//! sent to as many.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use futures_util::future::join_all;
use okta_connector::proto::event_service_client::EventServiceClient;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{CommitCursorRequest, SubscribeEventsRequest, SubscribeEventsResponse};
use serde_json::Value;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::load::{Door, Target, delivery, event};
use crate::{floor, harness, median, tell};

/// Frames that all streams together are sent.
const FRAMES: usize = 300_000;
/// Events at most: storing them must not be what is measured.
const MOST_EVENTS: usize = 20_000;
const EVENTS_A_DELIVERY: usize = 100;
const IN_FLIGHT: usize = 8;
/// Streams that share a connection.
const A_CONNECTION: usize = 100;
const RUNS: usize = 3;

pub async fn run() {
    for streams in [1, 100, 1_000] {
        let events = (FRAMES / streams).min(MOST_EVENTS);
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(live(streams, events).await);
            floors.push(ready(streams, events).await);
        }
        tell(&format!("live events to {streams} streams"), "events/s delivered", median(ours), median(floors));
    }
}

/// Streams that are open: their first frame has come.
pub async fn open(channels: &[Channel], streams: usize) -> Vec<Streaming<SubscribeEventsResponse>> {
    let mut open = Vec::with_capacity(streams);
    for number in 0..streams {
        let channel = channels[number / A_CONNECTION].clone();
        let stream = EventServiceClient::new(channel).subscribe_events(SubscribeEventsRequest::default()).await;
        let mut stream = stream.expect("opened").into_inner();
        stream.message().await.expect("frame").expect("frame");
        open.push(stream);
    }
    open
}

pub async fn channels(grpc: &str, streams: usize) -> Vec<Channel> {
    let connect =
        || async { Channel::from_shared(format!("http://{grpc}")).expect("URL").connect().await.expect("connected") };
    join_all((0..streams.div_ceil(A_CONNECTION)).map(|_| connect())).await
}

async fn live(streams: usize, events: usize) -> f64 {
    let target = Target::start().await;
    let grpc = target.server.process.ready["grpc"].as_str().expect("address").to_owned();
    let open = open(&channels(&grpc, streams).await, streams).await;
    let bodies: Vec<_> = (0..events)
        .step_by(EVENTS_A_DELIVERY)
        .map(|first| {
            let last = (first + EVENTS_A_DELIVERY).min(events);
            delivery(&(first..last).map(|number| event(&number.to_string())).collect::<Vec<_>>())
        })
        .collect();
    let (http, began) = (harness::http(), Instant::now());
    let reading = read_all(open, events);
    for bodies in bodies.chunks(IN_FLIGHT) {
        join_all(bodies.iter().map(|body| target.door.deliver(&http, body.clone()))).await;
    }
    reading.await.expect("read");
    let took = began.elapsed().as_secs_f64();
    target.server.stop().await;
    delivered(streams, events, took)
}

async fn ready(streams: usize, events: usize) -> f64 {
    let floor = FloorProcess::start();
    let channels = channels(&floor.grpc, streams).await;
    let open = open(&channels, streams).await;
    let began = Instant::now();
    let reading = read_all(open, events);
    let go = CommitCursorRequest { lease: events.to_string(), ..Default::default() };
    EventServiceClient::new(channels[0].clone()).commit_cursor(go).await.expect("gone");
    reading.await.expect("read");
    delivered(streams, events, began.elapsed().as_secs_f64())
}

fn read_all(open: Vec<Streaming<SubscribeEventsResponse>>, events: usize) -> tokio::task::JoinHandle<()> {
    let read = |mut stream: Streaming<SubscribeEventsResponse>| {
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < events {
                let response = stream.message().await.expect("frame").expect("frame");
                seen += usize::from(matches!(response.frame, Some(Frame::Event(_))));
            }
        })
    };
    let all = join_all(open.into_iter().map(read));
    tokio::spawn(async move {
        for read in all.await {
            read.expect("read");
        }
    })
}

#[allow(clippy::cast_precision_loss, reason = "some hundred thousands")]
fn delivered(streams: usize, events: usize, seconds: f64) -> f64 {
    (streams * events) as f64 / seconds
}

/// This program, as the floor.
pub struct FloorProcess {
    child: Child,
    pub grpc: String,
    http: String,
}

impl FloorProcess {
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program).arg(floor::ARGUMENT).stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| ready[name].as_str().expect("address").to_owned();
        Self { grpc: text("grpc"), http: text("http"), child }
    }

    /// Where it takes what it stores.
    pub fn target(&self) -> Door {
        Door { url: format!("http://{}/", self.http), secret: "none".to_owned() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for FloorProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
