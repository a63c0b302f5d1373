//! `okta-connector config`: what is set, and what can be.

use std::io::Write;

use clap::{ArgMatches, Command};

use super::{Failure, settings};
use crate::config::SETTINGS;

pub(super) fn command() -> Command {
    Command::new("config")
        .about("Show the configuration")
        .subcommand_required(true)
        .subcommand(settings::add_to(
            Command::new("print").about("Print the effective settings as TOML, with where each came from"),
        ))
        .subcommand(Command::new("env").about("Print every setting: its variable, its default and its meaning"))
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = match matches.subcommand() {
        Some(("print", matches)) => effective(matches)?,
        _ => every(),
    };
    write!(std::io::stdout(), "{text}").map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))
}

fn effective(matches: &ArgMatches) -> Result<String, Failure> {
    settings::config(matches)?;
    let lines = settings::values(matches)?.into_iter().map(|value| {
        let text = if value.setting.secret && !value.text.is_empty() { "[redacted]" } else { &value.text };
        // A JSON string is a TOML string too.
        let text = serde_json::Value::from(text);
        format!("{} = {text}  # {}\n", value.setting.name, value.source)
    });
    Ok(lines.collect())
}

fn every() -> String {
    let lines = SETTINGS.iter().map(|setting| {
        let default = if setting.default.is_empty() { "not set" } else { setting.default };
        format!("{}={}\n    {}. Default: {default}.\n", setting.variable(), setting.takes, setting.help)
    });
    let own = "OKTA_CONNECTOR_CONFIG=FILE\n    File with settings in TOML. Default: not set.\n\
               OKTA_DOMAIN=DOMAIN\nOKTA_API_TOKEN=TOKEN\n    Together: make a connection named `default` at start. Default: not set.\n";
    lines.chain([own.to_owned()]).collect()
}
