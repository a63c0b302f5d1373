//! What comes of a limit of 600 requests a minute that 50 callers want 2 000 a minute of: through the connector, and through Okta's own Go SDK
//! as it comes, at the same time, each on a sandbox org of its own: `cargo bench --bench rate_limits [MINUTES]`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a benchmark may fail aloud")]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/integration/harness.rs"]
mod harness;

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Sandbox, Server};
use okta_connector::proto::ReadUserRequest;
use okta_connector::proto::user_service_client::UserServiceClient;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request};

const BUCKET: &str = "GET /api/v1/users/{id}";
const LIMIT: u32 = 600;
const CALLERS: usize = 50;
/// Between two calls of a caller: 40 a minute.
const EVERY: Duration = Duration::from_millis(1500);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Every tenth call has only so long.
const SHORT: Duration = Duration::from_millis(100);

fn main() {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let lasting = Duration::from_secs(60 * minutes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let (ours, sdk) = tokio::join!(connector(lasting), sdk(lasting));
        println!("{minutes} minutes, limit {LIMIT} a minute, {CALLERS} callers who want 2 000 a minute\n");
        println!("{:<34} {:>12} {:>12}", "", "connector", "Okta Go SDK");
        let row = |what: &str, of: fn(&Came) -> String| {
            let sdk = sdk.as_ref().map_or("SKIPPED".to_owned(), of);
            println!("{what:<34} {:>12} {sdk:>12}", of(&ours));
        };
        row("requests sent to the org", |came| (came.served + came.refused).to_string());
        row("429s met", |came| came.refused.to_string());
        row("useful answers", |came| came.answered.iter().sum::<u32>().to_string());
        row("of the limit, in percent", |came| {
            format!("{:.1}", 100.0 * f64::from(came.used) / f64::from(LIMIT * came.windows))
        });
        row("least / most of a caller's share", |came| {
            let fair = f64::from(came.answered.iter().sum::<u32>()) / f64::from(u32::try_from(CALLERS).unwrap_or(1));
            let least = came.answered.iter().min().copied().unwrap_or_default();
            let most = came.answered.iter().max().copied().unwrap_or_default();
            format!("{:.2} / {:.2}", f64::from(least) / fair, f64::from(most) / fair)
        });
        row("refusals of short deadlines, p99", |came| match came.refusals.len() {
            0 => "-".to_owned(),
            count => format!("{:.1} ms", came.refusals[(count * 99 / 100).min(count - 1)].as_secs_f64() * 1000.0),
        });
    });
}

/// What came of it.
struct Came {
    served: u32,
    /// Served until just before the end: what comes after counts in a window that is not over.
    used: u32,
    refused: u32,
    windows: u32,
    answered: Vec<u32>,
    /// How long those waited, in order, who were told at once that their time would not do.
    refusals: Vec<Duration>,
}

async fn org() -> Sandbox {
    let sandbox = Sandbox::start();
    sandbox.control(Method::POST, "rate-limits", Some(json!({ BUCKET: LIMIT }))).await;
    sandbox
}

/// What the org has counted.
async fn count(sandbox: &Sandbox, what: &str) -> u32 {
    let counted: Value = serde_json::from_str(&sandbox.control(Method::GET, "rate-limits", None).await).expect("JSON");
    u32::try_from(counted["buckets"][BUCKET][what].as_u64().unwrap_or(0)).expect("small")
}

/// What the org has served when the last of the windows is about to end.
async fn used(sandbox: &Sandbox, lasting: Duration) -> u32 {
    tokio::time::sleep(lasting - Duration::from_secs(1)).await;
    count(sandbox, "served").await
}

async fn came(sandbox: &Sandbox, used: u32, answered: Vec<u32>, refusals: Vec<Duration>, lasting: Duration) -> Came {
    let windows = u32::try_from(lasting.as_secs() / 60).expect("small");
    let (served, refused) = (count(sandbox, "served").await, count(sandbox, "refused").await);
    Came { served, used, refused, windows, answered, refusals }
}

async fn connector(lasting: Duration) -> Came {
    let sandbox = org().await;
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let variables = [("OKTA_DOMAIN", &*url), ("OKTA_API_TOKEN", &*token), ("OKTA_CONNECTOR_RESERVED_RATE_LIMIT", "0")];
    let server = Server::start_logging(tempfile::TempDir::new().expect("directory"), &variables, "warn");
    let (answered, refusals) = (Arc::new(Mutex::new(vec![0; CALLERS])), Arc::new(Mutex::new(Vec::new())));
    let began = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let (answered, refusals) = (answered.clone(), refusals.clone());
        let server = &server;
        async move {
            let users = server.users().await;
            tokio::time::sleep(EVERY * u32::try_from(caller).expect("small") / 50).await;
            for call in 0.. {
                if began.elapsed() >= lasting {
                    break;
                }
                tokio::spawn(one(users.clone(), caller, call, answered.clone(), refusals.clone()));
                tokio::time::sleep(EVERY).await;
            }
        }
    });
    let (used, _) = tokio::join!(used(&sandbox, lasting), futures_util::future::join_all(callers));
    let mut refusals = refusals.lock().expect("lock").clone();
    refusals.sort();
    let answered = answered.lock().expect("lock").clone();
    let came = came(&sandbox, used, answered, refusals, lasting).await;
    server.stop().await;
    came
}

async fn one(
    mut users: UserServiceClient<Channel>,
    caller: usize,
    call: usize,
    answered: Arc<Mutex<Vec<u32>>>,
    refusals: Arc<Mutex<Vec<Duration>>>,
) {
    let is_short = call % 10 == 9;
    let mut request =
        Request::new(ReadUserRequest { id_or_login: format!("{caller}-{call}@test.example"), ..Default::default() });
    request.set_timeout(if is_short { SHORT } else { TIMEOUT });
    let began = Instant::now();
    match users.read_user(request).await.map_err(|status| status.code()) {
        // Nobody has that login, and to be told so is an answer.
        Ok(_) | Err(Code::NotFound) => answered.lock().expect("lock")[caller] += 1,
        Err(Code::ResourceExhausted) if is_short => refusals.lock().expect("lock").push(began.elapsed()),
        Err(_) => {}
    }
}

/// The same load through Okta's SDK; nothing where there is no Go.
async fn sdk(lasting: Duration) -> Option<Came> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rate_limits/okta_sdk");
    let program = tempfile::TempDir::new().expect("directory");
    let program = program.path().join("load");
    let built = tokio::task::block_in_place(|| {
        let mut build = std::process::Command::new("go");
        build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(folder).status()
    });
    match built {
        Err(_) => {
            println!("SKIPPED: no Go for Okta's SDK");
            return None;
        }
        Ok(status) => assert!(status.success(), "go build: {status}"),
    }
    let sandbox = org().await;
    let (url, token) = (sandbox.url(), sandbox.api_token());
    let millis = |time: Duration| time.as_millis().to_string();
    let run = tokio::task::spawn_blocking(move || {
        std::process::Command::new(&program)
            .env("OKTA_CLIENT_ORGURL", url)
            .env("OKTA_CLIENT_TOKEN", token)
            .env("CALLERS", CALLERS.to_string())
            .env("EVERY_MS", millis(EVERY))
            .env("TIMEOUT_MS", millis(TIMEOUT))
            .env("LASTING_MS", millis(lasting))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .output()
    });
    let (used, output) = tokio::join!(used(&sandbox, lasting), run);
    let output = output.expect("ran").expect("ran");
    let answered: Vec<u32> = serde_json::from_slice(&output.stdout).expect("JSON");
    Some(came(&sandbox, used, answered, Vec::new(), lasting).await)
}
