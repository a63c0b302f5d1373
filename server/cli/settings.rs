//! The flags of the server's settings, made from the table of settings.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::Failure;
use crate::config::{Config, SETTINGS, Setting, Value, resolve};

/// Adds a flag for every setting that has one, and `--config`.
pub(super) fn add_to(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("File with settings in TOML [env: OKTA_CONNECTOR_CONFIG]");
    let flags = SETTINGS.iter().filter(|setting| !setting.secret).map(flag);
    let about_secrets = "A flag beats the environment, which beats the file, which beats the default. OKTA_DOMAIN with \
                         OKTA_API_TOKEN makes a connection named `default`. See also: okta-connector config env";
    command.arg(file).args(flags).after_help(about_secrets)
}

fn flag(setting: &'static Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let help = format!("{}{default} [env: {}]", setting.help, setting.variable());
    let flag = Arg::new(setting.name).long(setting.flag()).value_name(setting.takes).help(help);
    // A switch may be said without a value.
    match setting.takes {
        "true|false" => flag.num_args(0..=1).default_missing_value("true"),
        _ => flag,
    }
}

/// The value of every setting, and where it came from.
pub(super) fn values(matches: &ArgMatches) -> Result<Vec<Value>, Failure> {
    let given = |name: &'static str| matches.get_one::<String>(name).map(|text| (name, text.clone()));
    let flags: HashMap<&'static str, String> =
        SETTINGS.iter().filter(|setting| !setting.secret).filter_map(|setting| given(setting.name)).collect();
    let file = matches
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| variable("OKTA_CONNECTOR_CONFIG").filter(|text| !text.is_empty()).map(PathBuf::from));
    resolve(&flags, variable, file.as_deref()).map_err(|error| Failure::usage(error.to_string()))
}

/// The whole configuration, checked.
pub(super) fn config(matches: &ArgMatches) -> Result<Config, Failure> {
    Config::new(&values(matches)?, variable).map_err(|error| Failure::usage(error.to_string()))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
