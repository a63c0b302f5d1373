//! The body of a delivery taken apart: its envelope, and its events as they were sent. Pure.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::events::new_event;
use crate::journal::{NewEvent, Source};
use crate::okta::record::{self, Projection, Record};

/// Events of one delivery: Okta sends a handful. More would hold up everybody else's commit.
const MAX_EVENTS: usize = 10_000;
/// Bytes of the envelope: Okta's has a few hundred, and it is stored with each event.
const MAX_ENVELOPE_BYTES: usize = 16 << 10;

/// A delivery that can be stored.
#[derive(Debug)]
pub struct Delivery {
    /// Its events, each as it was sent.
    pub events: Vec<NewEvent>,
    /// Items of the list of events that are none.
    pub unreadable: usize,
}

/// Why a delivery cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Okta sends UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not JSON, or JSON of another kind.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// It has no list of events.
    #[error("data.events is missing or is not a list")]
    NoEvents,
    /// It has events, and all of them are of another kind.
    #[error("none of the events is a JSON object")]
    NoneReadable,
    /// More than one commit should hold.
    #[error("the body has more than {MAX_EVENTS} events")]
    TooManyEvents,
    /// More around the events than belongs there.
    #[error("the envelope has more than {MAX_ENVELOPE_BYTES} bytes")]
    EnvelopeTooLarge,
}

impl Delivery {
    /// Reads the body of a delivery to a hook of `connection_id`.
    ///
    /// # Errors
    /// What is wrong with it, when nothing of it can be stored.
    pub fn read(connection_id: &Arc<str>, body: &[u8]) -> Result<Self, Unfit> {
        let text = std::str::from_utf8(body).map_err(|_| Unfit::NotUtf8)?.trim();
        if !text.starts_with('{') || !record::is_json(text) {
            return Err(Unfit::NotAnObject);
        }
        let projection = Projection::new();
        let body = projection.record(text);
        let data = body.record("data").ok_or(Unfit::NoEvents)?;
        let items = data.raw("events").and_then(record::items).ok_or(Unfit::NoEvents)?;
        if items.len() > MAX_EVENTS {
            return Err(Unfit::TooManyEvents);
        }
        let envelope = Arc::from(envelope(&body, &data)?);
        let read = |raw: &&str| new_event(connection_id, Source::Hook, &envelope, raw);
        let events: Vec<NewEvent> = items.iter().filter_map(read).collect();
        let unreadable = items.len() - events.len();
        if unreadable > 0 && events.is_empty() {
            return Err(Unfit::NoneReadable);
        }
        Ok(Self { events, unreadable })
    }
}

/// The body without `data.events`, and without `data` when there is nothing else in it. Values stay as they were sent.
fn envelope(body: &Record<'_>, data: &Record<'_>) -> Result<String, Unfit> {
    let data = object(data.members().filter(|(name, _)| *name != "events"));
    let members = body.members().filter_map(|(name, raw)| match name {
        "data" if data == "{}" => None,
        "data" => Some((name, data.as_str())),
        _ => Some((name, raw)),
    });
    let envelope = object(members);
    if envelope.len() > MAX_ENVELOPE_BYTES { Err(Unfit::EnvelopeTooLarge) } else { Ok(envelope) }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = "{".to_owned();
    for (name, raw) in members {
        let comma = if text.len() > 1 { "," } else { "" };
        let _ = write!(text, "{comma}{}:{raw}", serde_json::Value::from(name));
    }
    text.push('}');
    text
}
