//! The command line: one file per subcommand, each with `command()` (its arguments) and `run()` (what it does).

mod client;
mod config;
mod connections;
mod demo;
mod events;
mod filters;
mod follow;
mod hooks;
mod json;
mod sandbox;
mod serve;
mod settings;
mod tail;

use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

/// Exit status of a bad setting or a bad command line (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;
/// Exit status of everything else that went wrong.
pub const EXIT_FAILURE: u8 = 1;

/// Why a subcommand ended early: one line for stderr and the exit status.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit status.
    pub code: u8,
    /// One line, without a trailing full stop.
    pub message: String,
}

impl Failure {
    /// The user asked for something that cannot be: exit status 64.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: EXIT_USAGE, message: message.into() }
    }

    /// Something went wrong while doing what was asked: exit status 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: EXIT_FAILURE, message: message.into() }
    }
}

/// Parses the command line, runs the subcommand, and turns its outcome into an exit status.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(anstream::stderr(), "okta-connector: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn command() -> Command {
    Command::new("okta-connector")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(sandbox::command())
        .subcommand(demo::command())
        .subcommand(tail::command())
        .subcommand(events::command())
        .subcommand(connections::command())
        .subcommand(hooks::command())
        .subcommand(config::command())
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    // The one provider of the whole tree. A second one would be an error that only the first TLS connection shows.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| Failure::failed("another TLS provider was installed already"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        match matches.subcommand() {
            Some(("serve", matches)) => serve::run(matches).await,
            Some(("sandbox", matches)) => sandbox::run(matches).await,
            Some(("demo", matches)) => demo::run(matches).await,
            Some(("tail", matches)) => tail::run(matches).await,
            Some(("events", matches)) => events::run(matches).await,
            Some(("connections", matches)) => connections::run(matches).await,
            Some(("hooks", matches)) => hooks::run(matches).await,
            Some(("config", matches)) => config::run(matches),
            _ => Err(Failure::usage("no such subcommand, see okta-connector --help")),
        }
    })
}

/// Prints the one line of JSON that a long-running subcommand says on stdout once it answers.
fn announce(ready: &serde_json::Value) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::failed(format!("cannot write the ready line to stdout: {error}")))
}

/// Prints JSON for people.
fn print_json(json: &serde_json::Value) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{json:#}").map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))
}
