//! The cards, case by case: `tests/golden/events/<case>/hook.json` is what Okta sends, `event.json` what a subscriber gets.
//!
//! With `UPDATE_GOLDEN=1` the second is written instead of compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use prost_types::Timestamp;

use super::delivery::Delivery;
use crate::events::{CARDS, card_of, decode};
use crate::journal::{NewEvent, StoredEvent};
use crate::proto::{self, Event, EventCard};

const JOURNAL_ID: &str = "0123456789abcdef";

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events");
    let mut cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The first event of a case, as a subscriber gets it.
fn event(case: &Path) -> Event {
    let body = fs::read(case.join("hook.json")).unwrap();
    let delivery = Delivery::read(&Arc::from("conn_golden"), &body).expect("a delivery");
    decode(JOURNAL_ID, stored(delivery.events.into_iter().next().expect("an event"))).event
}

fn stored(event: NewEvent) -> StoredEvent {
    StoredEvent {
        sequence: 42,
        connection_id: event.connection_id.to_string(),
        uuid: event.uuid,
        source: event.source,
        received: Timestamp { seconds: 1_772_442_870, nanos: 250_000_000 },
        envelope: event.envelope.to_string(),
        raw: event.raw,
    }
}

/// The message as protobuf's JSON, indented.
fn rendered(event: &Event) -> String {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name("oktaconnector.v1.Event").unwrap();
    let message = DynamicMessage::decode(descriptor, event.encode_to_vec().as_slice()).unwrap();
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut text);
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(&mut serializer, &options).unwrap();
    text.push(b'\n');
    String::from_utf8(text).unwrap()
}

#[test]
fn every_hook_body_decodes_to_its_card() {
    for case in cases() {
        let actual = rendered(&event(&case));
        let golden = case.join("event.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &actual).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(actual, expected, "{}", case.display());
    }
}

#[test]
fn every_card_has_a_case() {
    let folders: BTreeSet<String> =
        cases().iter().map(|case| case.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for row in &CARDS {
        assert!(folders.contains(&row.event_type.replace('.', "_")), "no case for {}", row.event_type);
    }
    let custom = |case: &PathBuf| card_of(&event(case).event_type) == EventCard::CustomWebhook;
    assert!(cases().iter().any(custom), "no case for a custom webhook");
}

#[test]
fn full_details_are_the_event_byte_for_byte() {
    for case in cases() {
        let body = fs::read_to_string(case.join("hook.json")).unwrap();
        assert!(body.contains(&event(&case).full_details_json), "{}", case.display());
    }
}
