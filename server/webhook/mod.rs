//! Okta's event hooks: registered on the org from here, and the public door that takes their deliveries, bounded, and answered only
//! once the events are durable.

mod body;
mod delivery;
mod hooks;
mod okta_hook;
mod receive;
mod register;
mod registry;
mod rotate;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;

pub use delivery::{Delivery, Unfit};
pub use hooks::Hooks;
pub use registry::{AcceptedSecret, Hook, Registry};

use crate::journal::Journal;
use crate::metrics::Metrics;

/// What the receiver takes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of a delivery.
    pub max_body_bytes: usize,
    /// How long a delivery may take to arrive. Okta gives up after three seconds.
    pub body_timeout: Duration,
    /// Deliveries that are read and stored at the same time; further ones wait. With `max_body_bytes` it bounds the memory.
    pub max_deliveries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_body_bytes: 1 << 20, body_timeout: Duration::from_secs(10), max_deliveries: 64 }
    }
}

/// `GET` (verification) and `POST` (deliveries) of `/hooks/{hook_id}`.
pub fn router(registry: Registry, journal: Journal, metrics: Metrics, options: Options) -> Router {
    let room = Arc::new(Semaphore::new(options.max_deliveries.max(1)));
    let receiver = receive::Receiver { registry, journal, metrics, options: Arc::new(options), room };
    Router::new().route("/hooks/{hook_id}", get(receive::verify).post(receive::deliver)).with_state(receiver)
}
