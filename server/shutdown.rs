//! Stopping: the first SIGTERM or SIGINT asks for a graceful stop, a second one ends the process at once.

use std::io;
use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that SIGTERM ended: 128 + 15.
const EXIT_TERMINATED: i32 = 143;
/// Sent when a file would grow past the limit on its size; the same number on Linux and macOS.
const SIGXFSZ: i32 = 25;

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// # Errors
/// When the process cannot install signal handlers.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A file that may not grow any more is an error of the write, and no reason to die.
    let mut file_limit = signal(SignalKind::from_raw(SIGXFSZ))?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move { while file_limit.recv().await.is_some() {} });
    tokio::spawn(async move {
        for remaining in [1, 0] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if remaining == 0 {
                tracing::warn!("second signal: stopping at once");
                process::exit(EXIT_TERMINATED);
            }
            stop.cancel();
        }
    });
    Ok(token)
}
