//! The journal: every event that was ever accepted, in the order of arrival, on disk before anybody is told so.
//!
//! It is the only truth about events: what is stored is what Okta sent, and everything that is made of it is made on reading.

mod sqlite;
mod writer;

pub use self::sqlite::Journal;

/// An event on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The connection whose org it happened in.
    pub connection_id: String,
    /// Okta's `uuid`, or what stands for it: an event that is there already under this key is not stored again.
    pub uuid: String,
    /// Okta's `published`, in microseconds since 1970; 0 when there is none.
    pub published_us: i64,
    /// How it reached us.
    pub source: Source,
    /// The envelope of the hook delivery without its events, JSON text; empty when there was none.
    pub envelope: String,
    /// The event as Okta sent it, JSON text.
    pub raw: String,
}

/// An event of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place: dense, from 1.
    pub sequence: u64,
    /// When it was stored, in microseconds since 1970.
    pub received_us: i64,
    /// What came in.
    pub event: NewEvent,
}

/// How an event reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Delivered by an event hook.
    Hook,
    /// Found in the System Log.
    SystemLog,
}

/// What became of events that were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Stored now.
    pub stored: u64,
    /// There already.
    pub repeated: u64,
}

/// The journal's bounds and size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Events in it.
    pub events: u64,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// When the oldest was stored, in microseconds since 1970.
    pub oldest_received_us: Option<i64>,
    /// When the newest was stored.
    pub newest_received_us: Option<i64>,
    /// Events by connection.
    pub by_connection: Vec<(String, u64)>,
}

/// Who a journal is: cursors are bound to it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Random, made with the journal.
    pub id: [u8; 8],
    /// What its cursors are signed with.
    pub cursor_key: ring::hmac::Key,
}
