//! An emulated Okta org, written from Okta's public API description.
//!
//! It imports nothing of the connector: an emulator made from the client's own types would share its mistakes. State is kept in
//! memory behind one lock; every change of it is logged, and the log is what event hooks and the System Log endpoint read.

mod app_users;
mod apps;
mod control;
mod delivery;
mod edge;
mod error;
mod event_hooks;
mod expression;
mod groups;
mod happen;
mod lifecycle;
mod log;
mod logs;
mod oauth;
mod org;
mod paging;
mod rate_limits;
mod roles;
mod schemas;
mod seed;
mod tls;
mod users;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::control::Control;
use self::error::OktaError;
use self::oauth::OAuth;
use self::org::Org;

/// The API token of a sandbox unless another is given: there is nothing to protect, and a fixed one can be written down.
pub const DEFAULT_API_TOKEN: &str = "00sandbox-api-token";

/// How a sandbox is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens: a loopback address, as its control interface is open. Port 0 picks a free one.
    pub addr: SocketAddr,
    /// The company it begins with, instead of its own.
    pub seed: Option<PathBuf>,
    /// The API token that it takes.
    pub api_token: String,
    /// Whether it serves https, with a certificate that it makes.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], 7000));
        Self { addr, seed: None, api_token: DEFAULT_API_TOKEN.to_owned(), tls: false }
    }
}

/// Why a sandbox could not be started, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that was set cannot be used.
    #[error("{0}")]
    Setting(String),
    /// Something else is in the way.
    #[error("{0}")]
    Failed(String),
}

/// A sandbox that listens, and answers once it is served.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    addr: SocketAddr,
    certificate: Option<tls::Certificate>,
    state: Shared,
}

/// What handlers share.
#[derive(Debug, Clone)]
struct Shared {
    org: Arc<Mutex<Org>>,
    oauth: Arc<Mutex<OAuth>>,
    control: Arc<Mutex<Control>>,
    /// Tells the deliverer that the log has grown.
    grown: Arc<Notify>,
    /// What calls hooks.
    http: reqwest::Client,
    api_token: Arc<str>,
}

impl Shared {
    /// The org, to be looked at.
    fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The org, to be changed: what the change logs is delivered.
    fn change<T>(&self, change: impl FnOnce(&mut Org) -> T) -> T {
        let outcome = change(&mut self.org());
        self.grown.notify_one();
        outcome
    }

    /// The authorization server. Whoever also needs the org lets go of that first.
    fn oauth(&self) -> MutexGuard<'_, OAuth> {
        self.oauth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Reads the seed and binds the address.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bind(options: Options) -> Result<Self, Error> {
        if !options.addr.ip().is_loopback() {
            let message = format!("{} is no loopback address; a sandbox can be told anything by anybody", options.addr);
            return Err(Error::Setting(message));
        }
        let seed = match &options.seed {
            Some(path) => read_seed(path)?,
            None => seed::COMPANY.to_owned(),
        };
        let certificate = options.tls.then(tls::Certificate::new).transpose().map_err(Error::Failed)?;
        let failed = |error: std::io::Error| Error::Failed(format!("cannot listen on {}: {error}", options.addr));
        let listener = TcpListener::bind(options.addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let scheme = if options.tls { "https" } else { "http" };
        let url = format!("{scheme}://{addr}");
        let org = seed::company(&seed, url.clone()).map_err(|error| match &options.seed {
            Some(path) => Error::Setting(format!("{}: {error}", path.display())),
            None => Error::Failed(error),
        })?;
        let state = Shared {
            org: Arc::new(Mutex::new(org)),
            oauth: Arc::new(Mutex::new(OAuth::new(url).map_err(Error::Failed)?)),
            control: Arc::default(),
            grown: Arc::default(),
            http: reqwest::Client::builder().build().map_err(|error| Error::Failed(error.to_string()))?,
            api_token: Arc::from(options.api_token.as_str()),
        };
        Ok(Self { listener, addr, certificate, state })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.state.org().url.clone()
    }

    /// The API token that it takes.
    pub fn api_token(&self) -> &str {
        &self.state.api_token
    }

    /// Its certificate in PEM, when it serves https.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.pem.as_str())
    }

    /// Serves until told to stop, whatever is still open then.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let routes = routes(self.state.clone());
        let serving = async {
            match self.certificate {
                Some(certificate) => axum::serve(tls::Listener::new(self.listener, certificate), routes).await,
                None => axum::serve(self.listener, routes).await,
            }
        };
        tokio::select! {
            outcome = serving => outcome,
            () = delivery::run(self.state) => Ok(()),
            () = stop.cancelled() => Ok(()),
        }
    }
}

fn read_seed(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Setting(format!("cannot read the seed {}: {error}", path.display())))
}

fn routes(state: Shared) -> Router {
    let api = Router::new()
        .merge(oauth::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(lifecycle::routes())
        .merge(groups::routes())
        .merge(apps::routes())
        .merge(app_users::routes())
        .merge(schemas::routes())
        .merge(event_hooks::routes())
        .merge(logs::routes())
        .fallback(|| async { OktaError::no_such_endpoint() })
        .method_not_allowed_fallback(|| async { OktaError::method_not_supported() })
        .layer(from_fn_with_state(state.clone(), edge::okta));
    let control = control::routes().merge(happen::routes()).merge(delivery::routes()).merge(oauth::control());
    Router::new().merge(control).merge(api).with_state(state)
}
