//! `okta-connector demo`: a sandbox org and a server, connected and hooked up, with something going on.

mod activity;
mod tour;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::client::{connect_to, explain};
use super::{Failure, announce, serve, settings};
use crate::config::{Config, DefaultConnection, DefaultCredential, SecretKey};
use crate::connections::DEFAULT_NICKNAME;
use crate::proto::event_hook_service_client::EventHookServiceClient;
use crate::proto::{EventCard, RegisterEventHookRequest};
use crate::sandbox::{self, Sandbox};
use crate::shutdown;

pub(super) fn command() -> Command {
    let about = "Run a sandbox org and a server, connected and hooked up, with something going on";
    let sandbox = Arg::new("sandbox-addr")
        .long("sandbox-addr")
        .value_name("ADDR")
        .value_parser(value_parser!(SocketAddr))
        .default_value("127.0.0.1:7000")
        .help("Where the sandbox org listens; port 0 picks a free one");
    settings::add_to(Command::new("demo").about(about).arg(sandbox))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let mut config = settings::config(matches)?;
    let scratch = Scratch::unless_given(matches, &mut config);
    let stop = shutdown::on_signal().map_err(|error| Failure::failed(format!("cannot handle signals: {error}")))?;

    let sandbox = start_sandbox(matches).await?;
    // Never the org that the environment may name: the demo makes and deactivates users.
    config.default_connection = Some(DefaultConnection {
        domain: sandbox.url(),
        credential: DefaultCredential::ApiToken(sandbox.api_token().into()),
    });
    let (sandbox_addr, api_token) = (sandbox.addr(), sandbox.api_token().to_owned());
    let app = serve::start(config).await?;
    let at = app.addresses();

    let sandbox_stop = CancellationToken::new();
    let sandbox = tokio::spawn(sandbox.serve(sandbox_stop.clone()));
    let server = tokio::spawn(app.run(stop.clone(), || Ok(())));
    let channel = connect_to(&at.grpc.to_string()).await?;
    hook_up(channel.clone()).await?;
    announce(&json!({
        "event": "ready",
        "grpc": at.grpc.to_string(),
        "http": at.http.to_string(),
        "admin": at.admin.to_string(),
        "sandbox": sandbox_addr.to_string(),
        "api_token": api_token,
        "connection": DEFAULT_NICKNAME,
        "pid": std::process::id(),
    }))?;
    tour::print(at.grpc, at.admin, sandbox_addr);

    tokio::select! {
        () = activity::run(channel) => {}
        () = stop.cancelled() => {}
    }
    let outcome = server.await;
    sandbox_stop.cancel();
    let _ = sandbox.await;
    drop(scratch);
    outcome.map_err(|error| Failure::failed(error.to_string()))?.map_err(Failure::failed)
}

async fn start_sandbox(matches: &ArgMatches) -> Result<Sandbox, Failure> {
    let mut options = sandbox::Options::default();
    if let Some(addr) = matches.get_one::<SocketAddr>("sandbox-addr") {
        options.addr = *addr;
    }
    super::sandbox::start(options).await
}

/// Registers one hook for everything that a hook can deliver.
async fn hook_up(channel: Channel) -> Result<(), Failure> {
    let request = RegisterEventHookRequest {
        name: "demo".to_owned(),
        cards: vec![EventCard::CustomWebhook.into()],
        ..Default::default()
    };
    EventHookServiceClient::new(channel).register_event_hook(request).await.map_err(explain)?;
    Ok(())
}

/// A data directory of the demo's own, gone when the demo is, unless one was asked for.
struct Scratch(Option<PathBuf>);

impl Scratch {
    fn unless_given(matches: &ArgMatches, config: &mut Config) -> Self {
        let given = matches.get_one::<String>("data_dir").is_some();
        if given {
            return Self(None);
        }
        let path = std::env::temp_dir().join(format!("okta-connector-demo-{}", std::process::id()));
        config.data_dir.clone_from(&path);
        config.secret_key = SecretKey::InDataDir;
        Self(Some(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
