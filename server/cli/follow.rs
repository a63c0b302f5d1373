//! Following events from the command line: stream after stream, each from where the last one ended, with a bar while there is a backlog.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::Failure;
use super::client::explain;
use crate::proto::event_service_client::EventServiceClient;
use crate::proto::subscribe_events_request::Start;
use crate::proto::subscribe_events_response::Frame;
use crate::proto::{ClosingReason, CommitCursorRequest, Event, Gap, SubscribeEventsRequest};

const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A consumer's cursor is committed as often as this, and at the end.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What is done with events.
pub(super) trait Sink {
    /// An event has come. False ends the following.
    async fn event(&mut self, cursor: &str, event: &Event) -> Result<bool, Failure>;
    /// Something is to be said beside the events.
    fn note(&mut self, text: &str);
}

/// Follows a subscription.
pub(super) struct Follower {
    client: EventServiceClient<Channel>,
    request: SubscribeEventsRequest,
    consumer: Option<Consumer>,
    bar: Bar,
}

struct Consumer {
    name: String,
    lease: String,
    /// What has been dealt with and is not committed.
    due: Option<String>,
    committed: tokio::time::Instant,
}

impl Follower {
    pub(super) fn new(client: EventServiceClient<Channel>, request: SubscribeEventsRequest) -> Self {
        let consumer = match &request.start {
            Some(Start::Consumer(name)) => {
                let (name, lease) = (name.clone(), String::new());
                Some(Consumer { name, lease, due: None, committed: tokio::time::Instant::now() })
            }
            _ => None,
        };
        Self { client, request, consumer, bar: Bar::default() }
    }

    /// Stream after stream, until `sink` or the server has had enough, or `stop` is done.
    pub(super) async fn run(&mut self, sink: &mut impl Sink, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let outcome = tokio::select! {
            outcome = self.follow(sink) => outcome,
            () = stop => Ok(()),
        };
        self.bar.end();
        self.commit(true).await.and(outcome)
    }

    async fn follow(&mut self, sink: &mut impl Sink) -> Result<(), Failure> {
        let mut delay = FIRST_DELAY;
        loop {
            let mut moved = false;
            let status = match self.stream(sink, &mut moved).await {
                Ok(()) => return Ok(()),
                Err(Ended::Here(failure)) => return Err(failure),
                Err(Ended::Stream(status)) => status,
            };
            if !comes_back(&status) {
                return Err(explain(status));
            }
            if moved {
                delay = FIRST_DELAY;
            }
            self.bar.aside(|| sink.note(&format!("the stream ended ({}), connecting again", status.message())));
            tokio::time::sleep(delay.mul_f64(rand::random())).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    async fn stream(&mut self, sink: &mut impl Sink, moved: &mut bool) -> Result<(), Ended> {
        let mut frames = self.client.subscribe_events(self.request.clone()).await?.into_inner();
        while let Some(response) = frames.message().await? {
            match &response.frame {
                Some(Frame::Event(event)) => {
                    self.bar.clear();
                    if !sink.event(&response.cursor, event).await.map_err(Ended::Here)? {
                        return Ok(());
                    }
                    self.bar.step();
                }
                Some(Frame::Opened(opened)) => {
                    self.bar.begin(opened.backlog);
                    if let Some(consumer) = &mut self.consumer {
                        consumer.lease.clone_from(&opened.lease);
                    }
                    if !opened.unknown_event_types.is_empty() {
                        sink.note(&format!("not in Okta's catalogue: {}", opened.unknown_event_types.join(", ")));
                    }
                }
                Some(Frame::Heartbeat(heartbeat)) => self.bar.left(heartbeat.backlog),
                Some(Frame::Gap(gap)) => self.bar.aside(|| sink.note(&told(gap))),
                // That it is done is seen by its being done.
                Some(Frame::Closing(closing)) if closing.reason() == ClosingReason::CaughtUp => {}
                Some(Frame::Closing(closing)) => self.bar.aside(|| sink.note(&closing.message)),
                None => {}
            }
            *moved = true;
            match &mut self.consumer {
                Some(consumer) => consumer.due = Some(response.cursor),
                None => self.request.start = Some(Start::AfterCursor(response.cursor)),
            }
            self.commit(false).await.map_err(Ended::Here)?;
        }
        Ok(())
    }

    /// Commits what has been dealt with, when it is time.
    async fn commit(&mut self, now: bool) -> Result<(), Failure> {
        let Some(consumer) = &mut self.consumer else { return Ok(()) };
        if !now && consumer.committed.elapsed() < COMMIT_EVERY {
            return Ok(());
        }
        let Some(cursor) = consumer.due.take() else { return Ok(()) };
        consumer.committed = tokio::time::Instant::now();
        let (name, lease) = (consumer.name.clone(), consumer.lease.clone());
        let request = CommitCursorRequest { consumer: name, cursor, lease };
        self.client.commit_cursor(request).await.map(drop).map_err(explain)
    }
}

/// How much of the backlog is dealt with; nothing to see once it is, or where there is no terminal.
#[derive(Default)]
struct Bar(Option<(ProgressBar, u64)>);

impl Bar {
    fn begin(&mut self, backlog: i64) {
        let backlog = u64::try_from(backlog).unwrap_or(0);
        if backlog == 0 {
            return self.end();
        }
        let style = ProgressStyle::with_template("{bar:32} {pos} of {len} events, {per_sec}, {eta} left");
        let bar = ProgressBar::new(backlog).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0 = Some((bar, backlog));
    }

    /// So many are left: filters may have let many pass by.
    fn left(&mut self, backlog: i64) {
        if let Some((bar, all)) = &self.0 {
            bar.set_position(all.saturating_sub(u64::try_from(backlog).unwrap_or(0)));
            if backlog == 0 {
                self.end();
            }
        }
    }

    fn step(&mut self) {
        if let Some((bar, all)) = &self.0 {
            bar.inc(1);
            if bar.position() >= *all {
                self.end();
            }
        }
    }

    /// Makes room for a line.
    fn clear(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.suspend(|| {});
        }
    }

    fn aside(&self, say: impl FnOnce()) {
        match &self.0 {
            Some((bar, _)) => bar.suspend(say),
            None => say(),
        }
    }

    fn end(&mut self) {
        if let Some((bar, _)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// Why following came to an end.
enum Ended {
    Stream(tonic::Status),
    Here(Failure),
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        Self::Stream(status)
    }
}

/// A broken stream is opened again; a refused one is not.
fn comes_back(status: &tonic::Status) -> bool {
    let refused_by_us = status.get_details_error_info().is_some_and(|info| info.reason != "SERVER_STOPPING");
    matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled) && !refused_by_us
        || status.code() == Code::Unavailable
}

fn told(gap: &Gap) -> String {
    let state = gap.state().as_str_name().trim_start_matches("GAP_STATE_").to_lowercase();
    let from = gap.from.map(|time| format!(" from {time}")).unwrap_or_default();
    let until = gap.until.map(|time| format!(" until {time}")).unwrap_or_default();
    let repaired =
        if gap.events_repaired > 0 { format!(", {} events added", gap.events_repaired) } else { String::new() };
    format!("gap {state}{from}{until}{repaired}: {}", gap.reason)
}
