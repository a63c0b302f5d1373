//! Starting and stopping the binary, and talking to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use okta_connector::proto::connection_service_client::ConnectionServiceClient;
use okta_connector::proto::custom_api_action_request::Body;
use okta_connector::proto::custom_api_service_client::CustomApiServiceClient;
use okta_connector::proto::event_service_client::EventServiceClient;
use okta_connector::proto::group_service_client::GroupServiceClient;
use okta_connector::proto::user_service_client::UserServiceClient;
use okta_connector::proto::{
    CreateUserRequest, CustomApiActionRequest, HttpMethod, ReadUserRequest, ReadUserResponse, User,
    UserCredentialsInput, UserProfile,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

/// How long anything may take: long enough for a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `okta-connector`.
pub struct Process {
    child: Child,
    /// Its ready line.
    pub ready: Value,
    rest_of_stdout: Option<std::thread::JoinHandle<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the binary and waits for its ready line. Nothing of the machine's own configuration reaches it.
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(arguments, variables).spawn().expect("started");
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut pipe, sink) = (child.stderr.take().expect("stderr"), Arc::clone(&stderr));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                sink.lock().expect("lock").push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let (first, line) = std::sync::mpsc::channel();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let rest_of_stdout = Some(std::thread::spawn(move || {
            let (mut line, mut rest) = (String::new(), String::new());
            let _ = stdout.read_line(&mut line);
            let _ = first.send(line);
            let _ = stdout.read_to_string(&mut rest);
            rest
        }));
        let line = line.recv_timeout(PATIENCE).unwrap_or_default();
        let Ok(ready) = serde_json::from_str(&line) else {
            let _ = child.kill();
            panic!("no ready line but {line:?}; stderr: {}", stderr.lock().expect("lock"));
        };
        Self { child, ready, rest_of_stdout, stderr }
    }

    /// What it has logged.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("lock").clone()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        signal("TERM", self.child.id());
    }

    /// Waits for its end: the exit status, and what it said on stdout after the ready line.
    pub async fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for("the process to end", async || self.child.try_wait().expect("waited")).await;
        (status, self.rest_of_stdout.take().expect("once").join().expect("read"))
    }

    /// Stops it as users do; it has to take it well, and say nothing more on stdout.
    pub async fn stop(self) {
        self.terminate();
        let log = Arc::clone(&self.stderr);
        let (status, rest) = self.wait().await;
        assert!(status.success() && rest.is_empty(), "{status}, {rest:?}, {}", log.lock().expect("lock"));
    }

    /// Ends it without warning.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        let _ = self.child.wait();
    }

    fn text(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.ready)).to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_okta-connector"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OKTA_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(arguments, variables).output().expect("ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill");
    assert!(sent.success());
}

/// Waits until there is something.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Some(found) => return found,
            None if Instant::now() > deadline => panic!("waited in vain for {what}"),
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A sandbox org.
pub struct Sandbox(pub Process);

impl Sandbox {
    pub fn start() -> Self {
        Self(Process::start(&["sandbox", "--addr", "127.0.0.1:0"], &[]))
    }

    pub fn url(&self) -> String {
        self.0.text("url")
    }

    pub fn api_token(&self) -> String {
        self.0.text("api_token")
    }

    /// A call of its control interface.
    pub async fn control(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> String {
        let mut request = http().request(method, format!("{}/_sandbox/{path}", self.url()));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("answered");
        assert!(response.status().is_success(), "{}", response.status());
        response.text().await.expect("text")
    }

    /// Makes an OAuth client; it answers what it made.
    pub async fn make_client(&self, client: Value) -> Value {
        let made = self.control(reqwest::Method::POST, "clients", Some(client)).await;
        serde_json::from_str(&made).expect("JSON")
    }

    /// Changes settings of its authorization server.
    pub async fn set_oauth(&self, settings: Value) {
        self.control(reqwest::Method::POST, "oauth", Some(settings)).await;
    }

    /// The requests to the token endpoint so far.
    pub async fn token_requests(&self) -> Vec<Value> {
        let mut requests = self.requests().await;
        requests.retain(|request| request["path"] == "/oauth2/v1/token");
        requests
    }

    /// The requests it has had, oldest first.
    pub async fn requests(&self) -> Vec<Value> {
        let requests = self.control(reqwest::Method::GET, "requests", None).await;
        serde_json::from_str(&requests).expect("JSON")
    }
}

/// A server with its data directory.
pub struct Server {
    pub process: Process,
    pub directory: TempDir,
}

const ANY_PORTS: [&str; 6] =
    ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];

/// Tests that count what reaches the org do not want it to be asked for its System Log meanwhile; a variable of theirs can ask for it.
const QUIET: (&str, &str) = ("OKTA_CONNECTOR_SYSTEM_LOG", "false");

impl Server {
    /// A server that is connected to nothing.
    pub fn alone() -> Self {
        Self::start_in(TempDir::new().expect("directory"), &[])
    }

    /// A server whose default connection is the sandbox.
    pub fn connected_to(sandbox: &Sandbox) -> Self {
        Self::connected_in(TempDir::new().expect("directory"), sandbox)
    }

    /// The same in a directory that is there already.
    pub fn connected_in(directory: TempDir, sandbox: &Sandbox) -> Self {
        let (url, token) = (sandbox.url(), sandbox.api_token());
        Self::start_in(directory, &[("OKTA_DOMAIN", &url), ("OKTA_API_TOKEN", &token)])
    }

    pub fn start_in(directory: TempDir, variables: &[(&str, &str)]) -> Self {
        Self::start_logging(directory, variables, "debug")
    }

    /// The same, logging as much as said.
    pub fn start_logging(directory: TempDir, variables: &[(&str, &str)], log: &str) -> Self {
        let path = directory.path().to_str().expect("UTF-8").to_owned();
        let arguments = [&["serve", "--data-dir", &path, "--log", log], &ANY_PORTS[..]].concat();
        let variables = [&[QUIET], variables].concat();
        Self { process: Process::start(&arguments, &variables), directory }
    }

    /// Its data directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn http_url(&self) -> String {
        format!("http://{}", self.process.text("http"))
    }

    pub fn admin_url(&self) -> String {
        format!("http://{}", self.process.text("admin"))
    }

    pub async fn channel(&self) -> Channel {
        channel(&self.process).await
    }

    pub async fn connections(&self) -> ConnectionServiceClient<Channel> {
        ConnectionServiceClient::new(self.channel().await)
    }

    /// Reads a user through a connection.
    pub async fn read(&self, connection: &str, id_or_login: &str) -> Result<ReadUserResponse, Status> {
        let request = ReadUserRequest { connection: connection.to_owned(), id_or_login: id_or_login.to_owned() };
        self.users().await.read_user(request).await.map(tonic::Response::into_inner)
    }

    pub async fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel().await)
    }

    pub async fn groups(&self) -> GroupServiceClient<Channel> {
        GroupServiceClient::new(self.channel().await)
    }

    pub async fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel().await)
    }

    /// Stops it, and gives its directory back.
    pub async fn stop(self) -> TempDir {
        self.process.stop().await;
        self.directory
    }

    /// Kills it, and gives its directory back.
    pub fn kill(self) -> TempDir {
        self.process.kill();
        self.directory
    }

    /// A user, active, with this first name.
    pub async fn create_user(&self, first_name: &str) -> User {
        let request = CreateUserRequest {
            profile: Some(profile(first_name)),
            credentials: Some(UserCredentialsInput { password: Some("Test-1234".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        self.users().await.create_user(request).await.expect("created").into_inner().user.expect("user")
    }

    /// A call of Okta's API through the Custom API Action.
    pub async fn call(&self, method: HttpMethod, relative_url: &str, body: Option<Value>) -> Value {
        let request = CustomApiActionRequest {
            method: method.into(),
            relative_url: relative_url.to_owned(),
            body: body.map(|body| Body::BodyJson(body.to_string())),
            ..Default::default()
        };
        let mut client = CustomApiServiceClient::new(self.channel().await);
        let response = client.custom_api_action(request).await.expect("answered").into_inner();
        assert!((200..300).contains(&response.status_code), "{relative_url}: {}", response.body);
        serde_json::from_str(&response.body).unwrap_or_default()
    }

    /// A group that takes members.
    pub async fn create_group(&self, name: &str) -> String {
        let body = serde_json::json!({ "profile": { "name": name, "description": "made by a test" } });
        let group = self.call(HttpMethod::Post, "/api/v1/groups", Some(body)).await;
        group["id"].as_str().expect("id").to_owned()
    }
}

/// A channel to the gRPC listener of a process.
pub async fn channel(process: &Process) -> Channel {
    let address = format!("http://{}", process.text("grpc"));
    Channel::from_shared(address).expect("address").connect().await.expect("connected")
}

/// The attributes that every user needs.
pub fn profile(first_name: &str) -> UserProfile {
    let login = format!("{}@test.example", first_name.to_lowercase());
    UserProfile {
        first_name: Some(first_name.to_owned()),
        last_name: Some("Tester".to_owned()),
        email: Some(login.clone()),
        login: Some(login),
        ..Default::default()
    }
}

/// An HTTP client.
pub fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::new()
}

/// An HTTP client that shows redirects instead of following them.
pub fn http_without_redirects() -> reqwest::Client {
    drop(http());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("client")
}

/// The reason of an error.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The fields that an error names.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    details.map(|details| details.field_violations.into_iter().map(|field| field.field).collect()).unwrap_or_default()
}

/// A fact of an error's metadata.
pub fn metadata(status: &Status, key: &str) -> String {
    status.get_details_error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}
