//! The body of a delivery: whatever it is, it is refused, or each of its events is there as it was sent and can be decoded.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use okta_connector::events::decode;
use okta_connector::journal::{StoredEvent, now};
use okta_connector::webhook::Delivery;

fuzz_target!(|body: &[u8]| {
    let connection_id = Arc::from("con_0123456789abcdef");
    let Ok(delivery) = Delivery::read(&connection_id, body) else { return };
    let text = std::str::from_utf8(body).expect("what is no UTF-8 is refused");
    for (sequence, event) in (1..).zip(delivery.events) {
        assert!(text.contains(&event.raw), "an event that was not sent");
        assert!(!event.uuid.is_empty() && event.uuid.len() <= 128, "not to be told from others: {:?}", event.uuid);
        let stored = StoredEvent {
            sequence,
            connection_id: event.connection_id.to_string(),
            uuid: event.uuid,
            source: event.source,
            received: now(),
            envelope: event.envelope.to_string(),
            raw: event.raw.clone(),
        };
        let decoded = decode("0011223344556677", stored).event;
        assert_eq!(decoded.full_details_json, event.raw);
        assert_eq!(decoded.event_type, event.event_type);
    }
});
