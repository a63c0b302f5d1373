//! `okta-connector connections authorize`: the URL for the org's admin, the wait, the outcome.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tonic::Request;

use super::{Client, say};
use crate::cli::Failure;
use crate::cli::client::explain;
use crate::proto::{
    AuthorizationOutcome, BeginAuthorizationRequest, WaitForAuthorizationRequest, WaitForAuthorizationResponse,
};

/// How long one call waits; then comes the next.
const WAIT: Duration = Duration::from_secs(20);
const SPIN: Duration = Duration::from_millis(120);

pub(super) async fn run(mut client: Client, connection: String) -> Result<(), Failure> {
    let request = BeginAuthorizationRequest { connection: connection.clone() };
    let begun = client.begin_authorization(request).await.map_err(explain)?.into_inner();
    say("Open this in the browser of an admin of the org, within ten minutes:\n")?;
    say(&format!("  {}\n", begun.authorization_url))?;
    say(&format!("The app needs this Login redirect URI: {}", begun.redirect_uri))?;
    let spinner = ProgressBar::new_spinner()
        .with_style(ProgressStyle::default_spinner())
        .with_message(format!("waiting for {connection} to be authorized"));
    spinner.enable_steady_tick(SPIN);
    let ended = wait(client, &connection).await;
    spinner.finish_and_clear();
    let WaitForAuthorizationResponse { connection: authorized, refusal, outcome } = ended?;
    match AuthorizationOutcome::try_from(outcome).unwrap_or_default() {
        AuthorizationOutcome::Authorized => {
            let scopes = authorized.map(|connection| connection.granted_scopes.join(" ")).unwrap_or_default();
            say(&format!("{connection} is authorized for {scopes}"))
        }
        AuthorizationOutcome::Refused => Err(Failure::failed(format!("{connection} was not authorized. {refusal}"))),
        _ => {
            let again =
                format!("nobody came back in time; okta-connector connections authorize {connection} begins anew");
            Err(Failure::failed(again))
        }
    }
}

async fn wait(mut client: Client, connection: &str) -> Result<WaitForAuthorizationResponse, Failure> {
    loop {
        let mut request = Request::new(WaitForAuthorizationRequest { connection: connection.to_owned() });
        request.set_timeout(WAIT);
        let response = client.wait_for_authorization(request).await.map_err(explain)?.into_inner();
        if response.outcome() != AuthorizationOutcome::Pending {
            return Ok(response);
        }
    }
}
