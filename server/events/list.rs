//! Reading the log page by page, in the cursor space of the streams.

use prost::Message as _;

use super::filter::Filters;
use super::hub::Hub;
use crate::error::Result;
use crate::proto::{Event, ListEventsResponse, ListedEvent};

/// Events read from the journal at a time.
const READ_EVENTS: usize = 256;
/// Bytes read from the journal at a time.
const READ_BYTES: usize = 1 << 20;
/// Events looked at for one page: a filter that nothing passes answers an empty page, and goes on with the next.
const MAX_EXAMINED: usize = 10_000;
/// Bytes of a page: clients take 4 MiB by default, and the cursors want their share.
const MAX_PAGE_BYTES: usize = 3 << 20;

/// At most `size` events after `position` that pass the filters.
///
/// # Errors
/// `StorageUnavailable`.
pub async fn page(hub: &Hub, mut position: i64, filters: &Filters, size: usize) -> Result<ListEventsResponse> {
    let mut page = Page::default();
    let mut examined = 0;
    'reading: while examined < MAX_EXAMINED {
        let read = hub.journal().read(position, READ_EVENTS, READ_BYTES).await?;
        if read.is_empty() {
            break;
        }
        for stored in read {
            let sequence = stored.sequence;
            let decoded = hub.decode(stored);
            if filters.pass(&decoded.subject) && !page.add(decoded.event, size) {
                break 'reading;
            }
            position = sequence;
            examined += 1;
        }
    }
    let events = page.events.into_iter();
    Ok(ListEventsResponse {
        events: events
            .map(|event| ListedEvent { cursor: hub.cursors().encode(event.sequence), event: Some(event) })
            .collect(),
        next_cursor: hub.cursors().encode(position),
        caught_up: position >= hub.journal().head(),
    })
}

#[derive(Default)]
struct Page {
    events: Vec<Event>,
    bytes: usize,
}

impl Page {
    /// Adds an event; false when there is no room for it. The first always has room.
    fn add(&mut self, event: Event, size: usize) -> bool {
        let bytes = self.bytes + event.encoded_len();
        if self.events.len() >= size || (bytes > MAX_PAGE_BYTES && !self.events.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.events.push(event);
        true
    }
}
