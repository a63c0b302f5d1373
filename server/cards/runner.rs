//! Runs any card: connection, call, answer, in the same way for all of them.

use prost::Message as _;

use super::request_ids::{Claim, Known};
use super::{Card, NamesConnection, RequestIds};
use crate::connections::{Connection, Connections};
use crate::error::{Error, Result};
use crate::okta::{Call, Client, Context, Repeat, Trace};
use crate::proto::ErrorReason;

/// Runs cards. Cloning shares what it runs them with.
#[derive(Debug, Clone)]
pub struct Runner {
    connections: Connections,
    okta: Client,
    request_ids: RequestIds,
}

impl Runner {
    /// Runs cards on `connections` through `okta`; those with a request id once for each of `request_ids`.
    pub fn new(connections: Connections, okta: Client, request_ids: RequestIds) -> Self {
        Self { connections, okta, request_ids }
    }

    /// Carries a request out, and tells where the time went.
    pub async fn run<C: Card>(&self, request: &C::Request, context: &Context) -> (Trace, Result<C::Response>) {
        // The request is looked at before the connection: what is wrong with it is wrong on every connection.
        let prepared = C::call(request).and_then(|call| {
            let before = C::call_before(request)?;
            let connection = self.connections.resolve(request.connection())?;
            Ok((connection, before, call))
        });
        let (connection, before, call) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return (Trace::default(), Err(error)),
        };
        if !C::request_id(request).is_empty() {
            // A task of its own: what was begun is brought to its end and noted, whether or not the caller waits for it.
            let (runner, request, context) = (self.clone(), request.clone(), context.clone());
            let once = async move { runner.once::<C>(&connection, &call, &request, &context).await };
            return tokio::spawn(once).await.unwrap_or_else(|_| (Trace::default(), Err(cut_short())));
        }
        let Some(before) = before else {
            let (trace, answer) = self.okta.send(&connection, &call, context).await;
            let response = answer
                .map_err(name_fields::<C>)
                .and_then(|answer| C::answer(request, &answer).map_err(|error| unread(error, &call)));
            return (trace, response);
        };
        let (first, before) = self.okta.send(&connection, &before, context).await;
        let before = match before {
            Ok(before) => before,
            Err(error) => return (first, Err(name_fields::<C>(error))),
        };
        let (second, answer) = self.okta.send(&connection, &call, context).await;
        let response = answer
            .map_err(name_fields::<C>)
            .and_then(|answer| C::answer_both(request, &before, &answer).map_err(|error| unread(error, &call)));
        (first.then(second), response)
    }

    /// Carries a request with a request id out, unless that was done before.
    async fn once<C: Card>(
        &self,
        connection: &Connection,
        call: &Call,
        request: &C::Request,
        context: &Context,
    ) -> (Trace, Result<C::Response>) {
        let encoded = [C::RPC.as_bytes(), &request.encode_to_vec()].concat();
        let known = self.request_ids.look_up(&connection.id, C::request_id(request), &encoded, context.deadline).await;
        let claim = match known {
            Ok(Known::New(claim)) => claim,
            Ok(Known::Answered(answer)) => {
                let response = C::Response::decode(answer.as_slice()).map_err(|_| outcome_unknown());
                return (Trace::default(), response);
            }
            Ok(Known::Unclear(claim, since)) => {
                let Some(find_out) = C::find_out(request) else { return (Trace::default(), Err(outcome_unknown())) };
                let (trace, found) = self.okta.send(connection, &find_out, context).await;
                return match found {
                    Ok(answer) => match C::found_out(request, &answer, since) {
                        Some(response) => {
                            claim.answered(&response.encode_to_vec()).await;
                            (trace, Ok(response))
                        }
                        None => self.settle::<C>(claim, connection, call, request, context).await,
                    },
                    Err(error) if error.reason() == ErrorReason::OktaNotFound => {
                        self.settle::<C>(claim, connection, call, request, context).await
                    }
                    Err(error) => (trace, Err(error.with("ambiguous", "true"))),
                };
            }
            Err(error) => return (Trace::default(), Err(error)),
        };
        self.settle::<C>(claim, connection, call, request, context).await
    }

    /// Carries a call out and notes what became of it.
    async fn settle<C: Card>(
        &self,
        claim: Claim,
        connection: &Connection,
        call: &Call,
        request: &C::Request,
        context: &Context,
    ) -> (Trace, Result<C::Response>) {
        let (trace, answer) = self.okta.send(connection, call, context).await;
        let response = answer
            .map_err(name_fields::<C>)
            .and_then(|answer| C::answer(request, &answer).map_err(|error| unread(error, call)));
        match &response {
            Ok(response) => claim.answered(&response.encode_to_vec()).await,
            Err(error) if may_have_happened(error) => drop(claim),
            Err(_) => claim.not_carried_out().await,
        }
        (trace, response)
    }
}

/// Okta answered with success, and nobody can read with what: a write may well have been carried out.
fn unread(error: Error, call: &Call) -> Error {
    if call.endpoint.repeat == Repeat::IfNotCarriedOut { error.with("ambiguous", "true") } else { error }
}

/// Whether a call that failed so may have been carried out.
fn may_have_happened(error: &Error) -> bool {
    error.metadata().iter().any(|(key, value)| *key == "ambiguous" && value == "true")
}

/// The answer to a request of which an earlier copy was sent, and nobody knows what became of it.
fn outcome_unknown() -> Error {
    let message = "the same request was sent with this request_id before, and what became of it is not known: look at \
                   the org, and use a fresh request_id if it has to be done";
    Error::new(ErrorReason::OktaTimeout, message).with("ambiguous", "true")
}

/// The answer when the server stops in the middle of a call.
fn cut_short() -> Error {
    Error::new(ErrorReason::ServerStopping, "the server stopped before the call came to its end")
        .with("ambiguous", "true")
}

/// Okta names its own fields; the caller's are the request's. What the request is wrong about has the request's names already.
fn name_fields<C: Card>(error: Error) -> Error {
    let from_okta = error.metadata().iter().any(|(key, _)| *key == "http_status");
    if from_okta { error.map_fields(C::field) } else { error }
}
