//! The parts of `okta-connector`, a gRPC front door to Okta. `ARCHITECTURE.md` beside this file is the map.

pub mod cli;
pub mod error;
pub mod events;
pub mod grpc;
pub mod journal;
pub mod okta;
pub mod proto;
pub mod sandbox;
pub mod shutdown;
pub mod webhook;
