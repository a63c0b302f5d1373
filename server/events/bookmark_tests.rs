//! The bookmark promise, as a property: whatever happens to a reader and its server, nothing is lost, nothing that was dealt with
//! comes again, and the order is kept.

use std::time::Duration;

use proptest::prelude::*;

use super::Subscription;
use super::test_log::{Log, SMALL, earliest, next, only, start};
use crate::proto::subscribe_events_request::Start as RequestedStart;
use crate::proto::subscribe_events_response::Frame as Kind;
use crate::proto::{EventFilter, SubscribeEventsRequest};

/// What happens to a log and one of its readers.
#[derive(Debug, Clone)]
enum Step {
    /// Events of these types arrive.
    Append(Vec<&'static str>),
    /// The reader takes so many frames, and keeps the cursor of the last.
    Read(usize),
    /// The reader takes so many frames, and loses the connection before it has dealt with them.
    ReadAndLose(usize),
    /// The reader takes nothing until a heartbeat is overdue.
    Dawdle,
    /// The reader comes back.
    Resume,
    /// The server restarts, and tells the reader so.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let types = proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..9);
    prop_oneof![
        4 => types.prop_map(Step::Append),
        4 => (1..12_usize).prop_map(Step::Read),
        2 => (1..12_usize).prop_map(Step::ReadAndLose),
        2 => Just(Step::Dawdle),
        1 => Just(Step::Resume),
        1 => Just(Step::Restart),
    ]
}

/// A reader that keeps what it has dealt with, and the cursor it got there with.
struct Reader {
    filter: Vec<EventFilter>,
    stream: Option<Subscription>,
    cursor: Option<String>,
    dealt_with: Vec<i64>,
}

impl Reader {
    async fn resume(&mut self, log: &Log) {
        let base = match &self.cursor {
            Some(cursor) => start(RequestedStart::AfterCursor(cursor.clone())),
            None => earliest(),
        };
        let request = SubscribeEventsRequest { filters: self.filter.clone(), ..base };
        self.stream = Some(log.subscribe(request).await.unwrap());
    }

    /// Takes frames and deals with them.
    async fn read(&mut self, log: &Log, frames: usize) {
        if self.stream.is_none() {
            self.resume(log).await;
        }
        for _ in 0..frames {
            self.deal().await;
        }
    }

    /// Takes frames, and loses the connection before anything is done with them.
    async fn read_and_lose(&mut self, log: &Log, frames: usize) {
        if self.stream.is_none() {
            self.resume(log).await;
        }
        let mut stream = self.stream.take().unwrap();
        for _ in 0..frames {
            next(&mut stream).await;
        }
    }

    /// Is told that the server stops.
    async fn part(&mut self) {
        while self.stream.is_some() {
            self.deal().await;
        }
    }

    async fn deal(&mut self) {
        let (cursor, kind) = next(self.stream.as_mut().unwrap()).await;
        self.cursor = Some(cursor);
        match kind {
            Kind::Event(event) => self.dealt_with.push(event.sequence),
            Kind::Closing(_) => self.stream = None,
            _ => {}
        }
    }
}

async fn play(steps: Vec<Step>, filter: Vec<EventFilter>, wanted: &[&str]) -> (Vec<i64>, Vec<i64>) {
    let mut log = Log::new(&SMALL);
    let mut reader = Reader { filter, stream: None, cursor: None, dealt_with: Vec::new() };
    let mut arrived = Vec::new();
    for step in steps {
        match step {
            Step::Append(types) => {
                log.append(&types).await;
                arrived.extend(types);
            }
            Step::Read(frames) => reader.read(&log, frames).await,
            Step::ReadAndLose(frames) => reader.read_and_lose(&log, frames).await,
            Step::Dawdle => tokio::time::sleep(Duration::from_secs(16)).await,
            Step::Resume => reader.resume(&log).await,
            Step::Restart => {
                log.shutdown.cancel();
                reader.part().await;
                log = log.restarted(&SMALL).await;
            }
        }
    }
    // The frames of the rest: opened, every event there is, and a heartbeat past what was filtered out.
    reader.resume(&log).await;
    while reader.cursor.as_deref() != Some(log.head_cursor().as_str()) {
        reader.deal().await;
    }
    let expected = arrived.iter().zip(1..).filter(|(event_type, _)| wanted.contains(event_type)).map(|(_, at)| at);
    (reader.dealt_with, expected.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_is_lost_repeated_or_reordered_whatever_happens_to_a_reader(
        steps in proptest::collection::vec(step(), 1..24),
        filtered in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (filter, wanted) = if filtered { (only("b"), vec!["b"]) } else { (Vec::new(), vec!["a", "b", "c"]) };
        let (dealt_with, expected) = runtime.block_on(play(steps, filter, &wanted));
        prop_assert_eq!(dealt_with, expected);
    }
}
