//! `okta-connector connections`: the connections of a running server.

use std::io::{IsTerminal, Read, Write};

use clap::{Arg, ArgMatches, Command};
use tonic::transport::Channel;

use super::client::{connect, explain, server_arg};
use super::json::ToJson;
use super::{Failure, print_json};
use crate::proto::connection_service_client::ConnectionServiceClient;
use crate::proto::create_connection_request::Credentials;
use crate::proto::{
    ApiTokenCredentials, CheckOutcome, Connection, CreateConnectionRequest, DeleteConnectionRequest,
    GetConnectionRequest, ListConnectionsRequest, TestConnectionRequest,
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
        .subcommand(
            Command::new("add")
                .about("Add a connection with an API token, which is read from OKTA_API_TOKEN or stdin")
                .arg(Arg::new("nickname").value_name("NICKNAME").required(true).help("Name of your choice"))
                .arg(Arg::new("domain").value_name("DOMAIN").required(true).help("Such as acme.okta.com")),
        )
        .subcommand(Command::new("list").about("List all connections"))
        .subcommand(named("Show a connection as JSON", "show"))
        .subcommand(named("Tell whether a connection works", "test"))
        .subcommand(named("Remove a connection and its secrets", "remove"))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) =
        matches.subcommand().ok_or_else(|| Failure::usage("see okta-connector connections --help"))?;
    let client = ConnectionServiceClient::new(connect(matches).await?);
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    match name {
        "add" => add(client, text("nickname"), text("domain")).await,
        "list" => list(client).await,
        "show" => show(client, text("connection")).await,
        "test" => test(client, text("connection")).await,
        _ => remove(client, text("connection")).await,
    }
}

type Client = ConnectionServiceClient<Channel>;

async fn add(mut client: Client, nickname: String, domain: String) -> Result<(), Failure> {
    let credentials = Credentials::ApiToken(ApiTokenCredentials { api_token: api_token()? });
    let request = CreateConnectionRequest { nickname, domain, credentials: Some(credentials) };
    let response = client.create_connection(request).await.map_err(explain)?.into_inner();
    say(&response.connection.as_ref().map(line).unwrap_or_default())
}

/// Not an argument: those are seen by every process of the machine.
fn api_token() -> Result<String, Failure> {
    if let Ok(token) = std::env::var("OKTA_API_TOKEN") {
        return Ok(token);
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage("give the API token in OKTA_API_TOKEN or on stdin"));
    }
    let mut token = String::new();
    stdin.read_to_string(&mut token).map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?;
    Ok(token.trim().to_owned())
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
