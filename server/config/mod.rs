//! What the server is told: settings resolved from flags, environment and file, checked before anything is opened.

mod layers;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use self::layers::{BadSetting, Source, Value, resolve};
pub use self::settings::{SETTINGS, Setting};
use crate::org_url::{OrgAddresses, base_url, is_loopback};

/// Settings in their types.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the journal, the connections and the secret key are kept.
    pub data_dir: PathBuf,
    /// Where gRPC is served.
    pub grpc_addr: SocketAddr,
    /// Where event hooks are received.
    pub http_addr: SocketAddr,
    /// Where `/live`, `/ready` and `/metrics` are served.
    pub admin_addr: SocketAddr,
    /// Where Okta reaches the HTTP listener, without a slash at its end.
    pub public_url: Option<String>,
    /// The key that seals stored secrets.
    pub secret_key: SecretKey,
    /// Where orgs may be.
    pub org_addresses: OrgAddresses,
    /// Certificates to trust besides the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Largest body of a hook delivery.
    pub max_hook_body_bytes: usize,
    /// How long a graceful stop may take.
    pub drain_timeout: Duration,
    /// After how long without use a connection's refresh token is renewed all the same.
    pub keep_alive_after: Duration,
    /// How System Logs are read; not at all when there is nothing.
    pub system_log: Option<SystemLog>,
    /// Events that were stored longer ago are removed.
    pub retention_age: Duration,
    /// The oldest events are removed when all take more than this.
    pub retention_bytes: u64,
    /// Percentage of each of Okta's rate limits that is left to the org's other clients.
    pub reserved_rate_limit: u8,
    /// What is logged.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The connection that the environment names.
    pub default_connection: Option<DefaultConnection>,
}

/// Where the key that seals stored secrets comes from.
#[derive(Debug, Clone)]
pub enum SecretKey {
    /// The key itself.
    Given(SecretString),
    /// A file that has to be there.
    File(PathBuf),
    /// `secret.key` in the data directory, made on first start.
    InDataDir,
}

/// How System Logs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemLog {
    /// How often an org is asked that has nothing new.
    pub interval: Duration,
    /// How far back reading begins for an org of which no event is known.
    pub look_back: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The connection called `default`, from `OKTA_DOMAIN` and what goes with it.
#[derive(Debug, Clone)]
pub struct DefaultConnection {
    /// `OKTA_DOMAIN`.
    pub domain: String,
    /// What it authenticates itself with.
    pub credential: DefaultCredential,
}

/// What the environment says that the default connection authenticates itself with.
#[derive(Debug, Clone)]
pub enum DefaultCredential {
    /// `OKTA_API_TOKEN`.
    ApiToken(SecretString),
    /// A service app.
    ServiceApp {
        /// `OKTA_CLIENT_ID`.
        client_id: String,
        /// `OKTA_PRIVATE_KEY_FILE`.
        private_key_file: PathBuf,
        /// `OKTA_PRIVATE_KEY_ID`; may be empty.
        key_id: String,
        /// `OKTA_SCOPES`, separated by spaces; may be empty.
        scopes: Vec<String>,
    },
}

impl Config {
    /// Checks the values and gives them their types.
    ///
    /// # Errors
    /// The first value that cannot be, in one line.
    pub fn new(values: &[Value], variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let value = |name: &str| {
            values
                .iter()
                .find(|value| value.setting.name == name)
                .ok_or_else(|| BadSetting(format!("{name} is no setting")))
        };
        let grpc_addr = address(value("grpc_addr")?)?;
        let org_addresses = org_addresses(value("org_addresses")?, grpc_addr)?;
        let config = Self {
            data_dir: path(value("data_dir")?).ok_or_else(|| BadSetting("data_dir must not be empty".to_owned()))?,
            grpc_addr,
            http_addr: address(value("http_addr")?)?,
            admin_addr: address(value("admin_addr")?)?,
            public_url: public_url(value("public_url")?)?,
            secret_key: secret_key(value("secret_key")?, value("secret_key_file")?)?,
            org_addresses,
            ca_file: path(value("ca_file")?),
            max_hook_body_bytes: number(value("max_hook_body_bytes")?, 1024, 64 << 20)?,
            drain_timeout: Duration::from_secs(number(value("drain_timeout")?, 1, 3600)?),
            keep_alive_after: Duration::from_secs(number(value("keep_alive_after")?, 1, 6 * 24 * 3600)?),
            system_log: system_log(
                value("system_log")?,
                value("system_log_interval")?,
                value("system_log_look_back")?,
            )?,
            retention_age: Duration::from_secs(number(value("retention_age")?, 1, 3650 * 24 * 3600)?),
            retention_bytes: number(value("retention_bytes")?, 1 << 20, 1 << 50)?,
            reserved_rate_limit: number(value("reserved_rate_limit")?, 0, 90)?,
            log: log(value("log")?)?,
            log_format: log_format(value("log_format")?)?,
            default_connection: default_connection(variable, org_addresses)?,
        };
        let insecure = boolean(value("insecure")?)?;
        if !config.grpc_addr.ip().is_loopback() && !insecure {
            return Err(value("grpc_addr")?.bad(
                "is no loopback address, and callers are not authenticated: keep to loopback, or say --insecure",
            ));
        }
        Ok(config)
    }
}

fn address(value: &Value) -> Result<SocketAddr, BadSetting> {
    value.text.parse().map_err(|_| value.bad("is no address; give an IP address and a port, such as 127.0.0.1:50051"))
}

fn path(value: &Value) -> Option<PathBuf> {
    (!value.text.is_empty()).then(|| PathBuf::from(&value.text))
}

fn public_url(value: &Value) -> Result<Option<String>, BadSetting> {
    if value.text.is_empty() {
        return Ok(None);
    }
    let wanted = "must be an https URL that Okta can reach, such as https://okta-events.acme.example";
    let url = Url::parse(&value.text).map_err(|_| value.bad(wanted))?;
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !scheme_fits || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(value.bad(wanted));
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

fn secret_key(key: &Value, file: &Value) -> Result<SecretKey, BadSetting> {
    match (key.text.as_str(), path(file)) {
        ("", None) => Ok(SecretKey::InDataDir),
        ("", Some(file)) => Ok(SecretKey::File(file)),
        (key, None) => Ok(SecretKey::Given(key.to_owned().into())),
        (_, Some(_)) => Err(file.bad("cannot be set together with secret_key")),
    }
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    value: &Value,
    least: T,
    most: T,
) -> Result<T, BadSetting> {
    match value.text.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(value.bad(&format!("must be a whole number from {least} to {most}"))),
    }
}

fn system_log(on: &Value, interval: &Value, look_back: &Value) -> Result<Option<SystemLog>, BadSetting> {
    const NINETY_DAYS: u64 = 90 * 24 * 3600;
    let interval = Duration::from_secs(number(interval, 1, 3600)?);
    let look_back = Duration::from_secs(number(look_back, 0, NINETY_DAYS)?);
    Ok(boolean(on)?.then_some(SystemLog { interval, look_back }))
}

fn boolean(value: &Value) -> Result<bool, BadSetting> {
    value.text.parse().map_err(|_| value.bad("must be true or false"))
}

fn log(value: &Value) -> Result<String, BadSetting> {
    match value.text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(value.text.clone()),
        Err(_) => {
            Err(value.bad("must be error, warn, info, debug or trace, or target=level pairs with commas between"))
        }
    }
}

fn log_format(value: &Value) -> Result<LogFormat, BadSetting> {
    match value.text.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(value.bad("must be text or json")),
    }
}

/// A server that only this machine can reach may use what is on this machine.
fn org_addresses(value: &Value, grpc_addr: SocketAddr) -> Result<OrgAddresses, BadSetting> {
    match value.text.as_str() {
        "" if grpc_addr.ip().is_loopback() => Ok(OrgAddresses::Loopback),
        "" | "public" => Ok(OrgAddresses::Public),
        "loopback" => Ok(OrgAddresses::Loopback),
        "private" => Ok(OrgAddresses::Private),
        _ => Err(value.bad("must be public, loopback or private")),
    }
}

fn default_connection(
    variable: impl Fn(&str) -> Option<String>,
    addresses: OrgAddresses,
) -> Result<Option<DefaultConnection>, BadSetting> {
    const CREDENTIALS: [&str; 3] = ["OKTA_API_TOKEN", "OKTA_CLIENT_ID", "OKTA_PRIVATE_KEY_FILE"];
    let given = |name: &str| variable(name).filter(|text| !text.is_empty());
    let bad = |message: &str| Err(BadSetting(message.to_owned()));
    let Some(domain) = given("OKTA_DOMAIN") else {
        return match CREDENTIALS.iter().find(|name| given(name).is_some()) {
            Some(name) => bad(&format!("{name} is set and OKTA_DOMAIN is not; set both, or neither")),
            None => Ok(None),
        };
    };
    if let Err(wrong) = base_url(&domain, addresses) {
        return bad(&format!("OKTA_DOMAIN {wrong}"));
    }
    let credential = match CREDENTIALS.map(given) {
        [Some(token), None, None] => DefaultCredential::ApiToken(token.into()),
        [None, Some(client_id), Some(file)] => DefaultCredential::ServiceApp {
            client_id,
            private_key_file: file.into(),
            key_id: given("OKTA_PRIVATE_KEY_ID").unwrap_or_default(),
            scopes: given("OKTA_SCOPES").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        },
        _ => {
            return bad(
                "OKTA_DOMAIN is set: set OKTA_API_TOKEN with it, or both OKTA_CLIENT_ID and OKTA_PRIVATE_KEY_FILE",
            );
        }
    };
    Ok(Some(DefaultConnection { domain, credential }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn config(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Config, BadSetting> {
        let flags: HashMap<_, _> = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, text)| (*text).to_owned());
        Config::new(&resolve(&flags, variable, None)?, variable)
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = config(&[], &[]).expect("defaults");
        assert_eq!(config.grpc_addr.to_string(), "127.0.0.1:50051");
        assert_eq!(config.drain_timeout, Duration::from_secs(10));
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("config.toml");
        std::fs::write(&file, "log = \"warn\"\ndrain_timeout = 3\ngrpc_addr = \"127.0.0.1:1\"").expect("written");
        let flags = HashMap::from([("log", "debug".to_owned())]);
        let variable = |name: &str| match name {
            "OKTA_CONNECTOR_LOG" => Some("error".to_owned()),
            "OKTA_CONNECTOR_DRAIN_TIMEOUT" => Some("4".to_owned()),
            _ => None,
        };
        let values = resolve(&flags, variable, Some(&file)).expect("resolved");
        let config = Config::new(&values, variable).expect("config");
        assert_eq!((config.log.as_str(), config.drain_timeout.as_secs(), config.grpc_addr.port()), ("debug", 4, 1));
    }

    #[test]
    fn what_cannot_be_is_named_with_where_it_came_from() {
        type Pairs<'a> = &'a [(&'static str, &'a str)];
        let wrong: [(Pairs<'_>, Pairs<'_>, &str); 13] = [
            (&[("grpc_addr", "nonsense")], &[], "--grpc-addr"),
            (&[], &[("OKTA_CONNECTOR_HTTP_ADDR", "x:1")], "OKTA_CONNECTOR_HTTP_ADDR"),
            (&[("grpc_addr", "0.0.0.0:50051")], &[], "--insecure"),
            (&[("public_url", "http://acme.example")], &[], "https"),
            (&[("drain_timeout", "0")], &[], "1 to 3600"),
            (&[("max_hook_body_bytes", "-1")], &[], "max_hook_body_bytes"),
            (&[("log_format", "xml")], &[], "text or json"),
            (&[("org_addresses", "everywhere")], &[], "public, loopback or private"),
            (
                &[("org_addresses", "public")],
                &[("OKTA_DOMAIN", "http://127.0.0.1:7000"), ("OKTA_API_TOKEN", "t")],
                "org_addresses",
            ),
            (&[], &[("OKTA_DOMAIN", "acme.okta.com")], "OKTA_API_TOKEN"),
            (&[], &[("OKTA_DOMAIN", "acme.okta.com"), ("OKTA_CLIENT_ID", "0oa")], "OKTA_PRIVATE_KEY_FILE"),
            (&[], &[("OKTA_CLIENT_ID", "0oa")], "OKTA_DOMAIN"),
            (&[], &[("OKTA_DOMAIN", "http://acme.okta.com"), ("OKTA_API_TOKEN", "t")], "OKTA_DOMAIN"),
        ];
        for (flags, variables, says) in wrong {
            let error = config(flags, variables).expect_err(says).to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_file_with_an_unknown_key_or_no_toml_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("config.toml");
        for (text, says) in [("nonsense = 1", "nonsense"), ("log = [1]", "log"), ("log", "not TOML")] {
            std::fs::write(&file, text).expect("written");
            let error = resolve(&HashMap::new(), |_| None, Some(&file)).expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(resolve(&HashMap::new(), |_| None, Some(&directory.path().join("none"))).is_err());
    }

    #[test]
    fn a_secret_is_not_repeated_in_an_error() {
        let key = ("OKTA_CONNECTOR_SECRET_KEY", "very-secret");
        let error = config(&[("secret_key_file", "x")], &[key]).expect_err("both");
        assert!(!error.to_string().contains("very-secret"));
    }
}
