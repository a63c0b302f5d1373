//! What goes into the journal and what comes out: Okta's raw event, and the little that is known of it without mapping it.

use std::fmt::Write as _;
use std::sync::Arc;

use prost_types::Timestamp;
use ring::digest;

/// A uuid longer than this is none: Okta's have 36 characters. It bounds the dedupe index.
const MAX_UUID_BYTES: usize = 128;

/// How an event reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Delivered by an event hook.
    Hook,
    /// Found in the System Log.
    SystemLog,
}

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Connection whose org it happened in.
    pub connection_id: Arc<str>,
    /// Okta's id of the event, or what stands in for it: see [`NewEvent::dedupe_uuid`].
    pub uuid: String,
    /// Okta's event type; empty when it has none that can be read.
    pub event_type: String,
    /// When it happened, where it says so.
    pub published: Option<Timestamp>,
    /// How it reached us.
    pub source: Source,
    /// The hook's envelope without its events, JSON text; empty when there was none. Events of one delivery share it.
    pub envelope: Arc<str>,
    /// The event as Okta sent it, JSON text.
    pub raw: String,
}

impl NewEvent {
    /// What an event is known by within its connection: its uuid, or a hash of the whole event where it has no usable one, so
    /// that it is kept and still not stored twice.
    pub fn dedupe_uuid(uuid: Option<&str>, raw: &str) -> String {
        match uuid {
            Some(uuid) if !uuid.is_empty() && uuid.len() <= MAX_UUID_BYTES => uuid.to_owned(),
            _ => hash(raw),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.raw.len() + self.envelope.len()
    }
}

fn hash(raw: &str) -> String {
    let digest = digest::digest(&digest::SHA256, raw.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An event of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its place: dense, from 1.
    pub sequence: i64,
    /// Connection whose org it happened in.
    pub connection_id: String,
    /// What it is known by within its connection.
    pub uuid: String,
    /// How it reached us.
    pub source: Source,
    /// When it was stored.
    pub received: Timestamp,
    /// The hook's envelope without its events, JSON text; empty when there was none.
    pub envelope: String,
    /// The event as Okta sent it, JSON text.
    pub raw: String,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events that are new.
    pub stored: usize,
    /// Events that were there already.
    pub repeated: usize,
}
