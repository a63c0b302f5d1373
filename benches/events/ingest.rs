//! Deliveries stored durably, many in flight, beside bodies of the same size that are taken over HTTP and stored by bare SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::fan_out::FloorProcess;
use crate::load::{Door, Target, delivery, event};
use crate::{RUNS, harness, median, tell};

const EVENTS: usize = 20_000;
const IN_FLIGHT: usize = 32;

pub async fn run() {
    let target = Target::start().await;
    let floor = FloorProcess::start();
    let bare = Arc::new(floor.target());
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        ours.push(deliveries(&target.door, run).await);
        floors.push(deliveries(&bare, run).await);
    }
    tell("deliveries of one event, 32 in flight", "events/s durable", median(ours), median(floors));
}

async fn deliveries(target: &Arc<Door>, run: usize) -> f64 {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (target, next, http) = (Arc::clone(target), Arc::clone(&next), harness::http());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= EVENTS {
                        return;
                    }
                    target.deliver(&http, delivery(&[event(&format!("{run}-{number}"))])).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("sent");
    }
    events_a_second(began)
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn events_a_second(began: Instant) -> f64 {
    EVENTS as f64 / began.elapsed().as_secs_f64()
}
