//! Reading the body of a hook delivery: pure, and byte for byte what Okta sent goes on.
//!
//! The body is `{eventType, eventTypeVersion, cloudEventsVersion, source, eventId, data:{events:[…]}, eventTime, contentType}`
//! (<https://developer.okta.com/docs/concepts/event-hooks/>).

use ring::digest::{SHA256, digest};

use crate::events::microseconds;
use crate::journal::{NewEvent, Source};
use crate::okta::record::{Projection, items, members};

/// More events than this in one body is no delivery of Okta's.
pub(super) const MAX_EVENTS: usize = 10_000;
/// Okta's are 36 characters; what is longer is no key.
const MAX_UUID: usize = 255;

/// A delivery, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The events that could be read.
    pub events: Vec<NewEvent>,
    /// How many could not.
    pub unreadable: usize,
}

/// Why a body is no delivery.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the body is no JSON object")]
    NoObject,
    #[error("the body has no list of events under data.events")]
    NoEvents,
    #[error("the body has more than {MAX_EVENTS} events")]
    TooMany,
}

/// Reads the body of a delivery to a hook of `connection_id`.
pub(super) fn read(body: &str, connection_id: &str) -> Result<Delivery, Unreadable> {
    let envelope = members(body).ok_or(Unreadable::NoObject)?;
    let find = |name: &str| envelope.iter().rev().find(|(member, _)| member == name).map(|(_, raw)| *raw);
    let data = find("data").and_then(members).ok_or(Unreadable::NoEvents)?;
    let events = data.iter().rev().find(|(name, _)| name == "events").map(|(_, raw)| *raw);
    let events = events.and_then(items).ok_or(Unreadable::NoEvents)?;
    if events.len() > MAX_EVENTS {
        return Err(Unreadable::TooMany);
    }
    let envelope = without_events(&envelope, &data);
    let all = events.len();
    let read: Vec<NewEvent> = events.into_iter().filter_map(|raw| read_event(raw, connection_id, &envelope)).collect();
    Ok(Delivery { unreadable: all - read.len(), events: read })
}

fn read_event(raw: &str, connection_id: &str, envelope: &str) -> Option<NewEvent> {
    members(raw)?;
    let projection = Projection::new();
    let record = projection.record(raw);
    Some(NewEvent {
        connection_id: connection_id.to_owned(),
        uuid: record.text("uuid").filter(|uuid| (1..=MAX_UUID).contains(&uuid.len())).unwrap_or_else(|| hash(raw)),
        published_us: record.timestamp("published").as_ref().map(microseconds).unwrap_or_default(),
        source: Source::Hook,
        envelope: envelope.to_owned(),
        raw: raw.to_owned(),
    })
}

/// What stands for the uuid of an event that has none: it is kept, and still only once.
fn hash(raw: &str) -> String {
    let hash: String = digest(&SHA256, raw.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

/// The envelope as Okta sent it, but for the events, which are stored one by one.
fn without_events(envelope: &[(impl AsRef<str>, &str)], data: &[(impl AsRef<str>, &str)]) -> String {
    let others: Vec<(&str, &str)> =
        data.iter().map(|(name, raw)| (name.as_ref(), *raw)).filter(|(name, _)| *name != "events").collect();
    let data = (!others.is_empty()).then(|| object(others.into_iter()));
    object(envelope.iter().filter_map(|(name, raw)| match (name.as_ref(), &data) {
        ("data", Some(data)) => Some(("data", data.as_str())),
        ("data", None) => None,
        (name, _) => Some((name, *raw)),
    }))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> = members.map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_are_kept_byte_for_byte_with_their_envelope() {
        let event = r#"{ "uuid":"u1", "n":12345678901234567890, "n":2, "published":"2023-03-26T21:05:32.159Z" }"#;
        let body = format!(r#"{{"eventId":"e1","data":{{"events":[{event}],"x":1}},"eventTime":"t"}}"#);
        let delivery = read(&body, "con_a").expect("read");
        assert_eq!(delivery.events[0].raw, event);
        assert_eq!(delivery.events[0].uuid, "u1");
        assert_eq!(delivery.events[0].published_us, 1_679_864_732_159_000);
        assert_eq!(delivery.events[0].envelope, r#"{"eventId":"e1","data":{"x":1},"eventTime":"t"}"#);
    }

    #[test]
    fn an_unreadable_event_does_not_cost_the_good_ones() {
        let delivery = read(r#"{"data":{"events":[{"uuid":"a"},7,null,"x",{"uuid":"b"}]}}"#, "con_a").expect("read");
        assert_eq!((delivery.events.len(), delivery.unreadable), (2, 3));
    }

    #[test]
    fn an_event_without_a_uuid_is_kept_under_its_hash() {
        let delivery = read(r#"{"data":{"events":[{"a":1},{"a":1},{"uuid":""},{"uuid":7}]}}"#, "con_a").expect("read");
        assert!(delivery.events.iter().all(|event| event.uuid.starts_with("sha256:")));
        assert_eq!(delivery.events[0].uuid, delivery.events[1].uuid);
        assert_ne!(delivery.events[0].uuid, delivery.events[2].uuid);
    }

    #[test]
    fn what_is_no_delivery_is_said() {
        for body in ["", "{", "[]", "7", "null", "{} x"] {
            assert_eq!(read(body, "c"), Err(Unreadable::NoObject), "{body}");
        }
        for body in ["{}", r#"{"data":7}"#, r#"{"data":{}}"#, r#"{"data":{"events":{}}}"#] {
            assert_eq!(read(body, "c"), Err(Unreadable::NoEvents), "{body}");
        }
        let many = format!(r#"{{"data":{{"events":[{}{{}}]}}}}"#, "{},".repeat(MAX_EVENTS));
        assert_eq!(read(&many, "c"), Err(Unreadable::TooMany));
    }

    #[test]
    fn deep_nesting_does_no_harm() {
        let deep = format!(r#"{{"data":{{"events":[{{"x":{}{}}}]}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _ = read(&deep, "c");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,200}") {
            let _ = read(&body, "c");
        }
    }
}
