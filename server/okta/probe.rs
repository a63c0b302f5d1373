//! Whether a connection is any good: a token if it needs one, a few cheap calls, and what their answers tell.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::DATE;

use super::answer::Answer;
use super::call::{Accept, Call, Endpoint, HttpMethod, Repeat};
use super::client::Client;
use super::context::Context;
use super::record::Projection;
use super::refusal::refusal;
use crate::connections::scopes::covers;
use crate::connections::{Connection, Credential};
use crate::error::{Error, Result};
use crate::proto::{CheckOutcome, ConnectionCheck, MissingScope, TestConnectionResponse};

const fn read(path: &'static str, scope: &'static str) -> Endpoint {
    Endpoint { method: HttpMethod::Get, path, scope, repeat: Repeat::Safe }
}

const ORG: Endpoint = read("/api/v1/org", "okta.orgs.read");
const ME: Endpoint = read("/api/v1/users/me", "okta.users.read");
const USERS: Endpoint = read("/api/v1/users", "okta.users.read");
const USER_ROLES: Endpoint = read("/api/v1/users/{userId}/roles", "okta.roles.read");
const CLIENT_ROLES: Endpoint = read("/oauth2/v1/clients/{clientId}/roles", "okta.roles.read");

/// Okta refuses signed tokens when the clocks are further apart than some minutes.
const LARGEST_SKEW: Duration = Duration::from_secs(120);
/// A tenth of the window's requests left is worth a warning.
const LOW_SHARE: u32 = 10;

/// What an RPC needs to be let through.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// The RPC, such as `UserService.CreateUser`.
    pub rpc: &'static str,
    /// The OAuth scope.
    pub scope: &'static str,
}

/// Looks a connection over. What fails is in the response; `needs` is what the RPCs want.
pub async fn probe(
    client: &Client,
    connection: &Arc<Connection>,
    needs: impl IntoIterator<Item = Need>,
    deadline: Instant,
) -> TestConnectionResponse {
    let mut report = TestConnectionResponse::default();
    let connection = match credential(client, connection, deadline, &mut report).await {
        Ok(connection) => connection,
        Err(error) => {
            let detail = error.message();
            report.checks.push(check("credential", CheckOutcome::Failed, detail));
            return report;
        }
    };
    let prober = Prober { client, connection: &connection, deadline };
    let started = Instant::now();
    let first = match &*connection.credential {
        Credential::ServiceApp(_) => prober.ask(Call::new(USERS, &[]).query("limit", "1")).await,
        Credential::ApiToken(_) | Credential::OAuthWebApp(_) => prober.ask(Call::new(ME, &[])).await,
    };
    report.round_trip = prost_types::Duration::try_from(started.elapsed()).ok();
    report.checks.extend([reachable(&first), accepted(&first)]);
    if let Ok(first) = first.as_ref().map(|asked| &asked.answer) {
        prober.principal(first, &mut report);
        if prober.may(ORG.scope) {
            let org = prober.ask(Call::new(ORG, &[])).await.ok();
            report.org_name = org.and_then(Asked::granted).map(|org| field(&org, "companyName")).unwrap_or_default();
        }
        prober.admin_role(first, &mut report).await;
        scopes(&connection, needs, &mut report);
        clock(&mut report, first);
        rate_limit(&mut report, first);
    }
    report.ok = report.checks.iter().all(|check| check.outcome() != CheckOutcome::Failed);
    report
}

fn check(name: &str, outcome: CheckOutcome, detail: impl Into<String>) -> ConnectionCheck {
    ConnectionCheck { name: name.to_owned(), outcome: outcome.into(), detail: detail.into() }
}

/// Whether there is a token to be had, where one is needed: the connection as it is then.
async fn credential(
    client: &Client,
    connection: &Arc<Connection>,
    deadline: Instant,
    report: &mut TestConnectionResponse,
) -> Result<Arc<Connection>> {
    if matches!(*connection.credential, Credential::ApiToken(_)) {
        return Ok(Arc::clone(connection));
    }
    let (connection, is_bound) = client.tokens().retry(connection, deadline).await?;
    report.dpop = is_bound;
    report.granted_scopes.clone_from(&connection.granted_scopes);
    let detail =
        if is_bound { "tokens are bound to a key (DPoP)" } else { "the org does not ask for tokens bound to a key" };
    report.checks.push(check("dpop", CheckOutcome::Passed, detail));
    Ok(connection)
}

struct Prober<'a> {
    client: &'a Client,
    connection: &'a Arc<Connection>,
    deadline: Instant,
}

/// An answer, whatever its status, and what it answers.
struct Asked {
    call: Call,
    answer: Answer,
}

impl Asked {
    /// The answer, if it is what was asked for.
    fn granted(self) -> Option<Answer> {
        self.answer.status.is_success().then_some(self.answer)
    }
}

impl Prober<'_> {
    async fn ask(&self, mut call: Call) -> Result<Asked> {
        call.accept = Accept::AnyStatus;
        let (_, answer) =
            self.client.send(self.connection, &call, &Context::internal("connection test", self.deadline)).await;
        Ok(Asked { answer: answer?, call })
    }

    /// Whether it makes sense to ask for something that needs this scope.
    fn may(&self, scope: &str) -> bool {
        matches!(*self.connection.credential, Credential::ApiToken(_)) || covers(&self.connection.granted_scopes, scope)
    }

    fn principal(&self, first: &Answer, report: &mut TestConnectionResponse) {
        let check = match &*self.connection.credential {
            Credential::ServiceApp(app) => {
                report.principal.clone_from(&app.client_id);
                check("principal", CheckOutcome::Passed, format!("acts as the service app {}", app.client_id))
            }
            _ if first.status == StatusCode::UNAUTHORIZED => return,
            _ => {
                report.principal = login(first);
                match report.principal.as_str() {
                    "" => check("principal", CheckOutcome::Skipped, "cannot be read without the scope okta.users.read"),
                    login => check("principal", CheckOutcome::Passed, format!("acts as {login}")),
                }
            }
        };
        report.checks.push(check);
    }

    /// What the principal may do at all. Okta answers a service app that has no role with empty lists, as if there were nobody.
    async fn admin_role(&self, first: &Answer, report: &mut TestConnectionResponse) {
        let call = match &*self.connection.credential {
            Credential::ServiceApp(app) => Call::new(CLIENT_ROLES, &[&app.client_id]),
            _ => Call::new(USER_ROLES, &[&field(first, "id")]),
        };
        let roles = match self.may(call.endpoint.scope) && first.status != StatusCode::UNAUTHORIZED {
            true => self.ask(call).await.ok().and_then(Asked::granted),
            false => None,
        };
        report.admin_roles = roles.as_ref().map(labels).unwrap_or_default();
        let is_service = matches!(*self.connection.credential, Credential::ServiceApp(_));
        let sees_nobody = is_service && first.status.is_success() && first.items().is_ok_and(|users| users.is_empty());
        let without = "Okta answers its lists with nothing; give the app an admin role on its tab Admin roles";
        report.checks.push(match roles {
            Some(_) if !report.admin_roles.is_empty() => {
                check("admin_role", CheckOutcome::Passed, report.admin_roles.join(", "))
            }
            _ if sees_nobody => {
                check("admin_role", CheckOutcome::Failed, format!("the service app has none: {without}"))
            }
            Some(_) if is_service => {
                check("admin_role", CheckOutcome::Failed, format!("the service app has none: {without}"))
            }
            Some(_) => check("admin_role", CheckOutcome::Warning, "the principal has none: most calls will be refused"),
            None => check("admin_role", CheckOutcome::Skipped, "cannot be read without the scope okta.roles.read"),
        });
    }
}

/// An answer of any kind shows that the org is there.
fn reachable(first: &Result<Asked>) -> ConnectionCheck {
    match first {
        Ok(_) => check("reachable", CheckOutcome::Passed, "the org answers"),
        Err(error) => check("reachable", CheckOutcome::Failed, error.message()),
    }
}

fn accepted(first: &Result<Asked>) -> ConnectionCheck {
    let refused = |error: &Error| check("credential", CheckOutcome::Failed, error.message());
    match first {
        Ok(asked) if asked.answer.status == StatusCode::UNAUTHORIZED => refused(&refusal(&asked.call, &asked.answer)),
        // Let in, if not to this.
        Ok(asked) if asked.answer.status.is_success() || asked.answer.status == StatusCode::FORBIDDEN => {
            check("credential", CheckOutcome::Passed, "Okta accepts the credential")
        }
        Ok(asked) => refused(&refusal(&asked.call, &asked.answer)),
        Err(_) => check("credential", CheckOutcome::Skipped, "could not be looked at"),
    }
}

fn scopes(connection: &Connection, needs: impl IntoIterator<Item = Need>, report: &mut TestConnectionResponse) {
    if matches!(*connection.credential, Credential::ApiToken(_)) {
        report.checks.push(check("scopes", CheckOutcome::Passed, "an API token can do what its admin can"));
        return;
    }
    let granted = &connection.granted_scopes;
    for need in needs.into_iter().filter(|need| !need.scope.is_empty() && !covers(granted, need.scope)) {
        match report.missing_scopes.iter_mut().find(|missing| missing.scope == need.scope) {
            Some(missing) => missing.rpcs.push(need.rpc.to_owned()),
            None => {
                let (scope, rpcs) = (need.scope.to_owned(), vec![need.rpc.to_owned()]);
                report.missing_scopes.push(MissingScope { scope, rpcs });
            }
        }
    }
    let withheld: Vec<_> =
        connection.credential.scopes().iter().filter(|scope| !covers(granted, scope)).cloned().collect();
    let missing: Vec<_> = report.missing_scopes.iter().map(|missing| missing.scope.clone()).collect();
    report.checks.push(if !withheld.is_empty() {
        check("scopes", CheckOutcome::Warning, format!("asked for and not granted: {}", withheld.join(" ")))
    } else if !missing.is_empty() {
        check("scopes", CheckOutcome::Warning, format!("some RPCs will be refused without {}", missing.join(" ")))
    } else {
        check("scopes", CheckOutcome::Passed, "every RPC has the scope it needs")
    });
}

fn clock(report: &mut TestConnectionResponse, answer: &Answer) {
    let Ok(theirs) = httpdate::parse_http_date(answer.header(&DATE)) else {
        report.checks.push(check("clock", CheckOutcome::Skipped, "the answer has no date"));
        return;
    };
    let ours = SystemTime::now();
    let (skew, ahead) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, true),
        Err(behind) => (behind.duration(), false),
    };
    report.clock_skew = prost_types::Duration::try_from(skew).ok().map(|skew| prost_types::Duration {
        seconds: if ahead { skew.seconds } else { -skew.seconds },
        nanos: if ahead { skew.nanos } else { -skew.nanos },
    });
    let seconds = skew.as_secs();
    report.checks.push(if skew > LARGEST_SKEW {
        check("clock", CheckOutcome::Warning, format!("our clock and Okta's are {seconds} s apart; set ours right"))
    } else {
        check("clock", CheckOutcome::Passed, "our clock and Okta's agree")
    });
}

fn rate_limit(report: &mut TestConnectionResponse, answer: &Answer) {
    let Some((remaining, limit)) = answer.rate_limit() else {
        report.checks.push(check("rate_limit", CheckOutcome::Skipped, "the answer has no rate limit"));
        return;
    };
    let shown = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    (report.rate_limit, report.rate_limit_remaining) = (shown(limit), shown(remaining));
    let low = remaining.saturating_mul(LOW_SHARE) < limit;
    let outcome = if low { CheckOutcome::Warning } else { CheckOutcome::Passed };
    report.checks.push(check("rate_limit", outcome, format!("{remaining} of {limit} requests left in this window")));
}

fn field(answer: &Answer, name: &str) -> String {
    let projection = Projection::new();
    answer.text().map(|text| projection.record(text).text_or_empty(name)).unwrap_or_default()
}

fn login(answer: &Answer) -> String {
    let projection = Projection::new();
    let Ok(text) = answer.text() else { return String::new() };
    projection.record(text).record("profile").map(|profile| profile.text_or_empty("login")).unwrap_or_default()
}

/// The names of roles that are in force.
fn labels(answer: &Answer) -> Vec<String> {
    let projection = Projection::new();
    let items = answer.items().unwrap_or_default();
    let records = items.into_iter().map(|item| projection.record(item));
    records.filter(|role| role.text_or_empty("status") != "INACTIVE").map(|role| role.text_or_empty("label")).collect()
}
