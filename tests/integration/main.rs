//! Tests against the running binary: real processes, real sockets, stopped the way users stop them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking, and its name says what it is"
)]

mod applications;
mod architecture;
mod browser;
mod chaos;
mod connections;
mod consumers;
mod custom_api;
mod demo;
mod disk;
mod events;
mod fan_out;
mod faults;
mod groups;
mod harness;
mod hooks;
mod rate_limits;
mod reconciler;
mod request_ids;
mod sandbox;
mod sandbox_oauth;
mod secrets;
mod serve;
mod service_apps;
mod users;
mod web_apps;
