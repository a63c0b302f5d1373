//! The parts of `okta-connector`, a gRPC front door to Okta. `ARCHITECTURE.md` beside this file is the map.

pub mod cli;
pub mod sandbox;
pub mod shutdown;
