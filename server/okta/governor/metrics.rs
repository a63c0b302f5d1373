//! The governor's figures at the moment they are asked for, as `GetRateLimits` tells them.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Governor, LaneStatus};

impl Collector for Governor {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all: Vec<_> = self.connections().into_iter().map(|id| (self.status(&id), id)).collect();
        buckets(&mut encoder, &all, "okta_rate_limit", "Requests a window allows", |bucket| {
            bucket.window.map_or(0, |window| window.limit)
        })?;
        buckets(
            &mut encoder,
            &all,
            "okta_rate_limit_remaining",
            "Requests that remained at the last answer",
            |bucket| bucket.window.map_or(0, |window| window.remaining),
        )?;
        buckets(&mut encoder, &all, "okta_rate_limit_waiting", "Calls that wait for their turn", |bucket| {
            u32::try_from(bucket.waiting).unwrap_or(u32::MAX)
        })?;
        connections(&mut encoder, &all, "okta_in_flight", "Requests in flight", |status| status.in_flight)?;
        connections(
            &mut encoder,
            &all,
            "okta_concurrency_limit",
            "Requests that may be in flight at once",
            |status| status.concurrency_limit,
        )?;
        connections(&mut encoder, &all, "okta_out_of_order", "1 while the org is left alone, not answering", |status| {
            u32::from(status.out_of_order_for.is_some())
        })
    }
}

type All = [(LaneStatus, String)];

fn buckets(
    encoder: &mut DescriptorEncoder<'_>,
    all: &All,
    name: &str,
    help: &str,
    figure: impl Fn(&super::BucketStatus) -> u32,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0_i64);
    let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (status, connection) in all {
        for bucket in &status.buckets {
            let labels = [("connection", connection.as_str()), ("bucket", bucket.bucket.as_ref())];
            ConstGauge::new(i64::from(figure(bucket))).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn connections(
    encoder: &mut DescriptorEncoder<'_>,
    all: &All,
    name: &str,
    help: &str,
    figure: impl Fn(&LaneStatus) -> u32,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0_i64);
    let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (status, connection) in all {
        let labels = [("connection", connection.as_str())];
        ConstGauge::new(i64::from(figure(status))).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
