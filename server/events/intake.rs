//! An event of Okta's made ready for the journal: what it is known by is read, all of it is kept.

use std::sync::Arc;

use crate::journal::{NewEvent, Source};
use crate::okta::record::Projection;

/// The event `raw`, a JSON text; `None` when it is no object. Whatever is odd about an object, it is kept.
pub fn new_event(connection_id: &Arc<str>, source: Source, envelope: &Arc<str>, raw: &str) -> Option<NewEvent> {
    if !raw.starts_with('{') {
        return None;
    }
    let projection = Projection::new();
    let record = projection.record(raw);
    Some(NewEvent {
        connection_id: connection_id.clone(),
        uuid: NewEvent::dedupe_uuid(record.text("uuid").as_deref(), raw),
        event_type: record.text_or_empty("eventType"),
        published: record.timestamp("published"),
        source,
        envelope: envelope.clone(),
        raw: raw.to_owned(),
    })
}
