//! The server put together: every part is made here, handed what it needs, and stopped in order.

use std::fs::{DirBuilder, File, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::admin::{self, Readiness};
use crate::authorization::Authorizations;
use crate::cards::{RequestIds, Runner};
use crate::config::{Config, DefaultConnection, DefaultCredential, SecretKey, SystemLog};
use crate::connections::{Connections, Credential, ServiceApp, SigningKey, Store, scopes};
use crate::events::{GroupLookup, Hub, HubLimits};
use crate::grpc::{
    Applications, ConnectionApi, CustomApi, EventApi, EventHookApi, Groups, ResolveConnection, Unary, Users,
};
use crate::journal::{Journal, Limits, Retention};
use crate::metrics::Metrics;
use crate::okta::{self, Governor, Tokens};
use crate::proto::{DESCRIPTORS, server};
use crate::reconciler::{self, Reconciler};
use crate::secret::Sealer;
use crate::webhook::{self, Hooks};

/// A dead client is found out this long after it fell silent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams at the same time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;
/// Headers of one request; callers need a few hundred bytes.
const MAX_HEADER_LIST: u32 = 16 << 10;
/// A request: the largest is a Custom API Action with a body of 1 MiB.
const MAX_REQUEST: usize = 4 << 20;

/// Why the server could not be started, in one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something that was set cannot be used.
    #[error("{0}")]
    Setting(String),
    /// Something else is in the way.
    #[error("{0}")]
    Failed(String),
}

/// A server that has everything it needs and listens, but does not answer yet.
#[derive(Debug)]
pub struct App {
    parts: Parts,
    grpc: TcpListener,
    http: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
    drain_timeout: Duration,
    keep_alive_after: Duration,
    retention: Retention,
    max_hook_body_bytes: usize,
    _lock: File,
}

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Event hooks.
    pub http: SocketAddr,
    /// `/live`, `/ready` and `/metrics`.
    pub admin: SocketAddr,
}

#[derive(Debug)]
struct Parts {
    connections: Connections,
    okta: okta::Client,
    authorizations: Authorizations,
    hooks: Arc<Hooks>,
    journal: Journal,
    hub: Hub,
    metrics: Metrics,
    readiness: Readiness,
    reconciler: Option<Reconciler>,
    request_ids: RequestIds,
}

impl App {
    /// Opens the data directory, makes every part, and binds the three listeners.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let lock = lock_data_dir(&config.data_dir)?;
        let grpc = bind("grpc_addr", config.grpc_addr).await?;
        let http = bind("http_addr", config.http_addr).await?;
        let admin = bind("admin_addr", config.admin_addr).await?;
        let local =
            |listener: &TcpListener| listener.local_addr().map_err(|error| StartError::Failed(error.to_string()));
        let addresses = Addresses { grpc: local(&grpc)?, http: local(&http)?, admin: local(&admin)? };
        let parts = Parts::open(&config, addresses).await?;
        let Config { drain_timeout, keep_alive_after, max_hook_body_bytes, .. } = config;
        let retention = Retention { age: config.retention_age, bytes: config.retention_bytes };
        Ok(Self {
            parts,
            grpc,
            http,
            admin,
            addresses,
            drain_timeout,
            keep_alive_after,
            retention,
            max_hook_body_bytes,
            _lock: lock,
        })
    }

    /// Where the server listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `stop`, then drains: no new work, streams end, calls finish, and the hook listener closes last, so that Okta
    /// can deliver for as long as anything can be stored. `announce` is called once it answers and says that it is ready.
    ///
    /// # Errors
    /// When a listener or `announce` fails.
    pub async fn run(
        self,
        stop: CancellationToken,
        announce: impl FnOnce() -> Result<(), String> + Send,
    ) -> Result<(), String> {
        let Parts {
            connections,
            okta,
            authorizations,
            hooks,
            journal,
            hub,
            metrics,
            readiness,
            reconciler,
            request_ids,
        } = self.parts;
        let (http_stop, hub_stop) = (CancellationToken::new(), CancellationToken::new());
        let registry = hooks.registry().clone();

        let following = tokio::spawn({
            let (hub, stop) = (hub.clone(), hub_stop.clone());
            async move { hub.run(stop).await }
        });
        let reconciling = tokio::spawn({
            let stop = stop.clone();
            async move {
                if let Some(reconciler) = reconciler {
                    reconciler.run(stop).await;
                }
            }
        });
        let retaining = tokio::spawn(journal.clone().retain(self.retention, hub_stop.clone()));
        let tokens = okta.tokens().clone();
        let keeping_alive = tokio::spawn(tokens.clone().keep_alive(self.keep_alive_after, stop.clone()));
        let forgetting = tokio::spawn({
            let (hooks, stop) = (Arc::clone(&hooks), stop.clone());
            async move { hooks.forget_ended_secrets(stop).await }
        });
        let receiver = webhook::router(
            registry.clone(),
            journal.clone(),
            metrics.clone(),
            webhook::Options { max_body_bytes: self.max_hook_body_bytes, ..Default::default() },
        );
        let http = serve_http(self.http, receiver.merge(authorizations.router()), http_stop.clone());
        let admin = serve_http(self.admin, admin::router(readiness.clone(), metrics.clone()), hub_stop.clone());

        let (health, health_service) = tonic_health::server::health_reporter();
        let runner = Runner::new(connections.clone(), okta.clone(), request_ids);
        let events = EventApi::new(journal.clone(), hub, stop.clone(), resolver(connections.clone()))
            .enriched_by(GroupLookup::new(runner.clone()));
        let unary = Unary::new(runner, metrics);
        let routes = server_builder()
            // An id of the caller's, or one of ours, goes in and comes out with every RPC.
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(PropagateRequestIdLayer::x_request_id())
            .add_service(health_service)
            .add_service(reflection(tonic_reflection::server::Builder::build_v1)?)
            .add_service(reflection(tonic_reflection::server::Builder::build_v1alpha)?)
            .add_service(
                server::connection_service_server::ConnectionServiceServer::new(ConnectionApi::new(
                    connections.clone(),
                    okta,
                    authorizations.clone(),
                    registry,
                ))
                .max_decoding_message_size(MAX_REQUEST),
            )
            .add_service(server::user_service_server::UserServiceServer::new(Users(unary.clone())))
            .add_service(server::group_service_server::GroupServiceServer::new(Groups(unary.clone())))
            .add_service(server::application_service_server::ApplicationServiceServer::new(Applications(unary.clone())))
            .add_service(server::custom_api_service_server::CustomApiServiceServer::new(CustomApi(unary)))
            .add_service(server::event_hook_service_server::EventHookServiceServer::new(EventHookApi(Arc::clone(
                &hooks,
            ))))
            .add_service(server::event_service_server::EventServiceServer::new(events));

        set_serving(&health).await;
        readiness.set(true);
        announce()?;
        let draining = drain_health(health, readiness, stop.clone());
        let incoming = TcpIncoming::from(self.grpc).with_nodelay(Some(true));
        let grpc = routes.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let drained = async {
            tokio::join!(draining, async {
                stop.cancelled().await;
                tokio::time::sleep(self.drain_timeout).await;
            })
        };
        let outcome = tokio::select! {
            outcome = grpc => outcome.map_err(|error| format!("the gRPC listener failed: {error}")),
            _ = drained => {
                tracing::warn!("calls or streams were still open when the drain timeout came");
                Ok(())
            }
        };
        http_stop.cancel();
        finish("HTTP", http, self.drain_timeout).await;
        hub_stop.cancel();
        finish("admin", admin, self.drain_timeout).await;
        let _ = tokio::join!(following, keeping_alive, reconciling, retaining, forgetting);
        // Refresh tokens that were sent have answers that must not be lost, and hooks that are being made are not left half made.
        let settled = async { tokio::join!(authorizations.close(), tokens.close(), hooks.close()) };
        if tokio::time::timeout(self.drain_timeout, settled).await.is_err() {
            tracing::warn!(
                "tokens or hooks were still being renewed when the drain timeout came; the next start takes them up"
            );
        }
        if let Err(error) = journal.close().await {
            tracing::error!(%error, "the journal could not be closed");
        }
        tracing::info!("stopped");
        outcome
    }
}

impl Parts {
    async fn open(config: &Config, addresses: Addresses) -> Result<Self, StartError> {
        let failed = |error: crate::error::Error| StartError::Failed(error.message().to_owned());
        let sealer = Arc::new(sealer(config)?);
        let store = Store::open(&config.data_dir.join("connections.db")).map_err(failed)?;
        let connections = Connections::load(store.clone(), Arc::clone(&sealer), config.org_addresses)
            .await
            .map_err(|error| StartError::Setting(format!("{error}: was the secret key changed?")))?;
        if let Some(default) = &config.default_connection {
            connections.set_default(&default.domain, default_credential(default)?).await.map_err(failed)?;
        }
        let governor = Governor::new(config.reserved_rate_limit);
        let mut registry = Metrics::registry();
        registry.register_collector(Box::new(governor.clone()));
        let metrics = Metrics::new(registry);
        let http = http_client(config)?;
        let tokens = Tokens::new(http.clone(), connections.clone(), metrics.clone());
        let okta = okta::Client::new(http, tokens, governor, sealer.derive("page tokens"), metrics.clone());
        let local_url = local_url(addresses.http);
        let browsers_url = config.public_url.clone().unwrap_or_else(|| local_url.clone());
        let authorizations = Authorizations::new(connections.clone(), okta.tokens().clone(), browsers_url);
        let request_ids =
            RequestIds::open(&config.data_dir.join("request-ids.db"), Arc::clone(&sealer)).map_err(failed)?;
        let hooks = Hooks::new(store, sealer, connections.clone(), okta.clone(), config.public_url.clone(), local_url);
        hooks.load().await.map_err(failed)?;
        let journal = Journal::open(config.data_dir.join("journal.db"), Limits::default()).map_err(failed)?;
        let hub = Hub::new(journal.clone(), &HubLimits::default());
        let reconciler = config.system_log.map(|SystemLog { interval, look_back }| {
            let (journal, sources) = (journal.clone(), hub.sources().clone());
            let options = reconciler::Options { interval, look_back };
            Reconciler::new(connections.clone(), okta.clone(), journal, sources, options)
        });
        let (hooks, readiness) = (Arc::new(hooks), Readiness::default());
        Ok(Self { connections, okta, authorizations, hooks, journal, hub, metrics, readiness, reconciler, request_ids })
    }
}

/// How somebody on this machine reaches the listener.
fn local_url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    }
}

/// The credential that the environment names.
fn default_credential(default: &DefaultConnection) -> Result<Credential, StartError> {
    let (client_id, file, key_id, wanted) = match &default.credential {
        DefaultCredential::ApiToken(token) => return Ok(Credential::ApiToken(token.clone())),
        DefaultCredential::ServiceApp { client_id, private_key_file, key_id, scopes } => {
            (client_id.clone(), private_key_file, key_id, scopes)
        }
    };
    let place = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| StartError::Setting(format!("OKTA_PRIVATE_KEY_FILE {place} cannot be read: {error}")))?;
    let key = SigningKey::read(&text.into(), key_id)
        .map_err(|wrong| StartError::Setting(format!("OKTA_PRIVATE_KEY_FILE {place} {wrong}")))?;
    let scopes = scopes::check(wanted).map_err(|(_, wrong)| StartError::Setting(format!("OKTA_SCOPES: {wrong}")))?;
    Ok(Credential::ServiceApp(ServiceApp { client_id, key, scopes }))
}

/// Finds the id of a connection by id or nickname.
fn resolver(connections: Connections) -> ResolveConnection {
    Arc::new(move |name| Ok(connections.resolve(name)?.id.to_string()))
}

/// One server to a data directory: the journal has one writer.
fn lock_data_dir(path: &Path) -> Result<File, StartError> {
    let place = path.display();
    let failed = |error: std::io::Error| StartError::Failed(format!("cannot use the data directory {place}: {error}"));
    // Events speak of people: the directory is for its owner only.
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let lock = File::create(path.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(StartError::Failed(format!("another okta-connector uses the data directory {place}")))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn sealer(config: &Config) -> Result<Sealer, StartError> {
    let sealer = match &config.secret_key {
        SecretKey::Given(key) => Sealer::from_text(key),
        SecretKey::File(path) => Sealer::from_file(path, false),
        SecretKey::InDataDir => Sealer::from_file(&config.data_dir.join("secret.key"), true),
    };
    sealer.map_err(|error| StartError::Setting(error.to_string()))
}

fn http_client(config: &Config) -> Result<reqwest::Client, StartError> {
    let wrong = |path: &Path, error: String| StartError::Setting(format!("ca_file {}: {error}", path.display()));
    let roots = match &config.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| wrong(path, error.to_string()))?),
        None => None,
    };
    okta::http_client(roots.as_deref(), config.org_addresses).map_err(|error| match &config.ca_file {
        Some(path) => wrong(path, error),
        None => StartError::Failed(format!("cannot make an HTTP client: {error}")),
    })
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |error| StartError::Failed(format!("cannot listen on {setting} {address}: {error}"));
    TcpListener::bind(address).await.map_err(failed)
}

fn server_builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_LIST)
}

fn reflection<S>(
    build: fn(tonic_reflection::server::Builder<'static>) -> Result<S, tonic_reflection::server::Error>,
) -> Result<S, String> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Error details: with these, grpcurl shows them as text.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
    build(builder).map_err(|error| format!("reflection cannot be served: {error}"))
}

fn serve_http(listener: TcpListener, routes: axum::Router, stop: CancellationToken) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await })
}

async fn finish(name: &str, listener: JoinHandle<std::io::Result<()>>, within: Duration) {
    let abort = listener.abort_handle();
    match tokio::time::timeout(within, listener).await {
        Ok(Ok(Ok(()))) => {}
        Ok(outcome) => tracing::error!(?outcome, "the {name} listener failed"),
        Err(_) => {
            tracing::warn!("the {name} listener still had open connections when its time was up");
            abort.abort();
        }
    }
}

/// The names that health answers for: each service, and the whole server.
const SERVICES: [&str; 8] = [
    "",
    server::connection_service_server::ConnectionServiceServer::<ConnectionApi>::NAME,
    server::user_service_server::UserServiceServer::<Users>::NAME,
    server::group_service_server::GroupServiceServer::<Groups>::NAME,
    server::application_service_server::ApplicationServiceServer::<Applications>::NAME,
    server::custom_api_service_server::CustomApiServiceServer::<CustomApi>::NAME,
    server::event_hook_service_server::EventHookServiceServer::<EventHookApi>::NAME,
    server::event_service_server::EventServiceServer::<EventApi>::NAME,
];

async fn set_serving(health: &HealthReporter) {
    for service in SERVICES {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
}

/// From the moment of `stop` nobody is sent here any more. Health watches are streams too, and end when their service is
/// forgotten; otherwise they would hold up the stop.
async fn drain_health(health: HealthReporter, readiness: Readiness, stop: CancellationToken) {
    stop.cancelled().await;
    readiness.set(false);
    for service in SERVICES {
        health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
    }
    let mut health = health;
    for service in SERVICES {
        health.clear_service_status(service).await;
    }
}
