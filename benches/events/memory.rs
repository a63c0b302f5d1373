//! What a stream takes that has nothing to do, beside one of the floor's.

use crate::fan_out::{FloorProcess, channels, open};
use crate::harness::Server;
use crate::tell;

const STREAMS: usize = 2_000;

pub async fn run() {
    let server = Server::alone();
    let pid = server.process.ready["pid"].as_u64().expect("pid");
    let grpc = server.process.ready["grpc"].as_str().expect("address").to_owned();
    let ours = a_stream(&grpc, pid).await;
    let floor = FloorProcess::start();
    let floors = a_stream(&floor.grpc, floor.pid().into()).await;
    tell("memory of an idle stream, 100 a connection", "bytes", ours, floors);
    server.process.kill();
}

async fn a_stream(grpc: &str, pid: u64) -> f64 {
    let channels = channels(grpc, STREAMS).await;
    // Those that come first bring what all need.
    let _first = open(&channels, STREAMS / 10).await;
    let before = resident_bytes(pid);
    let _open = open(&channels, STREAMS).await;
    (resident_bytes(pid) - before) / f64::from(u16::try_from(STREAMS).expect("small"))
}

fn resident_bytes(pid: u64) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process on Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kib * 1024.0
}
