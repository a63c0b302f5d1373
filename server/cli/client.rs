//! Talking to a running server: the address flag, the channel, and errors in a line.

use clap::{Arg, ArgMatches};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

use super::Failure;

/// Answers carry whole pages of users: the usual 4 MiB would be too little for a large one.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// The flag that names the server.
pub(super) fn server_arg() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("ADDR")
        .help("gRPC address of the server [default: 127.0.0.1:50051] [env: OKTA_CONNECTOR_SERVER]")
}

/// A channel to the server that the command line names.
pub(super) async fn connect(matches: &ArgMatches) -> Result<Channel, Failure> {
    let given = matches.get_one::<String>("server").cloned();
    let address = given
        .or_else(|| std::env::var("OKTA_CONNECTOR_SERVER").ok().filter(|text| !text.is_empty()))
        .unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    connect_to(&address).await
}

/// A channel to the server at `address`.
pub(super) async fn connect_to(address: &str) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| Failure::usage(format!("--server {address:?} is no address; give one such as 127.0.0.1:50051")))?;
    endpoint.connect().await.map_err(|_| {
        Failure::failed(format!("no server answers at {address}; start one with okta-connector serve, or name another"))
    })
}

/// A failed call, in a line.
pub(super) fn explain(status: Status) -> Failure {
    let reason = status.get_details_error_info().map(|info| format!(" ({})", info.reason)).unwrap_or_default();
    Failure::failed(format!("{}{reason}", status.message()))
}
