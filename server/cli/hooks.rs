//! `okta-connector hooks`: the event hooks of a running server.

use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, Command};

use prost_types::Duration;

use super::Failure;
use super::client::{connect, explain, server_arg};
use crate::proto::event_hook_service_client::EventHookServiceClient;
use crate::proto::{
    DeleteEventHookRequest, EventCard, EventHook, ListEventHooksRequest, RegisterEventHookRequest,
    RotateEventHookSecretRequest, VerifyEventHookRequest,
};

pub(super) fn command() -> Command {
    let connection =
        || Arg::new("connection").long("connection").value_name("NAME").help("Id or nickname of the connection");
    let hook = || Arg::new("hook").value_name("HOOK").required(true).help("Our id of the hook");
    Command::new("hooks")
        .about("Manage the event hooks of a running server")
        .subcommand_required(true)
        .arg(server_arg().global(true))
        .subcommand(
            Command::new("register")
                .about("Make an event hook on the org that delivers here, and have Okta verify it")
                .arg(connection())
                .arg(Arg::new("name").long("name").value_name("NAME").help("Name on the org [default: okta-connector]"))
                .arg(
                    Arg::new("type")
                        .long("type")
                        .value_name("TYPE")
                        .action(ArgAction::Append)
                        .help("An event type to deliver; can be repeated [default: those of the twelve cards]"),
                )
                .arg(
                    Arg::new("all")
                        .long("all")
                        .action(ArgAction::SetTrue)
                        .help("Every event type that a hook can deliver"),
                ),
        )
        .subcommand(Command::new("list").about("List the hooks, with how they do").arg(connection()))
        .subcommand(Command::new("verify").about("Have Okta verify a hook again").arg(hook()))
        .subcommand(
            Command::new("rotate")
                .about("Give a hook a new secret; the old one is accepted for a while")
                .arg(hook())
                .arg(
                    Arg::new("grace")
                        .long("grace")
                        .value_name("SECONDS")
                        .value_parser(clap::value_parser!(i64).range(0..=24 * 3600))
                        .help("How long the old secret is accepted too, up to a day [default: 3600]"),
                ),
        )
        .subcommand(Command::new("remove").about("Remove a hook from the org and from here").arg(hook()))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().ok_or_else(|| Failure::usage("see okta-connector hooks --help"))?;
    let mut client = EventHookServiceClient::new(connect(matches).await?);
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    match name {
        "register" => {
            let all = matches.get_flag("all");
            let request = RegisterEventHookRequest {
                connection: text("connection"),
                name: text("name"),
                cards: if all { vec![EventCard::CustomWebhook.into()] } else { Vec::new() },
                event_types: matches.get_many::<String>("type").into_iter().flatten().cloned().collect(),
            };
            print(&client.register_event_hook(request).await.map_err(explain)?.into_inner().hooks)
        }
        "list" => {
            let request = ListEventHooksRequest { connection: text("connection") };
            print(&client.list_event_hooks(request).await.map_err(explain)?.into_inner().hooks)
        }
        "verify" => {
            let request = VerifyEventHookRequest { hook_id: text("hook") };
            let hook = client.verify_event_hook(request).await.map_err(explain)?.into_inner().hook;
            print(&hook.into_iter().collect::<Vec<_>>())
        }
        "rotate" => {
            let grace = matches.get_one::<i64>("grace").map(|seconds| Duration { seconds: *seconds, nanos: 0 });
            let request = RotateEventHookSecretRequest { hook_id: text("hook"), grace };
            let hook = client.rotate_event_hook_secret(request).await.map_err(explain)?.into_inner().hook;
            print(&hook.into_iter().collect::<Vec<_>>())
        }
        _ => {
            client.delete_event_hook(DeleteEventHookRequest { hook_id: text("hook") }).await.map_err(explain)?;
            Ok(())
        }
    }
}

fn print(hooks: &[EventHook]) -> Result<(), Failure> {
    for hook in hooks {
        let health = hook.health.clone().unwrap_or_default();
        let status = hook.status().as_str_name();
        let line = format!(
            "{}  {}  {}  {}  {} types, {} deliveries, {} refused  {}",
            hook.id,
            status.strip_prefix("EVENT_HOOK_STATUS_").unwrap_or(status),
            if hook.verified { "verified" } else { "not verified" },
            hook.uri,
            hook.event_types.len(),
            health.deliveries_accepted,
            health.deliveries_refused,
            health.last_error,
        );
        writeln!(std::io::stdout(), "{}", line.trim_end())
            .map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))?;
    }
    Ok(())
}
