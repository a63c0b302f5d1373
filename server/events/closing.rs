//! Why the server ends a stream: what the closing frame says, and the error that follows it.

use std::time::Duration;

use super::consumers::{Loss, lost};
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
    /// The stream has lost its consumer.
    ConsumerLost { name: String, loss: Loss },
    /// Nothing was read for too long.
    SlowConsumer,
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
            Self::ConsumerLost { loss, .. } => match loss {
                Loss::TakenOver => (ClosingReason::ConsumerTakenOver, loss.sentence(), None),
                Loss::Moved => (ClosingReason::ConsumerMoved, loss.sentence(), None),
                Loss::Deleted => (ClosingReason::ConsumerDeleted, loss.sentence(), None),
            },
            Self::SlowConsumer => (ClosingReason::SlowConsumer, TOO_SLOW, None),
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
            Self::ConsumerLost { name, loss } => Some(lost(&name, loss.sentence())),
            Self::SlowConsumer => Some(Error::new(ErrorReason::StreamTooSlow, TOO_SLOW)),
            Self::CursorExpired { earliest_cursor } => {
                Some(Error::new(ErrorReason::CursorExpired, EXPIRED).with("earliest_cursor", earliest_cursor))
            }
            Self::LogUnavailable(error) => Some(error.with_retry_after(RECONNECT_UNAVAILABLE)),
        }
    }
}

impl Loss {
    fn sentence(self) -> &'static str {
        match self {
            Self::TakenOver => "a newer stream has taken the consumer over",
            Self::Moved => "the consumer's cursor was set elsewhere",
            Self::Deleted => "the consumer was deleted",
        }
    }
}

const TOO_SLOW: &str = "nothing was read from the stream for too long";
const EXPIRED: &str = "the event log has removed events that were not sent yet";
