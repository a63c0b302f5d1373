//! `okta-connector connections add` and `update`: credentials from the command line's flags, their secrets from elsewhere.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use prost_types::FieldMask;

use super::{Client, authorize, line, say, text};
use crate::cli::Failure;
use crate::cli::client::explain;
use crate::proto::create_connection_request::Credentials;
use crate::proto::update_connection_request::Credentials as NewCredentials;
use crate::proto::{
    ApiTokenCredentials, CreateConnectionRequest, CredentialKind, GetConnectionRequest, OAuthWebAppCredentials,
    ServiceAppCredentials, UpdateConnectionRequest,
};

const CREDENTIALS: &str = "\
Secrets are no arguments, which every process of the machine could see:
  an API token       is read from OKTA_API_TOKEN, or stdin
  an OAuth web app   --client-id ID; its client secret is read from OKTA_CLIENT_SECRET, or stdin
  a service app      --client-id ID --private-key-file FILE";

pub(super) fn command() -> Command {
    let about = "Add a connection: with an API token, or as an OAuth app of the org";
    let named = |name: &'static str, value: &'static str| Arg::new(name).value_name(value).required(true);
    credential_args(Command::new("add").about(about))
        .arg(named("nickname", "NICKNAME").help("Name of your choice"))
        .arg(named("domain", "DOMAIN").help("Such as acme.okta.com"))
        .arg(
            Arg::new("no-authorize")
                .long("no-authorize")
                .action(ArgAction::SetTrue)
                .help("Leave the authorization of an OAuth web app for later"),
        )
        .after_help(CREDENTIALS)
}

pub(super) fn update_command() -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    credential_args(Command::new("update").about("Change a connection's nickname, scopes or credentials"))
        .arg(Arg::new("connection").value_name("CONNECTION").required(true).help("Id or nickname"))
        .arg(Arg::new("nickname").long("nickname").value_name("NICKNAME").help("Another nickname"))
        .arg(switch("new-secret", "Another API token or client secret, which is read as with add"))
        .arg(switch("disable", "Switch it off").conflicts_with("enable"))
        .arg(switch("enable", "Switch it on again"))
        .after_help(CREDENTIALS)
}

fn credential_args(command: Command) -> Command {
    command
        .arg(Arg::new("client-id").long("client-id").value_name("ID").help("Client id of the OAuth app"))
        .arg(
            Arg::new("private-key-file")
                .long("private-key-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Private key of a service app, PEM or JWK"),
        )
        .arg(Arg::new("key-id").long("key-id").value_name("ID").requires("private-key-file").help("Id of that key"))
        .arg(
            Arg::new("scope")
                .long("scope")
                .value_name("SCOPE")
                .action(ArgAction::Append)
                .help("Scope to ask for, such as okta.users.manage; again for more [default: what all RPCs need]"),
        )
}

pub(super) async fn add(mut client: Client, matches: &ArgMatches) -> Result<(), Failure> {
    let nickname = text(matches, "nickname");
    let credentials = match (matches.get_one::<String>("client-id"), matches.get_one::<PathBuf>("private-key-file")) {
        (Some(client_id), Some(_)) => Credentials::ServiceApp(service_app(matches, client_id.clone())?),
        (Some(client_id), None) => Credentials::OauthWebApp(web_app(matches, client_id.clone())?),
        (None, Some(_)) => return Err(Failure::usage("--private-key-file needs --client-id too")),
        (None, None) => Credentials::ApiToken(api_token()?),
    };
    let authorizes = matches!(credentials, Credentials::OauthWebApp(_)) && !matches.get_flag("no-authorize");
    let request = CreateConnectionRequest {
        nickname: nickname.clone(),
        domain: text(matches, "domain"),
        credentials: Some(credentials),
    };
    let response = client.create_connection(request).await.map_err(explain)?.into_inner();
    say(&response.connection.as_ref().map(line).unwrap_or_default())?;
    if authorizes { authorize::run(client, nickname).await } else { Ok(()) }
}

pub(super) async fn update(mut client: Client, matches: &ArgMatches) -> Result<(), Failure> {
    let get = GetConnectionRequest { connection: text(matches, "connection") };
    let present = client.get_connection(get).await.map_err(explain)?.into_inner().connection.unwrap_or_default();
    let mut paths = Vec::new();
    let mut request =
        UpdateConnectionRequest { connection: present.id.clone(), etag: present.etag.clone(), ..Default::default() };
    if let Some(nickname) = matches.get_one::<String>("nickname") {
        request.nickname.clone_from(nickname);
        paths.push("nickname");
    }
    if matches.get_flag("disable") || matches.get_flag("enable") {
        request.disabled = matches.get_flag("disable");
        paths.push("disabled");
    }
    let has = |name: &str| matches.contains_id(name);
    if matches.get_flag("new-secret") || has("client-id") || has("private-key-file") {
        let client_id = matches.get_one::<String>("client-id").cloned().unwrap_or_else(|| present.client_id.clone());
        request.credentials = Some(match present.credential_kind() {
            CredentialKind::OauthWebApp => NewCredentials::OauthWebApp(web_app(matches, client_id)?),
            CredentialKind::ServiceApp if has("private-key-file") => {
                NewCredentials::ServiceApp(service_app(matches, client_id)?)
            }
            CredentialKind::ServiceApp => return Err(Failure::usage("a service app needs --private-key-file")),
            CredentialKind::ApiToken | CredentialKind::Unspecified => NewCredentials::ApiToken(api_token()?),
        });
        paths.push("credentials");
    } else if has("scope") {
        request.scopes = scopes(matches);
        paths.push("scopes");
    }
    if paths.is_empty() {
        return Err(Failure::usage("nothing to change; see okta-connector connections update --help"));
    }
    request.update_mask = Some(FieldMask { paths: paths.into_iter().map(str::to_owned).collect() });
    let response = client.update_connection(request).await.map_err(explain)?.into_inner();
    say(&response.connection.as_ref().map(line).unwrap_or_default())
}

fn api_token() -> Result<ApiTokenCredentials, Failure> {
    Ok(ApiTokenCredentials { api_token: secret("OKTA_API_TOKEN", "API token")? })
}

fn web_app(matches: &ArgMatches, client_id: String) -> Result<OAuthWebAppCredentials, Failure> {
    let client_secret = secret("OKTA_CLIENT_SECRET", "client secret")?;
    Ok(OAuthWebAppCredentials { client_id, client_secret, scopes: scopes(matches) })
}

fn service_app(matches: &ArgMatches, client_id: String) -> Result<ServiceAppCredentials, Failure> {
    let file = matches.get_one::<PathBuf>("private-key-file").cloned().unwrap_or_default();
    let private_key = std::fs::read_to_string(&file)
        .map_err(|error| Failure::usage(format!("cannot read --private-key-file {}: {error}", file.display())))?;
    Ok(ServiceAppCredentials { client_id, private_key, key_id: text(matches, "key-id"), scopes: scopes(matches) })
}

fn scopes(matches: &ArgMatches) -> Vec<String> {
    matches.get_many::<String>("scope").map(|scopes| scopes.cloned().collect()).unwrap_or_default()
}

fn secret(variable: &str, what: &str) -> Result<String, Failure> {
    if let Some(secret) = std::env::var(variable).ok().filter(|secret| !secret.is_empty()) {
        return Ok(secret);
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage(format!("give the {what} in {variable} or on stdin")));
    }
    let mut secret = String::new();
    stdin.read_to_string(&mut secret).map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?;
    match secret.trim() {
        "" => Err(Failure::usage(format!("give the {what} in {variable} or on stdin"))),
        secret => Ok(secret.to_owned()),
    }
}
