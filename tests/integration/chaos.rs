//! Everything goes wrong at once, for a while: deliveries are lost, doubled, late and out of order, the server is killed again and again,
//! subscribers come and go. In the end everybody has seen every event, once and in order.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use okta_connector::proto::event_service_client::EventServiceClient;
use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{GetEventLogRequest, StartPosition, SubscribeEventsRequest};
use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Process, Sandbox, Server, http, wait_for};
use crate::hooks::registered;

/// How long it goes on, unless the variable says otherwise: a run that looks for trouble takes longer.
const SECONDS: u64 = 12;
const VARIABLE: &str = "OKTA_CONNECTOR_CHAOS_SECONDS";
const SUBSCRIBERS: usize = 6;
const EVENT_TYPE: &str = "user.session.start";

fn random<T: rand::distr::uniform::SampleUniform + PartialOrd>(range: std::ops::Range<T>) -> T {
    rand::rng().random_range(range)
}

async fn pause(milliseconds: std::ops::Range<u64>) {
    let pause = Duration::from_millis(random(milliseconds));
    tokio::time::sleep(pause).await;
}

/// A server that comes back at the same addresses.
struct Phoenix {
    sandbox_url: String,
    api_token: String,
    grpc: String,
    http: String,
}

impl Phoenix {
    fn new(sandbox: &Sandbox) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("address").to_string();
        Self { sandbox_url: sandbox.url(), api_token: sandbox.api_token(), grpc: free(), http: free() }
    }

    fn rise(&self, directory: TempDir) -> Server {
        let path = directory.path().to_str().expect("UTF-8").to_owned();
        let arguments = [
            "serve",
            "--data-dir",
            &path,
            "--grpc-addr",
            &self.grpc,
            "--http-addr",
            &self.http,
            "--admin-addr",
            "127.0.0.1:0",
            "--system-log-interval",
            "1",
        ];
        let variables = [("OKTA_DOMAIN", self.sandbox_url.as_str()), ("OKTA_API_TOKEN", self.api_token.as_str())];
        Server { process: Process::start(&arguments, &variables), directory }
    }
}

/// What a subscriber has been given, in the order in which it was.
#[derive(Default)]
struct Seen {
    cursor: Option<String>,
    events: Vec<(i64, String)>,
}

impl Seen {
    /// One stream: so many frames, or until it breaks.
    async fn stream(&mut self, grpc: &str, frames: usize) {
        let Ok(mut client) = EventServiceClient::connect(format!("http://{grpc}")).await else { return };
        let start = match &self.cursor {
            Some(cursor) => Start::AfterCursor(cursor.clone()),
            None => Start::Position(StartPosition::Earliest.into()),
        };
        let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let request = SubscribeEventsRequest { start: Some(start), heartbeat_interval, ..Default::default() };
        let Ok(stream) = client.subscribe_events(request).await else { return };
        let mut stream = stream.into_inner();
        for _ in 0..frames {
            let Ok(Some(response)) = stream.message().await else { return };
            if let Some(Frame::Event(event)) = response.frame {
                self.events.push((event.sequence, event.uuid));
            }
            self.cursor = Some(response.cursor);
        }
    }
}

/// The uuids of the org's own log.
async fn happened(sandbox: &Sandbox) -> HashSet<String> {
    let mut uuids = HashSet::new();
    let mut url = format!("{}/api/v1/logs?since=2020-01-01T00:00:00Z&sortOrder=ASCENDING&limit=1000", sandbox.url());
    loop {
        let request = http().get(&url).header("authorization", format!("SSWS {}", sandbox.api_token()));
        let response = request.send().await.expect("answered");
        let links: Vec<_> =
            response.headers().get_all("link").iter().map(|link| link.to_str().expect("text").to_owned()).collect();
        let next =
            links.iter().flat_map(|link| link.split(',')).find(|link| link.contains("rel=\"next\"")).expect("next");
        url = next.split('<').nth(1).and_then(|rest| rest.split('>').next()).expect("URL").to_owned();
        let page: Vec<Value> = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
        if page.is_empty() {
            return uuids;
        }
        uuids.extend(page.iter().map(|event| event["uuid"].as_str().expect("uuid").to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_everybody_sees_every_event_once_and_in_order() {
    let seconds = std::env::var(VARIABLE).ok().map_or(SECONDS, |text| text.parse().expect("seconds"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let sandbox = Arc::new(Sandbox::start());
    let phoenix = Arc::new(Phoenix::new(&sandbox));
    let mut server = phoenix.rise(TempDir::new().expect("directory"));
    registered(&server, &sandbox).await;
    let over = Arc::new(AtomicBool::new(false));

    let happening = tokio::spawn({
        let sandbox = Arc::clone(&sandbox);
        async move {
            let mut made = 0;
            while Instant::now() < until {
                let event = json!({ "event_type": EVENT_TYPE, "message": made.to_string() });
                sandbox.control(Method::POST, "events", Some(event)).await;
                made += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            made
        }
    });
    let mischief = tokio::spawn({
        let sandbox = Arc::clone(&sandbox);
        async move {
            while Instant::now() < until {
                let fault = match random(0..6) {
                    0 => json!({ "lose": true, "times": 10 }),
                    1 => json!({ "repeat": 3, "times": 10 }),
                    2 => json!({ "delay_ms": 700, "times": 5 }),
                    3 => json!({ "batch": 20, "reorder": "shuffle", "times": 3 }),
                    4 => json!({ "batch": 50, "reorder": "reverse", "times": 2 }),
                    _ => json!({ "lose": true, "times": 60 }),
                };
                // When the sandbox has as many plans as it takes, these are enough.
                let url = format!("{}/_sandbox/deliveries", sandbox.url());
                let request = http().post(url).header("content-type", "application/json").body(fault.to_string());
                request.send().await.expect("answered");
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        }
    });
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| {
            let (phoenix, over) = (Arc::clone(&phoenix), Arc::clone(&over));
            tokio::spawn(async move {
                let mut seen = Seen::default();
                while !over.load(Ordering::Relaxed) {
                    let frames = random(1..200);
                    let stream = seen.stream(&phoenix.grpc, frames);
                    let _ = tokio::time::timeout(Duration::from_millis(1_500), stream).await;
                    pause(0..100).await;
                }
                seen
            })
        })
        .collect();
    let mut kills = 0;
    while Instant::now() < until {
        pause(1_000..3_000).await;
        server = phoenix.rise(server.kill());
        kills += 1;
    }
    let made: usize = happening.await.expect("made");
    mischief.await.expect("done");

    // Quiet again: everything has to arrive, and to be proven.
    let happened = happened(&sandbox).await;
    assert!(happened.len() >= made && made > 100 && kills > 2, "{made} events, {kills} kills");
    let ended = std::time::SystemTime::now();
    let proven = async || {
        let log = server.events().await.get_event_log(GetEventLogRequest {}).await.expect("described").into_inner();
        let until = log.sources.first()?.complete_until?;
        (std::time::SystemTime::try_from(until).ok()? > ended).then_some(log.events)
    };
    let stored = wait_for("the log to be proven complete", proven).await;
    assert_eq!(usize::try_from(stored).expect("fits"), happened.len());
    tokio::time::sleep(Duration::from_secs(3)).await;
    over.store(true, Ordering::Relaxed);
    for subscriber in subscribers {
        let seen = subscriber.await.expect("subscriber");
        let sequences: Vec<i64> = seen.events.iter().map(|(sequence, _)| *sequence).collect();
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "an event came again, or out of order");
        let by_uuid: HashMap<&String, i64> = seen.events.iter().map(|(sequence, uuid)| (uuid, *sequence)).collect();
        assert_eq!(by_uuid.len(), seen.events.len(), "an event came under two sequences");
        let missing: Vec<_> = happened.iter().filter(|uuid| !by_uuid.contains_key(uuid)).collect();
        assert!(missing.is_empty(), "{} of {} events are missing", missing.len(), happened.len());
    }
    eprintln!("{made} events in {seconds} s, {kills} kills, {SUBSCRIBERS} subscribers: all saw all");
    server.stop().await;
}
