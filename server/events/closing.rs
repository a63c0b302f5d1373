//! Why the server ends a stream: what the closing frame says, and the error that follows it.

use std::time::Duration;

use crate::error::Error;
use crate::proto::{Closing, ClosingReason, ErrorReason};

/// A restart takes about this long; clients add jitter of their own.
const RECONNECT_STOPPING: Duration = Duration::from_secs(1);
/// A disk does not mend in a second.
const RECONNECT_UNAVAILABLE: Duration = Duration::from_secs(5);

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The server stops.
    ServerStopping,
    /// As many events as asked for have been sent.
    StopAfterEvents,
    /// What was there at the start has been sent.
    CaughtUp,
    /// The log has removed events that were not sent yet.
    CursorExpired { earliest_cursor: String },
    /// The log could not be read.
    LogUnavailable(Error),
}

impl Ending {
    /// The last frame.
    pub(super) fn closing(&self) -> Closing {
        let (reason, message, delay) = match self {
            Self::ServerStopping => (ClosingReason::ServerStopping, "the server is stopping", Some(RECONNECT_STOPPING)),
            Self::StopAfterEvents => {
                (ClosingReason::StopAfterEvents, "as many events as asked for have been sent", None)
            }
            Self::CaughtUp => {
                (ClosingReason::CaughtUp, "every event that was in the log at the start has been sent", None)
            }
            Self::CursorExpired { .. } => (ClosingReason::CursorExpired, EXPIRED, None),
            Self::LogUnavailable(_) => {
                (ClosingReason::LogUnavailable, "the event log cannot be read", Some(RECONNECT_UNAVAILABLE))
            }
        };
        Closing {
            reason: reason.into(),
            message: message.to_owned(),
            reconnect_delay: delay.and_then(|delay| delay.try_into().ok()),
        }
    }

    /// What the stream ends with; `None` means OK.
    pub(super) fn into_error(self) -> Option<Error> {
        match self {
            Self::StopAfterEvents | Self::CaughtUp => None,
            Self::ServerStopping => {
                let error = Error::new(ErrorReason::ServerStopping, "the server is stopping");
                Some(error.with_retry_after(RECONNECT_STOPPING))
            }
            Self::CursorExpired { earliest_cursor } => {
                Some(Error::new(ErrorReason::CursorExpired, EXPIRED).with("earliest_cursor", earliest_cursor))
            }
            Self::LogUnavailable(error) => Some(error.with_retry_after(RECONNECT_UNAVAILABLE)),
        }
    }
}

const EXPIRED: &str = "the event log has removed events that were not sent yet";
