//! `okta-connector connections`: the connections of a running server.

mod add;
mod authorize;

use std::io::Write;

use clap::{Arg, ArgMatches, Command};
use tonic::transport::Channel;

use super::client::{connect, explain, server_arg};
use super::json::ToJson;
use super::{Failure, print_json};
use crate::proto::connection_service_client::ConnectionServiceClient;
use crate::proto::{
    CheckOutcome, Connection, DeleteConnectionRequest, GetConnectionRequest, ListConnectionsRequest,
    ResealSecretsRequest, TestConnectionRequest,
};

pub(super) fn command() -> Command {
    let named = |about: &'static str, name: &'static str| {
        let connection = Arg::new("connection").value_name("CONNECTION").required(true).help("Id or nickname");
        Command::new(name).about(about).arg(connection)
    };
    Command::new("connections")
        .about("Manage the connections of a running server")
        .subcommand_required(true)
        .arg(server_arg().global(true))
        .subcommand(add::command())
        .subcommand(Command::new("list").about("List all connections"))
        .subcommand(named("Show a connection as JSON", "show"))
        .subcommand(named("Tell whether a connection works", "test"))
        .subcommand(named("Have an OAuth web app authorized in an admin's browser, and wait for it", "authorize"))
        .subcommand(add::update_command())
        .subcommand(named("Remove a connection and its secrets", "remove"))
        .subcommand(Command::new("reseal").about("Seal every stored secret with the newest secret key"))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) =
        matches.subcommand().ok_or_else(|| Failure::usage("see okta-connector connections --help"))?;
    let client = ConnectionServiceClient::new(connect(matches).await?);
    let connection = || text(matches, "connection");
    match name {
        "add" => add::add(client, matches).await,
        "update" => add::update(client, matches).await,
        "list" => list(client).await,
        "show" => show(client, connection()).await,
        "test" => test(client, connection()).await,
        "authorize" => authorize::run(client, connection()).await,
        "reseal" => reseal(client).await,
        _ => remove(client, connection()).await,
    }
}

type Client = ConnectionServiceClient<Channel>;

/// An argument, empty when it was not given.
fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

async fn list(mut client: Client) -> Result<(), Failure> {
    let mut page_token = String::new();
    loop {
        let request = ListConnectionsRequest { page_size: 0, page_token };
        let page = client.list_connections(request).await.map_err(explain)?.into_inner();
        for connection in &page.connections {
            say(&line(connection))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}

async fn show(mut client: Client, connection: String) -> Result<(), Failure> {
    let response = client.get_connection(GetConnectionRequest { connection }).await.map_err(explain)?.into_inner();
    print_json(&ToJson::new()?.convert("Connection", &response.connection.unwrap_or_default())?)
}

async fn test(mut client: Client, connection: String) -> Result<(), Failure> {
    let report = client.test_connection(TestConnectionRequest { connection }).await.map_err(explain)?.into_inner();
    for check in &report.checks {
        let mark = match check.outcome() {
            CheckOutcome::Passed => "ok  ",
            CheckOutcome::Warning => "warn",
            CheckOutcome::Failed => "FAIL",
            CheckOutcome::Skipped | CheckOutcome::Unspecified => "-   ",
        };
        say(&format!("{mark}  {:<12}  {}", check.name, check.detail))?;
    }
    if report.ok { Ok(()) } else { Err(Failure::failed("the connection does not work")) }
}

async fn reseal(mut client: Client) -> Result<(), Failure> {
    let done = client.reseal_secrets(ResealSecretsRequest {}).await.map_err(explain)?.into_inner();
    say(&format!(
        "{} of {} secrets were sealed with an older key; all are sealed with the newest now",
        done.resealed, done.secrets
    ))
}

async fn remove(mut client: Client, connection: String) -> Result<(), Failure> {
    client.delete_connection(DeleteConnectionRequest { connection: connection.clone() }).await.map_err(explain)?;
    say(&format!("removed {connection}"))
}

fn line(connection: &Connection) -> String {
    let state = connection.state().as_str_name();
    let state = state.strip_prefix("CONNECTION_STATE_").unwrap_or(state);
    let default = if connection.is_default { "  (default)" } else { "" };
    format!("{}  {:<16}  {state}  {}{default}", connection.id, connection.nickname, connection.base_url)
}

fn say(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))
}
