//! An emulated Okta org, written from Okta's public API description; it imports nothing of the connector.

mod error;
mod event_hooks;
mod groups;
mod log;
mod org;
mod users;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::error::OktaError;
use self::org::Org;

/// How a sandbox is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The API token that it takes; a fixed one by default, for there is nothing to protect.
    pub api_token: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 7000)), api_token: "00sandbox-api-token".to_owned() }
    }
}

/// A sandbox that listens.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    addr: SocketAddr,
    state: Shared,
}

/// What handlers share.
#[derive(Debug, Clone)]
struct Shared {
    org: Arc<Mutex<Org>>,
    api_token: String,
    hooks: reqwest::Client,
}

impl Shared {
    fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Binds the address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.addr).await?;
        let addr = listener.local_addr()?;
        let org = Org::seeded(format!("http://{addr}"));
        let state =
            Shared { org: Arc::new(Mutex::new(org)), api_token: options.api_token, hooks: reqwest::Client::new() };
        Ok(Self { listener, addr, state })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The API token that it takes.
    pub fn api_token(&self) -> &str {
        &self.state.api_token
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let routes = Router::new()
            .merge(users::routes())
            .merge(groups::routes())
            .merge(event_hooks::routes())
            .fallback(|| async { OktaError::not_found("resource", "Path") })
            .layer(from_fn_with_state(self.state.clone(), authenticate))
            .with_state(self.state);
        let serving = axum::serve(self.listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            outcome = async { serving.await } => outcome,
            () = stop.cancelled() => Ok(()),
        }
    }
}

async fn authenticate(State(shared): State<Shared>, request: Request, next: Next) -> Result<Response, OktaError> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.strip_prefix("SSWS").map(str::trim_start) != Some(shared.api_token.as_str()) {
        return Err(OktaError::invalid_token());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = uuid::Uuid::new_v4().simple().to_string().parse() {
        headers.insert("x-okta-request-id", id);
    }
    headers.insert("x-rate-limit-limit", 1200.into());
    headers.insert("x-rate-limit-remaining", 1199.into());
    Ok(response)
}
