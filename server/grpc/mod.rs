//! The gRPC face: one file per service, a line per RPC, and the one place that makes a status.

pub mod status;
