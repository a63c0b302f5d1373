//! Runs any card: connection, call, answer, in the same way for all of them.

use super::{Card, NamesConnection};
use crate::connections::Connections;
use crate::error::{Error, Result};
use crate::okta::{Client, Context, Trace};

/// Runs cards. Cloning shares what it runs them with.
#[derive(Debug, Clone)]
pub struct Runner {
    connections: Connections,
    okta: Client,
}

impl Runner {
    /// Runs cards on `connections` through `okta`.
    pub fn new(connections: Connections, okta: Client) -> Self {
        Self { connections, okta }
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
        let Some(before) = before else {
            let (trace, answer) = self.okta.send(&connection, &call, context).await;
            let response = answer.map_err(name_fields::<C>).and_then(|answer| C::answer(request, &answer));
            return (trace, response);
        };
        let (first, before) = self.okta.send(&connection, &before, context).await;
        let before = match before {
            Ok(before) => before,
            Err(error) => return (first, Err(name_fields::<C>(error))),
        };
        let (second, answer) = self.okta.send(&connection, &call, context).await;
        let response = answer.map_err(name_fields::<C>).and_then(|answer| C::answer_both(request, &before, &answer));
        (first.then(second), response)
    }
}

/// Okta names its own fields; the caller's are the request's. What the request is wrong about has the request's names already.
fn name_fields<C: Card>(error: Error) -> Error {
    let from_okta = error.metadata().iter().any(|(key, _)| *key == "http_status");
    if from_okta { error.map_fields(C::field) } else { error }
}
