//! `okta-connector serve`: the server, until it is told to stop.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::{Failure, announce, settings};
use crate::app::{App, StartError};
use crate::config::Config;
use crate::{shutdown, telemetry};

pub(super) fn command() -> Command {
    let about = "Serve gRPC, receive event hooks, and keep the journal";
    settings::add_to(Command::new("serve").about(about))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let config = settings::config(matches)?;
    let app = start(config).await?;
    let at = app.addresses();
    let stop = shutdown::on_signal().map_err(|error| Failure::failed(format!("cannot handle signals: {error}")))?;
    let ready = json!({
        "event": "ready",
        "grpc": at.grpc.to_string(),
        "http": at.http.to_string(),
        "admin": at.admin.to_string(),
        "pid": std::process::id(),
    });
    tracing::info!(grpc = %at.grpc, http = %at.http, admin = %at.admin, "serving");
    app.run(stop, || announce(&ready).map_err(|failure| failure.message)).await.map_err(Failure::failed)
}

/// Starts logging, then the server.
pub(super) async fn start(config: Config) -> Result<App, Failure> {
    telemetry::start(&config.log, config.log_format);
    App::start(config).await.map_err(|error| match error {
        StartError::Setting(message) => Failure::usage(message),
        StartError::Failed(message) => Failure::failed(message),
    })
}
