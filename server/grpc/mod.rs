//! The gRPC face: one file per service, a line per RPC, and the one place that makes a status.

mod event_types;
pub mod events;
pub mod status;

use tonic::Status;

use crate::error::Error;
use crate::proto::ErrorReason;

/// What an RPC answers that a later version has: `rpc` is its name with the service, `EventService.GetConsumer`.
pub(crate) fn not_implemented(rpc: &str) -> Status {
    Error::new(ErrorReason::NotImplemented, format!("this version does not have {rpc} yet")).into()
}
