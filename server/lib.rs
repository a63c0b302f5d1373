//! The parts of `okta-connector`, a gRPC front door to Okta. `ARCHITECTURE.md` beside this file is the map.

pub mod admin;
pub mod app;
pub mod authorization;
pub mod cards;
pub mod cli;
pub mod config;
pub mod connections;
pub mod error;
pub mod events;
pub mod grpc;
pub mod journal;
pub mod metrics;
pub mod okta;
pub mod org_url;
pub mod proto;
pub mod reconciler;
pub mod sandbox;
pub mod secret;
pub mod shutdown;
pub mod sqlite;
pub mod telemetry;
pub mod webhook;
