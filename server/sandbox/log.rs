//! The log of everything that happens, in the form of Okta's System Log.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::org::okta_time;

/// Events that are kept: Okta keeps 90 days.
const CAPACITY: usize = 100_000;

/// The log. An event's number is its place since the beginning.
#[derive(Debug)]
pub(super) struct Log {
    events: VecDeque<Arc<Logged>>,
    first: u64,
    capacity: usize,
}

/// An event of the log, kept as text: a hundred thousand trees would fill a laptop's memory.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) number: u64,
    pub(super) event_type: String,
    /// When it happened.
    pub(super) published: Timestamp,
    /// When it came into the log; this never runs backwards.
    pub(super) persisted: Timestamp,
    text: String,
}

/// Something that happens.
#[derive(Debug, Clone, Default)]
pub(super) struct Happening {
    pub(super) event_type: String,
    pub(super) message: String,
    pub(super) actor: Value,
    pub(super) targets: Vec<Value>,
    /// Goes into the event's debug context.
    pub(super) debug_data: Value,
    /// When it happened, if that was not just now.
    pub(super) published: Option<Timestamp>,
}

impl Default for Log {
    fn default() -> Self {
        Self::of(CAPACITY)
    }
}

impl Log {
    fn of(capacity: usize) -> Self {
        Self { events: VecDeque::new(), first: 0, capacity }
    }

    /// Adds an event, which comes into the log at `now`.
    pub(super) fn add(&mut self, happening: Happening, now: Timestamp) {
        let published = whole_milliseconds(happening.published.unwrap_or(now));
        let persisted = self.events.back().map_or(now, |last| now.max(last.persisted));
        let (number, event_type) = (self.end(), happening.event_type.clone());
        let text = event(happening, published).to_string();
        self.events.push_back(Arc::new(Logged { number, event_type, published, persisted, text }));
        if self.events.len() > self.capacity {
            self.events.pop_front();
            self.first += 1;
        }
    }

    /// The number that the next event will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Events from number `start` on. Of those that are gone it begins at the oldest that is left.
    pub(super) fn since(&self, start: u64) -> impl Iterator<Item = &Arc<Logged>> {
        let skip = usize::try_from(start.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.events.iter().skip(skip)
    }

    /// Forgets everything: what a seed has done is no news.
    pub(super) fn clear(&mut self) {
        self.events.clear();
    }
}

impl Logged {
    /// The event as Okta shows it.
    pub(super) fn event(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

fn event(happening: Happening, published: Timestamp) -> Value {
    let Happening { event_type, message, actor, targets, debug_data, .. } = happening;
    let request = uuid::Uuid::new_v4().simple().to_string();
    let mut data = json!({
        "requestId": request, "requestUri": "/api/v1", "threatSuspected": "false", "url": "/api/v1?",
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), debug_data) {
        data.extend(more);
    }
    json!({
        "uuid": uuid::Uuid::new_v4().to_string(),
        "published": okta_time(published),
        "eventType": event_type,
        "version": "0",
        "displayMessage": message,
        "severity": "INFO",
        "client": {
            "userAgent": { "rawUserAgent": "sandbox", "os": "Unknown", "browser": "UNKNOWN" },
            "zone": "null",
            "device": "Unknown",
            "id": null,
            "ipAddress": "127.0.0.1",
            "geographicalContext": {
                "city": "San Francisco", "state": "California", "country": "United States", "postalCode": "94107",
                "geolocation": { "lat": 37.7697, "lon": -122.3933 },
            },
            "ipChain": [{ "ip": "127.0.0.1", "geographicalContext": null, "version": "V4", "source": null }],
        },
        "device": null,
        "actor": actor,
        "outcome": { "result": "SUCCESS", "reason": null },
        "target": targets,
        "transaction": { "type": "WEB", "id": request, "detail": {} },
        "debugContext": { "debugData": data },
        "legacyEventType": null,
        "authenticationContext": {
            "authenticationProvider": null, "credentialProvider": null, "credentialType": null, "issuer": null,
            "authenticationStep": 0, "externalSessionId": "unknown", "interface": null,
        },
        "securityContext": { "asNumber": null, "asOrg": null, "isp": null, "domain": null, "isProxy": null },
        "insertionTimestamp": null,
    })
}

/// Times of events are written with three digits, and compared as they are written.
fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(event_type: &str) -> Happening {
        Happening { event_type: event_type.to_owned(), ..Default::default() }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("a time")
    }

    fn types(log: &Log, start: u64) -> Vec<&str> {
        log.since(start).map(|logged| logged.event_type.as_str()).collect()
    }

    #[test]
    fn the_oldest_events_make_room_and_numbers_go_on() {
        let mut log = Log::of(3);
        for event_type in ["a", "b", "c", "d", "e"] {
            log.add(happening(event_type), at(1));
        }
        assert_eq!((log.end(), types(&log, 0), types(&log, 1)), (5, vec!["c", "d", "e"], vec!["c", "d", "e"]));
        assert_eq!((types(&log, 4), types(&log, 5)), (vec!["e"], Vec::new()));
        assert_eq!(log.since(0).next().expect("the oldest").number, 2);
    }

    #[test]
    fn an_event_of_the_past_comes_into_the_log_now() {
        let mut log = Log::default();
        log.add(Happening { published: Some(at(1_000)), ..happening("late") }, at(5_000));
        let logged = log.since(0).next().expect("an event");
        assert_eq!((logged.published, logged.persisted), (at(1_000), at(5_000)));
        assert_eq!(logged.event()["published"], "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_change_the_order() {
        let mut log = Log::default();
        log.add(happening("first"), at(5_000));
        log.add(happening("second"), at(1_000));
        let persisted: Vec<Timestamp> = log.since(0).map(|logged| logged.persisted).collect();
        assert_eq!(persisted, [at(5_000), at(5_000)]);
    }
}
