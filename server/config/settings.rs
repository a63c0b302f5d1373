//! Every setting there is, in one table: its flag, its variable, its key in the file, the help and the documentation follow from it.

/// A setting of `okta-connector serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the TOML file; flag and variable are made from it.
    pub name: &'static str,
    /// What it takes, as `--help` shows it.
    pub takes: &'static str,
    /// What it is when nobody sets it.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Whether it is a secret: then it has no flag, which every process could see, and is never printed.
    pub secret: bool,
}

const fn setting(name: &'static str, takes: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, takes, default, help, secret: false }
}

/// The table.
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", "DIR", "okta-connector-data", "Where the journal, the connections and the secret key are kept"),
    setting("grpc_addr", "ADDR", "127.0.0.1:50051", "Where gRPC is served; port 0 picks a free one"),
    setting(
        "http_addr",
        "ADDR",
        "127.0.0.1:8080",
        "Where Okta's event hooks are received, and browsers come to authorize connections; port 0 picks a free one",
    ),
    setting(
        "admin_addr",
        "ADDR",
        "127.0.0.1:9090",
        "Where /live, /ready and /metrics are served; port 0 picks a free one",
    ),
    setting(
        "public_url",
        "URL",
        "",
        "Where Okta and browsers reach the HTTP listener, over https; on one machine with both none is needed",
    ),
    setting(
        "secret_key_file",
        "FILE",
        "",
        "File of the key that seals stored secrets; secret.key in the data directory, made on first start, when not set",
    ),
    Setting {
        name: "secret_key",
        takes: "KEY",
        default: "",
        help: "The key that seals stored secrets, 32 bytes in base64, instead of a file",
        secret: true,
    },
    setting(
        "org_addresses",
        "WHERE",
        "",
        "Where orgs may be: public, loopback (this machine too), private (private networks too); loopback when gRPC is \
         served on loopback, else public, when not set",
    ),
    setting("ca_file", "FILE", "", "Certificates (PEM) to trust besides the system's when calling Okta"),
    setting("max_hook_body_bytes", "BYTES", "1048576", "Largest body of an event hook delivery"),
    setting(
        "keep_alive_after",
        "SECONDS",
        "86400",
        "After how long without use a connection's refresh token is renewed; Okta forgets it after 7 days",
    ),
    setting(
        "system_log",
        "true|false",
        "true",
        "Read each org's System Log, to add the events that its hooks did not deliver",
    ),
    setting("system_log_interval", "SECONDS", "30", "How often an org's System Log is asked when there is nothing new"),
    setting(
        "system_log_look_back",
        "SECONDS",
        "3600",
        "How far back the System Log is read for an org of which no event is known yet; Okta keeps 90 days",
    ),
    setting(
        "retention_age",
        "SECONDS",
        "2592000",
        "Events that were stored longer ago are removed; 30 days by default",
    ),
    setting(
        "retention_bytes",
        "BYTES",
        "10737418240",
        "The oldest events are removed when all take more than this; 10 GiB",
    ),
    setting(
        "reserved_rate_limit",
        "PERCENT",
        "10",
        "How much of each of Okta's rate limits is left to the org's other clients",
    ),
    setting("drain_timeout", "SECONDS", "10", "How long a graceful stop may take"),
    setting("log", "FILTER", "info", "What is logged: error, warn, info, debug, trace, or target=level pairs"),
    setting("log_format", "FORMAT", "text", "How log lines look: text or json"),
    setting(
        "insecure",
        "true|false",
        "false",
        "Serve gRPC on other than loopback addresses although callers are not authenticated",
    ),
];

impl Setting {
    /// The setting called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its flag, without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("OKTA_CONNECTOR_{}", self.name.to_uppercase())
    }
}
