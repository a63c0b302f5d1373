//! `okta-connector sandbox`: an emulated Okta org.

use std::net::SocketAddr;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use super::{Failure, announce};
use crate::config::LogFormat;
use crate::sandbox::{Options, Sandbox};
use crate::{shutdown, telemetry};

pub(super) fn command() -> Command {
    Command::new("sandbox").about("Run an emulated Okta org").arg(
        Arg::new("addr")
            .long("addr")
            .value_name("ADDR")
            .value_parser(value_parser!(SocketAddr))
            .default_value("127.0.0.1:7000")
            .help("Where it listens; port 0 picks a free one"),
    )
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    telemetry::start("info", LogFormat::Text);
    let mut options = Options::default();
    if let Some(addr) = matches.get_one::<SocketAddr>("addr") {
        options.addr = *addr;
    }
    let sandbox = Sandbox::bind(options).await.map_err(|error| Failure::failed(format!("cannot listen: {error}")))?;
    let stop = shutdown::on_signal().map_err(|error| Failure::failed(format!("cannot handle signals: {error}")))?;
    announce(&json!({
        "event": "ready",
        "sandbox": sandbox.addr().to_string(),
        "url": sandbox.url(),
        "api_token": sandbox.api_token(),
        "pid": std::process::id(),
    }))?;
    sandbox.serve(stop).await.map_err(|error| Failure::failed(error.to_string()))
}
