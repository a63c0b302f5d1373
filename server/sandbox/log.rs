//! The log of everything that happens, in the form of Okta's System Log.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::org::now;

/// Events that are kept: Okta keeps 90 days.
const CAPACITY: usize = 100_000;

/// The log. An event's number is its place since the beginning.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: VecDeque<Value>,
    first: u64,
}

impl Log {
    /// Adds an event; `debug_data` goes into its debug context.
    pub(super) fn add(
        &mut self,
        event_type: &str,
        message: &str,
        actor: Value,
        targets: Vec<Value>,
        debug_data: &Value,
    ) {
        let request = uuid::Uuid::new_v4().simple().to_string();
        let mut data = json!({
            "requestId": request, "requestUri": "/api/v1", "threatSuspected": "false", "url": "/api/v1?",
        });
        if let (Some(data), Some(more)) = (data.as_object_mut(), debug_data.as_object()) {
            data.extend(more.clone());
        }
        self.push(json!({
            "uuid": uuid::Uuid::new_v4().to_string(),
            "published": now(),
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
        }));
    }

    fn push(&mut self, event: Value) {
        self.events.push_back(event);
        if self.events.len() > CAPACITY {
            self.events.pop_front();
            self.first += 1;
        }
    }

    /// The number that the next event will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Events from number `start` on, each with its number.
    pub(super) fn since(&self, start: u64) -> impl Iterator<Item = (u64, &Value)> {
        let skip = usize::try_from(start.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let first = start.max(self.first);
        self.events.iter().skip(skip).enumerate().map(move |(at, event)| (first + at as u64, event))
    }

    /// Forgets everything: what a seed has done is no news.
    pub(super) fn clear(&mut self) {
        self.events.clear();
    }
}
