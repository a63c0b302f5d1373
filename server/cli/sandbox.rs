//! `okta-connector sandbox`: an emulated Okta org.

use clap::{ArgMatches, Command};

use super::Failure;

pub(super) fn command() -> Command {
    Command::new("sandbox").about("Run an emulated Okta org")
}

pub(super) async fn run(_matches: &ArgMatches) -> Result<(), Failure> {
    Err(Failure::failed("not built yet"))
}
