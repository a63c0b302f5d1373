//! How fast events come in and go out, each figure beside a floor that is measured in the same run: `cargo bench --bench events`.
//!
//! Machines are noisy and differ: only the ratios mean anything. The server is the real binary; what loads it is this process.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a benchmark may fail aloud")]

mod bare_store;
mod fan_out;
mod floor;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/integration/harness.rs"]
mod harness;
mod ingest;
mod load;
mod memory;

/// Runs of each measurement; the middle one counts.
const RUNS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    if std::env::args().any(|argument| argument == floor::ARGUMENT) {
        return runtime.block_on(floor::serve());
    }
    // What cargo passes on its own account is none of ours.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    println!("{:<44} {:>12} {:>12} {:>7}", "", "ours", "floor", "ratio");
    if is_wanted("ingest") {
        runtime.block_on(ingest::run());
    }
    if is_wanted("fan-out") {
        runtime.block_on(fan_out::run());
    }
    if is_wanted("memory") {
        runtime.block_on(memory::run());
    }
}

/// Prints a line: what we do, what the floor does, and the one over the other.
fn tell(what: &str, unit: &str, ours: f64, floor: f64) {
    println!("{what:<44} {ours:>12.0} {floor:>12.0} {:>7.2}  {unit}", ours / floor);
}

/// The middle of several runs.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
