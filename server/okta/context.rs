//! For whom a request is sent, and by when.

use std::sync::Arc;
use std::time::Instant;

/// For whom a request is sent, and by when.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who has a line of their own in the governor's queues: a caller, or a part of this server.
    pub caller: Arc<str>,
    /// By when there must be an answer.
    pub deadline: Instant,
}

impl Context {
    /// For a caller.
    pub fn of(caller: Arc<str>, deadline: Instant) -> Self {
        Self { caller, deadline }
    }

    /// For a part of this server itself.
    pub fn internal(part: &str, deadline: Instant) -> Self {
        Self { caller: Arc::from(format!("(the server: {part})")), deadline }
    }
}
