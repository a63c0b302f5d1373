//! What can be counted about this server, and its text for Prometheus (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Every metric of the server. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    rpcs: Family<RpcLabels, Counter>,
    rpc_seconds: Family<RpcName, Histogram, fn() -> Histogram>,
    okta_requests: Family<OktaLabels, Counter>,
    okta_seconds: Family<OktaName, Histogram, fn() -> Histogram>,
    hook_deliveries: Family<HookLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    rpc: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcName {
    rpc: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OktaLabels {
    method: &'static str,
    endpoint: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OktaName {
    method: &'static str,
    endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Self::registry())
    }
}

impl Metrics {
    /// A registry for them, and for others beside them.
    pub fn registry() -> Registry {
        Registry::with_prefix("okta_connector")
    }

    /// The server's metrics in `registry`, which may hold others already.
    pub fn new(mut registry: Registry) -> Self {
        let rpcs = Family::default();
        let rpc_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let okta_requests = Family::default();
        let okta_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register("rpcs", "Unary calls answered, by RPC and gRPC code", rpcs.clone());
        registry.register_with_unit("rpc", "Time to answer a unary call", Unit::Seconds, rpc_seconds.clone());
        registry.register("okta_requests", "Requests sent to Okta; status 0 is no answer", okta_requests.clone());
        registry.register_with_unit("okta_request", "Time Okta took to answer", Unit::Seconds, okta_seconds.clone());
        let hook_deliveries = Family::default();
        let help =
            "Deliveries of event hooks by outcome; unknown_hook is for a hook that is not, or no more, registered here";
        registry.register("hook_deliveries", help, hook_deliveries.clone());
        Self(Arc::new(Inner { registry, rpcs, rpc_seconds, okta_requests, okta_seconds, hook_deliveries }))
    }

    /// A unary call was answered.
    pub fn rpc(&self, rpc: &'static str, code: &'static str, took: Duration) {
        self.0.rpcs.get_or_create(&RpcLabels { rpc, code }).inc();
        self.0.rpc_seconds.get_or_create(&RpcName { rpc }).observe(took.as_secs_f64());
    }

    /// A request was sent to Okta; `status` 0 means that no answer came.
    pub fn okta_request(&self, method: &'static str, endpoint: &'static str, status: u16, took: Duration) {
        self.0.okta_requests.get_or_create(&OktaLabels { method, endpoint, status }).inc();
        self.0.okta_seconds.get_or_create(&OktaName { method, endpoint }).observe(took.as_secs_f64());
    }

    /// A delivery of an event hook was answered.
    pub fn hook_delivery(&self, outcome: &'static str) {
        self.0.hook_deliveries.get_or_create(&HookLabels { outcome }).inc();
    }

    /// Everything, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        text
    }
}

/// 1 ms to 16 s, doubling.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}
