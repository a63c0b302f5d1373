//! `okta-connector events`: the log of events as a whole.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use prost_types::Timestamp;

use super::client::{MAX_ANSWER, connect, explain, server_arg};
use super::follow::{Follower, Sink};
use super::json::ToJson;
use super::{Failure, filters};
use crate::proto::event_service_client::EventServiceClient;
use crate::proto::{Event, GetEventLogRequest, SubscribeEventsRequest};

pub(super) fn command() -> Command {
    let export = Command::new("export").about("Write a range of events as JSON lines, each with its cursor");
    Command::new("events")
        .about("Read the log of events")
        .subcommand_required(true)
        .arg(server_arg().global(true))
        .subcommand(
            filters::add_to(export, "earliest")
                .arg(
                    Arg::new("until")
                        .long("until")
                        .value_name("TIME")
                        .value_parser(|text: &str| {
                            text.parse::<Timestamp>().map_err(|_| "give a time such as 2026-01-31T12:00:00Z".to_owned())
                        })
                        .help("Leave out what was published at this time or later"),
                )
                .arg(
                    Arg::new("output")
                        .long("output")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Where to write, instead of stdout"),
                ),
        )
        .subcommand(Command::new("status").about("Tell what the log holds, and how complete each org's events are"))
}

pub(super) async fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().ok_or_else(|| Failure::usage("see okta-connector events --help"))?;
    match name {
        "export" => export(matches).await,
        _ => status(matches).await,
    }
}

async fn export(matches: &ArgMatches) -> Result<(), Failure> {
    let request = SubscribeEventsRequest {
        start: Some(filters::start(matches)),
        filters: vec![filters::filter(matches)?],
        stop_when_caught_up: true,
        ..Default::default()
    };
    let client = EventServiceClient::new(connect(matches).await?).max_decoding_message_size(MAX_ANSWER);
    let mut export = Export {
        out: writer(matches)?,
        until: matches.get_one::<Timestamp>("until").copied(),
        to_json: ToJson::new()?,
        written: 0,
    };
    let stop = crate::shutdown::on_signal().map_err(|error| Failure::failed(error.to_string()))?;
    Follower::new(client, request).run(&mut export, stop.cancelled()).await?;
    export.out.flush().map_err(|error| cannot_write(&error))?;
    if std::io::stderr().is_terminal() {
        let _ = writeln!(anstream::stderr(), "{} events", export.written);
    }
    Ok(())
}

fn writer(matches: &ArgMatches) -> Result<Box<dyn Write + Send>, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("output") else {
        return Ok(Box::new(BufWriter::new(std::io::stdout())));
    };
    let file = File::create_new(path)
        .map_err(|error| Failure::usage(format!("cannot make --output {}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}

struct Export {
    out: Box<dyn Write + Send>,
    until: Option<Timestamp>,
    to_json: ToJson,
    written: u64,
}

impl Sink for Export {
    async fn event(&mut self, cursor: &str, event: &Event) -> Result<bool, Failure> {
        let key = |time: Timestamp| (time.seconds, time.nanos);
        if let (Some(until), Some(published)) = (self.until, event.published)
            && key(published) >= key(until)
        {
            // The log is in the order of arrival: one that was published earlier can still follow.
            return Ok(true);
        }
        let line = serde_json::json!({ "cursor": cursor, "event": self.to_json.convert("Event", event)? });
        writeln!(self.out, "{line}").map_err(|error| cannot_write(&error))?;
        self.written += 1;
        Ok(true)
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(anstream::stderr(), "-- {text}");
    }
}

fn cannot_write(error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot write the events: {error}"))
}

async fn status(matches: &ArgMatches) -> Result<(), Failure> {
    let mut client = EventServiceClient::new(connect(matches).await?);
    let log = client.get_event_log(GetEventLogRequest {}).await.map_err(explain)?.into_inner();
    super::print_json(&ToJson::new()?.convert("GetEventLogResponse", &log)?)
}
