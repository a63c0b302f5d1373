//! `okta-connector sandbox`: an emulated Okta org.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use super::{Failure, announce};
use crate::config::LogFormat;
use crate::sandbox::{DEFAULT_API_TOKEN, Error, Options, Sandbox};
use crate::{shutdown, telemetry};

pub(super) fn command() -> Command {
    let file = value_parser!(PathBuf);
    Command::new("sandbox")
        .about("Run an emulated Okta org: users, groups, applications, event hooks, System Log")
        .arg(
            Arg::new("addr")
                .long("addr")
                .value_name("ADDR")
                .value_parser(value_parser!(SocketAddr))
                .default_value("127.0.0.1:7000")
                .help("Where it listens, on loopback; port 0 picks a free one"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("FILE")
                .value_parser(file.clone())
                .help("The company to begin with (JSON)"),
        )
        .arg(
            Arg::new("api-token")
                .long("api-token")
                .value_name("TOKEN")
                .default_value(DEFAULT_API_TOKEN)
                .help("The API token that it takes"),
        )
        .arg(
            Arg::new("tls")
                .long("tls")
                .action(ArgAction::SetTrue)
                .help("Serve https, with a certificate that it makes"),
        )
        .arg(
            Arg::new("certificate-file")
                .long("certificate-file")
                .value_name("FILE")
                .value_parser(file)
                .requires("tls")
                .help("Where to write that certificate (PEM), for clients to trust"),
        )
        .after_help("GET /_sandbox/ on its address tells what a test can make it do.")
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    telemetry::start("info", LogFormat::Text);
    let mut options =
        Options { seed: matches.get_one("seed").cloned(), tls: matches.get_flag("tls"), ..Options::default() };
    if let Some(addr) = matches.get_one("addr") {
        options.addr = *addr;
    }
    if let Some(token) = matches.get_one("api-token") {
        options.api_token = String::clone(token);
    }
    let sandbox = start(options).await?;
    let stop = shutdown::on_signal().map_err(|error| Failure::failed(format!("cannot handle signals: {error}")))?;
    let mut ready = json!({
        "event": "ready",
        "sandbox": sandbox.addr().to_string(),
        "url": sandbox.url(),
        "api_token": sandbox.api_token(),
        "pid": std::process::id(),
    });
    if let (Some(pem), Some(path)) = (sandbox.certificate_pem(), matches.get_one::<PathBuf>("certificate-file")) {
        std::fs::write(path, pem)
            .map_err(|error| Failure::usage(format!("cannot write --certificate-file {}: {error}", path.display())))?;
        ready["certificate"] = json!(path);
    }
    announce(&ready)?;
    sandbox.serve(stop).await.map_err(|error| Failure::failed(format!("the sandbox failed: {error}")))
}

/// Starts a sandbox, or says why not.
pub(super) async fn start(options: Options) -> Result<Sandbox, Failure> {
    Sandbox::bind(options).await.map_err(|error| match error {
        Error::Setting(message) => Failure::usage(message),
        Error::Failed(message) => Failure::failed(message),
    })
}
